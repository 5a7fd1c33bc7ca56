//! Environment, application and what the graph reached → [`Layout`]: the one place that decides which file lies
//! where in the artifact, from which source, and with which patch.
//!
//! A layout is complete, sorted and free of collisions before a byte is written. Files are listed here, not read,
//! but for the few that are changed on the way: the interpreter's ELF files, scripts, `.pth` lines, `_sysconfigdata`.
//!
//! ```text
//! bin/NAME               the interpreter; bin/python and its like are links to it
//! lib/libpythonX.Y.so…   its shared library, if it has one
//! lib/*.so…              shared libraries of the build machine that something in the tree needs
//! lib/tclX.Y/, tkX.Y/    scripts that two of those need
//! lib/pythonX.Y/         the standard library, with site-packages (or what this interpreter calls it)
//! app/                   the project, as far as it is packed
//! path/N-…/              folders of sys.path that lie elsewhere
//! ```

mod application;
mod builder;
mod bytecode;
mod distributions;
mod headers;
mod interpreter;
mod libraries;
mod pathfile;
mod record;
mod relocation;
mod roots;
mod startup;
mod tcl;
mod unneeded;
mod variables;
mod walk;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::{Config, EnvironmentSource};
use crate::environment::Environment;
use crate::format::{ArchivePath, InvalidArchivePath};
use crate::graph::{ApplicationModule, Without};
use crate::names::DistName;
use crate::native::relocate::Relocation;
use crate::native::{Native, Opened};

pub use roots::changes_roots;
pub use startup::StartEntry;

use builder::Builder;
use pathfile::Places;
pub(crate) use pathfile::normalise;
pub use walk::Trees;

/// Every entry of the tree that the artifact unpacks to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    pub entries: BTreeMap<ArchivePath, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub source: Source,
    /// Owner's, group's and others' permission bits, e.g. `0o755`; without meaning for a link.
    pub mode: u32,
    pub origin: Origin,
}

/// Where an entry's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file on the disk, as it is.
    File(PathBuf),
    /// A file on the disk with a change; the bytes are what the artifact gets.
    Patched { path: PathBuf, bytes: Vec<u8>, why: &'static str },
    /// An ELF file of the disk with a change in place, which is made when it is packed: an audit needs no more than that it
    /// can be.
    Relocated { path: PathBuf, relocation: Relocation, why: &'static str },
    /// Made by packproof.
    Generated(Vec<u8>),
    /// Bytecode of another entry, which holds Python source: `__pycache__/x.cpython-311.pyc` of `x.py`.
    Bytecode { of: ArchivePath },
    /// A symbolic link; the target is relative and stays inside the tree.
    Link(String),
    /// A folder that would otherwise be missing because nothing lies in it.
    EmptyFolder,
}

impl Source {
    /// The file on the disk that it is, or is made of.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Patched { path, .. } | Self::Relocated { path, .. } => Some(path),
            Self::Generated(_) | Self::Bytecode { .. } | Self::Link(_) | Self::EmptyFolder => None,
        }
    }

    /// What of a file of the disk is changed, in a few words; nothing where it stays as it is.
    pub fn change(&self) -> Option<&'static str> {
        match self {
            Self::Patched { why, .. } | Self::Relocated { why, .. } => Some(why),
            Self::File(_) | Self::Generated(_) | Self::Bytecode { .. } | Self::Link(_) | Self::EmptyFolder => None,
        }
    }

    /// What the artifact gets; nothing for bytecode, links and folders.
    pub fn content(&self) -> std::io::Result<Option<Cow<'_, [u8]>>> {
        Ok(match self {
            Self::File(path) => Some(Cow::Owned(fs_err::read(path)?)),
            Self::Patched { bytes, .. } | Self::Generated(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Relocated { path, relocation, .. } => Some(Cow::Owned(relocation.read(path)?)),
            Self::Bytecode { .. } | Self::Link(_) | Self::EmptyFolder => None,
        })
    }
}

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Interpreter,
    Stdlib,
    Distribution(DistName),
    Application,
    /// A shared library of the build machine's.
    System,
    /// Made by packproof: start-up code, links.
    Packproof,
    /// In site-packages, but in no distribution's RECORD.
    Unowned,
}

/// What the graph reached, as far as the layout needs to know.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    /// Modules of the application and of editable projects.
    pub application: Vec<ApplicationModule>,
    /// Distributions that any import leads to.
    pub distributions: BTreeSet<DistName>,
    /// Something asks for entry points of a group whose name only the run knows.
    pub asks_for_any_plugin: bool,
    /// Top-level packages of the standard library that any import leads to.
    pub stdlib: BTreeSet<String>,
    /// Among them those that the application imports, as far as can be told, whenever it runs.
    pub stdlib_surely: BTreeSet<String>,
    /// Files of the extension modules that it imports whenever it runs, links followed.
    pub extensions_surely: BTreeSet<PathBuf>,
    /// What hooks say of data outside of distributions: whose, and where it lies below the environment's prefix.
    pub data: Vec<(DistName, PathBuf)>,
    /// A hook says that extension modules are compiled.
    pub headers: bool,
    /// Modules' sources → the libraries that they open by name; of a hook's the distribution's METADATA stands for them.
    pub opened: BTreeMap<PathBuf, Vec<Opened>>,
}

