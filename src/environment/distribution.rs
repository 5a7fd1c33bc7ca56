//! Installed distributions, read from their `*.dist-info` folders.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>

use std::path::PathBuf;

use crate::names::DistName;

use super::{Error, Facts, Note};

/// One installed distribution.
#[derive(Debug, Clone)]
pub struct Distribution {
    pub name: DistName,
    /// As METADATA spells it.
    pub display_name: String,
    pub version: String,
    /// The folder on `sys.path` that holds the dist-info; RECORD's paths are relative to it.
    pub site: PathBuf,
    /// The `*.dist-info` (or `*.egg-info`) folder, absolute.
    pub info: PathBuf,
    /// RECORD's lines, in its order; empty where there is no RECORD.
    pub files: Vec<RecordEntry>,
    /// `Requires-Dist`, as written.
    pub requires: Vec<String>,
    /// `Provides-Extra`
    pub extras: Vec<String>,
    pub entry_points: Vec<EntryPoint>,
    /// PEP 639 `License-Expression`, else `License`.
    pub license: Option<String>,
    /// `Classifier`
    pub classifiers: Vec<String>,
    /// The project folder of an editable installation (PEP 610 `dir_info.editable`).
    pub editable: Option<PathBuf>,
    /// The `INSTALLER` file.
    pub installer: Option<String>,
}

/// One line of RECORD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// As written: relative to [`Distribution::site`] with `/`, perhaps with `..`, or absolute.
    pub path: String,
    /// `sha256=…`, unpadded urlsafe base64.
    pub hash: Option<String>,
    pub size: Option<u64>,
}

/// One line of `entry_points.txt`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPoint {
    pub group: String,
    pub name: String,
    /// `module:attr.attr [extra]` as written.
    pub value: String,
}

/// Every distribution that `importlib.metadata` would find on the interpreter's `sys.path`.
pub(super) fn read_all(_facts: &Facts) -> Result<(Vec<Distribution>, Vec<Note>), Error> {
    Ok((Vec::new(), Vec::new()))
}
