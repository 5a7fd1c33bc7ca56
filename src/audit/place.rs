//! How findings name places: relative to the path entry, never a path of this machine.

use std::path::{Path, PathBuf};

use super::Evidence;
use crate::environment::{Distribution, Environment};
use crate::graph::{ModuleGraph, ModuleId, Origin};

pub(super) struct Places<'a> {
    environment: &'a Environment,
    graph: &'a ModuleGraph,
    /// Entries of `sys.path` and the application's folder, the longest first.
    roots: Vec<PathBuf>,
}

impl<'a> Places<'a> {
    pub(super) fn of(environment: &'a Environment, graph: &'a ModuleGraph) -> Self {
        let mut roots = environment.facts.path.clone();
        roots.extend(environment.facts.site_packages.iter().cloned());
        let main = graph.module(ModuleId::MAIN).file.as_deref().and_then(Path::parent);
        roots.extend(main.map(Path::to_owned));
        // A module of the application: its folder less its packages.
        for (_, module) in graph.modules().filter(|(_, module)| module.origin == Origin::Application) {
            let depth = module.name.as_str().split('.').count() - usize::from(module.locations.is_empty());
            roots.extend(module.file.as_deref().and_then(|file| file.ancestors().nth(depth + 1)).map(Path::to_owned));
        }
        roots.sort_by_key(|root| std::cmp::Reverse(root.as_os_str().len()));
        roots.dedup();
        Self { environment, graph, roots }
    }

    pub(super) fn file(&self, file: &Path) -> String {
        let relative = self.roots.iter().find_map(|root| file.strip_prefix(root).ok());
        // Outside of all roots the name alone is told.
        let shown = relative.or_else(|| file.file_name().map(Path::new)).unwrap_or(file);
        shown.display().to_string()
    }

    pub(super) fn evidence(&self, file: &Path, line: u32, text: impl Into<String>) -> Evidence {
        Evidence { file: Some(self.file(file)), line: (line > 0).then_some(line), text: text.into() }
    }

    /// A place in `module`; an import of the configuration has none.
    pub(super) fn in_module(&self, id: ModuleId, line: u32, text: impl Into<String>) -> Evidence {
        match &self.graph.module(id).file {
            Some(file) if line > 0 || id != ModuleId::MAIN => self.evidence(file, line, text),
            Some(_) | None => Evidence { file: None, line: None, text: text.into() },
        }
    }

    /// `spool 1.0`, `the application`, `the standard library`
    pub(super) fn owner(&self, origin: &Origin) -> String {
        match origin {
            Origin::Distribution(name) => {
                self.environment.distribution(name.as_str()).map_or_else(|| name.to_string(), title)
            }
            Origin::Application => "the application".to_owned(),
            Origin::Stdlib => "the standard library".to_owned(),
            Origin::Unowned => "no distribution".to_owned(),
        }
    }
}

pub(super) fn title(distribution: &Distribution) -> String {
    format!("{} {}", distribution.name, distribution.version)
}

/// `` `a`, `b` and 3 more ``
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>, most: usize) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => String::new(),
        1 => names[0].clone(),
        many if many > most => format!("{} and {} more", names[..most].join(", "), many - most),
        many => format!("{} and {}", names[..many - 1].join(", "), names[many - 1]),
    }
}
