use std::{fmt, io};

/// Why a file is not an artifact that this version can read.
#[derive(Debug)]
pub enum Error {
    /// There is no footer at the end: another file, or one that was cut off.
    NoFooter,
    /// The footer is there, but its own checksum is not right.
    FooterDamaged,
    /// Made by an earlier or a later packproof.
    UnknownFormat(u32),
    /// A part lies outside the file.
    OutOfBounds(&'static str),
    /// The bytes of a part are not those that were packed.
    Damaged {
        part: &'static str,
        number: Option<usize>,
    },
    /// The digest is right and the content still makes no sense.
    Malformed {
        part: &'static str,
        why: &'static str,
    },
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFooter => f.write_str("no packproof payload at the end of the file, or the file was cut off"),
            Self::FooterDamaged => f.write_str("the footer is damaged"),
            Self::UnknownFormat(version) => {
                write!(f, "it has format {version}, and this packproof reads {} alone", super::FORMAT_VERSION)
            }
            Self::OutOfBounds(part) => write!(f, "the {part} lies outside the file"),
            Self::Damaged { part, number: None } => write!(f, "the {part} is damaged"),
            Self::Damaged { part, number: Some(number) } => write!(f, "{part} {number} is damaged"),
            Self::Malformed { part, why } => write!(f, "the {part} makes no sense: {why}"),
            Self::Io(source) => fmt::Display::fmt(source, f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::UnexpectedEof { Self::NoFooter } else { Self::Io(source) }
    }
}
