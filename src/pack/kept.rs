//! Blocks that earlier builds packed, by what is in them. A build after a small change packs only what changed.

use std::path::{Path, PathBuf};

use crate::cache;
use crate::format::Digest;

/// Bytes of kept blocks. Two levels of a large application have about 200 MB.
const MOST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Kept {
    /// Nothing where nothing is kept.
    folder: Option<PathBuf>,
}

impl Kept {
    pub(super) fn open(cache: Option<&Path>) -> Self {
        Self { folder: cache.map(|cache| cache.join("blocks")) }
    }

    fn path(&self, key: &blake3::Hash) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(&key.to_hex()[..32]))
    }

    /// What is damaged counts as not kept.
    pub(super) fn get(&self, key: &blake3::Hash) -> Option<Vec<u8>> {
        let path = self.path(key)?;
        let mut bytes = cache::read(&path).ok()?;
        let digest: [u8; Digest::LENGTH] = *bytes.last_chunk()?;
        bytes.truncate(bytes.len() - Digest::LENGTH);
        if Digest::of(&bytes) != Digest::from_bytes(digest) {
            return None;
        }
        Some(bytes)
    }

    /// What cannot be kept costs the next build its time, and nothing else.
    pub(super) fn put(&self, key: &blake3::Hash, bytes: &[u8]) {
        if let Some(path) = self.path(key) {
            let mut whole = bytes.to_vec();
            whole.extend_from_slice(Digest::of(bytes).as_bytes());
            drop(cache::write(&path, &whole));
        }
    }

    /// Removes the blocks that were not used for longest, down to [`MOST`] bytes.
    pub(super) fn prune(&self) {
        self.prune_to(MOST);
    }

    fn prune_to(&self, most: u64) {
        if let Some(folder) = &self.folder {
            cache::prune(folder, most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use fs_err as fs;

    use super::*;

    #[test]
    fn kept_damaged_and_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(Some(folder.path()));
        let keys = [1, 2, 3].map(|number: u8| blake3::hash(&[number]));
        assert_eq!(kept.get(&keys[0]), None);
        for key in &keys {
            kept.put(key, b"packed");
            assert_eq!(kept.get(key).as_deref(), Some(&b"packed"[..]));
        }
        let path = kept.path(&keys[1]).unwrap();
        for damaged in [&b"packed and something that is no digest"[..], b"short"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(kept.get(&keys[1]), None);
        }
        fs::remove_file(path).unwrap();
        let old = fs::File::open(kept.path(&keys[2]).unwrap()).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        kept.prune_to(30);
        assert!(kept.get(&keys[0]).is_some() && kept.get(&keys[2]).is_none());
        let none = Kept::open(None);
        none.put(&keys[0], b"packed");
        assert_eq!(none.get(&keys[0]), None);
        none.prune();
    }
}
