//! What modules change when they run, as far as their statements tell: `sys.modules`, `__path__`, `sys.path`, each
//! other's attributes. Imports that nothing on the disk serves, and that such a change may serve, are no missing ones.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::resolve::ModuleKind;
use super::syntax::{ANY, Names, Opaque, Symbols};
use super::{Import, ModuleGraph, ModuleId, Origin, Rival, Target};
use crate::environment::Environment;
use crate::names::DistName;

impl ModuleGraph {
    pub(super) fn note_run_time(&mut self, environment: &Environment) {
        for module in &self.modules {
            self.runtime_modules.extend(module.symbols.registers.iter().cloned());
        }
        self.note_start_up(environment);
        self.patched = self.patches();
        // setuptools' `distutils-precedence.pth` puts its own copy before the standard library's.
        if environment.facts.finders.iter().any(|finder| finder.class.starts_with("_distutils_hack.")) {
            self.runtime_modules.insert("distutils".into());
            for module in self.modules.iter_mut().filter(|module| module.name.is_within("distutils")) {
                module.symbols.opaque = Some(Opaque::ReplacesItself);
            }
        }
        self.vendored = self.vendored_names(environment);
        let finders =
            self.modules.iter().filter(|module| module.symbols.installs_finder && module.origin != Origin::Stdlib);
        self.finders = finders.map(|module| module.name.top_level().into()).collect();
        let replaced: Vec<usize> = self
            .imports
            .iter()
            .enumerate()
            .filter(|(_, import)| self.is_made_at_run_time(import))
            .map(|(at, _)| at)
            .collect();
        for at in replaced {
            self.imports[at].target = Target::RunTime;
        }
        let filled = self.filled();
        for at in 0..self.modules.len() {
            let module = &self.modules[at];
            // `sys.modules["own.name"] = …`, or a helper's doing.
            if self.is_helped(ModuleId(at as u32))
                || filled.contains(&ModuleId(at as u32))
                || (module.symbols.registers.binary_search_by(|name| (**name).cmp(module.name.as_str())).is_ok()
                    && !self.searches_in_vain(ModuleId(at as u32)))
            {
                self.modules[at].symbols.opaque = Some(Opaque::ReplacesItself);
            } else if self.patched.contains(&(ModuleId(at as u32), ANY.into())) {
                self.modules[at].symbols.opaque.get_or_insert(Opaque::FilledByAnother);
            } else if self.calls_native(ModuleId(at as u32)) {
                self.modules[at].symbols.opaque.get_or_insert(Opaque::NativeCall);
            }
        }
    }

    /// What lines of `.pth` files have put into `sys.modules`, as the interpreter saw it.
    fn note_start_up(&mut self, environment: &Environment) {
        for (name, names) in &environment.facts.made {
            self.runtime_modules.insert(name.as_str().into());
            // It stands there before the finders' one could be imported.
            if let Some(id) = self.find(name) {
                let symbols = &mut self.modules[id.index()].symbols;
                symbols.opaque = Some(Opaque::ReplacesItself);
                symbols.bound = names.iter().map(|name| name.as_str().into()).collect();
            }
        }
    }

    /// Whether a module gives its name to something that may put another one in its place. What the standard library does so
    /// it does to itself: `typing` fills `sys.modules` with `typing.io`, and nobody's `getLogger(__name__)` is meant.
    fn is_helped(&self, id: ModuleId) -> bool {
        let module = self.module(id);
        let is_helper = |id: &ModuleId| {
            let helper = self.module(*id);
            let is_meant = helper.origin != Origin::Stdlib || module.origin == Origin::Stdlib;
            helper.symbols.writes_modules && is_meant
        };
        let has_helper = |import: &Import| match import.target {
            Target::Module(target) => std::iter::once(&target).chain(&import.submodules).any(is_helper),
            Target::Missing { .. } | Target::RunTime => false,
        };
        module.symbols.passes_name && self.imports_of(id).iter().any(has_helper)
    }

