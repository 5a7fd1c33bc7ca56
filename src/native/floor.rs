//! The oldest glibc that will do, and who sets it.

use std::fmt;

/// `2.34`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion(Vec<u32>);

impl GlibcVersion {
    /// Nothing for `PRIVATE` and its like.
    pub fn parse(text: &str) -> Option<Self> {
        text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Of a symbol version: `GLIBC_2.34`. Nothing for `GLIBC_PRIVATE` and for other libraries' versions.
    pub fn of_need(version: &str) -> Option<Self> {
        match version {
            // Relative relocations in their short form: no symbol, but loaders before 2.36 cannot read the file.
            // <https://sourceware.org/pipermail/libc-announce/2022/000033.html>
            "GLIBC_ABI_DT_RELR" => Some(Self(vec![2, 36])),
            other => Self::parse(other.strip_prefix("GLIBC_")?),
        }
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// The highest version that any file needs, with the files that need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    pub version: Option<GlibcVersion>,
    /// Sorted.
    pub set_by: Vec<String>,
}

impl Floor {
    pub fn add(&mut self, file: &str, version: Option<&GlibcVersion>) {
        let Some(version) = version else { return };
        if self.version.as_ref().is_none_or(|highest| version > highest) {
            self.version = Some(version.clone());
            self.set_by.clear();
        }
        if self.version.as_ref() == Some(version) {
            self.set_by.push(file.to_owned());
            self.set_by.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_wins_and_is_named() {
        let mut floor = Floor::default();
        for (file, version) in [("a", "2.17"), ("c", "2.34"), ("d", "2.3.4"), ("b", "2.34")] {
            floor.add(file, GlibcVersion::parse(version).as_ref());
        }
        floor.add("x", GlibcVersion::parse("PRIVATE").as_ref());
        assert_eq!(floor.version.unwrap().to_string(), "2.34");
        assert_eq!(floor.set_by, ["b", "c"]);
    }
}
