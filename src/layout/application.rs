//! What of the project is packed: the modules that imports reach, whole import packages among them with their data,
//! and what `include` names, less `exclude`.
//!
//! Never unless named: dotfiles, keys, virtual environments, what earlier builds left in `dist/`, and what git
//! ignores. A module that an import reaches counts as named, git-ignored or not: generated code is often both.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;

use super::builder::Builder;
use super::pathfile::Places;
use super::{Entry, Error, LeftOut, Origin, Source, walk};
use crate::config::{Config, Entry as ConfigEntry, Patterns};
use crate::graph::{ApplicationModule, Without};

/// Endings of private keys and key stores.
const KEY_SUFFIXES: &[&str] = &["jks", "key", "keystore", "p12", "pem", "pfx"];
const KEY_NAMES: &[&str] = &["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

pub(super) fn add(
    builder: &mut Builder,
    config: &Config,
    places: &Places,
    modules: &[ApplicationModule],
    without: &Without,
) -> Result<Vec<LeftOut>, Error> {
    let guard = Guard::new(&config.root);
    let mut files: BTreeSet<PathBuf> = modules.iter().map(|module| module.file.clone()).collect();
    if let ConfigEntry::Script(script) = &config.runner.entry {
        files.insert(script.clone());
    }

    let mut left_out = Vec::new();
    // A single-file module has none.
    let packages: BTreeSet<&Path> = modules.iter().filter_map(|module| module.package.as_deref()).collect();
    for package in packages {
        let all = list(package, &guard, &Patterns::default(), false)?;
        let tracked = list(package, &guard, &Patterns::default(), true)?;
        left_out.extend(all.difference(&tracked).filter(|path| !files.contains(*path)).map(|path| LeftOut {
            what: path.strip_prefix(&config.root).unwrap_or(path).display().to_string(),
            why: "git ignores it, and no import reaches it",
        }));
        files.extend(tracked);
    }
    if !config.runner.include.is_empty() {
        let found = list(&config.root, &guard, &config.runner.include, false)?;
        files.extend(found.into_iter().filter(|path| config.runner.include.matches(guard.relative(path))));
    }
    files.retain(|path| !config.runner.exclude.files.matches(guard.relative(path)) && !without.holds(path));

    for path in files {
        // Modules of an editable finder lie in no folder of sys.path; `distributions` has packed them.
        let Some(place) = places.of(&path)? else { continue };
        if builder.contains(&place) {
            continue;
        }
        let mode = walk::mode_of(&path)?;
        builder.add(place, Entry { source: Source::File(path), mode, origin: Origin::Application })?;
    }
    Ok(left_out)
}

/// The files below `folder` that may be packed; with `git`, without those that git ignores.
fn list(folder: &Path, guard: &Guard, named: &Patterns, git: bool) -> Result<BTreeSet<PathBuf>, Error> {
    let (guard, named) = (guard.clone(), named.clone());
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(git)
        .git_exclude(git)
        .parents(git)
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || guard.lets_through(entry.path(), &named))
        .build();
    let mut files = BTreeSet::new();
    for entry in walk {
        let entry = entry?;
        if entry.path().is_file() {
            files.insert(entry.into_path());
        }
    }
    Ok(files)
}

/// Keeps out what nobody means to give away.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    root: PathBuf,
}

impl Guard {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Judges a file or folder by its own name and kind; its parents have been judged before it.
    pub(super) fn lets_through(&self, path: &Path, named: &Patterns) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return true };
        if name == "__pycache__" {
            return false;
        }
        !self.is_private(path, name) || named.name(name)
    }

    fn is_private(&self, path: &Path, name: &str) -> bool {
        let key = KEY_NAMES.iter().any(|key| name.starts_with(key))
            || path.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| KEY_SUFFIXES.contains(&ext));
        let built = self.relative(path).components().eq([Component::Normal("dist".as_ref())]);
        name.starts_with('.') || key || built || path.join("pyvenv.cfg").is_file()
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn private_files_stay_out_unless_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in
            [".env", "a/.hidden/x", "a/key.pem", "a/data.txt", "a/id_rsa", "dist/old", "venv/pyvenv.cfg", "a/dist/x"]
        {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let guard = Guard::new(root);
        let seen = |patterns: &[&str]| {
            let named = Patterns::new(patterns.iter().copied()).unwrap();
            let found = list(root, &guard, &named, false).unwrap();
            found.iter().map(|path| guard.relative(path).display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(seen(&[]), ["a/data.txt", "a/dist/x"]);
        assert_eq!(seen(&["**"]), ["a/data.txt", "a/dist/x"]);
        assert_eq!(seen(&[".env*", "a/*.pem"]), [".env", "a/data.txt", "a/dist/x", "a/key.pem"]);
    }

    #[test]
    fn git_ignored_files_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [(".gitignore", "*.log\n"), ("p/x.log", ""), ("p/__init__.py", "")] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let guard = Guard::new(folder.path());
        let package = folder.path().join("p");
        let tracked = list(&package, &guard, &Patterns::default(), true).unwrap();
        assert_eq!(tracked.into_iter().collect::<Vec<_>>(), [package.join("__init__.py")]);
    }
}
