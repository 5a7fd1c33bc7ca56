//! What of the project is packed: the modules that imports reach, whole import packages among them with their data,
//! and what `include` names, less `exclude`.
//!
//! Never unless named: dotfiles, keys, virtual environments, what earlier builds left in `dist/`, what git ignores, and
//! what links lead to outside of the project. A module that an import reaches counts as named, git-ignored or not:
//! generated code is often both.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;

use super::builder::Builder;
use super::pathfile::Places;
use super::{Entry, Error, LeftOut, Origin, Source, walk};
use crate::config::{Config, Entry as ConfigEntry, Patterns};
use crate::format::Artifact;
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
    let told = |path: &Path, why| LeftOut { what: guard.relative(path).display().to_string(), why };
    for package in packages {
        let all = list(package, &guard, &Patterns::default(), false)?;
        let tracked = list(package, &guard, &Patterns::default(), true)?;
        let ignored = all.files.difference(&tracked.files).filter(|path| !files.contains(*path));
        left_out.extend(ignored.map(|path| told(path, "git ignores it, and no import reaches it")));
        left_out.extend(tracked.refused.iter().map(|(path, why)| told(path, why)));
        files.extend(tracked.files);
    }
    let include = &config.runner.include;
    if !include.is_empty() {
        let all = list(&config.root, &guard, include, false)?;
        let tracked = list(&config.root, &guard, include, true)?.files;
        for path in all.files.into_iter().filter(|path| include.matches(guard.relative(path))) {
            match unnamed(include, guard.relative(&path), &config.root, &tracked) {
                None => _ = files.insert(path),
                Some(ignored) => {
                    left_out.push(told(&ignored, "git ignores it, and `include` takes it by a wildcard alone"));
                }
            }
        }
    }
    // What is packed all the same, since it is named elsewhere, is not left out.
    left_out.retain(|left| {
        let path = config.root.join(&left.what);
        !files.range(path.clone()..).next().is_some_and(|next| next.starts_with(&path))
    });
    left_out.sort_by(|a, b| a.what.cmp(&b.what));
    left_out.dedup();
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

/// What git ignores, the file or the uppermost folder around it, unless a pattern names a part of it by more than a wildcard.
fn unnamed(include: &Patterns, relative: &Path, root: &Path, tracked: &BTreeSet<PathBuf>) -> Option<PathBuf> {
    let mut path = root.to_owned();
    let mut ignored = None;
    for part in relative.components() {
        path.push(part);
        if tracked.range(path.clone()..).next().is_some_and(|next| next.starts_with(&path)) {
            continue;
        }
        if part.as_os_str().to_str().is_some_and(|name| include.name(name)) {
            return None;
        }
        ignored.get_or_insert_with(|| path.clone());
    }
    ignored
}

