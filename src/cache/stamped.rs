//! What was read out of files, kept for as long as the files stay as they were.
//!
//! One file on disk for each purpose and environment, as thousands of small ones would take longer to open than their
//! sources to read. A file is the same while its size, inode and times of change and modification are. One that has changed
//! within the last seconds is not kept: a second change could carry the same time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A filesystem's clock ticks every few milliseconds, and over a network other machines' clocks count.
const SETTLED: Duration = Duration::from_secs(2);
/// Bytes of all files of one purpose together. A large environment takes about 10 MB.
const MOST: u64 = 256 << 20;

/// Size in bytes, inode, and the times of modification and change in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([u64; 4]);

const STAMP: usize = 32;

impl Stamp {
    /// Links are followed. Nothing where the file cannot be looked at.
    pub fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        let nanoseconds = |seconds: i64, rest: i64| seconds.cast_unsigned() * 1_000_000_000 + rest.cast_unsigned();
        let modified = nanoseconds(metadata.mtime(), metadata.mtime_nsec());
        let changed = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
        Some(Self([metadata.len(), metadata.ino(), modified, changed]))
    }

    /// In bytes.
    pub fn size(self) -> u64 {
        self.0[0]
    }

    /// Whether the file was left alone for long enough that another change would show.
    pub fn is_settled(self, now: SystemTime) -> bool {
        let [_, _, modified, changed] = self.0;
        let limit = now.checked_sub(SETTLED).and_then(|limit| limit.duration_since(UNIX_EPOCH).ok());
        limit.is_some_and(|limit| u128::from(modified.max(changed)) < limit.as_nanos())
    }

    fn bytes(self) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        for (part, number) in bytes.chunks_exact_mut(8).zip(self.0) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

impl Display for Stamp {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let [size, inode, modified, changed] = self.0;
        write!(out, "{size} {inode} {modified} {changed}")
    }
}

/// Path → its stamp, and where in the file what was read lies.
type Entries = FxHashMap<Box<[u8]>, ([u8; STAMP], Range<usize>)>;

/// Path → what was read there.
#[derive(Debug, Default)]
pub struct Stamped {
    /// Nothing where nothing is kept.
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    entries: Entries,
    /// What was asked for and not there.
    new: Mutex<BTreeMap<PathBuf, (Stamp, Vec<u8>)>>,
}

impl Stamped {
    /// `purpose` is the folder; `key` is everything else than the file that decides what is read out of it. What cannot be
    /// read, or is damaged, is an empty store.
    pub fn open(cache: Option<&Path>, purpose: &str, key: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [env!("CARGO_PKG_VERSION").as_bytes()].iter().chain(key) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let name = hasher.finalize().to_hex();
        let Some(path) = cache.map(|root| root.join(purpose).join(&name[..32])) else { return Self::default() };
        let bytes = fs::read(&path).unwrap_or_default();
        let entries = decode(&bytes).unwrap_or_default();
        Self { path: Some(path), bytes, entries, new: Mutex::default() }
    }

    /// What is kept for `file`, if that is still as `stamp` says.
    pub fn get<T: DeserializeOwned>(&self, file: &Path, stamp: Stamp) -> Option<T> {
        let (known, range) = self.entries.get(file.as_os_str().as_bytes())?;
        (*known == stamp.bytes()).then(|| postcard::from_bytes(&self.bytes[range.clone()]).ok())?
    }

    /// `stamp` was taken before `file` was read.
    pub fn put(&self, file: &Path, stamp: Stamp, value: &impl Serialize) {
        if self.path.is_none() || !stamp.is_settled(SystemTime::now()) {
            return;
        }
        if let (Ok(bytes), Ok(mut new)) = (postcard::to_allocvec(value), self.new.lock()) {
            new.insert(file.to_owned(), (stamp, bytes));
        }
    }

    /// What [`Self::get`] has, else what `read` gives, which is kept.
    pub fn get_or<T: Serialize + DeserializeOwned, E>(
        &self,
        file: &Path,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(stamp) = self.path.as_ref().and_then(|_| Stamp::of(file)) else { return read() };
        if let Some(kept) = self.get(file, stamp) {
            return Ok(kept);
        }
        let value = read()?;
        self.put(file, stamp, &value);
        Ok(value)
    }

