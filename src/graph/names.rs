//! Does a module have a name? Three answers, since some modules make names that no table holds.

use rustc_hash::FxHashSet;

use super::syntax::{Opaque, Symbols};
use super::{Import, ImportKind, ModuleGraph, ModuleId, Target};

/// Whether `from module import name` finds its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    Bound,
    NotBound,
    CannotTell(Opaque),
}

/// What every module object has.
const IMPLICIT: [&str; 10] = [
    "__name__",
    "__doc__",
    "__package__",
    "__loader__",
    "__spec__",
    "__file__",
    "__cached__",
    "__builtins__",
    "__dict__",
    // Made when it is asked for, at the latest.
    "__annotations__",
];

pub(super) fn is_bound(symbols: &Symbols, name: &str) -> bool {
    symbols.bound.binary_search_by(|bound| (**bound).cmp(name)).is_ok()
}

fn lists(symbols: &Symbols, name: &str) -> bool {
    symbols.all.as_ref().is_some_and(|all| all.names.iter().any(|listed| &**listed == name))
}

impl ModuleGraph {
    /// As an attribute, or as a submodule.
    pub fn lookup(&self, module: ModuleId, name: &str) -> Lookup {
        if self.submodule(module, name) {
            return Lookup::Bound;
        }
        self.attribute(module, name, &mut FxHashSet::default())
    }

    /// As [`Self::lookup`], but for a module that replaces itself when it runs: what its own statements bind.
    pub fn lookup_as_written(&self, module: ModuleId, name: &str) -> Lookup {
        match self.lookup(module, name) {
            Lookup::CannotTell(Opaque::ReplacesItself) => Lookup::NotBound,
            told => told,
        }
    }

    fn submodule(&self, module: ModuleId, name: &str) -> bool {
        let full = format!("{}.{name}", self.module(module).name);
        self.find(&full).is_some() || self.runtime_modules.contains(full.as_str())
    }

    fn attribute(&self, id: ModuleId, name: &str, visited: &mut FxHashSet<ModuleId>) -> Lookup {
        if !visited.insert(id) {
            return Lookup::NotBound;
        }
        let module = self.module(id);
        let symbols = &module.symbols;
        if IMPLICIT.contains(&name) || (name == "__path__" && !module.locations.is_empty()) {
            return Lookup::Bound;
        }
        if is_bound(symbols, name) {
            return Lookup::Bound;
        }
        if self.patched.contains(&(id, name.into())) {
            return Lookup::Bound;
        }
        let mut unsure = symbols.opaque;
        // A lazy module's `__getattr__` serves what its `__all__` lists.
        if unsure.is_some() && is_bound(symbols, "__getattr__") && lists(symbols, name) {
            return Lookup::Bound;
        }
        if let Some(observed) = &symbols.observed {
            if observed.names.binary_search_by(|known| (**known).cmp(name)).is_ok() {
                return Lookup::Bound;
            }
            // It has been imported: its stars have given what they give.
            if observed.complete && !symbols.open_submodules {
                return Lookup::NotBound;
            }
            if observed.complete {
                unsure = None;
            }
        }
        for star in &symbols.stars {
            // Stars may follow one another through thousands of modules.
            let import = self.import_at(id, *star);
            match stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.through_star(import, name, visited)) {
                Lookup::Bound => return Lookup::Bound,
                Lookup::NotBound => {}
                Lookup::CannotTell(cause) => unsure = unsure.or(Some(cause)),
            }
        }
        if symbols.open_submodules && unsure.is_none() {
            unsure = Some(Opaque::ReplacesItself);
        }
        unsure.map_or(Lookup::NotBound, Lookup::CannotTell)
    }

    fn through_star(&self, import: &Import, name: &str, visited: &mut FxHashSet<ModuleId>) -> Lookup {
        let from = match (import.target, import.kind) {
            (Target::Module(from), _) => from,
            // Nothing comes of it.
            (Target::Missing { .. }, ImportKind::Guarded) => return Lookup::NotBound,
            // Made at run time, or an error of its own.
            (Target::Missing { .. } | Target::RunTime, _) => return Lookup::CannotTell(Opaque::StarImport),
        };
        let symbols = &self.module(from).symbols;
        if let Some(all) = symbols.observed.as_ref().and_then(|observed| observed.all.as_ref()) {
            return if all.iter().any(|listed| **listed == *name) { Lookup::Bound } else { Lookup::NotBound };
        }
        if let Some(all) = &symbols.all {
            let listed = all.names.iter().any(|listed| &**listed == name);
            if !listed && !all.open {
                return Lookup::NotBound;
            }
            if listed && self.submodule(from, name) {
                return Lookup::Bound;
            }
        } else if name.starts_with('_') {
            // Without source nobody knows of an `__all__` that lists it.
            return match (&symbols.observed, symbols.opaque) {
                (None, Some(Opaque::NoSource)) => Lookup::CannotTell(Opaque::NoSource),
                _ => Lookup::NotBound,
            };
        }
        // A submodule that has been imported is an attribute of its package, and taken by a star like any other.
        if self.submodule(from, name) {
            return Lookup::Bound;
        }
        self.attribute(from, name, visited)
    }
}
