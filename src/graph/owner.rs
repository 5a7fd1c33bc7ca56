//! A module's file → whose it is.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::environment::Environment;
use crate::names::DistName;

/// Who brought a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The application's own files. An editable project's count to its distribution.
    Application,
    Distribution(DistName),
    Stdlib,
    /// In site-packages, but in no distribution's RECORD.
    Unowned,
}

/// Files of all distributions, for the question of whose one is.
#[derive(Debug, Default)]
pub(super) struct Owners {
    files: FxHashMap<OsString, u32>,
    names: Vec<DistName>,
    /// Project folders of editable distributions.
    editable: Vec<(PathBuf, u32)>,
    site_packages: Vec<PathBuf>,
    stdlib: Vec<PathBuf>,
}

impl Owners {
    pub(super) fn of(environment: &Environment) -> Self {
        let facts = &environment.facts;
        let mut site_packages = facts.site_packages.clone();
        site_packages.extend([facts.purelib.clone(), facts.platlib.clone()]);
        site_packages.extend(facts.user_site.clone());
        let mut owners = Self {
            names: environment.distributions.iter().map(|dist| dist.name.clone()).collect(),
            site_packages,
            stdlib: vec![facts.stdlib.clone(), facts.platstdlib.clone()],
            ..Self::default()
        };
        for (at, dist) in environment.distributions.iter().enumerate() {
            let at = at as u32;
            for entry in &dist.files {
                if is_module(&entry.path) {
                    // Two that list one path: the one installed last has written it, which RECORD cannot tell.
                    owners.files.entry(normalised(&dist.site, &entry.path).into_os_string()).or_insert(at);
                }
            }
            if let Some(project) = &dist.editable {
                owners.editable.push((project.clone(), at));
            }
        }
        owners
    }

    /// The origin, and whether the file is the user's own to edit.
    pub(super) fn origin(&self, file: &Path) -> (Origin, bool) {
        let named = |at: &u32| Origin::Distribution(self.names[*at as usize].clone());
        if let Some(at) = self.files.get(file.as_os_str()) {
            return (named(at), false);
        }
        let within = |folders: &[PathBuf]| folders.iter().any(|folder| file.starts_with(folder));
        if within(&self.site_packages) {
            return (Origin::Unowned, false);
        }
        if within(&self.stdlib) {
            return (Origin::Stdlib, false);
        }
        let project = self
            .editable
            .iter()
            .filter(|(project, _)| file.starts_with(project))
            .max_by_key(|(project, _)| project.as_os_str().len());
        match project {
            Some((_, at)) => (named(at), true),
            None => (Origin::Application, true),
        }
    }
}

fn is_module(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "py" | "so" | "pyd" | "pyc"))
        && !path.contains("__pycache__/")
}

/// `site` joined with a RECORD path, `..` worked off.
pub(super) fn normalised(site: &Path, path: &str) -> PathBuf {
    if !path.contains("..") {
        return site.join(path);
    }
    let mut joined = PathBuf::new();
    for component in site.join(path).components() {
        match component {
            Component::ParentDir => {
                joined.pop();
            }
            Component::CurDir => {}
            other => joined.push(other),
        }
    }
    joined
}
