//! Where the graph begins: the application's entry and what its configuration names, or a whole environment.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::without::{self, Without};
use crate::config::{self, Config, SmokeImport};
use crate::environment::Environment;
use crate::names::ModuleName;

/// Where the graph begins.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Entries of `sys.path` that are the application's: the script's folder first, then `[runner] path`.
    pub application: Vec<PathBuf>,
    /// Nothing for a whole environment.
    pub entry: Option<config::Entry>,
    pub hidden_imports: Vec<ModuleName>,
    pub smoke_imports: Vec<SmokeImport>,
    pub smoke_scripts: Vec<PathBuf>,
    /// What is to be taken as not being there.
    pub without: Without,
}

impl Roots {
    pub fn of(config: &Config, environment: &Environment) -> Result<Self, without::Error> {
        let first = match &config.runner.entry {
            config::Entry::Script(script) => script.parent().unwrap_or(&config.root).to_owned(),
            config::Entry::Module(_) | config::Entry::Function { .. } => config.root.clone(),
        };
        let mut application = vec![first];
        application.extend(config.runner.path.iter().cloned());
        let without = Without::of(&config.runner.exclude, environment, &application)?;
        Ok(Self {
            application,
            entry: Some(config.runner.entry.clone()),
            hidden_imports: config.runner.hidden_imports.clone(),
            smoke_imports: config.smoke.imports.clone(),
            smoke_scripts: config.smoke.scripts.clone(),
            without,
        })
    }

    /// Every top-level module that a distribution brings, its tests and documentation left out.
    pub fn whole(environment: &Environment) -> Self {
        let files = environment.distributions.iter().flat_map(|dist| &dist.files);
        let tops: BTreeSet<ModuleName> = files.filter_map(|entry| top_level(&entry.path)).collect();
        Self {
            application: Vec::new(),
            entry: None,
            hidden_imports: tops.into_iter().collect(),
            smoke_imports: Vec::new(),
            smoke_scripts: Vec::new(),
            without: Without::default(),
        }
    }
}

/// `spam.py`, `spam/__init__.py`
fn top_level(path: &str) -> Option<ModuleName> {
    let stem = match path.rsplit_once('/') {
        Some((folder, "__init__.py")) => folder,
        Some(_) => return None,
        None => path.strip_suffix(".py")?,
    };
    let is_product =
        |part: &str| !matches!(part, "tests" | "test" | "docs" | "doc" | "examples" | "example" | "benchmarks");
    let parts: Vec<&str> = stem.split('/').collect();
    (parts.len() == 1 && is_product(parts[0])).then(|| ModuleName::new(parts[0]).ok())?
}
