use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::io::Errno;

use crate::format::{self, Manifest};

/// Why nothing was started. Each has its exit code in `docs/format.md`.
#[derive(Debug)]
pub(super) enum Error {
    /// The file that is running cannot be opened.
    NoImage(io::Error),
    Artifact(format::Error),
    /// No folder will do as a cache: each with its reason.
    NoRoot(Vec<(PathBuf, String)>),
    Unpack {
        path: PathBuf,
        source: io::Error,
    },
    /// A tree, or what is left of one.
    Remove {
        path: PathBuf,
        source: io::Error,
    },
    Privileged,
    NoInterpreterMode,
    UnknownCommand(String),
    Arguments(&'static str),
    /// `PACKPROOF=extract` would overwrite something.
    Occupied(PathBuf),
    /// `PACKPROOF=extract` would rename onto it.
    MountPoint(PathBuf),
    /// A command that an extracted tree has no payload for.
    Extracted,
    /// The tree beside an extracted launcher is another one's, or no longer whole.
    TreeGone(PathBuf),
    /// The artifact needs a newer C library.
    OldGlibc {
        needed: String,
        system: String,
    },
    Exec {
        path: PathBuf,
        source: io::Error,
    },
}

/// What file systems say that have no `flock`: Lustre, some of FUSE, NFS without its lock service.
pub(super) const NO_LOCKS: [Errno; 4] = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOLCK];

impl Error {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NoImage(_) | Self::Artifact(_) | Self::TreeGone(_) => 121,
            Self::NoRoot(_) | Self::Unpack { .. } | Self::Remove { .. } => 122,
            Self::Privileged | Self::NoInterpreterMode => 123,
            Self::UnknownCommand(_)
            | Self::Arguments(_)
            | Self::Occupied(_)
            | Self::MountPoint(_)
            | Self::Extracted => 124,
            Self::OldGlibc { .. } | Self::Exec { .. } => 125,
        }
    }

    /// Whether `execve` failed because the interpreter is gone. The kernel says the same of a dynamic loader that
    /// is missing, which no new tree would mend.
    pub(super) fn is_missing_interpreter(&self, tree: &Path, manifest: &Manifest) -> bool {
        let Self::Exec { source, .. } = self else { return false };
        let gone = matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        gone && rustix::fs::stat(tree.join(manifest.start.interpreter.as_str())).is_err()
    }

    /// Whether another cache folder might do where this one did not: for want of room, of rights or of locks.
    pub(super) fn is_of_this_folder(&self) -> bool {
        let Self::Unpack { source, .. } = self else { return false };
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::ACCESS, Errno::PERM];
        let errno = Errno::from_io_error(source);
        errno.is_some_and(|errno| full.contains(&errno) || NO_LOCKS.contains(&errno))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage(source) => write!(f, "cannot open the file that is running: {source}"),
            Self::Artifact(source) => {
                write!(f, "this artifact cannot be used: {source}\nfetch or build it again")
            }
            Self::NoRoot(reasons) => {
                f.write_str("no folder to unpack into")?;
                for (path, reason) in reasons {
                    write!(f, "; {}: {reason}", path.display())?;
                }
                f.write_str("\nset PACKPROOF_CACHE to a folder of your own that can be written to and executed from")
            }
            Self::Unpack { path, source } => {
                write!(f, "cannot unpack to {}: {source}", path.display())?;
                f.write_str(match Errno::from_io_error(source) {
                    Some(Errno::MFILE | Errno::NFILE) => {
                        "\nraise the number of open files that is allowed: `ulimit -n`"
                    }
                    Some(errno) if NO_LOCKS.contains(&errno) => {
                        "\nit may have no file locks: set PACKPROOF_CACHE to a folder of your own on a local disk"
                    }
                    _ => "\nmake room there, or set PACKPROOF_CACHE to another folder of your own",
                })
            }
            Self::Remove { path, source } => {
                write!(f, "cannot remove {}: {source}\nremove it as a user who may", path.display())
            }
            Self::Privileged => f.write_str(
                "refusing a privileged start (set-user-ID, set-group-ID or file capabilities)\n\
                 give the rights from outside: systemd's User= and AmbientCapabilities=, or sudo",
            ),
            Self::NoInterpreterMode => f.write_str(
                "PACKPROOF=python: this artifact was built without it\n\
                 build it with `[runner] interpreter = true` to use it as an interpreter",
            ),
            Self::UnknownCommand(given) => {
                write!(f, "PACKPROOF={given} is not known\nwanted: python, extract, info, check or clean")
            }
            Self::Arguments(wanted) => write!(f, "wanted: {wanted}"),
            Self::Occupied(path) => {
                write!(f, "{} is there already and not an empty folder\nname another one", path.display())
            }
            Self::MountPoint(path) => {
                write!(
                    f,
                    "{} is a mount point, which no folder can take the place of\nname one inside it",
                    path.display()
                )
            }
            Self::Extracted => f.write_str(
                "this is an extracted tree's launcher, which holds no payload\nuse the artifact that it came from",
            ),
            Self::TreeGone(path) => write!(
                f,
                "the tree in {} is not the one that this launcher starts, or not whole\n\
                 extract it again with PACKPROOF=extract",
                path.display()
            ),
            Self::OldGlibc { needed, system } => write!(
                f,
                "this needs glibc {needed} or newer, and this system has {system}: run it on a newer one, or build it there"
            ),
            Self::Exec { path, source } => {
                write!(f, "cannot start {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::NotFound => {
                        f.write_str("\nits dynamic loader is missing: a system with glibc is needed")
                    }
                    io::ErrorKind::ArgumentListTooLong => {
                        f.write_str("\npass fewer arguments or a smaller environment")
                    }
                    _ => f.write_str("\nset PACKPROOF_CACHE to a folder that programs can be executed from"),
                }
            }
        }
    }
}

impl From<format::Error> for Error {
    fn from(source: format::Error) -> Self {
        Self::Artifact(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_cure() {
        let unpack = |errno: Errno| Error::Unpack { path: "/c".into(), source: errno.into() };
        for (errno, elsewhere, cure) in [
            (Errno::NOSPC, true, "make room"),
            (Errno::NOSYS, true, "no file locks"),
            (Errno::OPNOTSUPP, true, "no file locks"),
            (Errno::NOLCK, true, "no file locks"),
            (Errno::MFILE, false, "ulimit -n"),
            (Errno::IO, false, "set PACKPROOF_CACHE"),
        ] {
            let error = unpack(errno);
            assert!(error.is_of_this_folder() == elsewhere && error.to_string().contains(cure), "{error}");
        }
    }
}
