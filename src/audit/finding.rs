//! What an audit says: data, rendered elsewhere.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One cause, however many places show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Kebab-case, e.g. `module-shadowed`.
    pub code: &'static str,
    pub severity: Severity,
    /// What it is about: a module, a distribution, a file. An allowance names it.
    pub subject: String,
    /// One sentence, without the place.
    pub message: String,
    /// What shows it, the most telling first.
    pub evidence: Vec<Evidence>,
    /// What to do, where anything can be done.
    pub cure: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An import that the application can reach will fail in the artifact, or which of two modules wins is open.
    Error,
    /// It works, but rests on something fragile.
    Warning,
    Info,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Relative to site-packages, the standard library or the project, never a path of this machine.
    pub file: Option<String>,
    /// The same file where it lies on this machine, for those who show it beside the user's own; never printed.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// From 1.
    pub line: Option<u32>,
    pub text: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}
