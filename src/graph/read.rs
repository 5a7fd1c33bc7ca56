//! A module's file → what its source says, read anew or kept from an earlier run.
//!
//! What is kept goes by the file's stamp, the target that conditions were decided for, and the code that reads.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::condition::Target;
use super::source::{self, Uninspectable};
use super::syntax::{self, Syntax};
use crate::cache::stamped::{Stamp, Stamped, Writing};

/// Other readers, other answers.
const CODE: [&str; 13] = [
    include_str!("all.rs"),
    include_str!("assign.rs"),
    include_str!("collect.rs"),
    include_str!("condition.rs"),
    include_str!("data.rs"),
    include_str!("elsewhere.rs"),
    include_str!("guard.rs"),
    include_str!("imports.rs"),
    include_str!("probe.rs"),
    include_str!("read.rs"),
    include_str!("sites.rs"),
    include_str!("source.rs"),
    include_str!("syntax.rs"),
];

pub(super) enum Read {
    Source(Box<Source>),
    /// An extension, built-in or namespace.
    NoSource,
    Unreadable(std::io::Error),
}

/// One source.
#[derive(Serialize, Deserialize)]
pub(super) struct Source {
    pub says: Result<Syntax, Uninspectable>,
    /// SHA-256, which RECORD has too.
    pub digest: [u8; 32],
}

pub(super) struct Reader {
    target: Arc<Target>,
    kept: Stamped,
}

impl Reader {
    /// `environment` is the folder of whatever the sources belong to.
    pub(super) fn new(target: Target, environment: &Path, cache: Option<&Path>) -> Self {
        let code = blake3::hash(CODE.concat().as_bytes());
        let decided_for = format!("{target:?}");
        let key = [code.as_bytes(), decided_for.as_bytes(), environment.as_os_str().as_encoded_bytes()];
        Self { target: Arc::new(target), kept: Stamped::open(cache, "syntax", &key) }
    }

    /// `main` says whether it runs as `__main__`.
    pub(super) fn read(&self, file: &Path, main: bool) -> Read {
        let stamp = if main { None } else { Stamp::of(file) };
        if let Some(source) = stamp.and_then(|stamp| self.kept.get(file, stamp)) {
            return Read::Source(Box::new(source));
        }
        let bytes = match fs_err::read(file) {
            Ok(bytes) => bytes,
            Err(error) => return Read::Unreadable(error),
        };
        let digest = Sha256::digest(&bytes).into();
        let says = source::decode(bytes).and_then(|text| syntax::read(&text, &self.target, main));
        let source = Source { says, digest };
        if let Some(stamp) = stamp {
            self.kept.put(file, stamp, &source);
        }
        Read::Source(Box::new(source))
    }

    /// Goes on beside.
    pub(super) fn keep(self) -> Writing {
        self.kept.save_beside()
    }
}
