//! Changes of an ELF file: run paths, and the paths that are compiled in.
//!
//! A run path is overwritten by a shorter one and padded with NUL where that is possible; a compiled-in prefix by one of
//! the same length. Nothing moves then, so no other part of the file needs to know. Only where a run path has to grow, or
//! there was none, does the `elb` crate rebuild the string table.

use std::ffi::CString;
use std::io::{self, Cursor};
use std::path::Path;

use goblin::elf::Elf;
use goblin::elf::dynamic::DT_RPATH;
use memchr::memmem;

use super::ElfFile;
use super::elf::{RunPathEntry, other_string_users, run_path_entries};

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
    #[error("its string table has no room for the run path `{new}`, and it cannot be given more: {reason}")]
    NoRoom { new: String, reason: String },
}

/// What of a file is to be changed in place, by bytes of the same number: that it can be is known beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relocation {
    /// A compiled-in path that is overwritten.
    pub prefix: Option<String>,
    pub run_path: Option<(Vec<String>, Tag)>,
}

impl Relocation {
    /// What of this source decides whether it can be: kept answers go by it.
    pub const CODE: &[u8] = include_bytes!("relocate.rs");

    /// The file with its changes.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = fs_err::read(path)?;
        if let Some(prefix) = &self.prefix {
            scrub(&mut bytes, prefix);
        }
        if let Some((folders, tag)) = &self.run_path {
            set_run_path(&mut bytes, folders, *tag).map_err(io::Error::other)?;
        }
        Ok(bytes)
    }
}

/// Joined by colons, the longest run path that [`set_run_path`] writes in place; nothing where it cannot.
pub fn room(bytes: &[u8]) -> Option<usize> {
    let elf = Elf::parse(bytes).ok().filter(|elf| elf.is_64 && elf.little_endian)?;
    let (entries, table) = run_path_entries(&elf)?;
    room_of(&entries, table, &other_string_users(&elf))
}

fn room_of(entries: &[RunPathEntry], table: usize, users: &[usize]) -> Option<usize> {
    let own = |entry: &RunPathEntry| {
        let (start, end) = (entry.string, entry.string + entry.value.len());
        (!users.iter().any(|user| (start..end).contains(&(table + user)))).then_some(entry.value.len())
    };
    entries.iter().map(own).min().flatten()
}

/// Makes `new` the whole run path of the file. In place where its old one leaves room and shares its bytes with nothing;
/// else the string table moves to the end of the file, which then has one segment more.
pub fn set_run_path(bytes: &mut Vec<u8>, new: &[String], tag: Tag) -> Result<(), Error> {
    let new = new.join(":");
    let elf = Elf::parse(bytes).map_err(|_| Error::Format)?;
    if !elf.is_64 || !elf.little_endian {
        return Err(Error::Format);
    }
    let (entries, table) = run_path_entries(&elf).unwrap_or_default();
    if entries.is_empty() && new.is_empty() {
        return Ok(());
    }
    let room = room_of(&entries, table, &other_string_users(&elf));
    if room.is_none_or(|room| new.len() > room) {
        let runpath = tag == Tag::Keep && elf.rpaths.is_empty();
        return grow(bytes, &new, if runpath { elb::DynamicTag::Runpath } else { elb::DynamicTag::Rpath });
    }
    for entry in entries {
        let (start, end) = (entry.string, entry.string + entry.value.len());
        bytes[start..end].fill(0);
        bytes[start..start + new.len()].copy_from_slice(new.as_bytes());
        if tag == Tag::Rpath {
            bytes[entry.entry..entry.entry + 8].copy_from_slice(&DT_RPATH.to_le_bytes());
        }
    }
    Ok(())
}

/// On some arm64 kernels a page has 64 KiB; segments that are aligned to it load everywhere.
const PAGE: u64 = if cfg!(target_arch = "aarch64") { 0x1_0000 } else { 0x1000 };

