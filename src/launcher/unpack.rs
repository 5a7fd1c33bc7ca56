//! Blocks → files, in parallel, every digest checked; and the same comparison for a tree that is there.

use std::cmp::Reverse;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, IntoRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, readlinkat, symlinkat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::umask;

use super::error::Error;
use crate::format::{self, Artifact, Digest, File, Index};

/// Why a tree could not be filled.
#[derive(Debug)]
pub(super) enum Failure {
    Artifact(format::Error),
    Io(io::Error),
}

impl Failure {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Artifact(source) => Error::Artifact(source),
            Self::Io(source) => Error::Unpack { path: path.to_owned(), source },
        }
    }
}

impl From<format::Error> for Failure {
    fn from(source: format::Error) -> Self {
        Self::Artifact(source)
    }
}

/// A caller may mask rights of its own (`UMask=0177`), and would get folders that it cannot enter. Not while this lives.
#[derive(Debug)]
pub(super) struct OwnRights(Mode);

impl OwnRights {
    pub(super) fn kept() -> Self {
        let mask = umask(Mode::empty());
        umask(mask.difference(Mode::RWXU));
        Self(mask)
    }
}

impl Drop for OwnRights {
    fn drop(&mut self) {
        umask(self.0);
    }
}

/// More threads than this only wait for the file system.
const MOST_THREADS: usize = 16;

/// Bytes of blocks in memory at a time, packed and unpacked; a larger block goes alone. Plain Python only maps what it reads,
/// so that nobody expects a first start to need gigabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Who unpacks waits here for room.
#[derive(Debug, Default)]
struct Room {
    used: Mutex<u64>,
    freed: Condvar,
}

impl Room {
    fn take(&self, bytes: u64) {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let has_none = |used: &mut u64| *used > 0 && *used + bytes > MOST_BYTES;
        *self.freed.wait_while(used, has_none).unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    fn give_back(&self, bytes: u64) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_all();
    }
}

/// Unpacks everything into `tree`, an empty folder.
pub(super) fn unpack(artifact: &Artifact, tree: &OwnedFd) -> Result<(), Failure> {
    let index = artifact.index()?;
    // Modes are the index's, so the caller's umask is set aside for as long as this takes.
    let mask = umask(Mode::empty());
    let unpacked = unpack_all(artifact, &index, tree);
    umask(mask);
    unpacked
}