#[derive(Debug, Default)]
struct Listed {
    files: BTreeSet<PathBuf>,
    /// What is kept out, and why.
    refused: BTreeSet<(PathBuf, &'static str)>,
}

/// The files below `folder` that may be packed; with `git`, without those that git ignores. Links are followed where they
/// stay in the project, or are named.
fn list(folder: &Path, guard: &Guard, named: &Patterns, git: bool) -> Result<Listed, Error> {
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let (inner, named, noted) = (guard.clone(), named.clone(), Arc::clone(&refused));
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(git)
        .git_exclude(git)
        .parents(git)
        .require_git(false)
        .follow_links(true)
        .filter_entry(move |entry| {
            if entry.depth() == 0 {
                return true;
            }
            let judged = inner.refuses(entry.path(), entry.path_is_symlink(), &named);
            if let Some(Refusal::Told(why)) = judged {
                noted.lock().unwrap_or_else(PoisonError::into_inner).insert((entry.path().to_owned(), why));
            }
            judged.is_none()
        })
        .build();
    let mut files = BTreeSet::new();
    for entry in walk {
        match entry {
            Ok(entry) if entry.path().is_file() => _ = files.insert(entry.into_path()),
            Ok(_) => {}
            // What the application could not read either.
            Err(error) if is_out_of_reach(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let refused = std::mem::take(&mut *refused.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Listed { files, refused })
}

/// A link that goes round or leads nowhere; a folder of another user's.
fn is_out_of_reach(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        // Links that lead to one another: what the walk says of them has no kind.
        ignore::Error::WithPath { path, err } => {
            is_out_of_reach(err) || rustix::fs::stat(path).is_err_and(|errno| errno == rustix::io::Errno::LOOP)
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => is_out_of_reach(err),
        ignore::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

/// Why a file or folder is kept out.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// Everybody expects it.
    Known,
    /// Somebody may miss it.
    Told(&'static str),
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
        self.refuses(path, false, named).is_none()
    }

    /// Whether it is kept out, and, where somebody may miss it, why.
    fn refuses(&self, path: &Path, is_link: bool, named: &Patterns) -> Option<Refusal> {
        let name = path.file_name().and_then(|name| name.to_str())?;
        if name == "__pycache__" {
            return Some(Refusal::Known);
        }
        if named.name(name) {
            return None;
        }
        let is_key = KEY_NAMES.iter().any(|key| name.starts_with(key))
            || path.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| KEY_SUFFIXES.contains(&ext));
        if is_key {
            return Some(Refusal::Told("it may be a private key; name it in `[runner] include` if it is none"));
        }
        let is_built = self.relative(path).components().eq([Component::Normal("dist".as_ref())]);
        if name.starts_with('.') || is_built || path.join("pyvenv.cfg").is_file() {
            return Some(Refusal::Known);
        }
        if is_result(path, name) {
            return Some(Refusal::Known);
        }
        if is_link && path.is_dir() { self.refuses_link(path) } else { None }
    }

    fn refuses_link(&self, link: &Path) -> Option<Refusal> {
        const OUTSIDE: &str =
            "the link leads out of the project; name it in `[runner] include` to pack what it leads to";
        let real = |path: &Path| path.canonicalize().ok();
        let target = real(link)?;
        if !real(&self.root).is_some_and(|root| target.starts_with(root)) {
            return Some(Refusal::Told(OUTSIDE));
        }
        // To a folder that it lies in itself.
        link.parent().and_then(real).is_some_and(|parent| parent.starts_with(&target)).then_some(Refusal::Known)
    }
}

/// Whether an earlier build left it, wherever its user has them written to.
fn is_result(path: &Path, name: &str) -> bool {
    let is_program = || path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    [".proof.json", ".unproved"].iter().any(|end| name.ends_with(end)) || is_program() && Artifact::open(path).is_ok()
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn private_files_stay_out_unless_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in [
            ".env",
            "a/.hidden/x",
            "a/key.pem",
            "a/data.txt",
            "a/id_rsa",
            "dist/old",
            "venv/pyvenv.cfg",
            "a/dist/x",
            "out/app.proof.json",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let guard = Guard::new(root);
        let seen = |patterns: &[&str]| {
            let named = Patterns::new(patterns.iter().copied()).unwrap();
            let found = list(root, &guard, &named, false).unwrap().files;
            found.iter().map(|path| guard.relative(path).display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(seen(&[]), ["a/data.txt", "a/dist/x"]);
        assert_eq!(seen(&["**"]), ["a/data.txt", "a/dist/x"]);
        assert_eq!(seen(&[".env*", "a/*.pem"]), [".env", "a/data.txt", "a/dist/x", "a/key.pem"]);
        let refused = list(root, &guard, &Patterns::default(), false).unwrap().refused;
        let keys: Vec<_> = refused.iter().map(|(path, _)| guard.relative(path).to_str().unwrap()).collect();
        assert_eq!(keys, ["a/id_rsa", "a/key.pem"]);
    }

    #[test]
    fn links_are_followed_inside_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("project"), folder.path().join("outside"));
        for file in [root.join("shared/a.html"), root.join("app/x.py"), outside.join("b.html")] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        for (target, link) in [
            ("../shared", "templates"),
            ("..", "round"),
            ("nowhere", "dangling"),
            ("itself", "itself"),
            ("../../outside", "outer"),
        ] {
            std::os::unix::fs::symlink(target, root.join("app").join(link)).unwrap();
        }
        let guard = Guard::new(&root);
        let seen = |patterns: &[&str]| {
            let named = Patterns::new(patterns.iter().copied()).unwrap();
            let listed = list(&root.join("app"), &guard, &named, false).unwrap();
            let files: Vec<_> = listed.files.iter().map(|path| guard.relative(path).display().to_string()).collect();
            (files, listed.refused.len())
        };
        assert_eq!(seen(&[]), (["app/templates/a.html", "app/x.py"].map(str::to_owned).to_vec(), 1));
        assert_eq!(seen(&["app/outer/**"]).0, ["app/outer/b.html", "app/templates/a.html", "app/x.py"]);
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
        let tracked = list(&package, &guard, &Patterns::default(), true).unwrap().files;
        assert_eq!(tracked.iter().cloned().collect::<Vec<_>>(), [package.join("__init__.py")]);
        let root = folder.path();
        let left = |pattern: &str, file: &str| {
            let ignored = unnamed(&Patterns::new([pattern]).unwrap(), Path::new(file), root, &tracked);
            ignored.map(|path| guard.relative(&path).display().to_string())
        };
        for (pattern, file) in
            [("p/x.log", "p/x.log"), ("p/*.log", "p/x.log"), ("gone/**", "gone/a/b"), ("**/*.b", "gone/x.b")]
        {
            assert_eq!(left(pattern, file), None, "{pattern}");
        }
        assert_eq!(left("p/**", "p/x.log").as_deref(), Some("p/x.log"));
        assert_eq!(left("**", "gone/a/b").as_deref(), Some("gone"));
        assert_eq!(left("**", "p/__init__.py"), None);
    }
}
