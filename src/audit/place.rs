//! How findings name places: relative to the path entry, never a path of this machine.

use std::path::{Path, PathBuf};

use super::Evidence;
use crate::environment::{Distribution, Environment};
use crate::graph::{Import, ModuleGraph, ModuleId, Origin};

pub(crate) struct Places<'a> {
    environment: &'a Environment,
    graph: &'a ModuleGraph,
    /// Entries of `sys.path` and the application's folder, the longest first.
    roots: Vec<PathBuf>,
}

impl<'a> Places<'a> {
    pub(crate) fn of(environment: &'a Environment, graph: &'a ModuleGraph) -> Self {
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

    pub(crate) fn file(&self, file: &Path) -> String {
        let relative = self.roots.iter().find_map(|root| file.strip_prefix(root).ok());
        // Outside of all roots the name alone is told.
        let shown = relative.or_else(|| file.file_name().map(Path::new)).unwrap_or(file);
        shown.display().to_string()
    }

    pub(crate) fn evidence(&self, file: &Path, line: u32, text: impl Into<String>) -> Evidence {
        Evidence {
            file: Some(self.file(file)),
            path: Some(file.to_owned()),
            line: (line > 0).then_some(line),
            text: text.into(),
        }
    }

    /// The file and line of an import of `module`; one that no source has lies in the configuration or in a hook.
    fn of_import(&self, importer: ModuleId, line: u32, module: &str) -> (String, Option<u32>) {
        match &self.graph.module(importer).file {
            _ if line == 0 && importer == ModuleId::MAIN => {
                (self.graph.configured(module).unwrap_or("the configuration").to_owned(), None)
            }
            _ if line == 0 => (format!("a hook for {}", self.owner(&self.graph.module(importer).origin)), None),
            Some(file) => (self.file(file), Some(line)),
            None => (self.graph.module(importer).name.to_string(), Some(line)),
        }
    }

    /// `a/b.py:3`, or `[smoke] imports`.
    pub(crate) fn place(&self, importer: ModuleId, line: u32, module: &str) -> String {
        match self.of_import(importer, line, module) {
            (file, Some(line)) => format!("{file}:{line}"),
            (file, None) => file,
        }
    }

    /// What an import shows.
    pub(crate) fn import(&self, import: &Import, text: impl Into<String>) -> Evidence {
        let (file, line) = self.of_import(import.importer, import.line, &import.module);
        let path = line.and_then(|_| self.graph.module(import.importer).file.clone());
        Evidence { file: Some(file), path, line, text: text.into() }
    }

    /// A place in `module`.
    pub(crate) fn in_module(&self, id: ModuleId, line: u32, text: impl Into<String>) -> Evidence {
        match &self.graph.module(id).file {
            Some(file) => self.evidence(file, line, text),
            None => Evidence { path: None, file: None, line: None, text: text.into() },
        }
    }

    /// `spool 1.0`, `the application`, `the standard library`
    pub(crate) fn owner(&self, origin: &Origin) -> String {
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

pub(crate) fn title(distribution: &Distribution) -> String {
    format!("{} {}", distribution.name, distribution.version)
}

/// Evidence of the first `most`; the rest is counted.
pub(crate) fn few<T>(
    items: impl ExactSizeIterator<Item = T>,
    most: usize,
    evidence: impl FnMut(T) -> Evidence,
) -> Vec<Evidence> {
    let more = items.len().saturating_sub(most);
    let mut shown: Vec<_> = items.take(most).map(evidence).collect();
    if more > 0 {
        shown.push(Evidence { path: None, file: None, line: None, text: format!("and {more} more") });
    }
    shown
}

/// `` `a`, `b` and 3 more ``
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>, most: usize) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => String::new(),
        1 => names[0].clone(),
        many if many > most => format!("{} and {} more", names[..most].join(", "), many - most),
        many => format!("{} and {}", names[..many - 1].join(", "), names[many - 1]),
    }
}
