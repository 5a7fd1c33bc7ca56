//! What is to be proved: plain data, so that any command, and any test, can make one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Start;
use crate::graph::ModuleKind;

/// Everything that [`super::prove`] needs. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    pub artifact: PathBuf,
    /// The `packproof` binary, which is started again as the sandbox.
    pub tool: PathBuf,
    /// Nothing where the artifact is proved away from its environment.
    pub world: Option<World>,
    /// `sys.path[0]` and the folders of `[runner] path`, in that order.
    pub application: Vec<ApplicationFolder>,
    /// What the artifact must do without: the environment, the base interpreter, the sources, caches. The part
    /// of an interpreter that shares a system folder with others (`/usr`) is found by [`super::hidden`].
    pub hidden: Vec<PathBuf>,
    /// In the order in which both sides run them.
    pub imports: Vec<ImportCheck>,
    pub scripts: Vec<PathBuf>,
    pub pytest: Option<Pytest>,
    pub starts: Vec<StartProbe>,
    /// Without `starts`: how the application is started unpackaged, to compare what it does when it is started as it is.
    pub as_it_is: Option<StartProbe>,
    /// What no RECORD lists, the application's own files and the standard library's: place in the artifact's tree → source.
    /// They must lie there as they are, native code but for what relocation changes in it.
    pub files: BTreeMap<String, PathBuf>,
    /// Distributions that the artifact must hold, by normalised name.
    pub distributions: Vec<String>,
    pub libraries: Libraries,
    /// What went into the build → its SHA-256, for the proof to name.
    pub inputs: BTreeMap<String, String>,
    pub limits: Limits,
    /// Names the environment and everything that is imported from it: what was seen there is kept under this key in
    /// the folder. Nothing: it is run anew each time.
    pub kept: Option<(PathBuf, String)>,
    /// Where the scratch folder is made; the system's folder for temporary files if not said. Programs must be
    /// allowed to run there.
    pub scratch: Option<PathBuf>,
}

/// What was decided about the shared libraries that the application needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libraries {
    /// File names of those that the artifact brings: the system's own must not be loaded in their place.
    pub packed: BTreeSet<String>,
    /// File names of those among them that Python code opens by name.
    #[serde(default)]
    pub opened: BTreeSet<String>,
    /// File names of those that are left to the system for their licences: what needs one does without where the system
    /// has none.
    #[serde(default)]
    pub left: BTreeSet<String>,
    /// Places in the tree of programs, and of libraries of theirs, that take what they need from the system whatever the
    /// artifact brings.
    #[serde(default)]
    pub programs: BTreeSet<String>,
    /// What the proof says of the artifact's libraries, a sentence each.
    pub stated: Vec<String>,
    /// Modules of the standard library whose code packproof changed on purpose.
    pub changed: BTreeSet<String>,
}

/// The unpackaged application.
#[derive(Debug, Clone)]
pub struct World {
    /// The environment's interpreter, as the user would call it: a virtual environment's own `bin/python`.
    pub python: PathBuf,
    /// What that interpreter needs to see: prefix, base prefix, folders of `sys.path`, editable projects.
    pub expose: Vec<PathBuf>,
    /// The project's folder; helpers of the start probe run in it.
    pub root: PathBuf,
    /// Files, and folders for all in them, that the artifact does without: imports do not find them here either.
    pub without: Vec<PathBuf>,
}

/// One folder of the application's on `sys.path`, on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFolder {
    pub environment: PathBuf,
    /// Relative to the tree's root, e.g. `app`.
    pub artifact: String,
}

/// `from module import name, name`, or `import module`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCheck {
    pub module: String,
    pub names: Vec<String>,
    /// Where it is imported, the way to it from the application first: `main.py:12 → shapes:3`, or `[smoke] imports`.
    pub because: Vec<String>,
    /// Asked for by the configuration: it must succeed, not only fail alike.
    pub required: bool,
    /// How many import statements it stands for.
    pub statements: usize,
    /// It is this entry point that is loaded; `module` and `names` are empty.
    pub entry_point: Option<EntryPoint>,
    /// What a hook says that it must end up as.
    #[serde(default)]
    pub asserted: Option<ModuleKind>,
}

/// What `importlib.metadata.EntryPoint` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    pub group: String,
    pub name: String,
    pub value: String,
}

impl ImportCheck {
    /// `import module`, or `from module import …`.
    pub fn of(module: impl Into<String>, names: Vec<String>, because: impl Into<String>, required: bool) -> Self {
        let because = vec![because.into()];
        Self { module: module.into(), names, because, required, statements: 1, entry_point: None, asserted: None }
    }

    /// What a difference is called after.
    pub(super) fn subject(&self) -> String {
        match &self.entry_point {
            Some(point) => format!("{}: {} = {}", point.group, point.name, point.value),
            None => self.module.clone(),
        }
    }
}

/// Tests of the user's, for pytest.
#[derive(Debug, Clone)]
pub struct Pytest {
    pub paths: Vec<PathBuf>,
    /// pytest and what it needs: file, and where it goes below a folder of `sys.path`.
    pub files: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone)]
pub struct StartProbe {
    pub settings: Start,
    /// What starts the application unpackaged, after the interpreter: `main.py`, or `-m package`.
    pub unpackaged: Vec<String>,
}

impl StartProbe {
    /// Nothing is said of it, so that nothing is expected of it but what it does unpackaged.
    pub fn as_it_is(unpackaged: Vec<String>) -> Self {
        let settings = Start {
            name: "as it is".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            with: Vec::new(),
            ready: None,
            output: None,
            stop: "SIGTERM".to_owned(),
            exit_code: 0,
            timeout: 60,
        };
        Self { settings, unpackaged }
    }
}

/// How much a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one import; the first start of the artifact is part of its first import.
    pub import: Duration,
    pub script: Duration,
    /// What the timeouts of starts, which the configuration says, are multiplied by.
    pub multiplier: u32,
    /// Whether both sides may use the machine's network; otherwise they share a loopback device of their own.
    pub network: bool,
    /// Whether a partial isolation is a failed proof.
    pub require_isolation: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            import: Duration::from_mins(2),
            script: Duration::from_mins(5),
            multiplier: 1,
            network: false,
            require_isolation: false,
        }
    }
}

impl Limits {
    /// Everything may take `by` times as long.
    #[must_use]
    pub fn times(self, by: u32) -> Self {
        Self {
            import: self.import.saturating_mul(by),
            script: self.script.saturating_mul(by),
            multiplier: self.multiplier.saturating_mul(by),
            ..self
        }
    }
}
