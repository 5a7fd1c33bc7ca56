//! What one import did on one side, as the script in `smoke/` reports it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::leftover;
use super::proof::Kind;

/// One line of the results' file.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub nonce: String,
    #[serde(flatten)]
    pub report: Report,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Report {
    Begin {
        id: usize,
    },
    Outcome {
        id: usize,
        outcome: Outcome,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Inventory(Box<Inventory>),
    Done {
        /// Tests of pytest's.
        #[serde(default)]
        passed: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Imported(Imported),
    Failed(Failure),
    /// The process ended, or was ended, before the import reported.
    Lost(Lost),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Imported {
    /// Names that the module does not give, with what the attempt raised if it was not plain absence.
    pub missing: Vec<(String, Option<Failure>)>,
    /// `__name__` of the module that the import gave.
    pub module: String,
    /// `package`, `file`, `extension`, `namespace` or `built-in`.
    pub origin: String,
    pub owner: String,
    /// Relative to whatever entry of `sys.path` it was found in.
    pub file: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Failure {
    #[serde(rename = "type")]
    pub exception: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Lost {
    pub how: String,
    pub output: String,
}

/// What a process held in the end, be it after its imports or after a script; the latter has no names and nothing of
/// the distributions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Inventory {
    pub prefix: String,
    pub path: Vec<String>,
    /// Module → file.
    pub files: BTreeMap<String, String>,
    /// Modules from folders of the application's.
    pub own: Vec<String>,
    /// Module → digests of its file, and of its code where it has any.
    pub contents: BTreeMap<String, (String, String)>,
    /// Module → the names that it binds.
    pub names: BTreeMap<String, String>,
    pub mapped: Vec<String>,
    /// Path of a mapped library → digest of its machine code.
    pub libraries: BTreeMap<String, String>,
    /// Path → who opened it first; what lies in known folders left out.
    pub opened: BTreeMap<String, String>,
    /// Program → who started it first.
    pub started: BTreeMap<String, String>,
    /// File in a known folder that was opened for writing → who did first.
    pub written: BTreeMap<String, String>,
    /// What lay in folders that should be empty.
    pub litter: Vec<String>,
    /// Host → who called it first.
    pub network: BTreeMap<String, String>,
    /// Normalised name → version.
    pub distributions: BTreeMap<String, String>,
    pub entry_points: BTreeMap<String, Vec<String>>,
    /// Normalised name → what RECORD lists and is not there as listed.
    pub records: BTreeMap<String, Vec<String>>,
    /// Top-level package → names in its folder.
    pub resources: BTreeMap<String, Vec<String>>,
    /// The environment of a child process.
    pub child: BTreeMap<String, String>,
}

impl Inventory {
    /// What it opened, called and wrote to, each by a name that it has in every run, and who did first; without
    /// what is made anew for one run.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Kind, Cow<'_, str>, &str)> {
        let lists = [(Kind::Opened, &self.opened), (Kind::Network, &self.network), (Kind::Tree, &self.written)];
        let lasting =
            lists.into_iter().flat_map(|(kind, seen)| seen.iter().map(move |(subject, who)| (kind, subject, who)));
        lasting.filter(|(_, subject, _)| !subject.starts_with("<scratch>")).map(|(kind, subject, who)| {
            let subject = if kind == Kind::Opened { leftover::opened(subject) } else { subject.into() };
            (kind, subject, who.as_str())
        })
    }
}

impl Imported {
    /// Kind and file, e.g. `package spool/__init__.py`.
    pub(super) fn place(&self) -> String {
        let file = if self.file.is_empty() { String::new() } else { format!(" `{}`", self.file) };
        let owner = if self.owner.is_empty() { String::new() } else { format!(" of the {}", self.owner) };
        format!("{}{file}{owner}", self.origin)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.exception, self.message)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::Lost(lost) => write!(f, "did not come back: {}", lost.how),
            Self::Imported(imported) if imported.missing.is_empty() => f.write_str("imports"),
            Self::Imported(imported) => {
                let names: Vec<String> = imported
                    .missing
                    .iter()
                    .map(|(name, failure)| match failure {
                        Some(failure) => format!("`{name}` ({failure})"),
                        None => format!("`{name}`"),
                    })
                    .collect();
                write!(f, "imports from {}, without {}", imported.place(), names.join(", "))
            }
        }
    }
}
