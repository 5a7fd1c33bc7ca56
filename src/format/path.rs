//! Paths inside an artifact.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A path relative to the root of the unpacked tree: `/` between parts, and no part empty, `.` or `..`, so that
/// joining it to any folder stays inside that folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArchivePath(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArchivePath(pub String);

impl ArchivePath {
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidArchivePath> {
        let path = path.into();
        let valid = path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
        if valid { Ok(Self(path)) } else { Err(InvalidArchivePath(path)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that holds it; nothing for an entry of the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    pub fn join(&self, below: &str) -> Result<Self, InvalidArchivePath> {
        Self::new(format!("{}/{below}", self.0))
    }
}

impl TryFrom<String> for ArchivePath {
    type Error = InvalidArchivePath;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        Self::new(path)
    }
}

impl From<ArchivePath> for String {
    fn from(path: ArchivePath) -> Self {
        path.0
    }
}

impl Borrow<str> for ArchivePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for InvalidArchivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a path inside the artifact: relative, with `/`, without `.`, `..` or empty parts",
            self.0
        )
    }
}

impl std::error::Error for InvalidArchivePath {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_stay_inside() {
        for good in ["a", "a/b", "lib/python3.11/..x", "a b/ä"] {
            assert!(ArchivePath::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\0"] {
            assert!(ArchivePath::new(bad).is_err(), "{bad}");
        }
    }
}
