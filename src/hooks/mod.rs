//! `hooks/*.toml` (built in) and the project's own → [`Hooks`]: what no analysis can see.
//!
//! Data, not code, and little of it: whole distributions are packed, so that nothing has to be declared for a
//! module to be there. What is left is what the audit and the proof ought to know of.

pub mod foreign;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use pep440_rs::{Version, VersionSpecifiers};
use serde::Deserialize;

use crate::audit::CODES;
use crate::environment::Environment;
use crate::graph::ModuleKind;
use crate::names::{DistName, ModuleName};

/// All hooks, the built-in ones first.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    pub hooks: Vec<Hook>,
    /// PyInstaller hooks that lie in the project's folders. They are not used.
    pub foreign: Vec<PathBuf>,
}

/// One file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hook {
    pub distribution: DistName,
    /// PEP 440 specifiers, e.g. `>=0.7,<1`; absent: all.
    #[serde(default)]
    pub versions: Option<VersionSpecifiers>,
    pub reason: String,
    /// Modules that it imports in a way that no analysis sees; `package.*` for all submodules.
    #[serde(default)]
    pub implicit_imports: Vec<String>,
    /// Modules that it does without: its imports of them count as guarded.
    #[serde(default)]
    pub optional_imports: Vec<ModuleName>,
    /// Shared libraries that it opens by a name that no analysis sees, as the dynamic loader takes them: `libmagic.so.1`.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// Files and folders of its data that no RECORD lists, relative to the environment's prefix, e.g. `share/eggs`: they are
    /// packed at the same place below the artifact's.
    #[serde(default)]
    pub data: Vec<PathBuf>,
    /// It compiles extension modules when it runs: the interpreter's C headers are packed.
    #[serde(default)]
    pub headers: bool,
    /// Findings that are known and no fault, for the hook's reason.
    #[serde(default)]
    pub allow: Vec<Allowed>,
    #[serde(default, rename = "assert")]
    pub assertions: Vec<Assertion>,
    /// The file, for messages.
    #[serde(skip)]
    pub file: PathBuf,
    /// Shipped with the tool.
    #[serde(skip)]
    pub built_in: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    pub code: String,
    pub subject: String,
}

/// What a name must end up as.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    pub name: ModuleName,
    pub kind: ModuleKind,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the hooks in `{}`", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not a hook", path.display())]
    Invalid { path: PathBuf, source: Box<toml::de::Error> },
    #[error("`{}`: a hook says why it is needed, and its reason is empty", path.display())]
    NoReason { path: PathBuf },
    #[error("`{}`: the data `{}` is to be relative to the environment's prefix, and below it", path.display(), data.display())]
    Outside { path: PathBuf, data: PathBuf },
    #[error("`{}` allows `{code}`, and no finding has that code", path.display())]
    NoCode { path: PathBuf, code: String },
}

/// Each built-in file by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("jpype1.toml", include_str!("../../hooks/jpype1.toml")),
    ("pytensor.toml", include_str!("../../hooks/pytensor.toml")),
    ("pythonnet.toml", include_str!("../../hooks/pythonnet.toml")),
    ("tiktoken.toml", include_str!("../../hooks/tiktoken.toml")),
];

impl Hooks {
    /// The built-in hooks, then those of `folders`.
    pub fn load(folders: &[PathBuf]) -> Result<Self, Error> {
        let mut loaded = Self::default();
        for (name, text) in BUILT_IN {
            loaded.hooks.push(Hook { built_in: true, ..parse(Path::new(name), text)? });
        }
        for folder in folders {
            let unreadable = |source| Error::Unreadable { path: folder.clone(), source };
            let entries = fs_err::read_dir(folder).map_err(unreadable)?;
            let mut files = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(unreadable)?;
            files.sort();
            for file in files {
                match file.extension().and_then(|extension| extension.to_str()) {
                    Some("toml") => {
                        let text = fs_err::read_to_string(&file)
                            .map_err(|source| Error::Unreadable { path: file.clone(), source })?;
                        loaded.hooks.push(parse(&file, &text)?);
                    }
                    Some("py") if is_foreign(&file) => loaded.foreign.push(file),
                    _ => {}
                }
            }
        }
        Ok(loaded)
    }

    /// Those whose distribution is there in a version that they are for.
    pub fn active<'a>(&'a self, environment: &'a Environment) -> impl Iterator<Item = &'a Hook> {
        self.hooks.iter().filter(|hook| hook.matches(environment))
    }

