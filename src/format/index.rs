//! The `index` entry: what the tree consists of, and where each file's bytes are.

use std::collections::{BTreeSet, HashMap};

use super::wire::{Cursor, malformed, put_text, put_varint};
use super::{ArchivePath, Digest, Error, Filter};

const MAGIC: &[u8; 8] = b"pkpindx1";

/// Above the permission bits.
const CHANGED: u64 = 0o1000;

/// Every list is sorted by path. No path stands twice, and every parent folder is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    pub blocks: Vec<Block>,
    pub folders: Vec<ArchivePath>,
    pub files: Vec<File>,
    pub links: Vec<Link>,
}

/// One zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// From the first byte of the artifact.
    pub offset: u64,
    pub packed: u64,
    pub unpacked: u64,
    pub filter: Filter,
    /// Of the packed bytes.
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: ArchivePath,
    /// Permission bits, at most `0o777`.
    pub mode: u32,
    /// Whether it was changed for the artifact: relocated, stripped, or rid of folders of the build machine.
    pub changed: bool,
    pub size: u64,
    pub digest: Digest,
    /// Number of the block, and where in its unpacked bytes the file begins. Both 0 for an empty file.
    pub block: usize,
    pub offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub path: ArchivePath,
    /// Relative, and still inside the tree when followed from the link's folder.
    pub target: String,
}

impl Index {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_varint(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            for value in [block.offset, block.packed, block.unpacked, block.filter.number()] {
                put_varint(&mut out, value);
            }
            out.extend_from_slice(block.digest.as_bytes());
        }
        // Number 0 is the root, which is not listed; a folder comes after its parent, as sorting has it.
        let mut numbers = HashMap::new();
        put_varint(&mut out, self.folders.len() as u64);
        for (number, folder) in self.folders.iter().enumerate() {
            put_name(&mut out, &numbers, folder);
            numbers.insert(folder.clone(), number as u64 + 1);
        }
        put_varint(&mut out, self.files.len() as u64);
        for file in &self.files {
            put_name(&mut out, &numbers, &file.path);
            let mode = u64::from(file.mode) | if file.changed { CHANGED } else { 0 };
            for value in [mode, file.size, file.block as u64, file.offset] {
                put_varint(&mut out, value);
            }
            out.extend_from_slice(file.digest.as_bytes());
        }
        put_varint(&mut out, self.links.len() as u64);
        for link in &self.links {
            put_name(&mut out, &numbers, &link.path);
            put_text(&mut out, &link.target);
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        if cursor.bytes(MAGIC.len())? != MAGIC {
            return Err(malformed("it does not begin like one"));
        }
        let blocks = list(&mut cursor, 20, |cursor| {
            let (offset, packed, unpacked) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
            let filter = Filter::from_number(cursor.varint()?).ok_or(malformed("a block's filter is not known"))?;
            Ok(Block { offset, packed, unpacked, filter, digest: cursor.digest()? })
        })?;
        let mut folders: Vec<ArchivePath> = Vec::new();
        for _ in 0..cursor.count(3)? {
            let path = name(&mut cursor, &folders)?;
            folders.push(path);
        }
        let files = list(&mut cursor, 23, |cursor| {
            let path = name(cursor, &folders)?;
            let (mode, size, block, offset) = (cursor.varint()?, cursor.varint()?, cursor.varint()?, cursor.varint()?);
            Ok(File {
                path,
                mode: u32::try_from(mode & !CHANGED).map_err(|_| malformed("a mode is too large"))?,
                changed: mode & CHANGED != 0,
                size,
                digest: cursor.digest()?,
                block: usize::try_from(block).map_err(|_| malformed("a block's number is too large"))?,
                offset,
            })
        })?;
        let links = list(&mut cursor, 4, |cursor| {
            Ok(Link { path: name(cursor, &folders)?, target: cursor.text()?.to_owned() })
        })?;
        cursor.end()?;
        let index = Self { blocks, folders, files, links };
        index.check()?;
        Ok(index)
    }

