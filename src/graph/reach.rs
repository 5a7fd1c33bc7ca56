//! How surely, and by which way, the roots reach each module.

use std::collections::VecDeque;

use serde::Serialize;

use super::{Import, ImportKind, ModuleGraph, ModuleId, Target};

/// How surely a module is imported when the application runs: the strongest of its chains, each as strong as its
/// weakest link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// By unconditional imports, and by deferred ones of the application's own.
    Sure,
    /// A distribution's deferred import stands in every chain: some call needs it, perhaps not one of ours.
    Possible,
    /// A guarded or dynamic import stands in every chain.
    Guarded,
}

/// One step of a chain, in the importer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub importer: ModuleId,
    pub imported: ModuleId,
    pub line: u32,
    pub kind: ImportKind,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    reach: Reach,
    /// Links from the application's own modules.
    distance: u32,
    /// The last link of the shortest of the strongest chains; nothing for a root.
    via: Option<Step>,
}

impl ModuleGraph {
    pub fn reach(&self, id: ModuleId) -> Reach {
        self.reach[id.index()].reach
    }

    /// Links from the application's nearest module: 0 for its own.
    pub fn distance(&self, id: ModuleId) -> u32 {
        self.reach[id.index()].distance
    }

    /// The shortest of the surest chains by which `id` gets in, from the root on.
    pub fn why(&self, id: ModuleId) -> Vec<Step> {
        let mut chain = Vec::new();
        let mut at = id;
        while let Some(step) = self.reach[at.index()].via {
            chain.push(step);
            at = step.importer;
        }
        chain.reverse();
        chain
    }

    /// How surely `import` itself is carried out.
    pub fn import_reach(&self, import: &Import) -> Reach {
        let importer = self.module(import.importer);
        let reach = self.reach(import.importer);
        match import.kind {
            ImportKind::Unconditional => reach,
            ImportKind::Deferred if importer.editable => reach,
            ImportKind::Deferred => reach.max(Reach::Possible),
            // What the configuration names is wanted.
            ImportKind::Dynamic if import.line == 0 => reach,
            ImportKind::Guarded | ImportKind::Dynamic | ImportKind::TypeChecking => Reach::Guarded,
        }
    }

    /// Breadth first, once for each strength, the strongest first.
    pub(super) fn compute_reach(&mut self, roots: &[ModuleId]) {
        let unreached = Reached { reach: Reach::Guarded, distance: u32::MAX, via: None };
        self.reach = vec![unreached; self.modules.len()];
        let mut known = vec![false; self.modules.len()];
        let mut queues: [VecDeque<(ModuleId, u32, Option<Step>)>; 3] = Default::default();
        // What tests of the application import, scripts and names alike, comes after what it imports itself: the way that is
        // told is the application's own where there is one.
        let mut tested: Vec<(ModuleId, u32, Option<Step>)> = Vec::new();
        for (at, root) in roots.iter().enumerate() {
            if at == 0 { queues[0].push_back((*root, 0, None)) } else { tested.push((*root, 0, None)) }
        }
        for (at, strength) in [Reach::Sure, Reach::Possible, Reach::Guarded].into_iter().enumerate() {
            loop {
                let Some((id, distance, via)) = queues[at].pop_front() else {
                    queues[0].extend(tested.drain(..));
                    if queues[at].is_empty() {
                        break;
                    }
                    continue;
                };
                if std::mem::replace(&mut known[id.index()], true) {
                    continue;
                }
                let distance = if self.module(id).editable { 0 } else { distance };
                self.reach[id.index()] = Reached { reach: strength, distance, via };
                for import in self.imports_of(id) {
                    if import.kind == ImportKind::TypeChecking {
                        continue;
                    }
                    let reach = self.import_reach(import) as usize;
                    let Target::Module(target) = import.target else { continue };
                    let step = |imported| Step { importer: id, imported, line: import.line, kind: import.kind };
                    let is_tested = id == ModuleId::MAIN && import.line == 0 && import.kind == ImportKind::Dynamic;
                    let mut push =
                        |reach: usize, step| if is_tested { tested.push(step) } else { queues[reach].push_back(step) };
                    push(reach, (target, distance + 1, Some(step(target))));
                    for module in import.submodules.iter().copied() {
                        // `from pkg import x` imports `pkg.x` only where `pkg` has no `x` by then, of its own statements.
                        let name = self.module(module).name.last();
                        let has_own = id != target && super::names::is_bound(&self.module(target).symbols, name);
                        let reach = if has_own { Reach::Guarded as usize } else { reach };
                        push(reach, (module, distance + 1, Some(step(module))));
                    }
                    // Importing `a.b` runs `a` first.
                    let mut name = self.module(target).name.parent();
                    while let Some(parent) = name {
                        if let Some(parent) = self.find(parent.as_str()) {
                            push(reach, (parent, distance + 1, Some(step(parent))));
                        }
                        name = parent.parent();
                    }
                }
            }
        }
    }
}
