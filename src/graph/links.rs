//! The graph seen from afar: which distribution needs which, by import and by requirement.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{ImportKind, ModuleGraph, ModuleId, Origin, Reach, Target};
use crate::environment::Requirements;

/// From one party to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The surest import, and among those the first.
    pub import: Option<LinkImport>,
    /// How many imports there are, those for type checkers left out.
    pub imports: u32,
    /// `Requires-Dist` asks for it.
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LinkImport {
    pub reach: Reach,
    pub kind: ImportKind,
    #[serde(skip)]
    pub importer: ModuleId,
    #[serde(skip)]
    pub line: u32,
    /// What is imported.
    #[serde(skip)]
    pub imported: ModuleId,
}

/// Links by their two ends. The standard library is no party: everything needs it.
#[derive(Debug, Clone, Default)]
pub struct Links(pub BTreeMap<Origin, BTreeMap<Origin, Link>>);

impl Links {
    pub fn of(graph: &ModuleGraph, requirements: &Requirements) -> Self {
        let mut links = Self::default();
        for import in graph.imports().iter().filter(|import| import.kind != ImportKind::TypeChecking) {
            let Target::Module(target) = import.target else { continue };
            let (from, to) = (&graph.module(import.importer).origin, &graph.module(target).origin);
            if from == to || *to == Origin::Stdlib || *from == Origin::Stdlib {
                continue;
            }
            let reach = graph.import_reach(import);
            let here =
                LinkImport { reach, kind: import.kind, importer: import.importer, line: import.line, imported: target };
            let link = links.link(from, to);
            link.imports += 1;
            link.import = Some(link.import.map_or(here, |known| known.min(here)));
        }
        let reached: BTreeSet<Origin> = graph.modules().map(|(_, module)| module.origin.clone()).collect();
        for from in &reached {
            let Origin::Distribution(name) = from else { continue };
            for required in requirements.direct(name).iter().filter(|required| required.active) {
                let to = Origin::Distribution(required.name.clone());
                if reached.contains(&to) && to != *from {
                    links.link(from, &to).required = true;
                }
            }
        }
        links
    }

    fn link(&mut self, from: &Origin, to: &Origin) -> &mut Link {
        let links = self.0.entry(from.clone()).or_default();
        links.entry(to.clone()).or_insert(Link { import: None, imports: 0, required: false })
    }

    /// What `from` needs, in order.
    pub fn from(&self, from: &Origin) -> impl Iterator<Item = (&Origin, &Link)> {
        self.0.get(from).into_iter().flatten()
    }
}
