//! The graph → what is imported in both worlds, in which order, and why.

use std::collections::BTreeSet;

use crate::config::Entry;
use crate::graph::{self, Edge, Module, Names};
use crate::pipeline::Project;
use crate::verify::{EntryPoint, ImportCheck};

/// What is asked for by name first, then every import that the graph holds, those of the application's own modules
/// first, then every entry point of a distribution.
pub(super) fn imports(project: &Project, left_out: &BTreeSet<&str>) -> Vec<ImportCheck> {
    let config = &project.config;
    let mut checks = Vec::new();
    if let Entry::Module(module) | Entry::Function { module, .. } = &config.runner.entry {
        let names = match &config.runner.entry {
            Entry::Function { function, .. } => function.split('.').take(1).map(str::to_owned).collect(),
            Entry::Script(_) | Entry::Module(_) => Vec::new(),
        };
        checks.push(ImportCheck::of(module.to_string(), names, "[runner] entry", true));
    }
    for import in &config.smoke.imports {
        checks.push(ImportCheck::of(import.module.to_string(), import.names.clone(), "[smoke] imports", true));
    }
    for module in &config.runner.hidden_imports {
        checks.push(ImportCheck::of(module.to_string(), Vec::new(), "[runner] hidden-imports", true));
    }
    for hook in project.hooks.active(&project.environment) {
        let reached = hook.assertions.iter().filter(|asserted| project.graph.find(asserted.name.as_str()).is_some());
        checks.extend(reached.map(|asserted| ImportCheck {
            asserted: Some(asserted.kind),
            ..ImportCheck::of(asserted.name.to_string(), Vec::new(), format!("a hook for {}", hook.distribution), false)
        }));
    }
    // An installed application is its distribution.
    let installed =
        entry_module(project).map(|module| &module.origin).filter(|origin| **origin != graph::Origin::Stdlib);
    let is_own = |module: &Module| module.editable || installed.is_some_and(|origin| *origin == module.origin);
    let edges = project.graph.edges().filter(|edge| edge.line > 0 && !edge.module.is_empty());
    let (own, others): (Vec<Edge<'_>>, Vec<Edge<'_>>) = edges.partition(|edge| is_own(edge.importer));
    checks.extend(own.iter().chain(&others).map(|edge| check(project, edge)));
    // An installer that the layout leaves out has nothing to be called by.
    for dist in project.environment.distributions.iter().filter(|dist| !left_out.contains(dist.name.as_str())) {
        let because = format!("an entry point of {}", dist.name);
        checks.extend(dist.entry_points.iter().map(|point| ImportCheck {
            entry_point: Some(EntryPoint {
                group: point.group.clone(),
                name: point.name.clone(),
                value: point.value.clone(),
            }),
            ..ImportCheck::of(String::new(), Vec::new(), because.clone(), false)
        }));
    }
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
    let names = match edge.names {
        Names::Module | Names::Star => Vec::new(),
        Names::Listed(names) => names.iter().map(ToString::to_string).collect(),
    };
    ImportCheck::of(edge.module, names, way(project, edge), false)
}

/// Steps; of a longer one the middle is left out.
const LONGEST_WAY: usize = 6;

/// `main.py:12 → worker.sandbox:8 → daytona:5`: each place imports the module of the next, the last what is asked for.
fn way(project: &Project, edge: &Edge<'_>) -> String {
    let place = |module: &Module, line: u32| {
        let file = module.file.as_deref().map(|file| file.strip_prefix(&project.config.root));
        match file {
            Some(Ok(relative)) if module.editable => format!("{}:{line}", relative.display()),
            Some(Ok(_) | Err(_)) | None => format!("{}:{line}", module.name),
        }
    };
    let mut places = Vec::new();
    if let Some(id) = project.graph.find(edge.importer.name.as_str()) {
        let steps = project.graph.why(id).into_iter().filter(|step| step.line > 0);
        places.extend(steps.map(|step| place(project.graph.module(step.importer), step.line)));
    }
    places.push(place(edge.importer, edge.line));
    if places.len() > LONGEST_WAY {
        let end = places.len() - LONGEST_WAY / 2;
        places.splice(LONGEST_WAY / 2..end, ["…".to_owned()]);
    }
    places.join(" → ")
}
