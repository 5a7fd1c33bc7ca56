//! Entry points + [`Environment`](crate::environment::Environment) → [`ModuleGraph`].
//!
//! From the entry script, hidden and smoke imports on, every module that can be reached by import is read
//! ([`syntax`]), its imports are resolved as the target's own finders would ([`resolve`]), and each module gets its
//! table of names ([`names`]). Nothing is run, unless the names of modules without source are asked for ([`ask`]). Left
//! out: what modules do with what they import, and imports whose module is computed; those are listed by line.

mod all;
mod ask;
mod assign;
mod build;
mod collect;
pub mod condition;
mod data;
mod dynamic;
mod elsewhere;
mod finish;
mod guard;
mod imports;
mod links;
mod names;
mod owner;
mod plant;
mod probe;
mod reach;
mod read;
pub mod resolve;
mod roots;
mod runtime;
mod sites;
pub(crate) mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod why;
mod without;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

pub use ask::Questions;
pub use build::build;
pub use data::Usage;
pub use links::{Link, LinkImport, Links};
pub use names::Lookup;
pub use owner::Origin;
pub use reach::{Reach, Step};
pub use resolve::{ModuleKind, Resolved, Resolver};
pub use roots::Roots;
pub use sites::{Dynamic, DynamicSite};
pub use source::Uninspectable;
pub use syntax::{ImportKind, Names, Opaque, Probe, Symbols};
pub use why::Chain;
pub use without::{Error as WithoutError, Without};

