//! Folders that may be written to and stay as they are: an overlay over each, whose upper layer is gone with the sandbox.

use std::ffi::CString;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A file system in memory for upper layers, which nothing in the sandbox can see.
pub(super) struct Layers {
    place: PathBuf,
    count: usize,
    /// Where the machine has file systems.
    mounts: Vec<PathBuf>,
}

impl Layers {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let mounts = mounts();
        let place = root.join(".layers");
        fs::create_dir(&place)?;
        mount("tmpfs", &place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
        Ok(Self { place, count: 0, mounts })
    }

    /// Shows `folder` at `target`; whether that was possible.
    pub(super) fn lay_over(&mut self, folder: &Path, target: &Path) -> io::Result<bool> {
        let layer = self.place.join(self.count.to_string());
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        // What is mounted below it would not be seen.
        let has_mounts = self.mounts.iter().any(|mount| mount != folder && mount.starts_with(folder));
        if has_mounts || !folder.is_dir() {
            return Ok(false);
        }
        let spelled = [folder, &upper, &work].map(|path| path.to_str().filter(|text| !text.contains([',', ':', '\\'])));
        let [Some(lower), Some(upper), Some(work)] = spelled else { return Ok(false) };
        self.count += 1;
        for folder in [upper, work] {
            fs::create_dir_all(folder)?;
        }
        // The overlay's root has the owner and the mode of the upper one.
        let metadata = fs::metadata(folder)?;
        fs::set_permissions(upper, Permissions::from_mode(metadata.mode() & 0o7777))?;
        let _ = chown(upper, Some(metadata.uid()), Some(metadata.gid()));
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        // In a user namespace an overlay keeps its marks in attributes of users', since Linux 5.11.
        // https://docs.kernel.org/filesystems/overlayfs.html, "User xattr"
        let is_mounted = ["", ",userxattr"].iter().any(|option| {
            let options = format!("lowerdir={lower},upperdir={upper},workdir={work}{option}");
            CString::new(options)
                .is_ok_and(|options| mount("overlay", target, "overlay", flags, Some(options.as_c_str())).is_ok())
        });
        Ok(is_mounted)
    }

    /// The overlays keep what they need of it.
    pub(super) fn close(self) -> io::Result<()> {
        unmount(&self.place, UnmountFlags::DETACH)?;
        fs::remove_dir(&self.place)
    }
}

/// Source: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
fn mounts() -> Vec<PathBuf> {
    let lines = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = String::from_utf8_lossy(&lines);
    let places = lines.lines().filter_map(|line| line.split(' ').nth(4));
    places.map(|place| PathBuf::from(place.replace("\\040", " ").replace("\\134", "\\"))).collect()
}
