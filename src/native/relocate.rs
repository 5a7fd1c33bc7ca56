//! Changes of an ELF file in place: run paths, and the paths that are compiled in.
//!
//! A run path that names the build machine is overwritten by a shorter one and padded with NUL; a compiled-in prefix
//! by one of the same length. Nothing moves, so no other part of the file needs to know.

use goblin::elf::Elf;
use goblin::elf::dynamic::DT_RPATH;
use memchr::memmem;

use super::elf::{other_string_users, run_path_entries};

/// How the entry's tag comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Keep,
    /// DT_RPATH: searched before `LD_LIBRARY_PATH`, and it serves every file that the process opens and that has no
    /// RUNPATH of its own. For the executable.
    Rpath,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("it is not a 64-bit little-endian ELF file")]
    Format,
    #[error("its run path `{old}` is too short to hold `{new}`")]
    TooShort { old: String, new: String },
    #[error("its run path `{old}` shares its bytes with another name in the string table")]
    Shared { old: String },
}

/// Rewrites every run path that lies at or below `prefix` to `new`. Says whether anything was changed.
pub fn run_path(bytes: &mut [u8], prefix: &str, new: &str, tag: Tag) -> Result<bool, Error> {
    let elf = Elf::parse(bytes).map_err(|_| Error::Format)?;
    if !elf.is_64 || !elf.little_endian {
        return Err(Error::Format);
    }
    let Some((entries, table)) = run_path_entries(&elf) else { return Ok(false) };
    let users = other_string_users(&elf);

    let mut changed = false;
    for entry in entries {
        if !entry.value.split(':').any(|path| is_below(path, prefix)) {
            continue;
        }
        let (start, end) = (entry.string, entry.string + entry.value.len());
        if new.len() > entry.value.len() {
            return Err(Error::TooShort { old: entry.value, new: new.to_owned() });
        }
        if users.iter().any(|user| (start..end).contains(&(table + user))) {
            return Err(Error::Shared { old: entry.value });
        }
        bytes[start..end].fill(0);
        bytes[start..start + new.len()].copy_from_slice(new.as_bytes());
        if tag == Tag::Rpath {
            bytes[entry.entry..entry.entry + 8].copy_from_slice(&DT_RPATH.to_le_bytes());
        }
        changed = true;
    }
    Ok(changed)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Overwrites `path` wherever it stands, with a path of the same length that exists nowhere. Says how often.
///
/// The last part stays: linkers let one string end in another, and in an interpreter that pyenv built for itself
/// `Py_GetVersion` reads the `3.11.7` of `/opt/versions/3.11.7`.
///
/// An interpreter falls back to its compiled-in prefix when it cannot find itself: on the build machine that would
/// work by accident, elsewhere it would not.
pub fn scrub(bytes: &mut [u8], path: &str) -> usize {
    let longer = |next: &u8| next.is_ascii_alphanumeric() || b"-_.".contains(next);
    let found: Vec<usize> = memmem::find_iter(bytes, path.as_bytes())
        // `/opt/py` is not to be found in `/opt/python`.
        .filter(|at| !bytes.get(at + path.len()).is_some_and(longer))
        .collect();
    let kept = path.rfind('/').map_or(0, |at| path.len() - at);
    let nowhere = nowhere(if kept == path.len() { kept } else { path.len() - kept });
    for at in &found {
        bytes[*at..at + nowhere.len()].copy_from_slice(nowhere.as_bytes());
    }
    found.len()
}

/// `/packproof/relocated/relocated…`, `len` bytes.
fn nowhere(len: usize) -> String {
    let mut path: String = "/packproof".chars().chain("/relocated".chars().cycle()).take(len).collect();
    if path.len() > 1 && path.ends_with('/') {
        path.pop();
        path.push('_');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubbing_keeps_the_length_and_spares_longer_names() {
        let mut bytes = b"\0/opt/py/lib\0/opt/python\0PREFIX=/opt/py\0".to_vec();
        assert_eq!(scrub(&mut bytes, "/opt/py"), 2);
        assert_eq!(bytes, b"\0/pac/py/lib\0/opt/python\0PREFIX=/pac/py\0");
        assert_eq!(nowhere(11), "/packproof_");
    }

    #[test]
    fn what_is_no_elf_is_refused() {
        assert_eq!(run_path(&mut b"#!/bin/sh".to_vec(), "/x", "$ORIGIN", Tag::Keep), Err(Error::Format));
    }

    #[test]
    fn prefixes_are_whole_parts() {
        assert!(is_below("/opt/py/lib", "/opt/py") && is_below("/opt/py", "/opt/py"));
        assert!(!is_below("/opt/python/lib", "/opt/py"));
    }
}
