//! The walk from the roots: read what is new, resolve what it imports, until nothing is new.
//!
//! Reading is parallel, resolving is not: listing folders is cheap beside parsing. What begins the walk is in [`plant`](super::plant),
//! what is imported without a statement in [`dynamic`](super::dynamic), what is done at its end in [`finish`](super::finish).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::Target as Platform;
use super::data::DataSite;
use super::owner::Owners;
use super::read::{Read, Reader, Source};
use super::resolve::{ModuleKind, Resolved, Resolver};
use super::syntax::{Asked, ImportKind, Names, Opaque, RawImport, Symbols, Syntax};
use super::{Error, Import, Module, ModuleGraph, ModuleId, Origin, Roots, Target, Uninspectable};
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
    let reader = Reader::new(Platform::of(&environment.facts), &environment.facts.prefix, cache);
    let mut builder = Builder::new(environment, roots, hooks, &reader);
    let root_ids = builder.plant(roots)?;
    builder.grow(&pool, roots)?;
    let mut graph = builder.finish(environment);
    graph.writing = reader.keep();
    graph.without = roots.without.clone();
    graph.compute_reach(&root_ids);
    Ok(graph)
}

pub(super) struct Builder<'r> {
    pub(super) resolver: Resolver,
    pub(super) owners: Owners,
    pub(super) reader: &'r Reader,
    /// Import patterns of distributions, not yet met.
    pub(super) implicit: BTreeMap<DistName, Vec<String>>,
    /// Modules that distributions do without.
    optional: BTreeMap<DistName, Vec<ModuleName>>,
    pub(super) modules: Vec<Module>,
    pub(super) by_name: FxHashMap<ModuleName, ModuleId>,
    pub(super) missing: FxHashSet<Box<str>>,
    /// Groups of entry points, with names and modules.
    pub(super) groups: BTreeMap<String, BTreeSet<(String, ModuleName)>>,
    pub(super) data: Vec<(ModuleId, DataSite)>,
    /// By module.
    pub(super) imports: Vec<Vec<Import>>,
    pub(super) queue: VecDeque<ModuleId>,
    /// Modules whose imports of the configuration follow their own.
    pub(super) planted: Vec<(ModuleId, RawImport)>,
    pub(super) configured: Vec<(ModuleName, &'static str)>,
    pub(super) main: ModuleId,
}

/// Bytes of a module's name. No path is so long; and each part is looked for within the ones before it.
const LONGEST: usize = 1024;

/// The part of a name that can be looked for.
fn cut_off(name: Box<str>) -> Box<str> {
    if name.len() <= LONGEST {
        return name;
    }
    let start = &name[..name.floor_char_boundary(LONGEST)];
    start.rsplit_once('.').map_or(start, |(whole, _)| whole).into()
}

impl<'r> Builder<'r> {
    fn new(environment: &Environment, roots: &Roots, hooks: &Hooks, reader: &'r Reader) -> Self {
        Self {
            resolver: Resolver::new(&environment.facts, &roots.application).without(roots.without.clone()),
            owners: Owners::of(environment),
            reader,
            implicit: hooks.implicit_imports(environment),
            optional: hooks.optional_imports(environment),
            modules: Vec::new(),
            by_name: FxHashMap::default(),
            missing: FxHashSet::default(),
            groups: super::dynamic::groups(environment),
            data: Vec::new(),
            imports: Vec::new(),
            queue: VecDeque::new(),
            planted: Vec::new(),
            configured: Vec::new(),
            main: ModuleId::MAIN,
        }
    }

