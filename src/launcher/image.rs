//! The file that is running.

#![expect(clippy::disallowed_types, reason = "the launcher is built without fs_err")]

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::{exec, mark, tree};
use crate::format::Artifact;

#[derive(Debug)]
pub(super) struct Image {
    pub(super) artifact: Artifact,
    /// Where it was opened. Behind `/proc/self/exe` lies the right file, whatever became of its name.
    path: PathBuf,
}

impl Image {
    pub(super) fn open(invoked: &OsStr) -> Result<Self, Error> {
        let mut first = None;
        for path in candidates(invoked) {
            match File::open(&path) {
                Ok(file) => return Ok(Self { artifact: Artifact::from_file(file)?, path }),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        Err(Error::NoImage(first.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
    }

    /// The tree that `PACKPROOF=extract` laid around this launcher; nothing for an artifact with a payload.
    pub(super) fn tree_beside(&self) -> Result<Option<PathBuf>, Error> {
        if self.artifact.footer.index.length > 0 {
            return Ok(None);
        }
        let path = self.path.canonicalize().map_err(Error::NoImage)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let whole =
            tree::open_folder(rustix::fs::CWD, folder).is_ok_and(|fd| mark::is_marked(&fd, &self.artifact.manifest));
        if whole { Ok(Some(folder.to_owned())) } else { Err(Error::TreeGone(folder.to_owned())) }
    }
}

/// `/proc` may be missing, in a chroot for one. The kernel's own note of what it executed comes next; `argv[0]`,
/// which is the caller's to choose, last.
fn candidates(invoked: &OsStr) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/proc/self/exe")];
    paths.extend(exec::noted_path().map(|noted| PathBuf::from(OsStr::from_bytes(noted))));
    if invoked.as_bytes().contains(&b'/') {
        paths.push(PathBuf::from(invoked));
    } else if let Some(search) = env::var_os("PATH")
        && !invoked.is_empty()
    {
        paths.extend(env::split_paths(&search).map(|folder| folder.join(invoked)));
    }
    paths
}