use crate::cache::stamped::Writing;
use crate::names::{DistName, ModuleName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(u32);

impl ModuleId {
    /// What runs as `__main__`: the entry script, or what stands for it. The configuration's imports are its own.
    pub const MAIN: Self = Self(0);

    /// Its place among the graph's modules.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One module that the roots reach.
#[derive(Debug, Clone)]
pub struct Module {
    pub name: ModuleName,
    pub kind: ModuleKind,
    pub origin: Origin,
    /// The file is the user's own: the application's, or an editable project's.
    pub editable: bool,
    pub file: Option<PathBuf>,
    /// `__path__`
    pub locations: Vec<PathBuf>,
    pub symbols: Symbols,
    pub probe: Option<Probe>,
    /// Where it finds modules in another way than by an import statement, or changes how others are found.
    pub sites: Vec<DynamicSite>,
    /// Why the source could not be read.
    pub uninspectable: Option<Uninspectable>,
    /// SHA-256 of the source, where it has one.
    pub digest: Option<[u8; 32]>,
}

/// A module that has lost its name to another one, because that comes first.
#[derive(Debug, Clone)]
pub struct Rival {
    pub kind: ModuleKind,
    /// Of a package its `__init__` file.
    pub file: PathBuf,
    pub locations: Vec<PathBuf>,
    pub origin: Origin,
    symbols: Symbols,
}

impl Rival {
    /// Whether one of its own statements binds `name`.
    pub fn binds(&self, name: &str) -> bool {
        self.symbols.bound.binary_search_by(|bound| (**bound).cmp(name)).is_ok()
    }
}

/// One import, resolved.
#[derive(Debug, Clone)]
pub struct Import {
    pub importer: ModuleId,
    /// From 1; 0 for an import of the configuration.
    pub line: u32,
    pub kind: ImportKind,
    /// Absolute. Of a relative import that leaves its package, empty.
    pub module: Box<str>,
    pub names: Names,
    pub target: Target,
    /// Modules that the names stand for, or that bring the names.
    pub submodules: Box<[ModuleId]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Module(ModuleId),
    /// No finder has it; the innermost package that is there.
    Missing {
        within: Option<ModuleId>,
    },
    /// Some module makes it when it runs: `sys.modules`, `__path__`, an import hook.
    RunTime,
}

/// Every module that can be reached, and every import among them.
#[derive(Debug, Default)]
pub struct ModuleGraph {
    modules: Vec<Module>,
    by_name: FxHashMap<ModuleName, ModuleId>,
    /// By importer, then in the order of the source.
    imports: Vec<Import>,
    /// Where each module's imports begin; one more than there are modules.
    starts: Vec<u32>,
    reach: Vec<reach::Reached>,
    /// Of top-level modules, what they shadow.
    rivals: BTreeMap<ModuleId, Vec<Rival>>,
    /// Attributes that other modules set: `X.attribute = …` after `import X`.
    patched: FxHashSet<(ModuleId, Box<str>)>,
    /// Modules that the configuration asks for, with the key that does.
    configured: Vec<(ModuleName, &'static str)>,
    /// What distributions that change `sys.path` have in folders of their own.
    vendored: BTreeMap<DistName, FxHashSet<Box<str>>>,
    data: Vec<DataFile>,
    /// Top-level packages that put a finder of their own on `sys.meta_path`.
    finders: FxHashSet<Box<str>>,
    /// Names that some module puts into `sys.modules`.
    runtime_modules: FxHashSet<Box<str>>,
    without: Without,
    /// What was read is being kept.
    writing: Writing,
}

/// A file or folder beside the code that a module names, e.g. `Path(__file__).parent / "x"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataFile {
    pub module: ModuleId,
    pub line: u32,
    pub path: PathBuf,
    pub found: bool,
    pub usage: Usage,
}

/// A file of the user's own that the graph reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApplicationModule {
    pub file: PathBuf,
    pub name: ModuleName,
    pub origin: Origin,
    /// The folder of the top-level import package that it belongs to; nothing for a single file.
    pub package: Option<PathBuf>,
}

/// One import as the proof tries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge<'a> {
    pub module: &'a str,
    pub names: &'a Names,
    pub importer: &'a Module,
    pub line: u32,
    pub kind: ImportKind,
    pub found: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the entry script `{}`", path.display())]
    EntryUnreadable { path: PathBuf, source: std::io::Error },
    #[error("the entry script `{}` does not parse: {message} (line {line})", path.display())]
    EntryInvalid { path: PathBuf, line: u32, message: String },
    #[error("the entry module `{module}` is not there: no entry of `sys.path` has it")]
    EntryNotFound { module: ModuleName },
    #[error("cannot start the threads that read modules")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl ModuleGraph {
    /// In the order in which they were reached; the same in every run.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.modules.iter().enumerate().map(|(at, module)| (ModuleId(at as u32), module))
    }

    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.index()]
    }

    pub fn find(&self, name: &str) -> Option<ModuleId> {
        self.by_name.get(name).copied()
    }

    /// Top-level modules that shadow others, with what they shadow, in the order of the path.
    pub fn shadowing(&self) -> impl Iterator<Item = (ModuleId, &[Rival])> {
        self.rivals.iter().map(|(id, rivals)| (*id, &rivals[..]))
    }

    /// The key of the configuration that asks for `module`, for something in it, or for something that it lies in.
    pub fn configured(&self, module: &str) -> Option<&'static str> {
        let near = |name: &ModuleName| {
            name.is_within(module) || name.top_level() == module.split('.').next().unwrap_or_default()
        };
        let exact = self.configured.iter().find(|(name, _)| name.as_str() == module);
        exact.or_else(|| self.configured.iter().find(|(name, _)| near(name))).map(|(_, key)| *key)
    }

    /// Waits until what was read is kept.
    pub fn settle(&mut self) {
        drop(std::mem::take(&mut self.writing));
    }

    /// What the configuration leaves out of the environment.
    pub fn without(&self) -> &Without {
        &self.without
    }

    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// Data that modules name relative to themselves or to a package, by module.
    pub fn data(&self) -> &[DataFile] {
        &self.data
    }

    pub fn imports_of(&self, id: ModuleId) -> &[Import] {
        &self.imports[self.starts[id.index()] as usize..self.starts[id.index() + 1] as usize]
    }

    fn look_for_data(&mut self) {
        self.data.par_iter_mut().for_each(|data| data.found = data.path.exists());
        self.data.sort();
        self.data.dedup();
    }

    fn import_at(&self, id: ModuleId, at: u32) -> &Import {
        &self.imports_of(id)[at as usize]
    }

    /// Every import, those for type checkers alone left out.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'_>> {
        self.imports.iter().filter(|import| import.kind != ImportKind::TypeChecking).map(|import| Edge {
            module: &import.module,
            names: &import.names,
            importer: self.module(import.importer),
            line: import.line,
            kind: import.kind,
            found: matches!(import.target, Target::Module(_)),
        })
    }

    /// Files of the application and of editable projects, sorted.
    pub fn application_modules(&self) -> Vec<ApplicationModule> {
        let mut found: Vec<_> = self
            .modules
            .iter()
            // The entry script is packed as such; smoke scripts, which run as `__main__` too, are not packed.
            .filter(|module| module.editable && module.name.as_str() != "__main__")
            .filter_map(|module| {
                let file = module.file.clone()?;
                if let Some(archive) = archive(&file) {
                    let (name, origin) = (module.name.clone(), module.origin.clone());
                    return Some(ApplicationModule { file: archive, name, origin, package: None });
                }
                let package = self.package_folder(module);
                Some(ApplicationModule { file, name: module.name.clone(), origin: module.origin.clone(), package })
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The folder of the outermost package around `module` that is its own: under a namespace package, the first
    /// regular package below it, or else the portion that holds the module.
    fn package_folder(&self, module: &Module) -> Option<PathBuf> {
        let mut name = String::new();
        for part in module.name.as_str().split('.') {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(part);
            let around = self.find(&name).map(|id| self.module(id))?;
            if around.kind == ModuleKind::Package {
                return around.locations.first().cloned();
            }
        }
        let file = module.file.as_deref()?;
        module.name.parent().and_then(|_| file.parent()).map(Path::to_owned)
    }
}

/// The zip file on `sys.path` that a module lies in.
fn archive(file: &Path) -> Option<PathBuf> {
    // Nearly always a file of its own.
    let around = if file.exists() { None } else { file.ancestors().skip(1).find(|around| around.is_file()) };
    around.map(Path::to_owned)
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.file == other.file
    }
}

impl Eq for Module {}