fn grow(bytes: &mut Vec<u8>, new: &str, tag: elb::DynamicTag) -> Result<(), Error> {
    let failed = |reason: String| Error::NoRoom { new: new.to_owned(), reason };
    let value = CString::new(new).map_err(|error| failed(error.to_string()))?;
    let mut file = Cursor::new(bytes.clone());
    let grown = elb::Elf::read(&mut file, PAGE).and_then(|elf| {
        let mut patcher = elb::ElfPatcher::new(elf, file);
        patcher.set_page_size(PAGE);
        patcher.set_dynamic_tag(tag, value.as_c_str())?;
        patcher.finish()
    });
    let grown = grown.map_err(|error| failed(error.to_string()))?.into_inner();
    // Without section headers it changes nothing, and says nothing.
    let elf = ElfFile::parse(&grown).ok_or(Error::Format)?;
    if elf.run_paths().join(":") != new {
        return Err(failed("it has no section headers".to_owned()));
    }
    *bytes = grown;
    Ok(())
}

/// Whether there is anything for [`scrub`] to do.
pub fn holds(bytes: &[u8], path: &str) -> bool {
    places_of(bytes, path).next().is_some()
}

fn places_of<'a>(bytes: &'a [u8], path: &'a str) -> impl Iterator<Item = usize> {
    let longer = |next: &u8| next.is_ascii_alphanumeric() || b"-_.".contains(next);
    // `/opt/py` is not to be found in `/opt/python`.
    memmem::find_iter(bytes, path.as_bytes()).filter(move |at| !bytes.get(at + path.len()).is_some_and(longer))
}

/// Overwrites `path` wherever it stands, with a path of the same length that exists nowhere. Says how often.
///
/// The last part stays: linkers let one string end in another, and in an interpreter that pyenv built for itself
/// `Py_GetVersion` reads the `3.11.7` of `/opt/versions/3.11.7`.
///
/// An interpreter falls back to its compiled-in prefix when it cannot find itself: on the build machine that would
/// work by accident, elsewhere it would not.
pub fn scrub(bytes: &mut [u8], path: &str) -> usize {
    let found: Vec<usize> = places_of(bytes, path).collect();
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
        assert!(holds(&bytes, "/opt/py"));
        assert_eq!(scrub(&mut bytes, "/opt/py"), 2);
        assert_eq!(bytes, b"\0/pac/py/lib\0/opt/python\0PREFIX=/pac/py\0");
        assert!(!holds(&bytes, "/opt/py") && holds(&bytes, "/opt/python"));
        assert_eq!(nowhere(11), "/packproof_");
    }

    #[test]
    fn what_is_no_elf_is_refused() {
        assert_eq!(set_run_path(&mut b"#!/bin/sh".to_vec(), &["$ORIGIN".to_owned()], Tag::Keep), Err(Error::Format));
    }

    /// On a program of the machine's own, whose run path (it has none) has to grow, then shrinks in place.
    #[test]
    fn a_run_path_grows_once_and_shrinks_in_place() {
        let list = |text: &str| vec![text.to_owned()];
        let mut bytes = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        set_run_path(&mut bytes, &list("$ORIGIN/../lib:$ORIGIN"), Tag::Rpath).unwrap();
        assert_eq!(ElfFile::parse(&bytes).unwrap().rpath, ["$ORIGIN/../lib", "$ORIGIN"]);
        let grown = bytes.clone();
        assert_eq!(room(&grown), Some("$ORIGIN/../lib:$ORIGIN".len()));
        set_run_path(&mut bytes, &list("$ORIGIN"), Tag::Keep).unwrap();
        assert_eq!(ElfFile::parse(&bytes).unwrap().rpath, ["$ORIGIN"]);
        assert_eq!(bytes.len(), grown.len());
        assert_eq!(bytes.iter().zip(&grown).filter(|(a, b)| a != b).count(), "/../lib:$ORIGIN".len());

        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs_err::write(&program, &bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&program, mode).unwrap();
        assert_eq!(Relocation::default().read(&program).unwrap(), bytes);
        let relocation =
            Relocation { prefix: Some("/nowhere/at/all".to_owned()), run_path: Some((list("$ORIGIN/x"), Tag::Rpath)) };
        assert_eq!(ElfFile::parse(&relocation.read(&program).unwrap()).unwrap().rpath, ["$ORIGIN/x"]);
        let output =
            std::process::Command::new("/bin/sh").args(["-c", "exec \"$0\" --list"]).arg(&program).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
