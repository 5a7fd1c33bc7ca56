//! Making sure that the tree is there: look, lock, look again, unpack aside, rename.
//!
//! A tree's name holds its payload's digest, so what lies under it is either this very tree or not whole. It gets
//! the name only with everything in it, the mark last. What a crash of the machine leaves of it is told by the mark
//! (see [`mark`]).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, chmodat, flock, fstat, mkdirat, openat, renameat, statat, syncfs,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::environ::Environment;
use super::error::Error;
use super::glibc;
use super::image::Image;
use super::mark::{self, Durability, Lease, Locked};
use super::retire;
use super::root::{self, Candidates, Root};
use super::unpack::{self, OwnRights};
use crate::format::{Digest, MARK, Manifest, UNREAD, is_name};

/// What a marked tree counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is whole.
    AsMarked,
    /// Something showed that it is not: replace it.
    Anew,
}

/// A tree that can be started from.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) path: PathBuf,
    pub(super) lease: Lease,
}

/// The tree, unpacked first where no candidate has it. A folder that was asked for is used even where a later one has the tree:
/// whoever names one may know that cleaners reach the others.
pub(super) fn find_or_make(image: &Image, environment: &Environment, found: Found) -> Result<Tree, Error> {
    let manifest = &image.artifact.manifest;
    let _rights = OwnRights::kept();
    let candidates = root::candidates(environment);
    let tree = |root: &Root, lease| Tree { path: root.path.join(manifest.tree_name()), lease };
    if found == Found::AsMarked
        && let Some((root, lease)) = marked(candidates.preferred(), image)
    {
        return Ok(tree(&root, lease));
    }
    glibc::check(manifest)?;
    let Candidates { fit, unfit: mut reasons, .. } = candidates;
    let mut last = None;
    for path in fit {
        // The one that was asked for did not do.
        if found == Found::AsMarked
            && let Some((root, lease)) = marked(std::slice::from_ref(&path), image)
        {
            return Ok(tree(&root, lease));
        }
        let fit = Root::open_or_make(&path).and_then(|root| root.probe(needed(manifest)).map(|()| root));
        match fit {
            Err(reason) => match foreign(&path, image).filter(|_| found == Found::AsMarked) {
                Some((root, lease)) => return Ok(tree(&root, lease)),
                None => reasons.push((path, reason)),
            },
            Ok(root) => match make(&root, image, found) {
                Err(error) if error.is_of_this_folder() => last = Some(error),
                made => return made.map(|lease| tree(&root, lease)),
            },
        }
    }
    Err(last.unwrap_or(Error::NoRoot(reasons)))
}

/// The first candidate that has a whole tree, and the lease of that.
pub(super) fn marked(candidates: &[PathBuf], image: &Image) -> Option<(Root, Lease)> {
    candidates.iter().find_map(|path| {
        // A mount may have become so since the tree was made there.
        let root = Root::open(path).ok().filter(|root| !root.is_noexec())?;
        let lease = mark::lease(&root, &image.artifact, Locked::Gone)?;
        Some((root, lease))
    })
}

/// The tree in a folder of root's, for another user. Any user who can read its mark can lock it, and so is in nobody's way; where
/// root does remove it, it is missed when it is started from.
fn foreign(path: &Path, image: &Image) -> Option<(Root, Lease)> {
    let root = Root::open(path).ok().filter(|root| !root.is_noexec() && !root.is_own())?;
    let lease = mark::lease(&root, &image.artifact, Locked::Nothing)?;
    Some((root, lease))
}

/// Unpacked files, their folders, and what file systems round up to.
fn needed(manifest: &Manifest) -> u64 {
    manifest.unpacked + manifest.files * 4096
}

pub(super) fn open_folder<P: rustix::path::Arg>(at: impl AsFd, path: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Makes the tree, or waits for another process that is making it.
pub(super) fn make(root: &Root, image: &Image, found: Found) -> Result<Lease, Error> {
    let manifest = &image.artifact.manifest;
    let name = manifest.tree_name();
    let failed = |errno: Errno| Error::Unpack { path: root.path.clone(), source: errno.into() };
    let lock = lock(root, &name, FlockOperation::LockExclusive).map_err(failed)?;
    if found == Found::AsMarked
        && let Some(lease) = mark::lease(root, &image.artifact, Locked::Nothing)
    {
        return Ok(lease);
    }
    sweep(root, &name);
    let work = format!("{name}.work");
    let durability = if root.is_shared() { Durability::Settled } else { Durability::ThisBoot };
    let made = fill(&root.fd, &work, image, durability).and_then(|()| {
        if root.is_shared() {
            // Others start from it, whatever this caller masks.
            chmodat(&root.fd, &*work, Mode::from_raw_mode(0o755), AtFlags::empty())?;
        }
        // What stands in the way is not whole. A program may still run from it, so it goes as late as can be.
        let trash = put_aside(root, &name)?;
        renameat(&root.fd, &*work, &root.fd, &*name)?;
        if let Some(trash) = trash {
            // The new tree is there. What cannot be removed now is tried again at the next unpacking.
            let _ = remove_all(root.fd.as_fd(), &*trash);
        }
        Ok(())
    });
    if made.is_err() {
        // Room for the next candidate, or for whoever shares this disk. What stays is swept at the next start.
        let _ = remove_all(root.fd.as_fd(), &work);
    }
    made.map_err(|failure| failure.at(&root.path))?;
    let lease = mark::lease(root, &image.artifact, Locked::Nothing).unwrap_or_else(Lease::none);
    drop(lock);
    retire::retire_old(root, &manifest.name, &name);
    Ok(lease)
}

/// What follows a tree's name where it waits to be removed. More than one, as removing fails where another user's file
/// lies in the tree, or where a network file system keeps files that are still open.
pub(super) const TRASH: [&str; 4] = [".trash", ".trash2", ".trash3", ".trash4"];

/// Renames what has the tree's name, and says how it is called now; nothing where there was nothing.
pub(super) fn put_aside(root: &Root, name: &str) -> Result<Option<String>, Errno> {
    let mut taken = Errno::NOTEMPTY;
    for suffix in TRASH {
        let trash = format!("{name}{suffix}");
        // What stays is in the way of the rename, which says so.
        let _ = remove_all(root.fd.as_fd(), &*trash);
        match renameat(&root.fd, name, &root.fd, &*trash) {
            Ok(()) => return Ok(Some(trash)),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno @ (Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::ISDIR | Errno::BUSY)) => taken = errno,
            // overlayfs renames no folder of an image's lower layers: it goes where it stands.
            Err(Errno::XDEV) => return remove_all(root.fd.as_fd(), name).map(|()| None),
            Err(errno) => return Err(errno),
        }
    }
    Err(taken)
}

