//! Interpreter path or lock file → [`Environment`].
//!
//! One small Python script ([`facts`]) prints what only the interpreter itself can say; distributions are read
//! from their `*.dist-info` folders without running anything. With a lock file, [`create`] makes the environment
//! first. What modules there are, and what they import, is the graph's business, not this stage's.

mod ahead;
pub(crate) mod child;
pub mod create;
pub mod distribution;
pub mod facts;
pub mod find;
mod key;
mod lock;
mod pylock;
pub mod record;
pub mod requirements;
mod standalone;

use std::path::{Path, PathBuf};

pub use ahead::Again;
pub use distribution::{Distribution, EntryPoint, RecordEntry};
pub use facts::Facts;
pub use requirements::{Required, Requirements};

/// A Python interpreter together with everything that can be imported in it.
#[derive(Debug, Clone)]
pub struct Environment {
    pub facts: Facts,
    /// Sorted by name. Where one name is installed twice, the first on `sys.path` stands here, as
    /// `importlib.metadata` would find it.
    pub distributions: Vec<Distribution>,
    /// What was odd on the way but stopped nothing: an unreadable METADATA, a lock entry without a hash.
    pub notes: Vec<Note>,
}

/// Something that was seen while the environment was made or read, for the audit to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The finding's code, e.g. `unhashed-lock`, `metadata-missing`.
    pub code: &'static str,
    pub subject: String,
    pub message: String,
}

impl Environment {
    /// Reads the environment of `python`, an executable (a venv's `bin/python`, or any other interpreter).
    pub fn read(python: &Path) -> Result<Self, Error> {
        Self::with(Facts::ask(python)?)
    }

    pub fn distribution(&self, name: &str) -> Option<&Distribution> {
        self.distributions.binary_search_by(|dist| dist.name.as_str().cmp(name)).ok().map(|at| &self.distributions[at])
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Python interpreter at `{}`", path.display())]
    NoInterpreter { path: PathBuf, source: std::io::Error },
    #[error("`{}` did not say what it is ({status})\n{stderr}", path.display())]
    FactsFailed { path: PathBuf, status: String, stderr: String },
    #[error("`{}` printed something else than its facts", path.display())]
    FactsUnreadable { path: PathBuf, source: serde_json::Error },
    #[error("Python {version} at `{}` is not supported: 3.9 to 3.15 are", path.display())]
    UnsupportedVersion { path: PathBuf, version: String },
    #[error("{implementation} at `{}` is not supported: CPython is", path.display())]
    UnsupportedImplementation { path: PathBuf, implementation: String },
    #[error("no environment found: {looked}")]
    NotFound { looked: String },
    #[error("no Python {wanted} found; looked on PATH, in pyenv's and in uv's folders")]
    VersionNotFound { wanted: String },
    #[error("{asked_by} asks for Python {version}")]
    NotAsAsked { asked_by: &'static str, version: String, source: Box<Self> },
    #[error("`[python] distribution` is Python {is}")]
    AnotherVersion { is: String },
    #[error("cannot read the lock file `{}`", path.display())]
    LockUnreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}`, line {line}: {message}", path.display())]
    LockInvalid { path: PathBuf, line: usize, message: String },
    #[error("{installer} could not make the environment (exit status {status}); its last words:\n{stderr}{}", hint.as_deref().unwrap_or_default())]
    InstallFailed { installer: String, status: String, stderr: String, hint: Option<String> },
    #[error("cannot run `{program}`")]
    Spawn { program: String, source: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
