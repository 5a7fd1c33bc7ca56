//! The walk from the roots: read what is new, resolve what it imports, until nothing is new.
//!
//! Reading is parallel, resolving is not: listing folders is cheap beside parsing, and module numbers stay the same
//! from run to run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::Target as Platform;
use super::data::{Base, DataSite, RelativePath};
use super::owner::Owners;
use super::read::{Read, Reader, Source};
use super::resolve::{ModuleKind, Resolved, Resolver};
use super::sites::{Dynamic, DynamicSite, Site};
use super::syntax::{Asked, ImportKind, Names, Opaque, RawImport, Symbols, Syntax};
use super::{DataFile, Error, Import, Module, ModuleGraph, ModuleId, Origin, Rival, Roots, Target, Uninspectable};
use crate::config;
use crate::environment::Environment;
use crate::hooks::Hooks;
use crate::names::{DistName, ModuleName};

/// Deep nesting costs stack even when the tree is freed; only what is touched takes memory.
const STACK: usize = 256 * 1024 * 1024;

/// Reads every module that `roots` reach. `cache` is where what sources say is kept.
pub fn build(
    environment: &Environment,
    roots: &Roots,
    hooks: &Hooks,
    cache: Option<&Path>,
) -> Result<ModuleGraph, Error> {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build()?;
    let mut builder = Builder::new(environment, roots, hooks, cache);
    let root_ids = builder.plant(roots)?;
    builder.grow(&pool, roots)?;
    let mut graph = builder.finish(environment);
    graph.compute_reach(&root_ids);
    Ok(graph)
}

struct Builder {
    resolver: Resolver,
    owners: Owners,
    reader: Reader,
    /// Import patterns of distributions, not yet met.
    implicit: BTreeMap<DistName, Vec<String>>,
    modules: Vec<Module>,
    by_name: FxHashMap<ModuleName, ModuleId>,
    missing: FxHashSet<Box<str>>,
    /// Groups of entry points, with names and modules.
    groups: BTreeMap<String, BTreeSet<(String, ModuleName)>>,
    data: Vec<(ModuleId, DataSite)>,
    /// By module.
    imports: Vec<Vec<Import>>,
    queue: VecDeque<ModuleId>,
    /// Modules whose imports of the configuration follow their own.
    planted: Vec<(ModuleId, RawImport)>,
    configured: Vec<(ModuleName, &'static str)>,
    main: ModuleId,
}

impl Builder {
    fn new(environment: &Environment, roots: &Roots, hooks: &Hooks, cache: Option<&Path>) -> Self {
        Self {
            resolver: Resolver::new(&environment.facts, &roots.application),
            owners: Owners::of(environment),
            reader: Reader::new(Platform::of(&environment.facts), &environment.facts.prefix, cache),
            implicit: hooks.implicit_imports(environment),
            modules: Vec::new(),
            by_name: FxHashMap::default(),
            missing: FxHashSet::default(),
            groups: groups(environment),
            data: Vec::new(),
            imports: Vec::new(),
            queue: VecDeque::new(),
            planted: Vec::new(),
            configured: Vec::new(),
            main: ModuleId::MAIN,
        }
    }

