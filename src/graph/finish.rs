//! What can be said only when every module is there: submodules that star imports take, modules of one name, paths of data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::build::Builder;
use super::data::{Base, DataSite, RelativePath};
use super::read::Read;
use super::resolve::{ModuleKind, Resolved};
use super::syntax::{Names, Opaque, Symbols};
use super::{DataFile, Module, ModuleGraph, ModuleId, Rival, Target};
use crate::environment::Environment;

impl Builder<'_> {
    /// `from package import *` imports the submodules that the package's `__all__` lists.
    pub(super) fn star_submodules(&mut self) {
        for importer in 0..self.imports.len() {
            for at in 0..self.imports[importer].len() {
                let import = &self.imports[importer][at];
                let (Names::Star, Target::Module(id)) = (&import.names, import.target) else { continue };
                let module = &self.modules[id.index()];
                let Some(all) = module.symbols.all.as_ref().filter(|_| !module.locations.is_empty()) else { continue };
                let unbound = all.names.iter().filter(|name| module.symbols.bound.binary_search(name).is_err());
                let full: Vec<_> = unbound.map(|name| format!("{}.{name}", module.name)).collect();
                let found: Vec<_> = full
                    .iter()
                    .filter_map(|name| match self.ensure(name) {
                        Target::Module(submodule) => Some(submodule),
                        Target::Missing { .. } | Target::RunTime => None,
                    })
                    .collect();
                self.imports[importer][at].submodules = found.into();
            }
        }
    }

    /// Whatever else the path holds under the names of top-level modules.
    pub(super) fn rivals(&mut self) -> BTreeMap<ModuleId, Vec<Rival>> {
        let mut rivals: BTreeMap<ModuleId, Vec<Rival>> = BTreeMap::new();
        for at in 0..self.modules.len() {
            let Module { name, kind, file: Some(winner), .. } = &self.modules[at] else { continue };
            let id = ModuleId(at as u32);
            if name.parent().is_some() || *kind == ModuleKind::Frozen || self.by_name.get(name) != Some(&id) {
                continue;
            }
            let (name, winner) = (name.clone(), winner.clone());
            for entry in self.resolver.path().to_vec() {
                for other in self.resolver.all_at(name.as_str(), &entry) {
                    let Resolved { kind, file: Some(file), locations } = other else { continue };
                    if file == winner
                        || rivals.get(&id).is_some_and(|known| known.iter().any(|rival| rival.file == file))
                    {
                        continue;
                    }
                    let symbols = self.symbols_of(&file);
                    let (origin, _) = self.owners.origin(&file);
                    rivals.entry(id).or_default().push(Rival { kind, file, locations, origin, symbols });
                }
            }
        }
        rivals
    }

    pub(super) fn symbols_of(&self, file: &Path) -> Symbols {
        match self.reader.read(file, false) {
            Read::Source(source) => source.says.map(|syntax| syntax.symbols).ok(),
            Read::NoSource | Read::Unreadable(_) => None,
        }
        .unwrap_or_else(|| Symbols { opaque: Some(Opaque::NoSource), ..Symbols::default() })
    }

    pub(super) fn data_paths(&mut self) -> Vec<DataFile> {
        let sites = std::mem::take(&mut self.data);
        let of = |(module, DataSite { line, path, usage })| {
            let path = self.data_path(module, &path)?;
            Some(DataFile { module, line, path, found: false, usage })
        };
        sites.into_iter().filter_map(of).collect()
    }

    pub(super) fn data_path(&self, module: ModuleId, path: &RelativePath) -> Option<PathBuf> {
        let mut start = match &path.base {
            Base::File => self.modules[module.index()].file.clone()?,
            Base::Package(asked) => {
                let name = self.absolute(module, asked)?;
                let id = *self.by_name.get(&*name)?;
                let Module { file, locations, .. } = &self.modules[id.index()];
                // A module that is no package stands for its folder.
                locations.first().cloned().or_else(|| Some(file.as_deref()?.parent()?.to_owned()))?
            }
        };
        for _ in 0..path.up {
            start.pop();
        }
        start.extend(path.parts.iter().map(|part| &**part));
        Some(start)
    }

    pub(super) fn finish(mut self, environment: &Environment) -> ModuleGraph {
        self.lazy_modules();
        let rivals = self.rivals();
        let data = self.data_paths();
        let Self { modules, by_name, imports, configured, .. } = self;
        let mut graph = ModuleGraph { modules, by_name, rivals, configured, ..ModuleGraph::default() };
        let mut starts = Vec::with_capacity(imports.len() + 1);
        for of_one in imports {
            starts.push(graph.imports.len() as u32);
            graph.imports.extend(of_one);
        }
        starts.push(graph.imports.len() as u32);
        graph.starts = starts;
        graph.data = data;
        graph.look_for_data();
        graph.note_run_time(environment);
        graph
    }
}
