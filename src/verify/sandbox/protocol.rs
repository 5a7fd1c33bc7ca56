//! What the tool and the sandbox's first process say to each other: one JSON object a line, requests on its
//! standard input, events on its standard output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ask::Ask;

/// Carries the [`Spec`] to the re-executed tool. Nothing that the sandbox runs inherits it.
pub(super) const VARIABLE: &str = "PACKPROOF_SANDBOX";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spec {
    pub role: Role,
    pub network: Join,
    /// An empty folder that the new root is mounted on.
    pub mount_point: PathBuf,
    pub view: View,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// Makes the namespaces, then starts `Init` as the first process of the new PID namespace.
    Outer,
    /// Builds the root, lets go of every privilege, then serves requests.
    Init,
    /// Serves requests where namespaces are not to be had.
    Bare,
}

/// The network that a sandbox is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    Machine,
    /// A new one, with nothing but a loopback device.
    Loopback,
    /// That of the sandbox whose outer process this is.
    Sandbox(u32),
}

/// What a sandbox can see beside the system's folders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub writable: Vec<PathBuf>,
    /// They stay as they are: what is written to them is thrown away in the end, or refused where the kernel has no
    /// overlays to offer.
    pub borrowed: Vec<PathBuf>,
    /// Covered where a folder of the system holds them; everything else is absent anyway.
    pub hidden: Vec<PathBuf>,
}

/// One process to run. `env` is the whole environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    /// A file; nothing: the input is empty.
    #[serde(default)]
    pub stdin: Option<PathBuf>,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Run {
        id: u64,
        job: Job,
    },
    Signal {
        id: u64,
        signal: i32,
    },
    /// What becomes of it is answered in an event of its own.
    Ask {
        number: u64,
        ask: Ask,
    },
    /// What it has mapped, opened and started; answered in an event of its own.
    Look {
        id: u64,
    },
    /// SIGKILL to whatever jobs that are over have left running; answered in an event of its own.
    Sweep {
        number: u64,
    },
    /// SIGKILL to the process and its group.
    Kill {
        id: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    Opened {
        notes: Vec<String>,
    },
    Refused {
        reason: String,
    },
    NotStarted {
        id: u64,
        reason: String,
    },
    /// Peak resident set of the first process, and how many there were, read just before the signal was sent.
    Memory {
        id: u64,
        kib: u64,
        processes: u64,
    },
    Answer {
        number: u64,
        answer: Result<u16, String>,
    },
    Seen {
        id: u64,
        seen: Seen,
    },
    /// How many processes had to be killed.
    Swept {
        number: u64,
        left: usize,
    },
    Exited {
        id: u64,
        exit: Exit,
    },
}

/// What the processes of a job have to do with at the moment: files that are mapped or open, and programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub mapped: BTreeSet<String>,
    pub open: BTreeSet<String>,
    pub programs: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match super::signal::name(*signal) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

/// The folders of an installed system, and nobody's project.
pub(super) const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"];

/// Whether `path` is a folder of the system's or lies in one.
pub(crate) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}
