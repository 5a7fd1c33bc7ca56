//! `[python] distribution`: a Python installation that can be moved, unpacked or as an archive, such as those of
//! python-build-standalone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

use super::{Error, Facts};
use crate::cache::{self, slot::Slot};

/// Where `bin/` lies in such an archive: at the top, or as the two flavours of python-build-standalone have it.
const ROOTS: &[&str] = &["", "python", "install", "python/install"];

/// `path` is a folder or an archive that the system's `tar` can read. An archive is unpacked once, into the tool's cache.
pub(super) fn open(path: &Path) -> Result<Facts, Error> {
    let folder = if path.is_dir() { path.to_owned() } else { unpacked(path)? };
    let found = ROOTS.iter().map(|root| folder.join(root).join("bin").join("python3")).find(|python| python.is_file());
    let python = found.ok_or_else(|| Error::NotFound {
        looked: format!("`[python] distribution`: looked for `bin/python3` in `{}`", path.display()),
    })?;
    Facts::ask(&python)
}

fn unpacked(archive: &Path) -> Result<PathBuf, Error> {
    let cache = cache::root().ok_or_else(|| Error::NotFound {
        looked:
            "unpacking `[python] distribution` needs a cache folder: set PACKPROOF_TOOL_CACHE, XDG_CACHE_HOME or HOME"
                .to_owned(),
    })?;
    let digest = blake3::hash(&fs::read(archive)?).to_hex();
    let slot = Slot::claim(&cache.join("pythons"), &digest[..24])?;
    if !slot.is_filled() {
        slot.fill(|aside| unpack(archive, aside))?;
    }
    Ok(slot.folder().to_owned())
}

fn unpack(archive: &Path, aside: &Path) -> Result<(), Error> {
    fs::create_dir(aside)?;
    let mut command = Command::new("tar");
    command.arg("-xf").arg(archive).arg("-C").arg(aside).stdin(Stdio::null());
    let output = command.output().map_err(|source| Error::Spawn { program: "tar".to_owned(), source })?;
    if !output.status.success() {
        return Err(Error::InstallFailed {
            installer: format!("tar, which was to unpack `{}`,", archive.display()),
            status: output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string()),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            hint: None,
        });
    }
    Ok(())
}
