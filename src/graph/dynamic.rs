//! Imports that no import statement makes: entry points, dotted names in settings, what hooks say.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::build::Builder;
use super::sites::{Dynamic, DynamicSite, Site};
use super::syntax::{Asked, ImportKind, Names, Opaque, RawImport};
use super::{ModuleId, Origin, Target};
use crate::environment::Environment;
use crate::names::ModuleName;

impl Builder<'_> {
    /// What the module's dynamic sites bring in, as far as that can be told: the entry points of a group, and modules that
    /// the user's own settings name.
    pub(super) fn dynamic_imports(&mut self, id: ModuleId, sites: Vec<Site>) -> Vec<RawImport> {
        let mut imports = Vec::new();
        let mut import = |line, module: &ModuleName| {
            let module = Asked::Absolute(module.as_str().into());
            imports.push(RawImport { line, kind: ImportKind::Dynamic, module, names: Names::Module });
        };
        let is_own = self.modules[id.index()].editable;
        let mut found = Vec::new();
        for Site { line, what } in sites {
            let mut holds = Vec::new();
            match &what {
                Dynamic::EntryPoints(Some(group)) => {
                    for (name, module) in self.groups.get(&**group).into_iter().flatten() {
                        import(line, module);
                        holds.push(format!("{name} = {module}").into());
                    }
                }
                Dynamic::Dotted(text) => {
                    let Some(module) = is_own.then(|| self.existing(text)).flatten() else { continue };
                    import(line, &module);
                    holds.push(module.as_str().into());
                }
                Dynamic::Walk { own: true } => {
                    let locations = self.modules[id.index()].locations.clone();
                    holds.extend(self.resolver.modules_in(&locations).into_iter().map(Box::from));
                }
                Dynamic::Import
                | Dynamic::EntryPoints(None)
                | Dynamic::Walk { own: false }
                | Dynamic::Lazy
                | Dynamic::Registers(_)
                | Dynamic::ReplacesItself
                | Dynamic::ExtendsPath
                | Dynamic::SearchPath
                | Dynamic::Finder => {}
            }
            found.push(DynamicSite { line, what, holds });
        }
        found.sort();
        found.dedup();
        self.modules[id.index()].sites = found;
        imports
    }

    /// The module that `text` names, or that has what it names.
    pub(super) fn existing(&mut self, text: &str) -> Option<ModuleName> {
        let mut name = text;
        loop {
            if let Target::Module(id) = self.ensure(name) {
                return Some(self.modules[id.index()].name.clone());
            }
            // A class in a module; less is left of a file's name.
            name = name.rsplit_once('.').filter(|(rest, _)| rest.len() * 2 > text.len())?.0;
        }
    }

    /// Names that a module's `__getattr__` imports when they are asked for (PEP 562): what stands under the name for type
    /// checkers is what comes in.
    pub(super) fn lazy_modules(&mut self) {
        let mut known: FxHashMap<ModuleId, FxHashMap<Box<str>, ModuleId>> = FxHashMap::default();
        for (at, module) in self.modules.iter().enumerate() {
            if module.symbols.opaque == Some(Opaque::ModuleGetattr) {
                let id = ModuleId(at as u32);
                known.insert(id, self.shown_to_checkers(id));
            }
        }
        for import in self.imports.iter_mut().flatten() {
            let (Target::Module(id), Names::Listed(names)) = (import.target, &import.names) else { continue };
            let Some(lazy) = known.get(&id) else { continue };
            let bound = &self.modules[id.index()].symbols.bound;
            let asked = names.iter().filter(|name| bound.binary_search(name).is_err());
            let found: Vec<ModuleId> =
                asked.filter_map(|name| lazy.get(name)).filter(|found| **found != import.importer).copied().collect();
            if !found.is_empty() {
                import.submodules = import.submodules.iter().copied().chain(found).collect();
            }
        }
    }

    /// Name → the module of the same distribution that has it, as type checkers are told.
    fn shown_to_checkers(&self, id: ModuleId) -> FxHashMap<Box<str>, ModuleId> {
        let mut shown = FxHashMap::default();
        for import in self.imports[id.index()].iter().filter(|import| import.kind == ImportKind::TypeChecking) {
            let (Target::Module(target), Names::Listed(names)) = (import.target, &import.names) else { continue };
            if self.modules[target.index()].origin == self.modules[id.index()].origin {
                shown.extend(names.iter().map(|name| (name.clone(), target)));
            }
        }
        shown
    }

    /// What a hook says that the distribution imports beside, once for each distribution.
    pub(super) fn implicit_imports(&mut self, id: ModuleId) -> Vec<RawImport> {
        let Origin::Distribution(owner) = &self.modules[id.index()].origin else { return Vec::new() };
        let Some(patterns) = self.implicit.remove(owner) else { return Vec::new() };
        let mut modules = Vec::new();
        for pattern in patterns {
            match pattern.strip_suffix(".*") {
                Some(package) => {
                    if let Target::Module(package_id) = self.ensure(package) {
                        let locations = self.modules[package_id.index()].locations.clone();
                        let inside = self.resolver.modules_in(&locations);
                        modules.extend(inside.into_iter().map(|name| format!("{package}.{name}")));
                    }
                }
                None => modules.push(pattern),
            }
        }
        let implicit = |module: String| RawImport {
            line: 0,
            kind: ImportKind::Dynamic,
            module: Asked::Absolute(module.into()),
            names: Names::Module,
        };
        modules.into_iter().map(implicit).collect()
    }
}

/// Names and modules by group. What a console script calls is called by its script.
pub(super) fn groups(environment: &Environment) -> BTreeMap<String, BTreeSet<(String, ModuleName)>> {
    let mut groups: BTreeMap<String, BTreeSet<(String, ModuleName)>> = BTreeMap::new();
    for point in environment.distributions.iter().flat_map(|dist| &dist.entry_points) {
        let module = point.value.split([':', '[']).next().unwrap_or_default().trim();
        if let (Ok(module), false) = (ModuleName::new(module), point.is_script()) {
            groups.entry(point.group.clone()).or_default().insert((point.name.clone(), module));
        }
    }
    groups
}
