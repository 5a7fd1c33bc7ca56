//! What `[runner] exclude` leaves out of an environment: the files of distributions and of modules.
//!
//! The graph is built, the artifact laid out and the proof's own environment shown as if they were not there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Resolver;
use super::owner::normalised;
use crate::config::Exclude;
use crate::environment::{Distribution, Environment};
use crate::names::ModuleName;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Without {
    files: BTreeSet<PathBuf>,
    /// With all that lies in them.
    folders: BTreeSet<PathBuf>,
    /// What can no longer be imported, with everything inside.
    modules: BTreeSet<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`[runner] exclude` names the distribution `{name}`, which is not installed")]
    NoDistribution { name: String },
    #[error("`[runner] exclude` names the distribution `{name}`, which is installed editable: name its files there")]
    Editable { name: String },
    #[error(
        "`[runner] exclude` names the distribution `{name}`, which has no RECORD, so that nothing tells its files: name its \
         modules (`module:…`)"
    )]
    NoRecord { name: String },
    #[error("`[runner] exclude` names the module `{name}`, which no entry of `sys.path` has")]
    NoModule { name: String },
    #[error("`[runner] exclude` names the module `{name}`, which is a part of the interpreter")]
    BuiltIn { name: String },
}

impl Without {
    pub fn of(exclude: &Exclude, environment: &Environment, application: &[PathBuf]) -> Result<Self, Error> {
        let mut without = Self::default();
        for name in &exclude.distributions {
            let name = name.as_str();
            let Some(dist) = environment.distribution(name) else {
                return Err(Error::NoDistribution { name: name.to_owned() });
            };
            if dist.editable.is_some() {
                return Err(Error::Editable { name: name.to_owned() });
            }
            if dist.files.is_empty() {
                return Err(Error::NoRecord { name: name.to_owned() });
            }
            without.distribution(dist, environment);
        }
        if !exclude.modules.is_empty() {
            let mut resolver = Resolver::new(&environment.facts, application);
            for name in &exclude.modules {
                without.module(name, &mut resolver)?;
            }
        }
        Ok(without)
    }

    fn distribution(&mut self, dist: &Distribution, environment: &Environment) {
        let others = environment.distributions.iter().filter(|other| other.name != dist.name);
        let kept: BTreeSet<PathBuf> =
            others.flat_map(|other| other.files.iter().map(|entry| normalised(&other.site, &entry.path))).collect();
        self.folders.insert(dist.info.clone());
        for entry in &dist.files {
            let file = normalised(&dist.site, &entry.path);
            if kept.contains(&file) {
                continue;
            }
            // Its outermost folder that holds nothing of others.
            let own =
                file.ancestors().skip(1).take_while(|folder| *folder != dist.site && folder.starts_with(&dist.site));
            let own = own.take_while(|folder| {
                !kept.range(folder.to_path_buf()..).next().is_some_and(|it| it.starts_with(folder))
            });
            let outermost = own.last().map(Path::to_owned);
            self.modules.extend(module_of(&entry.path));
            match outermost {
                Some(folder) => _ = self.folders.insert(folder),
                None => _ = self.files.insert(file),
            }
        }
    }

    fn module(&mut self, name: &ModuleName, resolver: &mut Resolver) -> Result<(), Error> {
        let mut at = String::new();
        let mut found = None;
        for part in name.as_str().split('.') {
            at = if at.is_empty() { part.to_owned() } else { format!("{at}.{part}") };
            let Some(next) = resolver.resolve(&at, found.as_ref()) else {
                return Err(Error::NoModule { name: name.to_string() });
            };
            found = Some(next);
        }
        let Some(found) = found.filter(|it| it.file.is_some() || !it.locations.is_empty()) else {
            return Err(Error::BuiltIn { name: name.to_string() });
        };
        if found.locations.is_empty() {
            self.files.extend(found.file);
        } else {
            self.folders.extend(found.locations);
        }
        self.modules.insert(name.to_string());
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// Whether a file or folder is left out.
    pub fn holds(&self, path: &Path) -> bool {
        if self.is_empty() {
            return false;
        }
        self.files.contains(path) || path.ancestors().any(|folder| self.folders.contains(folder))
    }

    /// Whether a module of that name lies among what is left out.
    pub fn names(&self, module: &str) -> bool {
        let within =
            |left: &String| module.strip_prefix(left.as_str()).is_some_and(|it| it.is_empty() || it.starts_with('.'));
        self.modules.iter().any(within)
    }

    /// Files, and folders for all that lies in them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().chain(&self.folders).cloned().collect()
    }
}

/// `a.b` of `a/b.py`, `a/b/__init__.py` and `a/b.cpython-311-x86_64-linux-gnu.so`.
fn module_of(path: &str) -> Option<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, end) = file.split_once('.')?;
    if !(end == "py" || end.ends_with("so")) {
        return None;
    }
    let parts = folder.split('/').filter(|part| !part.is_empty()).chain((stem != "__init__").then_some(stem));
    let name = parts.collect::<Vec<_>>().join(".");
    ModuleName::new(&name).is_ok().then_some(name)
}
