//! Folders that trees are unpacked into.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, IFlags, Mode, OFlags, StatVfsMountFlags, accessat, fstat, fstatvfs, ioctl_getflags,
    ioctl_setflags, mkdirat, openat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{geteuid, getpid};

use super::environ::Environment;

/// A cache folder whose owner and mode were looked at. What lies in it was made by this user or by root.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

/// What the names of files begin with that are made to see whether they can be executed.
pub(super) const PROBE: &str = ".packproof-probe-";

/// Bytes of a cache folder's path. Python, and much that it runs, stops at 4096 for a whole path.
const LONGEST: usize = 2048;

/// Where trees may lie, in the order of preference; and what will not do whatever lies there, with the reason.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) fit: Vec<PathBuf>,
    pub(super) unfit: Vec<(PathBuf, String)>,
    /// `PACKPROOF_CACHE` names the first of them.
    is_asked: bool,
}

impl Candidates {
    /// Where a tree that is there is taken: in the folder that was asked for, else in any.
    pub(super) fn preferred(&self) -> &[PathBuf] {
        if self.is_asked { &self.fit[..1] } else { &self.fit }
    }

    fn add(&mut self, path: PathBuf) {
        if !self.fit.contains(&path) {
            self.fit.push(path);
        }
    }

    /// `sudo -E` leaves another user's `HOME`. That user could exchange what lies below it, and could not use a cache
    /// that this one made there.
    fn add_below(&mut self, folder: &Path, name: &str) {
        match rustix::fs::stat(folder).ok().and_then(|stat| unfit_user(stat.st_uid, geteuid().as_raw())) {
            Some(reason) => self.unfit.push((folder.join(name), format!("{} {reason}", folder.display()))),
            None => self.add(folder.join(name)),
        }
    }
}

pub(super) fn candidates(environment: &Environment) -> Candidates {
    let mut candidates = Candidates::default();
    if let Some(folder) = &environment.cache {
        candidates.add(folder.into());
        candidates.is_asked = true;
    }
    if let Some(folder) = &environment.xdg_cache {
        candidates.add_below(folder.as_ref(), "packproof");
    }
    if let Some(home) = &environment.home {
        candidates.add_below(home.as_ref(), ".cache/packproof");
    }
    if let Some(folder) = environment.of_service() {
        candidates.add_below(folder.as_ref(), "packproof");
    }
    candidates.add(PathBuf::from(format!("/var/tmp/packproof-{}", geteuid().as_raw())));
    candidates
}

impl Root {
    /// Opens a cache folder that is there, without following a link to it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        // The XDG specification has relative paths ignored; and a tree's path is compiled into what runs from it.
        if !path.is_absolute() {
            return Err("not an absolute path".to_owned());
        }
        if path.as_os_str().len() > LONGEST {
            return Err(format!("its path has more than {LONGEST} bytes"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => "a link or a file, not a folder".to_owned(),
            _ => describe(errno),
        })?;
        let stat = fstat(&fd).map_err(describe)?;
        unfit_owner(stat.st_uid, stat.st_mode, geteuid().as_raw()).map_or(Ok(()), Err)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a cache folder, made first where it is missing.
    pub(super) fn open_or_make(path: &Path) -> Result<Self, String> {
        let made = path.is_absolute()
            && path.as_os_str().len() <= LONGEST
            && make_with_parents(path).map_err(describe)? == Made::Now;
        let root = Self::open(path)?;
        if made {
            root.keep_trees_apart();
        }
        Ok(root)
    }

    /// A hint to ext2, ext3 and ext4 (`chattr +T`): what lies in here belongs to different things, so each new tree goes to
    /// a region of the disk that has room. Else it goes beside the last one, and where that was removed a moment ago, ext4
    /// without a journal looks at each of its freed inodes again for each new file: ten seconds for 14,000 files. Other file
    /// systems do not know the hint. A folder that was there already is somebody else's to set up.
    fn keep_trees_apart(&self) {
        if let Ok(flags) = ioctl_getflags(&self.fd) {
            let _ = ioctl_setflags(&self.fd, flags | IFlags::TOPDIR);
        }
    }

    pub(super) fn is_own(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_uid == geteuid().as_raw())
    }

    /// Whether other users may start from here. They cannot settle a tree after a reboot: each would compare it at each start.
    pub(super) fn is_shared(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_uid == 0 && stat.st_mode & 0o011 != 0)
    }

    /// Whether nothing can be executed from here, whatever its mode.
    pub(super) fn is_noexec(&self) -> bool {
        fstatvfs(&self.fd).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOEXEC))
    }

    /// Whether `needed` bytes can be unpacked and executed here. Asks the kernel rather than the mode bits.
    pub(super) fn probe(&self, needed: u64) -> Result<(), String> {
        let stat = fstatvfs(&self.fd).map_err(describe)?;
        if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err("on a read-only file system".to_owned());
        }
        if stat.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err("mounted noexec, so no program starts from there".to_owned());
        }
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        // A size of nothing is what file systems say that do not count: ramfs, and some of FUSE.
        if stat.f_blocks > 0 && free < needed {
            return Err(format!("{} MiB free, {} MiB needed", free >> 20, (needed >> 20) + 1));
        }
        let name = format!("{PROBE}{}", getpid().as_raw_nonzero());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.fd, &*name, flags, Mode::RWXU).map_err(describe)?;
        // The kernel refuses this for a file of mode 0700 where a mount or a policy forbids to execute.
        let executable = accessat(&self.fd, &*name, Access::EXEC_OK, AtFlags::empty());
        // A probe that stays behind is overwritten by the next one of this number, and does no harm.
        let _ = unlinkat(&self.fd, &*name, AtFlags::empty());
        match executable {
            // Gone already: a process of the same number in another PID namespace made it too, and removed it.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(_) => Err("programs may not be executed from there".to_owned()),
        }
    }
}

