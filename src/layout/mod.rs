//! Environment, application and hooks → [`Layout`]: the one place that decides which file lies where in the
//! artifact, from which source, and with which patch.
//!
//! A layout is complete, sorted and free of collisions before a byte is written. What a file holds is not read
//! here, but for the few that are changed on the way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::format::ArchivePath;
use crate::names::DistName;

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
    /// Made by packproof.
    Generated(Vec<u8>),
    /// Bytecode of another entry, which holds Python source: `__pycache__/x.cpython-311.pyc` of `x.py`.
    Bytecode { of: ArchivePath },
    /// A symbolic link; the target is relative and stays inside the tree.
    Link(String),
    /// A folder that would otherwise be missing because nothing lies in it.
    EmptyFolder,
}

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Interpreter,
    Stdlib,
    Distribution(DistName),
    Application,
    /// Made by packproof: start-up code, links.
    Packproof,
    /// In site-packages, but in no distribution's RECORD.
    Unowned,
}
