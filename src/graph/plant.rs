//! What the walk begins with: the entry, and the imports that the configuration names.

use std::path::PathBuf;

use super::build::Builder;
use super::resolve::{ModuleKind, Resolved};
use super::syntax::{Asked, ImportKind, Names, RawImport};
use super::{Error, ModuleId, Origin, Roots, Target};
use crate::config;
use crate::names::ModuleName;

impl Builder<'_> {
    pub(super) fn plant(&mut self, roots: &Roots) -> Result<Vec<ModuleId>, Error> {
        let script = match &roots.entry {
            Some(config::Entry::Script(script)) => Some(script.clone()),
            Some(config::Entry::Module(_) | config::Entry::Function { .. }) | None => None,
        };
        let main = self.script(script);
        self.by_name.insert(self.modules[0].name.clone(), main);
        let mut root_ids = vec![main];
        let mut plant = |key, kind, module: &ModuleName, names| {
            self.configured.push((module.clone(), key));
            let module = Asked::Absolute(module.as_str().into());
            self.planted.push((main, RawImport { line: 0, kind, module, names }));
        };
        match &roots.entry {
            Some(config::Entry::Script(_)) | None => {}
            Some(config::Entry::Module(module)) => {
                plant("[runner] entry", ImportKind::Unconditional, module, Names::Module);
            }
            Some(config::Entry::Function { module, function }) => {
                let first = function.split('.').next().unwrap_or_default();
                plant("[runner] entry", ImportKind::Unconditional, module, Names::Listed([first.into()].into()));
            }
        }
        for module in &roots.hidden_imports {
            plant("[runner] hidden-imports", ImportKind::Dynamic, module, Names::Module);
        }
        for import in &roots.smoke_imports {
            let names = match &import.names[..] {
                [] => Names::Module,
                names => Names::Listed(names.iter().map(|name| name.as_str().into()).collect()),
            };
            plant("[smoke] imports", ImportKind::Dynamic, &import.module, names);
        }
        for script in &roots.smoke_scripts {
            root_ids.push(self.script(Some(script.clone())));
        }
        if let Some(config::Entry::Module(module)) = &roots.entry {
            self.run_as_main(module)?;
        }
        Ok(root_ids)
    }

    /// `python -m module`: a package's `__main__`, else the module itself.
    pub(super) fn run_as_main(&mut self, module: &ModuleName) -> Result<(), Error> {
        let Target::Module(id) = self.ensure(module.as_str()) else {
            return Err(Error::EntryNotFound { module: module.clone() });
        };
        self.main = id;
        if !self.modules[id.index()].locations.is_empty() {
            let inner = format!("{module}.__main__");
            let Target::Module(inner_id) = self.ensure(&inner) else {
                return Err(Error::EntryNotFound { module: module.clone() });
            };
            let module = Asked::Absolute(inner.into());
            let line = 0;
            self.planted.push((
                ModuleId::MAIN,
                RawImport { line, kind: ImportKind::Unconditional, module, names: Names::Module },
            ));
            self.main = inner_id;
        }
        Ok(())
    }

    pub(super) fn script(&mut self, file: Option<PathBuf>) -> ModuleId {
        let name = ModuleName::new("__main__").unwrap_or_else(|_| unreachable!("an identifier"));
        let resolved = Resolved { kind: ModuleKind::SingleFile, file, locations: Vec::new() };
        self.add(name, resolved, Some((Origin::Application, true)))
    }
}
