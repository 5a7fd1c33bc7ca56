//! The folder that everything of one proof lies in, from the artifact's tree to what the application writes: in memory
//! where there is plenty of it, as a proof lays down and removes tens of thousands of files, else among the system's
//! temporary files. Nothing of it is left, whatever the application has made of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rayon::prelude::*;
use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use super::Error;
use super::plan::Plan;
use crate::cache;
use crate::cleanup::Scratch;
use crate::format::Artifact;

const PREFIX: &str = "packproof-proof-";

/// Where Linux has a file system in memory for everybody.
///
/// Source: <https://www.kernel.org/doc/html/latest/filesystems/tmpfs.html>
const IN_MEMORY: &str = "/dev/shm";

/// `TMPFS_MAGIC`
const TMPFS: i64 = 0x0102_1994;

/// For processes, and for what they write.
const SPARE: u64 = 2 << 30;

/// Gives `work` a new folder, and removes it.
pub(super) fn within<T>(plan: &Plan, work: impl FnOnce(&Path) -> Result<T, Error>) -> Result<T, Error> {
    let scratch = match in_memory(plan) {
        Some(scratch) => scratch,
        None => on_disk(plan)?,
    };
    let held = fs::File::open(scratch.path())?;
    // A file system without locks has no folder of ours that anybody would sweep.
    drop(held.file().try_lock());
    let result = work(scratch.path());
    remove_what_is_in(scratch.path());
    scratch.close()?;
    result
}

/// Among temporary files, and where programs may not be run there, beside the tool's cache.
fn on_disk(plan: &Plan) -> Result<Scratch, Error> {
    let folder = plan.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let beside_cache = cache::root().and_then(|root| root.parent().map(Path::to_owned));
    let further = [PathBuf::from("/var/tmp")].into_iter().chain(beside_cache);
    first_that_runs(&folder, further)?.ok_or(Error::NothingRuns { folder })
}

/// Where the first cannot be written to that is an error; of the others it is not.
fn first_that_runs(folder: &Path, further: impl Iterator<Item = PathBuf>) -> Result<Option<Scratch>, Error> {
    let make = |folder: &Path| {
        fs::create_dir_all(folder)?;
        Scratch::new_in(&folder.canonicalize()?, PREFIX)
    };
    let first = make(folder)?;
    let mut all = std::iter::once(first).chain(further.filter_map(|folder| make(&folder).ok()));
    Ok(all.find(|scratch| is_run(&scratch.path().join("tried"))))
}

/// Nothing where there is none, where there is too little, where the user has said where temporary files belong, or
/// where programs may not be run.
fn in_memory(plan: &Plan) -> Option<Scratch> {
    if plan.scratch.is_some() || std::env::var_os("TMPDIR").is_some() {
        return None;
    }
    let folder = Path::new(IN_MEMORY);
    let mount = statvfs(folder).ok()?;
    if statfs(folder).ok()?.f_type != TMPFS || mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return None;
    }
    sweep(folder);
    let free = mount.f_bavail.saturating_mul(mount.f_frsize).min(memory::available()?);
    if !is_plenty(needed(plan), free) {
        return None;
    }
    let scratch = Scratch::new_in(folder, PREFIX).ok()?;
    is_run(&scratch.path().join("tried")).then_some(scratch)
}

/// Bytes: the artifact's copy, and a tree of the imports' and one of each start's.
fn needed(plan: &Plan) -> u64 {
    let Ok(artifact) = Artifact::open(&plan.artifact) else { return 0 };
    let trees = 1 + plan.starts.len().max(1) as u64;
    let copy = fs::metadata(&plan.artifact).map_or(0, |it| it.len());
    artifact.manifest.unpacked.saturating_mul(trees).saturating_add(copy)
}

/// Half of it is left to everybody else.
fn is_plenty(needed: u64, free: u64) -> bool {
    free >= needed.saturating_mul(2).saturating_add(SPARE)
}

/// Whether a program there is run: a policy may forbid what the mount does not.
fn is_run(program: &Path) -> bool {
    fs::write(program, "#!/bin/sh\n").is_ok()
        && fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).is_ok()
        && std::process::Command::new(program).status().is_ok_and(|status| status.success())
        && fs::remove_file(program).is_ok()
}