    pub(super) fn add(&mut self, name: ModuleName, resolved: Resolved, origin: Option<(Origin, bool)>) -> ModuleId {
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
    pub(super) fn ensure(&mut self, name: &str) -> Target {
        if name.len() > LONGEST {
            return Target::Missing { within: None };
        }
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
            // A namespace of an editable finder's may have no folder.
            let is_package = around
                .as_ref()
                .is_none_or(|around| !around.locations.is_empty() || around.kind == ModuleKind::Namespace);
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

    /// Modules are read by as many threads as there are, and taken in the order in which they were found, whichever was read
    /// first: their numbers stay the same from run to run.
    fn grow(&mut self, pool: &rayon::ThreadPool, roots: &Roots) -> Result<(), Error> {
        let reader = self.reader;
        let (sender, receiver) = channel();
        pool.in_place_scope(|scope| {
            let mut in_order = VecDeque::new();
            let mut read: FxHashMap<ModuleId, std::thread::Result<Read>> = FxHashMap::default();
            loop {
                for id in self.queue.drain(..).collect::<Vec<_>>() {
                    in_order.push_back(id);
                    let Some((file, main)) = self.source_of(id) else {
                        read.insert(id, Ok(Read::NoSource));
                        continue;
                    };
                    let sender = sender.clone();
                    scope.spawn(move |_| {
                        // A panic is the receiver's to go on with, who would wait for ever else.
                        let read = catch_unwind(AssertUnwindSafe(|| reader.read(&file, main)));
                        // It hangs up only after an error.
                        let _ = sender.send((id, read));
                    });
                }
                let Some(next) = in_order.pop_front() else {
                    self.star_submodules();
                    if self.queue.is_empty() {
                        return Ok(());
                    }
                    continue;
                };
                while !read.contains_key(&next) {
                    if let Ok((id, one)) = receiver.recv() {
                        read.insert(id, one);
                    }
                }
                match read.remove(&next) {
                    Some(Ok(one)) => self.take(next, one, roots)?,
                    Some(Err(panic)) => resume_unwind(panic),
                    None => {}
                }
            }
        })
    }

    /// The file that is to be read as source, and whether it runs as `__main__`.
    fn source_of(&self, id: ModuleId) -> Option<(PathBuf, bool)> {
        let module = &self.modules[id.index()];
        let file = module.file.as_deref()?;
        let main = module.name.as_str() == "__main__";
        if file.extension().is_none_or(|extension| extension != "py") && !main {
            return None;
        }
        Some((file.to_owned(), id == self.main || main))
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
            // Of a module or a function that is run nothing stands here.
            (Read::NoSource, _) if id == ModuleId::MAIN && module.file.is_none() => {
                module.symbols.opaque = Some(Opaque::NoSource);
            }
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
            let is_test = |import: &RawImport| match &import.module {
                Asked::Absolute(name) => &**name == "test" || name.starts_with("test."),
                Asked::Relative { .. } | Asked::OwnName(_) => false,
            };
            // Stars are told by their places among the imports.
            let stars = &mut self.modules[id.index()].symbols.stars;
            stars.retain(|at| !is_test(&raw[*at as usize]));
            for at in stars {
                *at -= raw[..*at as usize].iter().filter(|import| is_test(import)).count() as u32;
            }
            raw.retain(|import| !is_test(import));
        }
        raw.extend(self.planted.extract_if(.., |(planted, _)| *planted == id).map(|(_, import)| import));
        raw.extend(self.implicit_imports(id));
        raw.extend(self.dynamic_imports(id, dynamic));
        self.imports[id.index()] = raw.into_iter().map(|raw| self.import(id, raw)).collect();
        Ok(())
    }

    fn import(&mut self, importer: ModuleId, raw: RawImport) -> Import {
        let RawImport { line, mut kind, module, names } = raw;
        let absolute = self.absolute(importer, &module).map(cut_off);
        if let (Some(name), Origin::Distribution(owner)) = (&absolute, &self.modules[importer.index()].origin)
            && matches!(kind, ImportKind::Unconditional | ImportKind::Deferred)
            && self
                .optional
                .get(owner)
                .is_some_and(|modules| modules.iter().any(|module| is_within(name, module.as_str())))
        {
            kind = ImportKind::Guarded;
        }
        let target = match &absolute {
            Some(name) => self.ensure(name),
            None => Target::Missing { within: None },
        };
        let mut submodules = Vec::new();
        if let (Target::Module(id), Names::Listed(listed)) = (target, &names)
            && let module = &self.modules[id.index()]
            && (!module.locations.is_empty() || module.kind == ModuleKind::Namespace)
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
    pub(super) fn absolute(&self, importer: ModuleId, asked: &Asked) -> Option<Box<str>> {
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
}

/// Whether a module is `other`, or lies in it.
fn is_within(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