fn describe(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

/// The same user and root are trusted, nobody else.
fn unfit_user(owner: u32, me: u32) -> Option<String> {
    (owner != me && owner != 0).then(|| format!("belongs to user {owner}, not to {me}"))
}

/// Nor is a group that may write: it could swap what this user executes.
fn unfit_owner(owner: u32, mode: u32, me: u32) -> Option<String> {
    if let Some(reason) = unfit_user(owner, me) {
        Some(reason)
    } else if mode & 0o022 != 0 {
        Some(format!(
            "others may write to it (mode {:04o}); name a new folder inside it, or `chmod go-w` it",
            mode & 0o7777
        ))
    } else {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    Before,
}

fn make_with_parents(path: &Path) -> Result<Made, Errno> {
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) => Ok(Made::Now),
        Err(Errno::EXIST) => Ok(Made::Before),
        Err(Errno::NOENT) => {
            let parent = path.parent().ok_or(Errno::NOENT)?;
            make_with_parents(parent)?;
            match mkdirat(CWD, path, Mode::RWXU) {
                Ok(()) => Ok(Made::Now),
                Err(Errno::EXIST) => Ok(Made::Before),
                Err(errno) => Err(errno),
            }
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_and_root_are_trusted() {
        assert_eq!(unfit_owner(1000, 0o40700, 1000), None);
        assert_eq!(unfit_owner(1000, 0o40755, 1000), None);
        assert_eq!(unfit_owner(0, 0o40755, 1000), None);
        for (owner, mode) in [(1001, 0o40700), (1000, 0o40770), (1000, 0o40777), (0, 0o41777), (65534, 0o40755)] {
            assert!(unfit_owner(owner, mode, 1000).is_some(), "{owner} {mode:o}");
        }
    }

    #[test]
    fn candidates_in_order_and_once() {
        let given = [("HOME", "/h"), ("XDG_CACHE_HOME", "/h/.cache"), ("PACKPROOF_CACHE", "/c")];
        let environment = Environment::sort(given.map(|(name, value)| (name.into(), value.into())).into_iter());
        let paths = candidates(&environment).fit;
        assert_eq!(paths[..2], [PathBuf::from("/c"), PathBuf::from("/h/.cache/packproof")]);
        assert!(paths.len() == 3 && paths[2].starts_with("/var/tmp"));
        assert_eq!(candidates(&Environment::default()).fit.len(), 1);
        let service = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(name, value)| (name.into(), value.into()));
            candidates(&Environment::sort(given)).fit
        };
        let folders = ("CACHE_DIRECTORY", "/var/cache/one:/var/cache/two");
        let paths = service(&[("HOME", "/h"), folders, ("INVOCATION_ID", "0123456789abcdef")]);
        assert_eq!(paths[..2], [PathBuf::from("/h/.cache/packproof"), PathBuf::from("/var/cache/one/packproof")]);
        assert_eq!(service(&[folders]).len(), 1, "nobody says that it is systemd's");
    }

    #[test]
    fn a_relative_folder_is_no_cache() {
        assert!(Root::open_or_make(Path::new("relative")).is_err());
        assert!(!Path::new("relative").exists());
    }

    #[test]
    fn links_files_and_open_folders_are_refused() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Root::open_or_make(&at("a/b/c")).is_ok());
        symlink(at("a"), at("link")).unwrap();
        assert!(Root::open(&at("link")).unwrap_err().contains("link"));
        fs_err::write(at("file"), "").unwrap();
        assert!(Root::open_or_make(&at("file")).is_err());
        fs_err::set_permissions(at("a"), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Root::open(&at("a")).unwrap_err().contains("chmod"));
        let root = Root::open(&at("a/b")).unwrap();
        root.probe(1).unwrap();
        assert!(root.probe(u64::MAX).unwrap_err().contains("needed"));
        let apart = |root: &Root| ioctl_getflags(&root.fd).map(|flags| flags.contains(IFlags::TOPDIR));
        if apart(&Root::open_or_make(&at("new")).unwrap()) == Ok(true) {
            fs_err::create_dir(at("theirs")).unwrap();
            assert_eq!(apart(&Root::open_or_make(&at("theirs")).unwrap()), Ok(false));
        }
        assert_eq!(fs_err::read_dir(at("a/b")).unwrap().count(), 1, "the probe is gone");
    }
}