/// A layout with what the later stages must know about it.
#[derive(Debug, Clone)]
pub struct Planned {
    pub layout: Layout,
    /// The interpreter, in the tree.
    pub interpreter: ArchivePath,
    pub entry: StartEntry,
    /// Folders on disk → folders in the tree, for everything that `sys.path` names: the longest prefix counts.
    pub places: Vec<(PathBuf, ArchivePath)>,
    /// What was left out on purpose, for the summary.
    pub left_out: Vec<LeftOut>,
    /// Distributions that are packed though nothing leads to them: an interpreter's own environment may hold many.
    pub unreached: BTreeSet<DistName>,
    /// Every ELF file of the layout, and where what it needs comes from.
    pub native: Native,
}

/// Something that a user might look for in the artifact and not find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub what: String,
    pub why: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("two files want to lie at `{path}` in the artifact: {first} and {second}")]
    Collision { path: ArchivePath, first: String, second: String },
    #[error(transparent)]
    Path(#[from] InvalidArchivePath),
    #[error("`{}` is not a name that the artifact can hold: it is not UTF-8", path.display())]
    Name { path: PathBuf },
    #[error("`{}` has no place in the artifact: it lies outside the project; add its folder to `[runner] path`", path.display())]
    Outside { path: PathBuf },
    #[error("`{}` cannot be relocated: {source}; pack with another interpreter, e.g. one of python-build-standalone", path.display())]
    Relocate { path: PathBuf, source: crate::native::relocate::Error },
    #[error("the interpreter's shared library `{name}` is not in `{}`", folder.display())]
    NoLibrary { name: String, folder: PathBuf },
    #[error("{reason}; name the artifact otherwise in `[runner] name`")]
    NameTaken { reason: String },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("cannot list the project's files")]
    Walk(#[from] ignore::Error),
}

/// Decides where everything lies. `trees` are folders that are listed already, as far as they are; `cache` is where facts
/// about ELF files are kept; `without` is what stays behind.
pub fn plan(
    config: &Config,
    environment: &Environment,
    reached: &Reached,
    trees: &Trees,
    without: &Without,
    cache: Option<&Path>,
) -> Result<Planned, Error> {
    let facts = &environment.facts;
    let mut builder = Builder::default();
    let mut left_out = Vec::new();

    let places = Places::new(config, environment)?;
    let name = &config.runner.name;
    let interpreter = interpreter::add(&mut builder, facts, name, &reached.stdlib, trees, without)?;
    if reached.headers {
        headers::add(&mut builder, facts)?;
    }

    let seeds = match config.environment {
        // A lock file names what it wants.
        EnvironmentSource::Lock(_) => BTreeSet::new(),
        EnvironmentSource::Python(_) => unneeded::seeds(environment, &reached.distributions),
    };
    let excluded = &config.runner.exclude.distributions;
    let mut unreached = unneeded::unreached(environment, reached, &config.audit.declared);
    unreached.retain(|dist| !seeds.contains(dist) && !excluded.contains(dist));
    let pruned = if config.runner.prune { std::mem::take(&mut unreached) } else { BTreeSet::new() };
    left_out.extend(seeds.iter().map(|seed| LeftOut {
        what: seed.to_string(),
        why: "an installer's own distribution that nothing reaches or requires",
    }));
    let why = "nothing imports or requires it (prune)";
    left_out.extend(pruned.iter().map(|dist| LeftOut { what: dist.to_string(), why }));
    let named = "`[runner] exclude` names it";
    left_out.extend(excluded.iter().map(|dist| LeftOut { what: dist.to_string(), why: named }));
    let modules = config.runner.exclude.modules.iter();
    left_out.extend(modules.map(|module| LeftOut { what: format!("the module `{module}`"), why: named }));
    let absent: BTreeSet<DistName> = seeds.into_iter().chain(pruned).chain(excluded.iter().cloned()).collect();
    distributions::add(&mut builder, environment, &places, &absent, name, trees, without)?;
    let data = reached.data.iter().filter(|(dist, _)| !absent.contains(dist));
    distributions::data(&mut builder, data, facts)?;
    left_out.extend(application::add(&mut builder, config, &places, &reached.application, without)?);
    let entry = startup::add(&mut builder, config, facts, &places)?;
    bytecode::add(&mut builder, facts)?;
    let native = libraries::add(&mut builder, config, facts, &interpreter, reached, cache)?;
    roots::add(&mut builder, facts, &native.closure)?;
    tcl::add(&mut builder, &native.closure)?;
    // Last, when every file is as it will be packed.
    record::adapt(&mut builder)?;

    let places = places.all().to_vec();
    Ok(Planned { layout: builder.finish(), interpreter, entry, places, left_out, unreached, native })
}

/// A relative path on the disk as one in the artifact.
fn below(root: &str, relative: &Path) -> Result<ArchivePath, Error> {
    let text = relative.to_str().ok_or_else(|| Error::Name { path: relative.to_owned() })?;
    let path = if root.is_empty() { text.to_owned() } else { format!("{root}/{text}") };
    Ok(ArchivePath::new(path)?)
}
