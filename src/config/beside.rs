//! What files of other tools beside the configuration say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;

use super::load::is_function;
use crate::names::ModuleName;

/// What the project says of itself in `[project]`: what it needs, what it may need, and the commands that its installation makes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Declared {
    pub(super) name: Option<String>,
    pub(super) dependencies: Vec<String>,
    pub(super) optional_dependencies: BTreeMap<String, Vec<String>>,
    scripts: BTreeMap<String, String>,
    gui_scripts: BTreeMap<String, String>,
}

/// A console script, or its like with a window.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) module: ModuleName,
    pub(super) function: String,
}

impl Declared {
    /// A pyproject.toml that cannot be read is its own tools' business.
    pub(super) fn read(root: &Path) -> Self {
        #[derive(Deserialize)]
        struct Pyproject {
            project: Option<Declared>,
        }
        let text = fs::read_to_string(root.join("pyproject.toml")).unwrap_or_default();
        toml::from_str::<Pyproject>(&text).ok().and_then(|pyproject| pyproject.project).unwrap_or_default()
    }

    /// The one command, or of several that which is called as the artifact is, or as the project; else all of them.
    pub(super) fn command(&self, artifact: Option<&str>) -> Result<Command, Vec<Command>> {
        let commands = self.commands();
        let wanted = artifact.or(self.name.as_deref());
        let called = commands.iter().find(|command| Some(command.name.as_str()) == wanted);
        match (called, &commands[..]) {
            (Some(only), _) | (None, [only]) => Ok(only.clone()),
            _ => Err(commands),
        }
    }

    pub(super) fn has_no_command(&self) -> bool {
        self.commands().is_empty()
    }

    /// By name; what is no entry point is left to those who install it.
    fn commands(&self) -> Vec<Command> {
        let command = |(name, value): (&String, &String)| {
            // `module:function [extra]`, extras being deprecated (entry points specification).
            let (module, function) = value.split('[').next()?.trim().split_once(':')?;
            let (module, function) = (ModuleName::new(module.trim()).ok()?, function.trim().to_owned());
            is_function(&function).then(|| Command { name: name.clone(), module, function })
        };
        self.scripts.iter().chain(&self.gui_scripts).filter_map(command).collect()
    }
}

/// `src`, where a project keeps its packages there and `module` is one of them.
pub(super) fn source_folder(root: &Path, module: &ModuleName) -> Option<PathBuf> {
    let holds = |folder: &Path| {
        let module = folder.join(module.top_level());
        module.is_dir() || module.with_extension("py").is_file()
    };
    let source = root.join("src");
    (holds(&source) && !holds(root)).then_some(source)
}

/// The version in `.python-version`, which pyenv and uv go by, where it is CPython's: `3.11`, `3.11.7`, `cpython-3.11`.
pub(super) fn pinned_python(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(".python-version")).ok()?;
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let version = name.strip_prefix("cpython").map_or(name, |version| version.trim_start_matches(['-', '@']));
    is_version(version).then(|| version.to_owned())
}

pub(super) fn is_version(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}