    /// As [`Self::save`], in a thread of its own.
    pub fn save_beside(self) -> Writing {
        let is_new = self.new.lock().is_ok_and(|new| !new.is_empty());
        Writing(is_new.then(|| std::thread::spawn(|| self.save())))
    }

    /// Writes what is new. What cannot be kept costs the next run its time, and nothing else.
    pub fn save(self) {
        let (Some(path), Ok(new)) = (self.path, self.new.into_inner()) else { return };
        if new.is_empty() {
            return;
        }
        let stays = |file: &[u8]| {
            let file = Path::new(OsStr::from_bytes(file));
            !new.contains_key(file) && file.exists()
        };
        let old = self.entries.iter().filter(|(file, _)| stays(file));
        let old = old.map(|(file, (stamp, range))| (&**file, *stamp, &self.bytes[range.clone()]));
        let new = new.iter().map(|(file, (stamp, value))| (file.as_os_str().as_bytes(), stamp.bytes(), &value[..]));
        if super::write(&path, &encode(old.chain(new))).is_ok()
            && let Some(folder) = path.parent()
        {
            super::prune(folder, MOST);
        }
    }
}

/// A store that is being written; done when this value is dropped.
#[derive(Debug, Default)]
pub struct Writing(Option<JoinHandle<()>>);

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            // What was not kept is read anew next time.
            let _ = writer.join();
        }
    }
}

/// Lengths of path and value (4 bytes each, little endian), path, stamp, value; and at the end a hash of all before it.
fn encode<'a>(entries: impl Iterator<Item = (&'a [u8], [u8; STAMP], &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (file, stamp, value) in entries {
        out.extend_from_slice(&(file.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(file);
        out.extend_from_slice(&stamp);
        out.extend_from_slice(value);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Entries> {
    let (all, sum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(all).as_bytes() != sum {
        return None;
    }
    let mut rest = all;
    let mut entries = Entries::default();
    while !rest.is_empty() {
        let (file_length, after) = rest.split_first_chunk::<4>()?;
        let (value_length, after) = after.split_first_chunk::<4>()?;
        let (file, after) = after.split_at_checked(u32::from_le_bytes(*file_length) as usize)?;
        let (stamp, after) = after.split_first_chunk::<STAMP>()?;
        let start = all.len() - after.len();
        let (value, after) = after.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
        entries.insert(file.into(), (*stamp, start..start + value.len()));
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(file: &Path, text: &str) {
        fs::write(file, text).unwrap();
    }

    #[test]
    fn kept_while_the_file_is_the_same() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.py");
        old(&file, "one");
        let stamp = Stamp::of(&file).unwrap();
        assert!(!stamp.is_settled(SystemTime::now()) && stamp.is_settled(SystemTime::now() + SETTLED * 2));
        let open = |key: &str| Stamped::open(Some(root.path()), "test", &[key.as_bytes()]);
        let store = open("k");
        // Too young to be kept by itself.
        store.put(&file, stamp, &1_u32);
        assert!(store.new.lock().unwrap().is_empty());
        store.new.lock().unwrap().insert(file.clone(), (stamp, postcard::to_allocvec(&7_u32).unwrap()));
        store.save();
        assert_eq!(open("k").get::<u32>(&file, stamp), Some(7));
        assert_eq!(open("k").get_or(&file, || Ok::<_, ()>(8_u32)), Ok(7));
        assert_eq!(open("other").get::<u32>(&file, stamp), None);
        old(&file, "other");
        assert_eq!(open("k").get::<u32>(&file, Stamp::of(&file).unwrap()), None);
    }

    #[test]
    fn damage_empties_the_store() {
        let bytes = encode([(&b"a.py"[..], [1; STAMP], &b"value"[..]), (b"b.py", [2; STAMP], b"")].into_iter());
        assert_eq!(decode(&bytes).unwrap().len(), 2);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None);
            assert_eq!(decode(&bytes[..at]), None);
        }
    }

    #[test]
    fn without_a_cache_everything_is_read() {
        let store = Stamped::open(None, "test", &[]);
        assert_eq!(store.get_or(Path::new("/"), || Ok::<_, ()>(1_u8)), Ok(1));
        store.save();
    }
}