    pub fn implicit_imports(&self, environment: &Environment) -> BTreeMap<DistName, Vec<String>> {
        let mut imports: BTreeMap<DistName, Vec<String>> = BTreeMap::new();
        for hook in self.active(environment).filter(|hook| !hook.implicit_imports.is_empty()) {
            imports.entry(hook.distribution.clone()).or_default().extend(hook.implicit_imports.iter().cloned());
        }
        imports
    }

    /// Of each distribution, the modules that it does without.
    pub fn optional_imports(&self, environment: &Environment) -> BTreeMap<DistName, Vec<ModuleName>> {
        let mut imports: BTreeMap<DistName, Vec<ModuleName>> = BTreeMap::new();
        for hook in self.active(environment).filter(|hook| !hook.optional_imports.is_empty()) {
            imports.entry(hook.distribution.clone()).or_default().extend(hook.optional_imports.iter().cloned());
        }
        imports
    }
}

impl Hook {
    pub fn matches(&self, environment: &Environment) -> bool {
        environment.distribution(self.distribution.as_str()).is_some_and(|dist| match &self.versions {
            Some(versions) => dist.version.parse::<Version>().is_ok_and(|version| versions.contains(&version)),
            None => true,
        })
    }
}

fn parse(file: &Path, text: &str) -> Result<Hook, Error> {
    let mut hook: Hook =
        toml::from_str(text).map_err(|source| Error::Invalid { path: file.to_owned(), source: Box::new(source) })?;
    if hook.reason.trim().is_empty() {
        return Err(Error::NoReason { path: file.to_owned() });
    }
    let is_below = |data: &&PathBuf| data.components().all(|part| matches!(part, Component::Normal(_)));
    if let Some(data) = hook.data.iter().find(|data| !is_below(data) || data.as_os_str().is_empty()) {
        return Err(Error::Outside { path: file.to_owned(), data: data.clone() });
    }
    if let Some(allowed) = hook.allow.iter().find(|allowed| !CODES.iter().any(|(code, _)| *code == allowed.code)) {
        return Err(Error::NoCode { path: file.to_owned(), code: allowed.code.clone() });
    }
    file.clone_into(&mut hook.file);
    Ok(hook)
}

fn is_foreign(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("hook-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_hooks_are_all_listed_and_say_why() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks");
        let mut on_disk: Vec<_> =
            fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        on_disk.sort();
        let listed: Vec<_> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(on_disk, listed);
        let hooks = Hooks::load(&[]).unwrap();
        assert_eq!(hooks.hooks.len(), BUILT_IN.len());
        assert!(hooks.hooks.iter().all(|hook| hook.reason.len() > 20));
    }

    #[test]
    fn the_page_about_hooks_shows_one_with_everything() {
        let page = include_str!("../../docs/hooks.md");
        let (_, example) = page.split_once("```toml\n").unwrap();
        let hook = parse(Path::new("eggs.toml"), example.split_once("```").unwrap().0).unwrap();
        let given = [&hook.implicit_imports, &hook.libraries].iter().all(|list| !list.is_empty());
        assert!(given && hook.versions.is_some() && !hook.optional_imports.is_empty() && !hook.data.is_empty());
        assert!(hook.headers && !hook.allow.is_empty() && !hook.assertions.is_empty());
    }

    #[test]
    fn a_hook_asserts_a_kind() {
        let text = "distribution = 'Spam_Eggs'\nreason = 'because'\n[[assert]]\nname = 'spam'\nkind = 'single-file'\n";
        let hook = parse(Path::new("x.toml"), text).unwrap();
        assert_eq!(hook.distribution.as_str(), "spam-eggs");
        assert_eq!(hook.assertions[0].kind, ModuleKind::SingleFile);
    }

    #[test]
    fn what_is_no_hook() {
        let parsed = parse(Path::new("x.toml"), "distribution = 'a'\nreason = ' '");
        assert!(matches!(parsed, Err(Error::NoReason { .. })));
        for data in ["/usr/share/x", "../x", "a/../../x", ""] {
            let parsed = parse(Path::new("x.toml"), &format!("distribution = 'a'\nreason = 'b'\ndata = ['{data}']"));
            assert!(matches!(parsed, Err(Error::Outside { .. })), "{data}");
        }
        let allow = "distribution = 'a'\nreason = 'b'\nallow = [{ code = 'odd', subject = 'x' }]";
        assert!(matches!(parse(Path::new("x.toml"), allow), Err(Error::NoCode { .. })));
        let parsed = parse(Path::new("x.toml"), "distribution = 'a'\nreason = 'b'\nhidden = []");
        assert!(matches!(parsed, Err(Error::Invalid { .. })));
    }
}