fn unpack_all(artifact: &Artifact, index: &Index, tree: &OwnedFd) -> Result<(), Failure> {
    for folder in &index.folders {
        mkdirat(tree, folder.as_str(), Mode::from_raw_mode(0o755))?;
    }
    let mut by_block: Vec<Vec<&File>> = index.blocks.iter().map(|_| Vec::new()).collect();
    for file in &index.files {
        if file.size == 0 {
            write_file(tree, file.path.as_str(), file.mode, b"")?;
        } else {
            by_block[file.block].push(file);
        }
    }
    let order = order(index, &by_block);
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let room = Room::default();
    let work = || {
        loop {
            let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() else { return };
            let (block, files) = (&index.blocks[number], &by_block[number]);
            let bytes = block.packed.saturating_add(block.unpacked);
            room.take(bytes);
            let unpacked = unpack_block(artifact, index, number, files, tree);
            room.give_back(bytes);
            if let Err(error) = unpacked {
                // The others stop at their next block.
                next.store(order.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, NonZero::get).clamp(2, MOST_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads {
            // A limit on processes is no reason to fail: this thread works too.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    // Last, so that no file is ever written through one.
    for link in &index.links {
        symlinkat(&*link.target, tree, link.path.as_str())?;
    }
    Ok(())
}

/// Making a file takes as long as unpacking so many bytes.
const FILE: u64 = 16 << 10;

/// What takes longest comes first, so that no thread is left alone with a large block at the end.
fn order(index: &Index, by_block: &[Vec<&File>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..index.blocks.len()).collect();
    order.sort_by_key(|number| {
        Reverse(index.blocks[*number].unpacked.saturating_add(by_block[*number].len() as u64 * FILE))
    });
    order
}

fn unpack_block(
    artifact: &Artifact,
    index: &Index,
    number: usize,
    files: &[&File],
    tree: &OwnedFd,
) -> Result<(), Failure> {
    let block = artifact.block(index, number)?;
    for file in files {
        write_file(tree, file.path.as_str(), file.mode, Artifact::file_in(file, &block)?)?;
    }
    Ok(())
}

pub(super) fn write_file(tree: &OwnedFd, path: &str, mode: u32, mut bytes: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(tree, path, flags, Mode::from_raw_mode(mode))?;
    while !bytes.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(&file, bytes))?;
        bytes = &bytes[written..];
    }
    // A default ACL of the folder's goes before the mode that was asked for.
    if fstat(&file)?.st_mode & 0o7777 != mode {
        // A file system without modes; what that means for the tree is told by comparing it.
        let _ = fchmod(&file, Mode::from_raw_mode(mode));
    }
    close(file)
}

/// NFS and some of FUSE say only here that there was no room for what was written.
#[expect(unsafe_code, reason = "the standard library closes without telling what came of it")]
fn close(file: OwnedFd) -> Result<(), Errno> {
    // SAFETY: the descriptor was this function's own, and nobody uses it afterwards.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

/// What in `tree` is not as the index has it; empty for a whole tree. More than the index has is no damage: Python
/// writes bytecode, and programs write caches.
pub(super) fn differences(index: &Index, tree: &OwnedFd) -> Vec<String> {
    let mut found = Vec::new();
    for file in &index.files {
        if let Some(what) = file_difference(file, tree) {
            found.push(format!("{}: {what}", file.path));
        }
    }
    for link in &index.links {
        let same = readlinkat(tree, link.path.as_str(), Vec::new())
            .is_ok_and(|target| target.to_bytes() == link.target.as_bytes());
        if !same {
            found.push(format!("{}: not the link that it was", link.path));
        }
    }
    found
}

fn file_difference(file: &File, tree: &OwnedFd) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = match openat(tree, file.path.as_str(), flags, Mode::empty()) {
        Ok(open) => open,
        Err(Errno::NOENT) => return Some("missing".to_owned()),
        Err(errno) => return Some(io::Error::from(errno).to_string()),
    };
    let stat = match fstat(&open) {
        Ok(stat) => stat,
        Err(errno) => return Some(io::Error::from(errno).to_string()),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Some("not a file".to_owned());
    }
    if stat.st_mode & 0o7777 != file.mode {
        return Some(format!("mode {:o} instead of {:o}", stat.st_mode & 0o7777, file.mode));
    }
    if u64::try_from(stat.st_size) != Ok(file.size) {
        return Some(format!("{} bytes instead of {}", stat.st_size, file.size));
    }
    match digest(&open) {
        Ok(digest) if digest == file.digest => None,
        Ok(_) => Some("other bytes".to_owned()),
        Err(errno) => Some(io::Error::from(errno).to_string()),
    }
}

fn digest(file: &OwnedFd) -> Result<Digest, Errno> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = retry_on_intr(|| rustix::io::read(file, &mut buffer))?;
        if length == 0 {
            return Ok(Digest::truncate(hasher.finalize()));
        }
        hasher.update(&buffer[..length]);
    }
}

/// Whether `path` can be made by an unpacking: not there, or an empty folder, which is removed.
pub(super) fn clear_way(at: impl AsFd, path: &Path) -> Result<(), Errno> {
    match unlinkat(at, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn blocks_in_memory_keep_to_the_bound_and_a_larger_one_goes_alone() {
        let (room, held, most) = (Room::default(), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..8_u64 {
                let (room, held, most) = (&room, &held, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = if (number, round % 50) == (3, 7) { MOST_BYTES + 1 } else { (50 + number) << 20 };
                        room.take(bytes);
                        let now = held.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(now <= MOST_BYTES || now == bytes, "{now} bytes");
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        room.give_back(bytes);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), MOST_BYTES + 1);
        assert_eq!(*room.used.lock().unwrap(), 0);
    }
}
