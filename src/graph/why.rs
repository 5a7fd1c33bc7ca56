//! By which chains of imports does something get in?

use std::collections::BTreeMap;

use super::{Import, ImportKind, ModuleGraph, ModuleId, Names, Origin, Reach, Step, Target};

/// One way in, from a root on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub steps: Vec<Step>,
    /// As weak as its weakest step.
    pub reach: Reach,
}

impl ModuleGraph {
    /// The surest and shortest chain to `id` by an importer of each origin, the best first. Empty for a root.
    pub fn chains_to_module(&self, id: ModuleId) -> Vec<Chain> {
        let own = self.why(id);
        let Some(last) = own.last().copied() else { return Vec::new() };
        let mut chains = self.best_chains(|import| self.imports_module(import, id).then_some(id));
        // Through a package's parent, or as the parent of something else, no import names it.
        let best = Chain { steps: own, reach: self.reach(id) };
        let origin = &self.module(last.importer).origin;
        chains.retain(|chain| {
            chain.steps.iter().all(|step| step.importer != id)
                && chain.steps.last().is_none_or(|step| self.module(step.importer).origin != *origin)
        });
        chains.insert(0, best);
        chains
    }

    /// As [`Self::chains_to_module`], for whatever is `origin`'s.
    pub fn chains_to_origin(&self, origin: &Origin) -> Vec<Chain> {
        let is_own = |id: &ModuleId| self.module(*id).origin == *origin;
        self.best_chains(|import| {
            if is_own(&import.importer) {
                return None;
            }
            imported(import).find(is_own)
        })
    }

    /// The chains to imports of `name` out of `id`.
    pub fn chains_to_name(&self, id: ModuleId, name: &str) -> Vec<Chain> {
        self.best_chains(|import| {
            let takes = match &import.names {
                Names::Listed(names) => names.iter().any(|listed| **listed == *name),
                Names::Module | Names::Star => false,
            };
            (takes && import.target == Target::Module(id)).then_some(id)
        })
    }

    fn imports_module(&self, import: &Import, id: ModuleId) -> bool {
        let inside = self.module(id).name.as_str();
        imported(import).any(|target| target == id || self.module(target).name.is_within(inside))
            && !self.module(import.importer).name.is_within(inside)
    }

    /// Of the imports for which `hit` names what they bring in, the best chain for each importer's origin.
    fn best_chains(&self, hit: impl Fn(&Import) -> Option<ModuleId>) -> Vec<Chain> {
        let mut best: BTreeMap<&Origin, ((Reach, usize), &Import, ModuleId)> = BTreeMap::new();
        for import in self.imports.iter().filter(|import| import.kind != ImportKind::TypeChecking) {
            let Some(imported) = hit(import) else { continue };
            let rank = (self.import_reach(import), self.why(import.importer).len());
            let origin = &self.module(import.importer).origin;
            if best.get(origin).is_none_or(|(known, _, _)| rank < *known) {
                best.insert(origin, (rank, import, imported));
            }
        }
        let mut ranked: Vec<_> = best.into_values().collect();
        ranked.sort_by_key(|(rank, import, _)| (*rank, import.importer, import.line));
        let chain = |((reach, _), import, imported): ((Reach, usize), &Import, ModuleId)| {
            let mut steps = self.why(import.importer);
            steps.push(Step { importer: import.importer, imported, line: import.line, kind: import.kind });
            Chain { steps, reach }
        };
        ranked.into_iter().map(chain).collect()
    }
}

fn imported(import: &Import) -> impl Iterator<Item = ModuleId> {
    let target = match import.target {
        Target::Module(id) => Some(id),
        Target::Missing { .. } | Target::RunTime => None,
    };
    target.into_iter().chain(import.submodules.iter().copied())
}
