//! A folder of wheels and a platform's tag → findings: whether what would be installed there could be loaded there.
//!
//! [`read`] takes the wheels apart, [`tag`] knows what installs where, [`system`] what each system brings, [`checks`] puts
//! the three together. ELF, Mach-O and PE files are read alike on every machine, so a wheelhouse for another platform can
//! be audited here. Left out: which of the wheels an installer would choose for which Python, and what they import.

pub mod checks;
mod libraries;
pub mod read;
pub mod system;
pub mod tag;

use std::path::PathBuf;

use crate::native::{ElfFile, MachFile, PeFile};

/// A file of native code, of whichever system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeFile {
    Elf(ElfFile),
    Mach(MachFile),
    Pe(PeFile),
}

impl NativeFile {
    /// Nothing for other files, and for those that are too damaged to tell.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        ElfFile::parse(bytes)
            .map(Self::Elf)
            .or_else(|| MachFile::parse(bytes).map(Self::Mach))
            .or_else(|| PeFile::parse(bytes).map(Self::Pe))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the folder `{}`", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("`{}` holds no wheels: fill it, e.g. with `pip download --platform TAG --only-binary :all: -d DIR …`", path.display())]
    NoWheels { path: PathBuf },
    #[error(transparent)]
    Platform(#[from] tag::UnknownPlatform),
    #[error("`any` is no platform: name the one that the wheels are for, e.g. `win_amd64`")]
    AnyPlatform,
}
