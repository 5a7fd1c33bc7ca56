//! The sandbox's root: an empty tmpfs, into which only the folders of the system, the scratch folder and what a
//! [`View`] names are bound. An allow-list: a folder that nobody thought of is absent.

use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};

use super::layers::Layers;
use super::protocol::{SYSTEM, View};
use crate::layout::normalise;

/// Builds the root at `mount_point` and makes it this mount namespace's own. Gives what is not as strict as it
/// could be.
pub(super) fn enter(mount_point: &Path, view: &View) -> io::Result<Vec<String>> {
    let mut notes = Vec::new();
    // Nothing that is mounted here may reach the namespace that the tool came from.
    step("cut mount propagation", || {
        Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
    })?;
    step("mount the new root", || {
        Ok(mount("tmpfs", mount_point, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?)
    })?;
    for system in SYSTEM {
        bring_system(mount_point, Path::new(system)).map_err(|error| context(system, &error))?;
    }
    skeleton(mount_point, Path::new("/"))?;
    devices(mount_point)?;
    // The numbers in another one would be those of other processes: nothing could be looked at, or ended.
    step("mount a fresh /proc", || {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Ok(mount("proc", mount_point.join("proc"), "proc", flags, None)?)
    })?;
    if mount_bind_recursive("/sys", mount_point.join("sys")).is_err() {
        notes.push("/sys is empty".to_owned());
    }

    // Parents first, so that a writable folder inside a borrowed one lies over it.
    let mut binds: Vec<(&PathBuf, bool)> = view.borrowed.iter().map(|path| (path, false)).collect();
    binds.extend(view.writable.iter().map(|path| (path, true)));
    binds.sort_by_key(|(path, _)| (path.components().count(), path.as_os_str().to_owned()));
    let mut layers = Layers::new(mount_point)?;
    for (path, writable) in binds {
        let layers = (!writable).then_some(&mut layers);
        expose(mount_point, path, layers).map_err(|error| context(&path.display().to_string(), &error))?;
    }
    layers.close()?;
    for path in &view.hidden {
        cover(mount_point, path).map_err(|error| context(&path.display().to_string(), &error))?;
    }
    pivot(mount_point)?;
    for path in &view.hidden {
        if !is_gone(path, view) {
            return Err(io::Error::other(format!("`{}` can still be seen", path.display())));
        }
    }
    Ok(notes)
}

fn step(what: &str, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    act().map_err(|error| io::Error::new(error.kind(), format!("cannot {what}: {error}")))
}

fn context(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{path}`: {error}"))
}

/// On a merged system `/bin` and `/lib` are links into `/usr`; they stay links.
fn bring_system(root: &Path, folder: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return Ok(()) };
    let target = within(root, folder);
    if metadata.is_symlink() {
        return symlink(fs::read_link(folder)?, target);
    }
    fs::create_dir_all(&target)?;
    mount_bind_recursive(folder, &target)?;
    read_only(&target)
}

/// Folders of users', with their modes: in a sandbox they begin empty.
pub(in crate::verify) const EMPTY: [(&str, u32); 4] =
    [("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/root", 0o700), ("/home", 0o755)];

/// `machine` is its root.
fn skeleton(root: &Path, machine: &Path) -> io::Result<()> {
    for folder in ["proc", "sys", "dev", "run", "var/lib", "var/cache", "var/log"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for (folder, mode) in EMPTY {
        let folder = folder.trim_start_matches('/');
        let place = root.join(folder);
        make_parent(&place)?;
        // `/home` leads to `/var/home` on some systems, and paths through it are to lead there too.
        let folder = match fs::read_link(machine.join(folder)) {
            Ok(target) => {
                symlink(&target, &place)?;
                let parent = Path::new("/").join(folder);
                within(root, &normalise(&parent.parent().unwrap_or(&parent).join(target)))
            }
            Err(_) => place,
        };
        fs::create_dir_all(&folder)?;
        set_mode(&folder, mode)?;
    }
    symlink("/run", root.join("var/run"))
}

fn devices(root: &Path) -> io::Result<()> {
    let dev = root.join("dev");
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let source = Path::new("/dev").join(name);
        if source.exists() {
            fs::write(dev.join(name), "")?;
            mount_bind(&source, dev.join(name))?;
        }
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, dev.join(name))?;
    }
    fs::create_dir(dev.join("shm"))?;
    set_mode(&dev.join("shm"), 0o1777)?;
    fs::create_dir(dev.join("pts"))?;
    // Without terminals everything but a terminal's own test still works.
    if mount("devpts", dev.join("pts"), "devpts", MountFlags::NOSUID, c"newinstance,ptmxmode=0666,mode=620").is_ok() {
        symlink("pts/ptmx", dev.join("ptmx"))?;
    }
    Ok(())
}

/// Shows `path` at its own place, below one of `layers` where it is borrowed. Links on the way are made anew, since a
/// virtual environment's interpreter is often a chain of them.
fn expose(root: &Path, path: &Path, layers: Option<&mut Layers>) -> io::Result<()> {
    let mut at = PathBuf::from("/");
    let mut left: Vec<PathBuf> = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        at.push(&part);
        let metadata = fs::symlink_metadata(&at)?;
        if !metadata.is_symlink() {
            continue;
        }
        links += 1;
        if links > 40 {
            return Err(io::Error::other("too many levels of symbolic links"));
        }
        let target = fs::read_link(&at)?;
        let here = within(root, &at);
        if fs::symlink_metadata(&here).is_err() {
            make_parent(&here)?;
            symlink(&target, &here)?;
        }
        at.pop();
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        left.extend(parts(&target));
    }
    let target = within(root, &at);
    if fs::metadata(&at)?.is_dir() {
        fs::create_dir_all(&target)?;
    } else if fs::symlink_metadata(&target).is_err() {
        make_parent(&target)?;
        fs::write(&target, "")?;
    }
    let Some(layers) = layers else { return Ok(mount_bind_recursive(&at, &target)?) };
    if layers.lay_over(&at, &target)? {
        return Ok(());
    }
    mount_bind_recursive(&at, &target)?;
    read_only(&target)
}

/// Last part first, as a stack.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Lays an empty folder or an empty file over `path`, where the new root has it.
fn cover(root: &Path, path: &Path) -> io::Result<()> {
    let target = within(root, path);
    let Ok(metadata) = fs::symlink_metadata(&target) else { return Ok(()) };
    if metadata.is_symlink() {
        // Its target is covered under its own name, or absent.
        return Ok(());
    }
    if metadata.is_dir() {
        // A folder of the skeleton leads to something bound, and is empty but for that.
        if rustix::fs::statvfs(&target).is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            mount("tmpfs", &target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755,size=4k")?;
            mount_remount(&target, MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, "")?;
        }
        return Ok(());
    }
    let empty = root.join("run/hidden");
    if fs::symlink_metadata(&empty).is_err() {
        fs::write(&empty, "")?;
        set_mode(&empty, 0)?;
    }
    Ok(mount_bind(&empty, &target)?)
}

/// Absent, covered, or a bare folder on the way to something that the view shows.
fn is_gone(path: &Path, view: &View) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return true };
    if !metadata.is_dir() {
        return metadata.len() == 0;
    }
    let shown = |path: &Path| {
        view.writable
            .iter()
            .chain(&view.borrowed)
            .any(|shown| shown == path || shown.canonicalize().is_ok_and(|it| it == path))
    };
    if shown(path) {
        return false;
    }
    let Ok(entries) = fs::read_dir(path) else { return true };
    entries.flatten().all(|entry| shown(&entry.path()) || is_gone(&entry.path(), view))
}

fn pivot(root: &Path) -> io::Result<()> {
    rustix::process::chdir(root)?;
    // The old root lands on the new one and is taken off again, so that no folder for it is needed.
    // https://man7.org/linux/man-pages/man2/pivot_root.2.html, "pivot_root(".", ".")"
    step("change the root", || Ok(rustix::process::pivot_root(".", ".")?))?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// In a user namespace the flags that a mount already has are locked, and have to be given again.
fn read_only(target: &Path) -> io::Result<()> {
    let has = rustix::fs::statvfs(target)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (flag, mount_flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if has.contains(flag) {
            flags |= mount_flag;
        }
    }
    step("make it read-only", || Ok(mount_remount(target, flags, "")?))
}

fn within(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(CWD, path, rustix::fs::Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_a_link_leads_to_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let (root, machine) = (folder.path().join("root"), folder.path().join("machine"));
        fs::create_dir_all(&machine).unwrap();
        for (target, place) in [("var/home", "var/home"), ("../data/home", "data/home"), ("/data/home", "data/home")] {
            let _ = fs::remove_file(machine.join("home"));
            symlink(target, machine.join("home")).unwrap();
            skeleton(&root, &machine).unwrap();
            assert_eq!(fs::read_link(root.join("home")).unwrap(), Path::new(target));
            assert!(root.join(place).is_dir() && root.join("root").is_dir());
            fs::remove_dir_all(&root).unwrap();
        }
    }
}
