//! Making sure that the tree is there: look, lock, look again, unpack aside, rename.
//!
//! A tree's name holds its payload's digest, so what lies under it is either this very tree or not whole. It gets
//! the name only with everything in it, the mark last, and synchronised, so a crash of the machine cannot leave a
//! name without its content.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, renameat, statat, syncfs,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::environ::Environment;
use super::error::Error;
use super::glibc;
use super::image::Image;
use super::root::{self, Root};
use super::unpack;
use crate::format::{MARK, Manifest, StartEntry};

/// What a marked tree counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is whole.
    AsMarked,
    /// Something showed that it is not: replace it.
    Anew,
}

/// The path of the tree, unpacked first where no candidate has it.
pub(super) fn find_or_make(image: &Image, environment: &Environment, found: Found) -> Result<PathBuf, Error> {
    let manifest = &image.artifact.manifest;
    let candidates = root::candidates(environment);
    if found == Found::AsMarked
        && let Some(root) = marked(&candidates, manifest)
    {
        return Ok(root.path.join(manifest.tree_name()));
    }
    glibc::check(manifest)?;
    let mut reasons = Vec::new();
    let mut last = None;
    for path in candidates {
        let fit = Root::open_or_make(&path).and_then(|root| root.probe(needed(manifest)).map(|()| root));
        match fit {
            Err(reason) => reasons.push((path, reason)),
            Ok(root) => match make(&root, image, found) {
                Err(error) if error.is_out_of_room() => last = Some(error),
                made => return made.map(|()| root.path.join(manifest.tree_name())),
            },
        }
    }
    Err(last.unwrap_or(Error::NoRoot(reasons)))
}

/// The first candidate that has a marked tree.
pub(super) fn marked(candidates: &[PathBuf], manifest: &Manifest) -> Option<Root> {
    let name = manifest.tree_name();
    candidates.iter().find_map(|path| {
        let root = Root::open(path).ok()?;
        open_folder(&root.fd, &name).is_ok_and(|tree| is_whole(&tree, manifest)).then_some(root)
    })
}

/// Unpacked files, their folders, and what file systems round up to.
fn needed(manifest: &Manifest) -> u64 {
    manifest.unpacked + manifest.files * 4096
}

pub(super) fn open_folder<P: rustix::path::Arg>(at: impl AsFd, path: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Whether the mark in `tree` is this payload's. The script that is started next is looked for as well, as cleaners
/// of temporary files take what was not read for long, one by one.
pub(super) fn is_whole(tree: &OwnedFd, manifest: &Manifest) -> bool {
    let wanted = mark(manifest);
    let mut read = [0; 64];
    let marked = openat(tree, MARK, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| retry_on_intr(|| rustix::io::pread(&file, &mut read, 0)))
        .is_ok_and(|length| read[..length] == *wanted.as_bytes());
    let entry = match &manifest.start.entry {
        StartEntry::Script(path) => path,
        StartEntry::Module(_) => &manifest.start.interpreter,
    };
    marked && statat(tree, entry.as_str(), AtFlags::empty()).is_ok()
}

fn mark(manifest: &Manifest) -> String {
    format!("{}\n", manifest.payload)
}

/// Makes the tree, or waits for another process that is making it.
pub(super) fn make(root: &Root, image: &Image, found: Found) -> Result<(), Error> {
    let manifest = &image.artifact.manifest;
    let name = manifest.tree_name();
    let failed = |errno: Errno| Error::Unpack { path: root.path.clone(), source: errno.into() };
    let lock = lock(root, &name, FlockOperation::LockExclusive).map_err(failed)?;
    if found == Found::AsMarked && open_folder(&root.fd, &*name).is_ok_and(|tree| is_whole(&tree, manifest)) {
        return Ok(());
    }
    sweep(root, &name);
    let work = format!("{name}.work");
    let made = fill(&root.fd, &work, image).and_then(|()| {
        // What stands in the way is not whole. A program may still run from it, so it goes as late as can be.
        let trash = format!("{name}.trash");
        if statat(&root.fd, &*name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            renameat(&root.fd, &*name, &root.fd, &*trash)?;
        }
        renameat(&root.fd, &*work, &root.fd, &*name)?;
        remove_all(root.fd.as_fd(), &trash)?;
        Ok(())
    });
    if made.is_err() {
        // Room for the next candidate, or for whoever shares this disk. What stays is swept at the next start.
        let _ = remove_all(root.fd.as_fd(), &work);
    }
    drop(lock);
    made.map_err(|failure| failure.at(&root.path))
}

/// Unpacks into a new folder `name` of `at`, marks it, and has it written to the disk.
pub(super) fn fill(at: impl AsFd, name: &str, image: &Image) -> Result<(), unpack::Failure> {
    mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
    let work = open_folder(&at, name)?;
    unpack::unpack(&image.artifact, &work)?;
    unpack::write_file(&work, MARK, 0o644, mark(&image.artifact.manifest).as_bytes())?;
    syncfs(&work)?;
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

/// Removes what processes left behind that died while unpacking: work folders whose lock nobody holds. The caller
/// holds `own`'s.
fn sweep(root: &Root, own: &str) {
    for entry in names(root.fd.as_fd()).unwrap_or_default() {
        let Ok(entry) = entry.into_string() else { continue };
        let Some(tree) = entry.strip_suffix(".work").or_else(|| entry.strip_suffix(".trash")) else { continue };
        let held = (tree != own).then(|| lock(root, tree, FlockOperation::NonBlockingLockExclusive));
        if !matches!(held, Some(Err(_))) {
            // What cannot be removed now is tried again at the next unpacking.
            let _ = remove_all(root.fd.as_fd(), &entry);
        }
    }
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

/// Whether a process executes a program in `bin` of the tree. Two ways, as neither sees everything: `/proc` shows only
/// this PID namespace, and some kernels (6.11, 6.12) let a running program be opened for writing.
pub(super) fn is_held(root: &Root, name: &str) -> bool {
    let path = root.path.join(name);
    let path = path.canonicalize().unwrap_or(path);
    if runs_from(&path) {
        return true;
    }
    let Ok(bin) = open_folder(&root.fd, root_relative(name)) else { return false };
    names(bin.as_fd()).unwrap_or_default().iter().any(|program| {
        let regular = statat(&bin, program.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        regular && matches!(openat(&bin, program.as_c_str(), flags, Mode::empty()), Err(Errno::TXTBSY))
    })
}

fn root_relative(name: &str) -> String {
    format!("{name}/bin")
}

fn runs_from(tree: &Path) -> bool {
    let Ok(proc) = open_folder(rustix::fs::CWD, "/proc") else { return false };
    names(proc.as_fd()).unwrap_or_default().iter().any(|process| {
        process.to_bytes().iter().all(u8::is_ascii_digit)
            && Path::new("/proc")
                .join(process.to_string_lossy().as_ref())
                .join("exe")
                .read_link()
                .is_ok_and(|executable| executable.starts_with(tree))
    })
}

impl From<Errno> for unpack::Failure {
    fn from(errno: Errno) -> Self {
        Self::Io(io::Error::from(errno))
    }
}
