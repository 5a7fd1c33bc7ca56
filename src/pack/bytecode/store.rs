//! Bytecode that earlier builds made: one file for each owner (a distribution, the standard library, the
//! application), as thousands of small files would take longer to read than to compile.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::cache;
use crate::format::ArchivePath;
use crate::layout::Origin;
use crate::pack::{Error, PackSpec};

/// Changes with what is done to bytecode after compiling, and with the file's format.
const VERSION: u32 = 3;

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

#[derive(Debug)]
pub(super) struct Store {
    /// Nothing where nothing is kept.
    path: Option<PathBuf>,
    /// By the source's path, as that is in the bytecode: hash of the source, and the pyc.
    entries: BTreeMap<String, ([u8; 32], Vec<u8>)>,
}

impl Store {
    /// What cannot be read, or is damaged, is an empty store.
    pub(super) fn open(folder: Option<&Path>, identity: &blake3::Hash, owner: &Origin) -> Self {
        let name = blake3::keyed_hash(identity.as_bytes(), format!("{owner:?}").as_bytes()).to_hex();
        let path = folder.map(|folder| folder.join(&name.as_str()[..32]));
        let entries = path.as_ref().and_then(|path| decode(&fs::read(path).ok()?)).unwrap_or_default();
        Self { path, entries }
    }

    pub(super) fn get(&self, of: &ArchivePath, source: blake3::Hash) -> Option<&[u8]> {
        self.entries.get(of.as_str()).filter(|(hash, _)| hash == source.as_bytes()).map(|(_, pyc)| &pyc[..])
    }

    pub(super) fn put(&mut self, of: &ArchivePath, source: blake3::Hash, pyc: Vec<u8>) {
        self.entries.insert(of.as_str().to_owned(), (*source.as_bytes(), pyc));
    }

    pub(super) fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        cache::write(path, &encode(&self.entries))
    }
}

type Entries = BTreeMap<String, ([u8; 32], Vec<u8>)>;

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

fn decode(bytes: &[u8]) -> Option<Entries> {
    let (mut rest, sum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(rest).as_bytes() != sum {
        return None;
    }
    let mut entries = Entries::new();
    while !rest.is_empty() {
        let (path_length, after) = rest.split_first_chunk::<4>()?;
        let (pyc_length, after) = after.split_first_chunk::<4>()?;
        let (path, after) = after.split_at_checked(u32::from_le_bytes(*path_length) as usize)?;
        let (hash, after) = after.split_first_chunk::<32>()?;
        let (pyc, after) = after.split_at_checked(u32::from_le_bytes(*pyc_length) as usize)?;
        entries.insert(String::from_utf8(path.to_vec()).ok()?, (*hash, pyc.to_vec()));
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_empties_the_store() {
        let entries: Entries = [("a.py", 1, &b"pyc"[..]), ("b.py", 2, b"")]
            .map(|(path, hash, pyc)| (path.to_owned(), ([hash; 32], pyc.to_vec())))
            .into();
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Some(entries));
        assert_eq!(decode(&encode(&Entries::new())), Some(Entries::new()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None);
            assert_eq!(decode(&bytes[..at]), None);
        }
    }
}
