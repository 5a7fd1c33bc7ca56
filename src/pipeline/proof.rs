//! [`Project`] and [`Planned`] → [`verify::Plan`]: which imports are tried, what the environment's side sees, and what
//! the artifact must do without.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Project;
use crate::cache;
use crate::config::Entry;
use crate::graph::{self, Edge, Module, Names};
use crate::layout::{Origin, Planned};
use crate::verify::{self, ApplicationFolder, ImportCheck, Limits, StartProbe, World};

/// `tool` is the packproof binary, which the sandbox is made of.
pub fn proof_plan(project: &Project, planned: &Planned, artifact: &Path, tool: &Path) -> verify::Plan {
    let config = &project.config;
    let world = world(project, planned);
    let mut hidden: BTreeSet<PathBuf> = world.expose.iter().cloned().collect();
    hidden.insert(config.root.clone());
    hidden.extend(world.application.iter().map(|folder| folder.environment.clone()));
    hidden.extend(cache::root());
    let distributions: BTreeSet<String> = planned
        .layout
        .entries
        .values()
        .filter_map(|entry| match &entry.origin {
            Origin::Distribution(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    verify::Plan {
        name: config.runner.name.clone(),
        artifact: artifact.to_owned(),
        tool: tool.to_owned(),
        world,
        hidden: hidden.into_iter().collect(),
        imports: imports(project),
        scripts: config.smoke.scripts.clone(),
        start: config
            .start
            .clone()
            .map(|settings| StartProbe { settings, unpackaged: unpackaged(&config.runner.entry) }),
        distributions: distributions.into_iter().collect(),
        limits: Limits::default(),
        scratch: None,
    }
}

fn world(project: &Project, planned: &Planned) -> World {
    let facts = &project.environment.facts;
    let prefixes =
        [&facts.prefix, &facts.exec_prefix, &facts.base_prefix, &facts.base_exec_prefix, &project.config.root];
    let mut expose: BTreeSet<PathBuf> = facts.path.iter().chain(prefixes).cloned().collect();
    expose.extend(project.environment.distributions.iter().filter_map(|dist| dist.editable.clone()));
    for finder in &facts.finders {
        expose.extend(finder.mapping.values().cloned());
        expose.extend(finder.namespaces.values().flatten().cloned());
    }
    let application = application_folders(project)
        .into_iter()
        .filter_map(|folder| {
            let place = planned.places.iter().find_map(|(path, place)| {
                let relative = folder.strip_prefix(path).ok()?.to_str()?;
                Some(if relative.is_empty() { place.to_string() } else { format!("{place}/{relative}") })
            })?;
            Some(ApplicationFolder { environment: folder, artifact: place })
        })
        .collect();
    World {
        python: facts.executable.clone(),
        expose: expose.into_iter().collect(),
        root: project.config.root.clone(),
        application,
    }
}

/// `sys.path[0]`, then the folders of `[runner] path`.
fn application_folders(project: &Project) -> Vec<PathBuf> {
    let config = &project.config;
    let first = match &config.runner.entry {
        Entry::Script(script) => script.parent().unwrap_or(&config.root).to_owned(),
        Entry::Module(_) | Entry::Function { .. } => config.root.clone(),
    };
    std::iter::once(first).chain(config.runner.path.iter().cloned()).collect()
}

/// What is asked for by name first, then every import of the application's own modules, deferred ones too.
fn imports(project: &Project) -> Vec<ImportCheck> {
    let config = &project.config;
    let mut checks = Vec::new();
    if let Entry::Module(module) | Entry::Function { module, .. } = &config.runner.entry {
        let names = match &config.runner.entry {
            Entry::Function { function, .. } => function.split('.').take(1).map(str::to_owned).collect(),
            Entry::Script(_) | Entry::Module(_) => Vec::new(),
        };
        let because = "[runner] entry".to_owned();
        checks.push(ImportCheck { module: module.to_string(), names, because, required: true });
    }
    for import in &config.smoke.imports {
        checks.push(ImportCheck {
            module: import.module.to_string(),
            names: import.names.clone(),
            because: "[smoke] imports".to_owned(),
            required: true,
        });
    }
    for module in &config.runner.hidden_imports {
        checks.push(ImportCheck {
            module: module.to_string(),
            names: Vec::new(),
            because: "[runner] hidden-imports".to_owned(),
            required: true,
        });
    }
    // An installed application is its distribution.
    let installed =
        entry_module(project).map(|module| &module.origin).filter(|origin| **origin != graph::Origin::Stdlib);
    let is_own = |module: &Module| module.editable || installed.is_some_and(|origin| *origin == module.origin);
    let own = project.graph.edges().filter(|edge| is_own(edge.importer) && edge.line > 0 && !edge.module.is_empty());
    checks.extend(own.map(|edge| check(project, &edge)));
    checks
}

fn entry_module(project: &Project) -> Option<&Module> {
    match &project.config.runner.entry {
        Entry::Script(_) => None,
        Entry::Module(module) | Entry::Function { module, .. } => {
            project.graph.find(module.as_str()).map(|id| project.graph.module(id))
        }
    }
}

fn check(project: &Project, edge: &Edge<'_>) -> ImportCheck {
    let file = edge.importer.file.as_deref();
    let place = match file.map(|file| file.strip_prefix(&project.config.root)) {
        Some(Ok(relative)) => relative.display().to_string(),
        Some(Err(_)) | None => edge.importer.name.to_string(),
    };
    ImportCheck {
        module: edge.module.to_owned(),
        names: match edge.names {
            Names::Module | Names::Star => Vec::new(),
            Names::Listed(names) => names.iter().map(ToString::to_string).collect(),
        },
        because: format!("{place}:{}", edge.line),
        required: false,
    }
}

/// What comes after the interpreter to start the application in its environment.
fn unpackaged(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Script(script) => vec![script.display().to_string()],
        Entry::Module(module) => vec!["-m".to_owned(), module.to_string()],
        Entry::Function { module, function } => {
            let imported = function.split('.').next().unwrap_or(function);
            vec!["-c".to_owned(), format!("import sys; from {module} import {imported}; sys.exit({function}())")]
        }
    }
}