/// Unpacks into a new folder `name` of `at`, and marks it.
pub(super) fn fill(at: impl AsFd, name: &str, image: &Image, durability: Durability) -> Result<(), unpack::Failure> {
    mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
    let work = open_folder(&at, name)?;
    unpack::unpack(&image.artifact, &work)?;
    let wait = match durability {
        Durability::Settled => true,
        // There is no telling this boot from the next.
        Durability::ThisBoot => mark::boot().is_none(),
    };
    let durability = if wait { Durability::Settled } else { durability };
    let unread = "Nobody reads this file. A tree without it is made again: cleaners took what was not read for long.\n";
    unpack::write_file(&work, UNREAD, 0o644, unread.as_bytes())?;
    if wait {
        syncfs(&work)?;
    }
    unpack::write_file(&work, MARK, 0o644, mark::text(&image.artifact.manifest, durability).as_bytes())?;
    Ok(())
}

/// A lock on one tree's name. The file may be removed by whoever holds it, so the one that was locked must still be
/// the one under that name.
pub(super) fn lock(root: &Root, name: &str, operation: FlockOperation) -> Result<OwnedFd, Errno> {
    let name = format!("{name}.lock");
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&root.fd, &*name, flags, Mode::RUSR | Mode::WUSR)?;
        retry_on_intr(|| flock(&file, operation))?;
        let locked = fstat(&file)?;
        match statat(&root.fd, &*name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if (named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino) => return Ok(file),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// A probe takes microseconds.
const PROBED: Duration = Duration::from_mins(1);

/// Removes what processes left behind that died while unpacking: work folders whose lock nobody holds. The caller
/// holds `own`'s.
fn sweep(root: &Root, own: &str) {
    for entry in names(root.fd.as_fd()).unwrap_or_default() {
        let Ok(entry) = entry.into_string() else { continue };
        if entry.starts_with(root::PROBE) {
            let stale = statat(&root.fd, &*entry, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| mark::age(stat.st_mtime) > PROBED);
            if stale {
                let _ = unlinkat(&root.fd, &*entry, AtFlags::empty());
            }
            continue;
        }
        let Some(tree) = leftover_of(&entry) else { continue };
        let held = (tree != own).then(|| lock(root, tree, FlockOperation::NonBlockingLockExclusive));
        if !matches!(held, Some(Err(_))) {
            // What cannot be removed now is tried again at the next unpacking.
            let _ = remove_all(root.fd.as_fd(), &entry);
        }
    }
}

/// The tree that a work folder or a tree put aside belongs to. Nothing for any other name: the cache folder may be
/// one where the user keeps files too.
fn leftover_of(entry: &str) -> Option<&str> {
    let tree = [".work"].into_iter().chain(TRASH).find_map(|suffix| entry.strip_suffix(suffix))?;
    let (name, digest) = tree.rsplit_once('-')?;
    Digest::from_hex(digest.as_bytes())?;
    is_name(name).then_some(tree)
}

/// The names in a folder, without `.` and `..`.
pub(super) fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a file, or a folder with everything in it, without following links. What is not there is no error.
pub(super) fn remove_all<P: rustix::path::Arg + Copy>(at: BorrowedFd<'_>, name: P) -> Result<(), Errno> {
    match unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let folder = open_folder(at, name)?;
    for entry in names(folder.as_fd())? {
        remove_all::<&CStr>(folder.as_fd(), &entry)?;
    }
    match unlinkat(at, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

impl From<Errno> for unpack::Failure {
    fn from(errno: Errno) -> Self {
        Self::Io(io::Error::from(errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_start_left_behind_is_swept() {
        let digest = Digest::of(b"x");
        let tree = format!("my-app-{digest}");
        for suffix in [".work", ".trash", ".trash4"] {
            assert_eq!(leftover_of(&format!("{tree}{suffix}")), Some(&*tree));
        }
        let others = ["thesis.work", "old.trash", "a-b.work", ".work", &format!("-{digest}.work"), &tree];
        for other in others {
            assert_eq!(leftover_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_tree_is_put_aside_over_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open_or_make(&folder.path().join("cache")).unwrap();
        let at = |name: &str| root.path.join(name);
        assert_eq!(put_aside(&root, "app"), Ok(None));
        for _ in 0..2 {
            fs_err::create_dir_all(at("app/lib")).unwrap();
            assert_eq!(put_aside(&root, "app"), Ok(Some("app.trash".to_owned())), "an earlier one is replaced");
        }
        assert!(at("app.trash/lib").is_dir() && !at("app").exists());
    }
}
