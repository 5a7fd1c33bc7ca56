//! What files of other tools beside the configuration say.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

/// What the project says that it needs, and that it may need.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Declared {
    pub(super) dependencies: Vec<String>,
    pub(super) optional_dependencies: BTreeMap<String, Vec<String>>,
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
