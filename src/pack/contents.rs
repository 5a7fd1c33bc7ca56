//! What is in files on the disk, known without reading again those that are as they were when an earlier build read them.

use std::borrow::Cow;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::cache::stamped::Stamped;
use crate::native::{is_elf, strip};

/// Raised where stripping changes, so that nothing is taken for what another stripper left.
const STRIPPER: u32 = 2;

#[derive(Debug)]
pub(super) struct Contents {
    raw: Stamped,
    stripped: Stamped,
}

/// What matters of a file's content before its bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
    pub(super) elf: bool,
}

impl Facts {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, hash: blake3::hash(bytes).into(), elf: is_elf(bytes) }
    }
}

impl Contents {
    /// `cache` is the tool's.
    pub(super) fn open(cache: Option<&Path>) -> Self {
        Self {
            raw: Stamped::open(cache, "contents", &[b"raw"]),
            stripped: Stamped::open(cache, "contents", &[b"stripped", &STRIPPER.to_le_bytes()]),
        }
    }

    pub(super) fn facts(&self, path: &Path) -> Result<Facts, Error> {
        self.raw.get_or(path, || Ok(Facts::of(&fs::read(path).map_err(Error::Read)?)))
    }

    /// As [`read_stripped`] gives it.
    pub(super) fn stripped_facts(&self, path: &Path) -> Result<Facts, Error> {
        self.stripped.get_or(path, || Ok(Facts::of(&read_stripped(path)?)))
    }

    pub(super) fn save(self) {
        self.raw.save();
        self.stripped.save();
    }
}

/// An ELF file loses its symbols, any other file stays as it is.
pub(super) fn read_stripped(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(Error::Read)?;
    Ok(stripped(Cow::Owned(bytes)).into_owned())
}

pub(super) fn stripped(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if is_elf(&bytes) { strip::strip(&bytes).map_or(bytes, Cow::Owned) } else { bytes }
}