    /// What each value alone cannot show.
    fn check(&self) -> Result<(), Error> {
        let sorted = self.folders.is_sorted_by(|a, b| a < b)
            && self.files.is_sorted_by(|a, b| a.path < b.path)
            && self.links.is_sorted_by(|a, b| a.path < b.path);
        if !sorted {
            return Err(malformed("a list is not sorted, or a path stands twice"));
        }
        let mut seen: BTreeSet<&ArchivePath> = self.folders.iter().collect();
        let others = self.files.iter().map(|file| &file.path).chain(self.links.iter().map(|link| &link.path));
        for path in others {
            if !seen.insert(path) {
                return Err(malformed("a path stands twice"));
            }
        }
        for file in &self.files {
            if file.mode > 0o777 {
                return Err(malformed("a mode has more than permission bits"));
            }
            let inside = match self.blocks.get(file.block) {
                Some(block) => file.offset.checked_add(file.size).is_some_and(|end| end <= block.unpacked),
                None => file.size == 0 && file.block == 0 && file.offset == 0,
            };
            if !inside {
                return Err(malformed("a file lies outside its block"));
            }
        }
        if !self.links.iter().all(|link| stays_inside(&link.path, &link.target)) {
            return Err(malformed("a link leaves the tree"));
        }
        Ok(())
    }

    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// Where files begin in a block, ascending.
    pub fn starts(&self, block: usize) -> Vec<u64> {
        let files = self.files.iter().filter(|file| file.block == block && file.size > 0);
        let starts: BTreeSet<u64> = files.map(|file| file.offset).collect();
        starts.into_iter().collect()
    }

    /// Bytes of all files, unpacked.
    pub fn unpacked(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Names the unpacked tree: its paths, modes, contents and links, however they are packed.
    pub fn payload_digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut line = Vec::new();
        for folder in &self.folders {
            line.clear();
            line.push(b'd');
            put_text(&mut line, folder.as_str());
            hasher.update(&line);
        }
        for file in &self.files {
            line.clear();
            line.push(b'f');
            put_text(&mut line, file.path.as_str());
            put_varint(&mut line, u64::from(file.mode));
            put_varint(&mut line, file.size);
            line.extend_from_slice(file.digest.as_bytes());
            hasher.update(&line);
        }
        for link in &self.links {
            line.clear();
            line.push(b'l');
            put_text(&mut line, link.path.as_str());
            put_text(&mut line, &link.target);
            hasher.update(&line);
        }
        Digest::truncate(hasher.finalize())
    }
}

fn put_name(out: &mut Vec<u8>, numbers: &HashMap<ArchivePath, u64>, path: &ArchivePath) {
    let parent = path.parent().map_or(0, |parent| {
        *numbers.get(&parent).expect("Index: every parent folder is listed, and sorts before what it holds")
    });
    put_varint(out, parent);
    put_text(out, path.file_name());
}

fn name(cursor: &mut Cursor<'_>, folders: &[ArchivePath]) -> Result<ArchivePath, Error> {
    let parent = cursor.varint()?;
    let name = cursor.text()?;
    if name.contains('/') {
        return Err(malformed("a name holds a separator"));
    }
    let path = match parent {
        0 => ArchivePath::new(name),
        number => {
            let number = usize::try_from(number - 1).ok();
            let folder = number.and_then(|number| folders.get(number)).ok_or(malformed("a folder is not listed"))?;
            folder.join(name)
        }
    };
    path.map_err(|_| malformed("a path leaves the tree"))
}

fn list<T>(
    cursor: &mut Cursor<'_>,
    least: usize,
    mut entry: impl FnMut(&mut Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = cursor.count(least)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(entry(cursor)?);
    }
    Ok(entries)
}

/// Whether a link at `path` with this target points into the tree, read part by part.
pub fn stays_inside(path: &ArchivePath, target: &str) -> bool {
    let mut depth = path.as_str().matches('/').count();
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests;
