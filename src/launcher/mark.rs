//! The mark of a whole tree, and the lease on it that a running program holds.
//!
//! The mark is a file of fixed length in the tree's root: the payload's digest, and what is known of its way to the disk.
//! A new tree names the boot of the machine in which it was written: until the next one, what was written is there to
//! be read, whether it has reached the disk or not. After a reboot, which may have been a crash, the tree is compared
//! with the index once, byte for byte, and is then settled for good. So no start waits for the disk.
//!
//! The lease is a shared `flock` on the mark. It is taken before the mark is read and kept through `execve`, so that
//! nobody removes a tree between the look and the start, nor while the program runs. Another one on the tree's folder
//! is for systemd-tmpfiles, which looks at the locks of folders alone: <https://systemd.io/TEMPORARY_DIRECTORIES/>.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, fstat, futimens, openat,
    statat, syncfs,
};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::root::Root;
use super::tree::open_folder;
use super::unpack;
use crate::format::{Artifact, Digest, MARK, Manifest, StartEntry, UNREAD};

/// Line ends included.
const LENGTH: usize = 2 * Digest::LENGTH + 1 + BOOT + 1;
/// Characters of a boot identity, a UUID.
const BOOT: usize = 36;
const SETTLED: &str = "settled";

/// How long a tree may go unused before a start says again that it is used.
const USED_AGAIN: Duration = Duration::from_mins(10);

/// What the mark says of the tree's way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Written in this boot of the machine, and perhaps not on the disk yet.
    ThisBoot,
    /// On the disk.
    Settled,
}

/// The content of a tree's mark. Where the machine does not say which boot this is, only a settled mark can be told
/// from another boot's.
pub(super) fn text(manifest: &Manifest, durability: Durability) -> String {
    let boot = match durability {
        Durability::ThisBoot => boot().unwrap_or_default(),
        Durability::Settled => SETTLED.to_owned(),
    };
    format!("{}\n{boot:<BOOT$}\n", manifest.payload)
}

/// Changes with every boot of the machine. Nothing where `/proc` is missing.
pub(super) fn boot() -> Option<String> {
    let file = openat(CWD, "/proc/sys/kernel/random/boot_id", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = [0; BOOT];
    let length = retry_on_intr(|| rustix::io::read(&file, &mut bytes)).ok()?;
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    (length == BOOT).then_some(text)
}

/// A held lease: the files that are locked. None where the file system has no locks; the running program's
/// `/proc/PID/exe` still speaks for it.
#[derive(Debug)]
pub(super) struct Lease(Vec<OwnedFd>);

impl Lease {
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn into_files(self) -> Vec<OwnedFd> {
        self.0
    }
}

/// What an exclusive lock on the mark means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    /// The tree is being removed.
    Gone,
    /// Somebody is in the way who does not remove it: whoever removes a tree holds the lock of its name, and the caller
    /// does. Any user can lock a file that he can read.
    Nothing,
}

/// The lease of the tree under its name in `root`, if that tree is whole.
pub(super) fn lease(root: &Root, artifact: &Artifact, locked: Locked) -> Option<Lease> {
    let manifest = &artifact.manifest;
    let name = manifest.tree_name();
    let tree = open_folder(&root.fd, &*name).ok()?;
    let file = open_mark(&tree).ok()?;
    let is_leased = match share(&file) {
        Ok(()) => true,
        Err(Errno::AGAIN) if locked == Locked::Gone => return None,
        Err(_) => false,
    };
    let is_spared = share(&tree).is_ok();
    // It may have been moved away before the lock was ours.
    let opened = fstat(&tree).ok()?;
    let named = statat(&root.fd, &*name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let same = (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino);
    if !same || !is_whole(&tree, &file, artifact) {
        return None;
    }
    say_used(&file);
    let held = [(file, is_leased), (tree, is_spared)];
    Some(Lease(held.into_iter().filter_map(|(file, is_locked)| is_locked.then_some(file)).collect()))
}

fn share(file: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockShared))
}

/// Whether an extracted tree is the manifest's. Such a tree was settled when it was made.
pub(super) fn is_marked(tree: &OwnedFd, manifest: &Manifest) -> bool {
    let marked = open_mark(tree).ok().and_then(|file| read(&file, manifest));
    marked.as_deref() == Some(SETTLED) && has_entry(tree, manifest)
}

pub(super) fn open_mark(tree: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(tree, MARK, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

/// For an exclusive lock, which NFS gives only to who may write.
pub(super) fn open_mark_to_remove(tree: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(tree, MARK, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

fn is_whole(tree: &OwnedFd, file: &OwnedFd, artifact: &Artifact) -> bool {
    let Some(written) = read(file, &artifact.manifest) else { return false };
    if !has_entry(tree, &artifact.manifest) {
        return false;
    }
    if written == SETTLED || boot().is_some_and(|boot| boot == written) {
        return true;
    }
    let whole = artifact.index().is_ok_and(|index| unpack::differences(&index, tree).is_empty());
    if whole {
        settle(tree, &artifact.manifest);
    }
    whole
}

/// What the mark says of the way to the disk, if it is this payload's.
fn read(file: &OwnedFd, manifest: &Manifest) -> Option<String> {
    let mut bytes = [0; LENGTH + 1];
    let length = retry_on_intr(|| pread(file, &mut bytes, 0)).ok()?;
    let text = str::from_utf8(&bytes[..length]).ok()?;
    let boot = text.strip_prefix(&manifest.payload.to_string())?.strip_prefix('\n')?.strip_suffix('\n')?;
    (boot.len() == BOOT).then(|| boot.trim_end().to_owned())
}

/// What is started next is looked for as well, interpreter and script, and a file that is never read, as cleaners of
/// temporary files take what was not read for long, one by one.
fn has_entry(tree: &OwnedFd, manifest: &Manifest) -> bool {
    let is_there = |path: &str| statat(tree, path, AtFlags::empty()).is_ok();
    let has_script = match &manifest.start.entry {
        StartEntry::Script(path) => is_there(path.as_str()),
        StartEntry::Module(_) => true,
    };
    has_script && is_there(manifest.start.interpreter.as_str()) && is_there(UNREAD)
}

/// In place, as leases are held on this very file. Whoever may not write to the tree compares it again next time.
/// What was compared may have been read from memory alone, so it is brought to the disk first.
pub(super) fn settle(tree: &OwnedFd, manifest: &Manifest) {
    if syncfs(tree).is_err() {
        return;
    }
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(file) = openat(tree, MARK, flags, Mode::empty()) {
        let _ = retry_on_intr(|| pwrite(&file, text(manifest, Durability::Settled).as_bytes(), 0));
    }
}

/// The time of the mark is when the tree was last used, to within [`USED_AGAIN`].
fn say_used(file: &OwnedFd) {
    let recent = fstat(file).is_ok_and(|stat| age(stat.st_mtime) < USED_AGAIN);
    if !recent {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = futimens(file.as_fd(), &Timestamps { last_access: now, last_modification: now });
    }
}

/// Since `seconds` after 1970; nothing for a time that is still to come.
pub(super) fn age(seconds: i64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    SystemTime::now().duration_since(then).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        assert!(age(now - 3600) >= Duration::from_hours(1));
        assert_eq!(age(now + 3600), Duration::ZERO);
    }

    #[test]
    fn a_boot_has_a_name() {
        assert_eq!(boot(), boot());
        assert!(boot().is_none_or(|boot| boot.len() == BOOT && !boot.contains('\n')));
    }
}