    /// Whether a module calls native code for its effect: `torch._C._multiprocessing_init()` puts a function into
    /// `torch.multiprocessing`, whence it is called.
    fn calls_native(&self, id: ModuleId) -> bool {
        let is_native = |id: ModuleId| self.module(id).kind == ModuleKind::Extension;
        let imported = self.imports_of(id).iter().filter_map(|import| match import.target {
            Target::Module(from) => Some((import, from)),
            Target::Missing { .. } | Target::RunTime => None,
        });
        let owns = |owner: &str| {
            let is_it = |id: ModuleId| {
                let rest = self.module(id).name.as_str().strip_suffix(owner);
                is_native(id) && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            self.find(owner).is_some_and(is_native)
                || imported.clone().any(|(import, from)| is_it(from) || import.submodules.iter().copied().any(is_it))
        };
        self.module(id).symbols.effects.iter().any(|function| match function.rsplit_once('.') {
            Some((object, _)) => {
                let ends = object.match_indices('.').map(|(at, _)| at).chain([object.len()]);
                ends.map(|end| &object[..end]).any(owns)
            }
            None => imported.clone().any(|(import, from)| {
                is_native(from) && matches!(&import.names, Names::Listed(names) if names.contains(function))
            }),
        })
    }

    /// A package that makes way for a file of its own name, where no entry of the path has that file: it stays what its
    /// statements make it.
    fn searches_in_vain(&self, id: ModuleId) -> bool {
        let module = self.module(id);
        let searches = module.probe.as_ref().is_some_and(|probe| probe.may_find(module.name.as_str()));
        let has_file = |rivals: &Vec<Rival>| rivals.iter().any(|rival| rival.kind == ModuleKind::SingleFile);
        searches && module.kind == ModuleKind::Package && !self.rivals.get(&id).is_some_and(has_file)
    }

    /// Modules of its own package that a module takes out of `sys.modules`, to fill them, or puts something else in the
    /// place of, as twisted does with its reactor.
    fn filled(&self) -> FxHashSet<ModuleId> {
        let mut filled = FxHashSet::default();
        for module in &self.modules {
            let top = module.name.top_level();
            let own = |name: &&str| name.split('.').next() == Some(top) && *name != module.name.as_str();
            let ids = |names: &[Box<str>]| {
                names.iter().map(|name| &**name).filter(own).filter_map(|name| self.find(name)).collect::<Vec<_>>()
            };
            filled.extend(ids(&module.symbols.touched));
            filled.extend(ids(&module.symbols.registers).into_iter().filter(|id| !self.searches_in_vain(*id)));
        }
        filled
    }

    fn patches(&self) -> FxHashSet<(ModuleId, Box<str>)> {
        let mut patched = FxHashSet::default();
        for (id, module) in self.modules() {
            for (local, attribute) in &module.symbols.patches {
                // What is imported `as` another name is not recognised.
                for import in self.imports_of(id) {
                    let Target::Module(target) = import.target else { continue };
                    for candidate in std::iter::once(target).chain(import.submodules.iter().copied()) {
                        if self.module(candidate).name.last() == &**local {
                            patched.insert((candidate, attribute.clone()));
                        }
                    }
                }
            }
        }
        patched
    }

    /// A distribution that changes `sys.path` may put a folder of its own there, as setuptools does with `_vendor`, and one
    /// with a finder may find in its own folders what others look for at the top, as awscli does for its botocore: what
    /// lies in its folders, by the names of files and folders below the first level.
    fn vendored_names(&self, environment: &Environment) -> BTreeMap<DistName, FxHashSet<Box<str>>> {
        let mut vendored = BTreeMap::new();
        let looks_elsewhere = |symbols: &Symbols| symbols.changes_path.is_some() || symbols.installs_finder;
        for module in self.modules.iter().filter(|module| looks_elsewhere(&module.symbols)) {
            let Origin::Distribution(name) = &module.origin else { continue };
            let Some(dist) = environment.distribution(name.as_str()) else { continue };
            vendored.entry(name.clone()).or_insert_with(|| {
                let below = dist.files.iter().flat_map(|entry| entry.path.split('/').skip(1));
                below.map(|part| Box::from(part.strip_suffix(".py").unwrap_or(part))).collect()
            });
        }
        vendored
    }

    fn is_vendored(&self, import: &Import) -> bool {
        let Origin::Distribution(name) = &self.module(import.importer).origin else { return false };
        let top = import.module.split('.').next().unwrap_or_default();
        self.vendored.get(name).is_some_and(|names| names.contains(top))
    }

    fn is_made_at_run_time(&self, import: &Import) -> bool {
        let Target::Missing { within } = import.target else { return false };
        if within.is_none() && self.is_vendored(import) {
            return true;
        }
        // A finder is for its own package, as far as can be told.
        if within.is_some_and(|id| self.finders.contains(self.module(id).name.top_level())) {
            return true;
        }
        let mut name = &*import.module;
        loop {
            if self.runtime_modules.contains(name) {
                return true;
            }
            match name.rsplit_once('.') {
                Some((parent, _)) => name = parent,
                None => break,
            }
        }
        let mut around = within;
        while let Some(id) = around {
            let module = self.module(id);
            if module.symbols.open_submodules
                || module.symbols.opaque == Some(Opaque::ReplacesItself)
                || module.kind == ModuleKind::Extension
                || module.kind == ModuleKind::Builtin
            {
                return true;
            }
            around = module.name.parent().and_then(|parent| self.find(parent.as_str()));
        }
        false
    }
}