/// Removes what proofs left behind that were killed: memory is not to be filled with it.
fn sweep(folder: &Path) {
    let is_old = |folder: &std::fs::Metadata| {
        let age = folder.modified().ok().and_then(|time| time.elapsed().ok());
        // One that has just begun may not hold its lock yet.
        age.is_some_and(|age| age > Duration::from_mins(1))
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours =
            name.as_encoded_bytes().strip_prefix(PREFIX.as_bytes()).is_some_and(|end| end.len() == Scratch::RANDOM);
        let is_abandoned = is_ours
            && entry.metadata().is_ok_and(|it| it.is_dir() && is_old(&it))
            && fs::File::open(entry.path()).is_ok_and(|folder| folder.file().try_lock().is_ok());
        if is_abandoned {
            // What cannot be removed is somebody else's.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// The trees of several starts, each by a thread of its own.
fn remove_what_is_in(scratch: &Path) {
    let folders: Vec<PathBuf> = walkdir::WalkDir::new(scratch)
        .min_depth(2)
        .max_depth(2)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect();
    folders.par_iter().for_each(|folder| {
        if fs::remove_dir_all(folder).is_err() {
            make_removable(folder);
            drop(fs::remove_dir_all(folder));
        }
    });
    // What else there is goes with the folder itself.
    make_removable(scratch);
}

/// An application may leave folders that not even their owner may change.
fn make_removable(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        if entry.metadata().is_ok_and(|it| it.permissions().mode() & 0o700 != 0o700) {
            let _ = fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
    }
}

mod memory {
    //! How much memory there is, for the machine and for this process.

    use std::path::{Path, PathBuf};

    use fs_err as fs;

    /// Bytes.
    pub(super) fn available() -> Option<u64> {
        let machine = of_machine(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Some(groups.lines().filter_map(|line| left(line, Path::new("/sys/fs/cgroup"))).fold(machine, u64::min))
    }

    /// `MemAvailable:   22211600 kB`
    pub(super) fn of_machine(meminfo: &str) -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// What is left of the limits of a line's control group and of those around it; nothing where there are none.
    ///
    /// Source: <https://docs.kernel.org/admin-guide/cgroup-v2.html>, `memory.max`;
    /// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>, `memory.limit_in_bytes`
    pub(super) fn left(line: &str, mount: &Path) -> Option<u64> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, limit, used): (PathBuf, _, _) = match controllers {
            "" => (mount.to_owned(), "memory.max", "memory.current"),
            "memory" => (mount.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => return None,
        };
        let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
        let group = root.join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|folder| folder.starts_with(&root));
        around.filter_map(|group| Some(number(group.join(limit))?.saturating_sub(number(group.join(used))?))).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plenty_is_twice_what_is_needed_and_more() {
        assert!(is_plenty(0, SPARE) && is_plenty(1 << 30, SPARE + (2 << 30)));
        assert!(!is_plenty(1 << 30, SPARE + (1 << 30)) && !is_plenty(u64::MAX, u64::MAX - 1));
    }

    #[test]
    fn memory_of_the_machine_and_of_its_control_groups() {
        assert_eq!(memory::of_machine("MemTotal: 9 kB\nMemAvailable:   2 kB\n"), Some(2048));
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        for (group, max, current) in [("a", "1000", "400"), ("a/b", "max", "300")] {
            fs::write(folder.path().join(group).join("memory.max"), max).unwrap();
            fs::write(folder.path().join(group).join("memory.current"), current).unwrap();
        }
        assert_eq!(memory::left("0::/a/b", folder.path()), Some(600), "the one around it");
        assert_eq!(memory::left("0::/", folder.path()), None);
        assert_eq!(memory::left("3:cpuset:/a", folder.path()), None);
        assert!(memory::available().is_some());
    }

    #[test]
    fn what_nobody_may_write_to_is_removed_as_well() {
        let folder = Scratch::new_in(&std::env::temp_dir(), PREFIX).unwrap();
        let closed = folder.path().join("artifact/home/closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
        remove_what_is_in(folder.path());
        assert!(!closed.exists());
    }
}