    fn plant(&mut self, roots: &Roots) -> Result<Vec<ModuleId>, Error> {
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
    fn run_as_main(&mut self, module: &ModuleName) -> Result<(), Error> {
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

    fn script(&mut self, file: Option<PathBuf>) -> ModuleId {
        let name = ModuleName::new("__main__").unwrap_or_else(|_| unreachable!("an identifier"));
        let resolved = Resolved { kind: ModuleKind::SingleFile, file, locations: Vec::new() };
        self.add(name, resolved, Some((Origin::Application, true)))
    }

    fn add(&mut self, name: ModuleName, resolved: Resolved, origin: Option<(Origin, bool)>) -> ModuleId {
        let id = ModuleId(self.modules.len() as u32);
        let Resolved { kind, file, locations } = resolved;
        let (origin, editable) = origin.unwrap_or_else(|| match (&file, locations.first()) {
            (Some(place), _) | (None, Some(place)) => self.owners.origin(place),
            (None, None) => (Origin::Stdlib, false),
        });
        self.modules.push(Module {
            name,
            kind,
            origin,
            editable,
            file,
            locations,
            symbols: Symbols::default(),
            probe: None,
            sites: Vec::new(),
            uninspectable: None,
            digest: None,
        });
        self.imports.push(Vec::new());
        self.queue.push_back(id);
        id
    }

    /// The module `name` with all packages around it, looked for where it is new.
    fn ensure(&mut self, name: &str) -> Target {
        if let Some(id) = self.by_name.get(name) {
            return Target::Module(*id);
        }
        let parent = match name.rsplit_once('.') {
            Some((parent, _)) => match self.ensure(parent) {
                Target::Module(id) => Some(id),
                missing => return missing,
            },
            None => None,
        };
        if self.missing.contains(name) {
            return Target::Missing { within: parent };
        }
        let around = parent.map(|id| {
            let Module { kind, file, locations, .. } = &self.modules[id.index()];
            Resolved { kind: *kind, file: file.clone(), locations: locations.clone() }
        });
        let found = ModuleName::new(name).ok().and_then(|valid| {
            let is_package = around.as_ref().is_none_or(|around| !around.locations.is_empty());
            // `os.path`: a frozen name in a module that is no package.
            if is_package || name == "os.path" {
                Some((valid, self.resolver.resolve(name, around.as_ref())?))
            } else {
                None
            }
        });
        if let Some((valid, resolved)) = found {
            let id = self.add(valid.clone(), resolved, None);
            self.by_name.insert(valid, id);
            return Target::Module(id);
        }
        self.missing.insert(name.into());
        Target::Missing { within: parent }
    }

    fn grow(&mut self, pool: &rayon::ThreadPool, roots: &Roots) -> Result<(), Error> {
        loop {
            while !self.queue.is_empty() {
                let batch: Vec<ModuleId> = self.queue.drain(..).collect();
                let read: Vec<Read> = pool.install(|| batch.par_iter().map(|id| self.read(*id)).collect());
                for (id, read) in batch.into_iter().zip(read) {
                    self.take(id, read, roots)?;
                }
            }
            self.star_submodules();
            if self.queue.is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&self, id: ModuleId) -> Read {
        let module = &self.modules[id.index()];
        let Some(file) = module.file.as_deref() else { return Read::NoSource };
        if file.extension().is_none_or(|extension| extension != "py") && module.name.as_str() != "__main__" {
            return Read::NoSource;
        }
        self.reader.read(file, id == self.main || module.name.as_str() == "__main__")
    }

    fn take(&mut self, id: ModuleId, read: Read, roots: &Roots) -> Result<(), Error> {
        let (mut raw, mut dynamic) = (Vec::new(), Vec::new());
        // Inside a package, a folder without `__init__` may be the place of a module that native code makes.
        let parent = self.modules[id.index()].name.parent().and_then(|parent| self.by_name.get(&parent));
        let in_namespace = parent.is_none_or(|id| self.modules[id.index()].kind == ModuleKind::Namespace);
        let module = &mut self.modules[id.index()];
        let entry = match &roots.entry {
            Some(config::Entry::Script(script)) if id == ModuleId::MAIN => Some(script),
            _ => None,
        };
        match (read, entry) {
            (Read::Source(source), _) => {
                let Source { says, digest } = *source;
                module.digest = Some(digest);
                match (says, entry) {
                    (Ok(Syntax { imports, symbols, probe, sites, data }), _) => {
                        raw = imports;
                        module.symbols = symbols;
                        module.probe = probe;
                        dynamic = sites;
                        self.data.extend(data.into_iter().map(|site| (id, site)));
                    }
                    (Err(Uninspectable { line, message }), Some(path)) => {
                        return Err(Error::EntryInvalid { path: path.clone(), line, message });
                    }
                    (Err(why), None) => {
                        module.symbols.opaque = Some(Opaque::Uninspectable);
                        module.uninspectable = Some(why);
                    }
                }
            }
            (Read::Unreadable(source), Some(path)) => {
                return Err(Error::EntryUnreadable { path: path.clone(), source });
            }
            (Read::NoSource, _) if id == ModuleId::MAIN && module.file.is_none() => {}
            (Read::NoSource, _) if module.kind == ModuleKind::Namespace && in_namespace => {}
            (Read::NoSource, _) => module.symbols.opaque = Some(Opaque::NoSource),
            // A file inside a zip file, among others.
            (Read::Unreadable(error), None) if error.kind() == std::io::ErrorKind::NotADirectory => {
                module.symbols.opaque = Some(Opaque::NoSource);
            }
            (Read::Unreadable(error), None) => {
                module.symbols.opaque = Some(Opaque::Uninspectable);
                module.uninspectable = Some(Uninspectable { line: 0, message: error.to_string() });
            }
        }
        // `multiprocessing.util._cleanup_tests` and its like, which the standard library's own tests call. Followed, they
        // would bring in `test`, and through its helpers `tkinter` and `lib2to3`.
        let Module { name, origin, .. } = &self.modules[id.index()];
        if *origin == Origin::Stdlib && !name.is_within("test") {
            raw.retain(|import| match &import.module {
                Asked::Absolute(name) => &**name != "test" && !name.starts_with("test."),
                Asked::Relative { .. } | Asked::OwnName(_) => true,
            });
        }
        raw.extend(self.planted.extract_if(.., |(planted, _)| *planted == id).map(|(_, import)| import));
        raw.extend(self.implicit_imports(id));
        raw.extend(self.dynamic_imports(id, dynamic));
        self.imports[id.index()] = raw.into_iter().map(|raw| self.import(id, raw)).collect();
        Ok(())
    }

    /// What the module's dynamic sites bring in, as far as that can be told: the entry points of a group, and modules that
    /// the user's own settings name.
    fn dynamic_imports(&mut self, id: ModuleId, sites: Vec<Site>) -> Vec<RawImport> {
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
    fn existing(&mut self, text: &str) -> Option<ModuleName> {
        let mut name = text;
        loop {
            if let Target::Module(id) = self.ensure(name) {
                return Some(self.modules[id.index()].name.clone());
            }
            // A class in a module; less is left of a file's name.
            name = name.rsplit_once('.').filter(|(rest, _)| rest.len() * 2 > text.len())?.0;
        }
    }

    /// What a hook says that the distribution imports beside, once for each distribution.
    fn implicit_imports(&mut self, id: ModuleId) -> Vec<RawImport> {
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

    fn import(&mut self, importer: ModuleId, raw: RawImport) -> Import {
        let RawImport { line, kind, module, names } = raw;
        let absolute = self.absolute(importer, &module);
        let target = match &absolute {
            Some(name) => self.ensure(name),
            None => Target::Missing { within: None },
        };
        let mut submodules = Vec::new();
        if let (Target::Module(id), Names::Listed(listed)) = (target, &names)
            && !self.modules[id.index()].locations.is_empty()
        {
            for name in listed {
                let full = format!("{}.{name}", self.modules[id.index()].name);
                if let Target::Module(submodule) = self.ensure(&full) {
                    submodules.push(submodule);
                }
            }
        }
        let module = absolute.unwrap_or_default();
        Import { importer, line, kind, module, names, target, submodules: submodules.into() }
    }

    /// Nothing where a relative import leaves the top-level package.
    fn absolute(&self, importer: ModuleId, asked: &Asked) -> Option<Box<str>> {
        let importer = &self.modules[importer.index()];
        let name = importer.name.as_str();
        match asked {
            Asked::Absolute(name) => Some(name.clone()),
            Asked::OwnName(rest) => Some(format!("{name}{rest}").into()),
            Asked::Relative { level, rest } => {
                let is_package = !importer.locations.is_empty();
                let mut base = name;
                for _ in 0..level - u32::from(is_package) {
                    base = base.rsplit_once('.')?.0;
                }
                Some(if rest.is_empty() { base.into() } else { format!("{base}.{rest}").into() })
            }
        }
    }

    /// `from package import *` imports the submodules that the package's `__all__` lists.
    fn star_submodules(&mut self) {
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
    fn rivals(&mut self) -> BTreeMap<ModuleId, Vec<Rival>> {
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

    fn symbols_of(&self, file: &Path) -> Symbols {
        match self.reader.read(file, false) {
            Read::Source(source) => source.says.map(|syntax| syntax.symbols).ok(),
            Read::NoSource | Read::Unreadable(_) => None,
        }
        .unwrap_or_else(|| Symbols { opaque: Some(Opaque::NoSource), ..Symbols::default() })
    }

    fn data_paths(&mut self) -> Vec<DataFile> {
        let sites = std::mem::take(&mut self.data);
        let of = |(module, DataSite { line, path, certain })| {
            let path = self.data_path(module, &path)?;
            Some(DataFile { module, line, path, found: false, certain })
        };
        sites.into_iter().filter_map(of).collect()
    }

    fn data_path(&self, module: ModuleId, path: &RelativePath) -> Option<PathBuf> {
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

    fn finish(mut self, environment: &Environment) -> ModuleGraph {
        let rivals = self.rivals();
        let data = self.data_paths();
        let Self { modules, by_name, imports, configured, reader, .. } = self;
        reader.keep();
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

/// Names and modules by group. What a console script calls is called by its script.
fn groups(environment: &Environment) -> BTreeMap<String, BTreeSet<(String, ModuleName)>> {
    let mut groups: BTreeMap<String, BTreeSet<(String, ModuleName)>> = BTreeMap::new();
    for point in environment.distributions.iter().flat_map(|dist| &dist.entry_points) {
        let module = point.value.split([':', '[']).next().unwrap_or_default().trim();
        if let (Ok(module), false) =
            (ModuleName::new(module), matches!(&*point.group, "console_scripts" | "gui_scripts"))
        {
            groups.entry(point.group.clone()).or_default().insert((point.name.clone(), module));
        }
    }
    groups
}
