//! `packproof.toml`, or `[tool.packproof]` in `pyproject.toml` → [`Config`].
//!
//! [`raw`] is what serde reads, spans kept; [`Config`] is what the other stages take: validated, paths absolute,
//! arguments of the command line laid over it.

mod beside;
mod environment;
mod exclude;
mod load;
mod patterns;
mod raw;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::names::{DistName, ModuleName};

pub use exclude::Exclude;
pub use patterns::Patterns;

#[derive(Debug, Clone)]
pub struct Config {
    /// The project's folder, absolute. Paths below are absolute too, unless they say otherwise.
    pub root: PathBuf,
    pub runner: Runner,
    pub environment: EnvironmentSource,
    pub audit: Audit,
    pub licenses: Licenses,
    /// Rust crates that are extension modules of the application.
    pub crates: Vec<Crate>,
    pub smoke: Smoke,
    pub startup: Startup,
    /// In the order in which they are tried.
    pub starts: Vec<Start>,
}

#[derive(Debug, Clone)]
pub struct Runner {
    pub name: String,
    pub entry: Entry,
    /// Further folders on `sys.path`, before the standard library, as `PYTHONPATH` would put them there.
    pub path: Vec<PathBuf>,
    /// Globs relative to the root.
    pub include: Patterns,
    pub exclude: Exclude,
    /// Whether distributions that nothing reaches or requires stay behind.
    pub prune: bool,
    pub hidden_imports: Vec<ModuleName>,
    /// Folders with hooks of the project's own.
    pub hooks: Vec<PathBuf>,
    /// Whether `PACKPROOF=python` turns the artifact into its interpreter.
    pub interpreter: bool,
    pub strip: Strip,
}

/// Whose ELF files lose their symbol tables and debugging sections. What the dynamic loader reads stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strip {
    None,
    /// The interpreter's own: the executable, its library, the extension modules of the standard library.
    #[default]
    Interpreter,
    /// Those of distributions too.
    All,
}

/// How the interpreter of the artifact starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Startup {
    pub gc: Collector,
}

/// The garbage collector while modules are being imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collector {
    #[default]
    Default,
    /// It runs seldom until hardly a module is imported any more.
    Relaxed,
}

/// What the command line lays over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub python: Option<PathBuf>,
    pub output: Option<PathBuf>,
    pub path: Vec<PathBuf>,
    pub module: Option<ModuleName>,
    pub allow: Vec<Allowance>,
    pub prune: bool,
}

/// What the artifact runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `python main.py`
    Script(PathBuf),
    /// `python -m package`
    Module(ModuleName),
    /// `package.module:function`, as a console script calls it.
    Function { module: ModuleName, function: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentSource {
    /// An existing interpreter, a virtual environment's as a rule.
    Python(PathBuf),
    Lock(Lock),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    pub path: PathBuf,
    pub python_version: Option<PythonVersion>,
    /// Project folders that are installed editable.
    pub editable: Vec<PathBuf>,
    /// `[python] distribution`: a folder, or an archive.
    pub distribution: Option<PathBuf>,
    pub allow_sdist: Vec<DistName>,
    /// Index URLs; empty: the installer's own.
    pub indexes: Option<Vec<String>>,
    pub find_links: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonVersion {
    /// `3.11`, or `3.11.7`
    pub version: String,
    /// The key or file that asks for it.
    pub asked_by: &'static str,
}

#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// `2.36`
    pub max_glibc: Option<String>,
    pub allow: Vec<Allowance>,
    /// `[project] dependencies` of the pyproject.toml beside the configuration, as written.
    pub declared: Vec<String>,
    /// All of its `[project.optional-dependencies]`.
    pub optional: Vec<String>,
}

/// Which licences the artifact may hold.
#[derive(Debug, Clone, Default)]
pub struct Licenses {
    /// SPDX identifiers, `GPL-3.0-or-later` or `GPL-2.0 WITH Classpath-exception-2.0`. Empty: every one that is not denied.
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    /// Distribution or library → the SPDX expression that it is really under.
    pub clarify: BTreeMap<String, String>,
}

/// `[[crate]]`: one of the application's own, built with Cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// The package's folder.
    pub path: PathBuf,
    /// Under which name Python imports it; else the library's.
    pub module: Option<ModuleName>,
    pub features: Vec<String>,
}

/// A finding that the project has looked at and takes as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub code: String,
    pub subject: String,
    pub reason: String,
}

#[derive(Debug, Clone, Default)]
pub struct Smoke {
    pub imports: Vec<SmokeImport>,
    pub scripts: Vec<PathBuf>,
    /// Files or folders for the environment's pytest.
    pub pytest: Vec<PathBuf>,
}

/// `module:Name,Name`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SmokeImport {
    pub module: ModuleName,
    pub names: Vec<String>,
}

/// How the proof starts the artifact as in production. `{tmp}` in any string stands for a folder of the probe's own,
/// `{port}` for a port that nobody uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// `start`, unless said.
    pub name: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// What it reads from its standard input; nothing: the input is empty.
    pub stdin: Option<String>,
    /// Commands that run from the environment, in the project's folder, while the probe lasts.
    pub with: Vec<String>,
    /// Nothing: it does its work and ends.
    pub ready: Option<Ready>,
    /// A regular expression that the whole output must match somewhere.
    pub output: Option<String>,
    /// Sent once it is ready, e.g. `SIGTERM`.
    pub stop: String,
    pub exit_code: i32,
    /// Seconds, for each of getting ready and stopping.
    pub timeout: u64,
}

/// What says that the application is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// In the output, as it stands.
    Text(String),
    /// In the output.
    Regex(String),
    /// `127.0.0.1:8000` takes a connection.
    Tcp(String),
    /// A socket of the file system takes a connection.
    Unix(String),
    /// The answer to a GET has this status.
    Http { url: String, status: u16 },
}

/// The signals that `[start] stop` may name.
pub const STOP_SIGNALS: &[&str] = &["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` cannot be opened", path.display())]
    Target { path: PathBuf, source: std::io::Error },
    #[error(
        "`{}` is a zip archive, and no script: unpack it (`python3 -m zipfile -e FILE FOLDER`), and name the folder",
        path.display()
    )]
    Archive { path: PathBuf },
    #[error("`{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not valid: {error}", path.display())]
    Syntax {
        path: PathBuf,
        // Shown in the message, so not a source: it would be printed twice.
        error: Box<toml::de::Error>,
    },
    #[error("`{}`, line {line}: {message}\n  | {text}", path.display())]
    Invalid { path: PathBuf, line: usize, text: String, message: String },
    #[error(
        "nothing says what `{}` runs: name the script (`packproof build main.py`), a folder with `__main__.py`, a package (`--module PKG`), or set \
         `[runner] entry` in packproof.toml{commands}",
        root.display()
    )]
    NoEntry { root: PathBuf, commands: String },
    #[error(
        "{looked}; name one with `--python VENV/bin/python`, or set `[environment] lock` or `python` \
         in packproof.toml"
    )]
    NoEnvironment { looked: String },
    #[error("`{name}` cannot be the artifact's name: {rule}")]
    Name { name: String, rule: &'static str },
}
