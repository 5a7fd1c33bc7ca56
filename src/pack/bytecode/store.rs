//! Bytecode that earlier builds made: one file for each owner (a distribution, the standard library, the
//! application), as thousands of small files would take longer to read than to compile.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, Range};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use crate::cache;
use crate::format::ArchivePath;
use crate::layout::Origin;
use crate::pack::{Error, PackSpec};

/// Changes with what is done to bytecode after compiling, and with the file's format.
const VERSION: u32 = 4;
/// Bytes of all stores.
const MOST: u64 = 1 << 30;

const FOLDER: &str = "bytecode";

/// Removes the stores that were not used for longest.
pub(super) fn prune(folder: &Path) {
    cache::prune(&folder.join(FOLDER), MOST);
}

/// What else than the source decides what the bytecode is.
pub(super) fn identity(spec: &PackSpec) -> Result<blake3::Hash, Error> {
    let path = fs::canonicalize(&spec.python).map_err(Error::Read)?;
    let metadata = fs::metadata(&path).map_err(Error::Read)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&VERSION.to_le_bytes());
    hasher.update(spec.python_version.as_bytes());
    hasher.update(path.as_os_str().as_encoded_bytes());
    hasher.update(&metadata.len().to_le_bytes());
    for number in [metadata.mtime(), metadata.mtime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    Ok(hasher.finalize())
}

/// The bytes of one pyc, in the store's file or on their own. Cheap to copy.
#[derive(Debug, Clone)]
pub(in crate::pack) struct Pyc {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for Pyc {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl From<Vec<u8>> for Pyc {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { bytes: Arc::new(bytes), range }
    }
}

#[derive(Debug)]
pub(super) struct Store {
    /// Nothing where nothing is kept.
    path: Option<PathBuf>,
    entries: Entries,
}

/// By the source's path, as that is in the bytecode: hash of the source, and the pyc.
type Entries = BTreeMap<String, ([u8; 32], Pyc)>;

impl Store {
    /// What cannot be read, or is damaged, is an empty store.
    pub(super) fn open(folder: Option<&Path>, identity: &blake3::Hash, owner: &Origin) -> Self {
        let name = blake3::keyed_hash(identity.as_bytes(), format!("{owner:?}").as_bytes()).to_hex();
        let path = folder.map(|folder| folder.join(FOLDER).join(&name.as_str()[..32]));
        let entries = path.as_ref().and_then(|path| decode(cache::read(path).ok()?)).unwrap_or_default();
        Self { path, entries }
    }

    pub(super) fn get(&self, of: &ArchivePath, source: &[u8; 32]) -> Option<Pyc> {
        self.entries.get(of.as_str()).filter(|(hash, _)| hash == source).map(|(_, pyc)| pyc.clone())
    }

    pub(super) fn put(&mut self, of: &ArchivePath, source: [u8; 32], pyc: Pyc) {
        self.entries.insert(of.as_str().to_owned(), (source, pyc));
    }

    pub(super) fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        cache::write(path, &encode(&self.entries))
    }
}

/// Lengths of path and pyc (4 bytes each, little endian), path, hash, pyc; and at the end a hash of all before it.
fn encode(entries: &Entries) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, (hash, pyc)) in entries {
        out.extend_from_slice(&(path.len() as u32).to_le_bytes());
        out.extend_from_slice(&(pyc.len() as u32).to_le_bytes());
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(hash);
        out.extend_from_slice(pyc);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

fn decode(bytes: Vec<u8>) -> Option<Entries> {
    let (all, sum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(all).as_bytes() != sum {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let (path_length, after) = rest.split_first_chunk::<4>()?;
        let (pyc_length, after) = after.split_first_chunk::<4>()?;
        let (path, after) = after.split_at_checked(u32::from_le_bytes(*path_length) as usize)?;
        let (hash, after) = after.split_first_chunk::<32>()?;
        let start = all.len() - after.len();
        let (pyc, after) = after.split_at_checked(u32::from_le_bytes(*pyc_length) as usize)?;
        found.push((String::from_utf8(path.to_vec()).ok()?, *hash, start..start + pyc.len()));
        rest = after;
    }
    let bytes = Arc::new(bytes);
    let pyc = |range| Pyc { bytes: Arc::clone(&bytes), range };
    Some(found.into_iter().map(|(path, hash, range)| (path, (hash, pyc(range)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_empties_the_store() {
        let entries: Entries = [("a.py", 1, &b"pyc"[..]), ("b.py", 2, b"")]
            .map(|(path, hash, pyc)| (path.to_owned(), ([hash; 32], pyc.to_vec().into())))
            .into();
        let bytes = encode(&entries);
        let plain = |entries: Entries| -> Vec<_> {
            entries.into_iter().map(|(path, (hash, pyc))| (path, hash, pyc.to_vec())).collect()
        };
        assert_eq!(decode(bytes.clone()).map(plain), Some(plain(entries)));
        assert!(decode(encode(&Entries::new())).unwrap().is_empty());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(damaged).is_none());
            assert!(decode(bytes[..at].to_vec()).is_none());
        }
    }
}
