use serde::{Deserialize, Serialize};

use super::{ArchivePath, Digest, Error, FORMAT_VERSION};

/// `manifest.json`: what the launcher needs for a warm start, and what a person wants to know first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    pub format: u32,
    pub name: String,
    /// Of the packproof that made it.
    pub packproof: String,
    /// `3.11.7`
    pub python: String,
    pub start: Start,
    /// Of the unpacked tree, as [`super::Index::payload_digest`] makes it. The tree's folder is named after it.
    pub payload: Digest,
    pub files: u64,
    /// Bytes of all files, unpacked.
    pub unpacked: u64,
    pub blocks: u64,
    /// The highest glibc version that a file wants which every run loads, e.g. `2.28`; the launcher refuses an older one.
    pub glibc: Option<String>,
    /// Whether `PACKPROOF=python` turns the artifact into its interpreter.
    pub interpreter: bool,
}

/// What the launcher executes: `interpreter options… entry arguments…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Start {
    pub interpreter: ArchivePath,
    /// E.g. `-s`.
    pub options: Vec<String>,
    pub entry: StartEntry,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartEntry {
    /// A file of the tree, given to the interpreter by its absolute path.
    Script(ArchivePath),
    /// `-m module`
    Module(String),
}

impl Manifest {
    /// The bytes of `manifest.json`.
    ///
    /// # Panics
    ///
    /// Never: strings, numbers and lists of them are always JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("always JSON");
        json.push(b'\n');
        json
    }

    pub fn decode(json: &[u8]) -> Result<Self, Error> {
        let malformed = |why| Error::Malformed { part: "manifest", why };
        let manifest: Self = serde_json::from_slice(json).map_err(|_| malformed("a field is missing or wrong"))?;
        if manifest.format != FORMAT_VERSION {
            return Err(Error::UnknownFormat(manifest.format));
        }
        // The name becomes that of a folder in the cache.
        if !is_name(&manifest.name) {
            return Err(malformed("the name is no file name"));
        }
        Ok(manifest)
    }

    /// The name of the tree's folder in a cache.
    pub fn tree_name(&self) -> String {
        format!("{}-{}", self.name, self.payload)
    }
}

/// Whether an application may be called `name`: a file name that needs no quoting, and is not hidden.
pub fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    (1..=100).contains(&name.len()) && name.bytes().all(inside) && !name.starts_with(['.', '-'])
}
