//! Removing trees that nobody needs: at once where `PACKPROOF=clean` asks for it, and by age and number when a new one
//! has been made. A tree that a running program holds is never touched.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, openat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::error::NO_LOCKS;
use super::mark;
use super::root::Root;
use super::tree::{self, TRASH, names, open_folder, remove_all};
use crate::format::{Digest, MARK};

/// Trees of earlier builds that stay, for whoever goes back to one or runs two by turns.
const KEPT: usize = 2;
/// Even more of them stay for as long as they were used in this time.
const RECENT: Duration = Duration::from_hours(1);
/// What nobody has used for this long goes.
const OLD: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Removed,
    /// There was no tree, only what a start left behind that did not come to its end.
    Nothing,
    InUse,
    BeingMade,
}

/// Removes the tree `name`, with its lock and what lies beside it.
pub(super) fn retire(root: &Root, name: &str) -> Result<Outcome, Errno> {
    let Ok(lock) = tree::lock(root, name, FlockOperation::NonBlockingLockExclusive) else {
        return Ok(Outcome::BeingMade);
    };
    let mark = open_folder(&root.fd, name).and_then(|tree| mark::open_mark_to_remove(&tree));
    // Held until the tree is gone: who starts now waits for nothing, and makes another. Where it cannot be known
    // whether somebody holds it, somebody does.
    let leased = match &mark {
        Ok(mark) => match retry_on_intr(|| flock(mark, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => false,
            Err(errno) => !NO_LOCKS.contains(&errno),
        },
        // No tree, or one without a mark.
        Err(errno) => ![Errno::NOENT, Errno::NOTDIR, Errno::LOOP].contains(errno),
    };
    if leased || is_held(root, name) {
        return Ok(Outcome::InUse);
    }
    // Aside first: a start that comes now finds no tree rather than half of one.
    let was_there = tree::put_aside(root, name)?.is_some();
    for suffix in TRASH.into_iter().chain([".work"]) {
        remove_all(root.fd.as_fd(), &*format!("{name}{suffix}"))?;
    }
    // While it is held; whoever waits for it finds that the name is gone and makes another.
    unlinkat(&root.fd, format!("{name}.lock"), AtFlags::empty())?;
    drop(lock);
    Ok(if was_there { Outcome::Removed } else { Outcome::Nothing })
}

/// Trees of `application`, and names of trees that only a lock or a work folder is left of; sorted.
pub(super) fn trees(root: &Root, application: &str) -> Result<Vec<String>, Errno> {
    let mut trees: Vec<String> = names(root.fd.as_fd())?
        .into_iter()
        .filter_map(|name| tree_of(&name.into_string().ok()?, application))
        .collect();
    trees.sort();
    trees.dedup();
    Ok(trees)
}

/// Removes earlier trees of `application`, once `own` has been made. What cannot be removed is tried again at the next
/// unpacking.
pub(super) fn retire_old(root: &Root, application: &str, own: &str) {
    let trees = trees(root, application).unwrap_or_default();
    let unused = |name: &String| {
        let stat = statat(&root.fd, format!("{name}/{MARK}"), AtFlags::SYMLINK_NOFOLLOW)
            .or_else(|_| statat(&root.fd, &**name, AtFlags::SYMLINK_NOFOLLOW));
        stat.map_or(Duration::MAX, |stat| mark::age(stat.st_mtime))
    };
    let mut others: Vec<_> = trees.into_iter().filter(|name| name != own).map(|name| (unused(&name), name)).collect();
    others.sort();
    for name in outdated(&others) {
        let _ = retire(root, name);
    }
}

/// Of trees sorted by the time since their last use.
fn outdated(sorted: &[(Duration, String)]) -> impl Iterator<Item = &str> {
    let goes = |at: usize, unused: Duration| unused > OLD || (at >= KEPT && unused > RECENT);
    sorted.iter().enumerate().filter(move |(at, (unused, _))| goes(*at, *unused)).map(|(_, (_, name))| &**name)
}

/// `app-DIGEST` of `app-DIGEST`, `app-DIGEST.lock` and so on; nothing for another application's.
fn tree_of(entry: &str, name: &str) -> Option<String> {
    let (tree, rest) = entry.split_at_checked(name.len() + 1 + 2 * Digest::LENGTH)?;
    let digest = tree.strip_prefix(name)?.strip_prefix('-')?;
    Digest::from_hex(digest.as_bytes())?;
    (matches!(rest, "" | ".lock" | ".work") || TRASH.contains(&rest)).then(|| tree.to_owned())
}

/// Whether a process executes a program in `bin` of the tree: one that was started without a lease, as children that
/// `sys.executable` starts are. Two ways, as neither sees everything: `/proc` shows only this PID namespace, and some
/// kernels (6.11, 6.12) let a running program be opened for writing.
fn is_held(root: &Root, name: &str) -> bool {
    let path = root.path.join(name);
    let path = path.canonicalize().unwrap_or(path);
    // Whoever ran when the tree was made again is shown where the earlier one was put, removed or not; what it has
    // yet to import comes from this one.
    let beside = TRASH.map(|suffix| path.with_file_name(format!("{name}{suffix}")));
    if runs_from(&path, &beside) {
        return true;
    }
    let Ok(bin) = open_folder(&root.fd, format!("{name}/bin")) else { return false };
    names(bin.as_fd()).unwrap_or_default().iter().any(|program| is_executed(bin.as_fd(), program))
}

fn is_executed(bin: BorrowedFd<'_>, program: &std::ffi::CStr) -> bool {
    let regular = statat(bin, program, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    regular && matches!(openat(bin, program, flags, Mode::empty()), Err(Errno::TXTBSY))
}

fn runs_from(tree: &Path, beside: &[PathBuf]) -> bool {
    let Ok(proc) = open_folder(rustix::fs::CWD, "/proc") else { return false };
    names(proc.as_fd()).unwrap_or_default().iter().any(|process| {
        process.to_bytes().iter().all(u8::is_ascii_digit)
            && Path::new("/proc").join(process.to_string_lossy().as_ref()).join("exe").read_link().is_ok_and(
                |executable| executable.starts_with(tree) || beside.iter().any(|beside| executable.starts_with(beside)),
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_one_application() {
        let digest = Digest::of(b"x");
        let tree = format!("app-{digest}");
        for rest in ["", ".lock", ".work", ".trash", ".trash2"] {
            assert_eq!(tree_of(&format!("{tree}{rest}"), "app").as_ref(), Some(&tree));
        }
        for other in [format!("app-two-{digest}"), format!("{tree}.txt"), "app-1".to_owned(), format!("b{tree}")] {
            assert_eq!(tree_of(&other, "app"), None, "{other}");
        }
    }

    #[test]
    fn by_age_and_number() {
        let hours = |list: &[u64]| -> Vec<_> {
            list.iter().map(|hours| (Duration::from_hours(*hours), format!("{hours}"))).collect()
        };
        let gone = |list: &[u64]| outdated(&hours(list)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(gone(&[0, 0, 0, 0]), [""; 0], "in use by turns");
        assert_eq!(gone(&[0, 2, 3, 24]), ["3", "24"]);
        assert_eq!(gone(&[2, 3]), [""; 0]);
        assert_eq!(gone(&[2, 24 * 31]), ["744"]);
    }
}
