//! The text of one module → what it imports, which names it binds, and what it does that no table can hold.
//!
//! A pure function of the text and the target; nothing is resolved here.

use std::sync::Arc;

use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use serde::{Deserialize, Serialize};

use super::ask::Observed;
use super::collect::Collector;
use super::condition::Target;
use super::data::DataSite;
use super::sites::Site;
use super::source::{Lines, Uninspectable};

/// When an import takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// Whenever the module is imported.
    Unconditional,
    /// In a function, when that is called; of a lazy import, when its name is first used.
    Deferred,
    /// Its failure is caught, or a condition that cannot be decided here stands before it.
    Guarded,
    /// `importlib.import_module`, `__import__`, a hook, or the configuration.
    Dynamic,
    /// For type checkers only: never when it runs.
    TypeChecking,
}

impl ImportKind {
    /// As it stands before "import" in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unconditional => "unconditional",
            Self::Deferred => "deferred",
            Self::Guarded => "guarded",
            Self::Dynamic => "dynamic",
            Self::TypeChecking => "type checkers'",
        }
    }
}

/// One `import` statement's alias, one `from` statement, or one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawImport {
    pub line: u32,
    pub kind: ImportKind,
    pub module: Asked,
    pub names: Names,
}

/// The module as the source asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Asked {
    Absolute(Box<str>),
    /// `from ..x import y`: level 2, `x`. The rest is empty for `from . import y`.
    Relative {
        level: u32,
        rest: Box<str>,
    },
    /// `f"{__name__}.x"`: the rest holds `.x`.
    OwnName(Box<str>),
}

/// What is taken out of the imported module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// `import x`
    Module,
    /// `from x import *`
    Star,
    /// `from x import a, b`
    Listed(Box<[Box<str>]>),
}

/// In the place of an attribute's name that is computed.
pub(super) const ANY: &str = "*";

/// A module's table of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one module")]
pub struct Symbols {
    /// Sorted: names that any statement of the module may bind.
    pub(super) bound: Box<[Box<str>]>,
    /// Sorted: names that it binds on another platform or version alone.
    pub(super) elsewhere: Box<[Box<str>]>,
    /// Places in [`Syntax::imports`] of `from x import *` in module scope.
    pub(super) stars: Vec<u32>,
    pub(super) all: Option<All>,
    /// Why names that are not in `bound` may exist all the same.
    pub(super) opaque: Option<Opaque>,
    /// `__path__` is changed, an import hook installed, or `sys.modules` filled with names that cannot be read: its
    /// submodules cannot be told.
    pub(super) open_submodules: bool,
    /// A call in module scope is handed `__name__`: where the callee changes `sys.modules`, the module itself may go.
    pub(super) passes_name: bool,
    /// Functions, with dots, that module scope calls for nothing but their effect.
    pub(super) effects: Vec<Box<str>>,
    /// It writes to `sys.modules` under names that it is given.
    pub(super) writes_modules: bool,
    /// It puts a finder of its own on `sys.meta_path`.
    pub(super) installs_finder: bool,
    /// Sorted: names of modules that it takes out of `sys.modules`, and may then change.
    pub(super) touched: Box<[Box<str>]>,
    /// Names that the module puts into `sys.modules`.
    pub(super) registers: Box<[Box<str>]>,
    /// `local.attribute = …`, where an import binds `local`; [`ANY`] for names that are computed.
    pub(super) patches: Vec<(Box<str>, Box<str>)>,
    /// Where `sys.path` is changed.
    pub(super) changes_path: Option<u32>,
    /// What a child interpreter saw, where one was asked.
    #[serde(skip)]
    pub(super) observed: Option<Observed>,
}

impl Symbols {
    /// Where `sys.path` is changed.
    pub fn changes_path(&self) -> Option<u32> {
        self.changes_path
    }

    /// Whether another platform or version has `name` there.
    pub fn has_elsewhere(&self, name: &str) -> bool {
        self.elsewhere.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    /// Why names beyond the table may exist.
    pub fn opaque(&self) -> Option<Opaque> {
        self.opaque
    }
}

/// `__all__` as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct All {
    pub names: Vec<Box<str>>,
    /// More is added that cannot be read here, e.g. another module's `__all__`.
    pub open: bool,
}

/// Why a module may have names that its statements do not bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opaque {
    /// PEP 562, lazy loaders among them.
    ModuleGetattr,
    /// `exec` with the module's names.
    Exec,
    /// `globals()`, `vars()` or the module's `__dict__` handed on.
    GlobalsChanged,
    /// `sys.modules[__name__]` read or replaced.
    ReplacesItself,
    /// A function of an extension module's is called for its effect, which may be names.
    NativeCall,
    /// Another module sets attributes of it under names that are computed.
    FilledByAnother,
    /// A star import of something whose names cannot be told.
    StarImport,
    /// Extension, built-in and frozen modules without source, bytecode without source.
    NoSource,
    /// The source does not parse.
    Uninspectable,
}

/// A place where a module looks through `sys.path` itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub line: u32,
    /// It executes what it finds.
    pub loads: bool,
    /// It puts a module into `sys.modules`.
    pub replaces: bool,
    /// String literals that look like a module or a file: what it may be looking for.
    pub literals: Vec<Box<str>>,
    /// It builds what it looks for from its own name.
    pub own_name: bool,
}

impl Probe {
    /// Whether it may be `stem.py` that it looks for.
    pub fn may_find(&self, stem: &str) -> bool {
        self.own_name || self.literals.iter().any(|text| &**text == stem || text.strip_suffix(".py") == Some(stem))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Syntax {
    pub imports: Vec<RawImport>,
    pub symbols: Symbols,
    pub probe: Option<Probe>,
    /// Where it finds modules in another way than by an import statement.
    pub sites: Vec<Site>,
    pub data: Vec<DataSite>,
}

/// Reads `text`; `main` says whether it runs as `__main__`.
pub(super) fn read(text: &str, target: &Arc<Target>, main: bool) -> Result<Syntax, Uninspectable> {
    let [major, minor, _] = target.version.map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    let version = ruff_python_ast::PythonVersion { major, minor };
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module).with_target_version(version));
    let lines = Lines::of(text);
    let newer = parsed.unsupported_syntax_errors().first();
    let result = match (parsed.errors().first(), newer, parsed.syntax()) {
        (Some(error), ..) => {
            Err(Uninspectable { line: lines.at(error.location.start()), message: error.error.to_string() })
        }
        (None, Some(newer), _) => {
            Err(Uninspectable { line: lines.at(newer.range.start()), message: newer.to_string() })
        }
        (None, None, ruff_python_ast::Mod::Module(module)) => {
            Ok(Collector::new(target, &lines, main).collect(&module.body))
        }
        (None, None, ruff_python_ast::Mod::Expression(_)) => unreachable!("parsed in Mode::Module"),
    };
    // A tree frees itself by recursion, a level for each byte of the source at worst.
    let stack = text.len().saturating_mul(BYTES_A_LEVEL);
    if stack <= MOST_STACK {
        stacker::maybe_grow(stack, stack, move || drop(parsed));
    } else {
        // A mapping of that size may be refused. Nor is it kept for long: this process ends soon.
        std::mem::forget(parsed);
    }
    result
}

const BYTES_A_LEVEL: usize = 1024;
const MOST_STACK: usize = 1 << 30;
