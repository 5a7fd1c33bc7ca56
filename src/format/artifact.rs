//! A whole artifact, opened for reading.

#![expect(clippy::disallowed_types, reason = "the launcher is built without fs_err")]

use std::fs::File as OpenFile;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Digest, Error, File, Filter, Footer, Index, Manifest, Part};

/// An open artifact. Its manifest is read and checked; index and blocks are read when asked for.
#[derive(Debug)]
pub struct Artifact {
    file: OpenFile,
    pub footer: Footer,
    pub manifest: Manifest,
}

/// An index of a hundred thousand files has 6 MB, packed or not. What claims more is not read into memory.
const MOST: u64 = 1 << 30;

impl Artifact {
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::from_file(OpenFile::open(path)?)
    }

    pub fn from_file(file: OpenFile) -> Result<Self, Error> {
        let length = file.metadata()?.len();
        let at = length.checked_sub(Footer::LENGTH as u64).ok_or(Error::NoFooter)?;
        let mut tail = [0; Footer::LENGTH];
        file.read_exact_at(&mut tail, at)?;
        let footer = Footer::decode(&tail)?;
        let manifest = Manifest::decode(&read_part(&file, "manifest", footer.manifest)?)?;
        Ok(Self { file, footer, manifest })
    }

    pub fn index(&self) -> Result<Index, Error> {
        let index = Index::decode(&decompress(&read_part(&self.file, "index", self.footer.index)?)?)?;
        if index.payload_digest() != self.manifest.payload {
            return Err(Error::Malformed { part: "index", why: "it is another tree's than the manifest's" });
        }
        Ok(index)
    }

    /// The unpacked bytes of one block.
    pub fn block(&self, index: &Index, number: usize) -> Result<Vec<u8>, Error> {
        let damaged = Error::Damaged { part: "block", number: Some(number) };
        let block = index.blocks.get(number).ok_or(Error::OutOfBounds("block"))?;
        let mut packed = buffer(block.packed, "block")?;
        self.file.read_exact_at(&mut packed, block.offset).map_err(|source| out_of_bounds(source, "block"))?;
        if Digest::of(&packed) != block.digest {
            return Err(damaged);
        }
        let mut unpacked = buffer(block.unpacked, "block")?;
        match zstd::bulk::decompress_to_buffer(&packed, &mut unpacked[..]) {
            Ok(length) if length as u64 == block.unpacked => {
                if block.filter != Filter::None {
                    block.filter.decode(&mut unpacked, &index.starts(number));
                }
                Ok(unpacked)
            }
            _ => Err(damaged),
        }
    }

    /// The bytes of one file of the tree, out of its unpacked block.
    pub fn file_in<'a>(file: &File, block: &'a [u8]) -> Result<&'a [u8], Error> {
        let range = file.offset as usize..(file.offset + file.size) as usize;
        let bytes = block.get(range).ok_or(Error::OutOfBounds("file"))?;
        if Digest::of(bytes) == file.digest { Ok(bytes) } else { Err(Error::Damaged { part: "file", number: None }) }
    }

    /// The bytes of one file of the tree.
    pub fn read(&self, index: &Index, file: &File) -> Result<Vec<u8>, Error> {
        if file.size == 0 {
            return Ok(Vec::new());
        }
        let block = self.block(index, file.block)?;
        Self::file_in(file, &block).map(<[u8]>::to_vec)
    }

    /// The launcher alone, as it stands before the container.
    pub fn launcher(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = buffer(self.footer.launcher, "launcher")?;
        self.file.read_exact_at(&mut bytes, 0).map_err(|source| out_of_bounds(source, "launcher"))?;
        Ok(bytes)
    }
}

fn read_part(file: &OpenFile, name: &'static str, part: Part) -> Result<Vec<u8>, Error> {
    if part.length > MOST {
        return Err(Error::OutOfBounds(name));
    }
    let mut bytes = buffer(part.length, name)?;
    file.read_exact_at(&mut bytes, part.offset).map_err(|source| out_of_bounds(source, name))?;
    if Digest::of(&bytes) == part.digest { Ok(bytes) } else { Err(Error::Damaged { part: name, number: None }) }
}

/// The index, which is one zstd frame that names its length.
fn decompress(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let malformed = Error::Malformed { part: "index", why: "it is no zstd frame that names its length" };
    let Ok(Some(length)) = zstd::zstd_safe::get_frame_content_size(packed) else { return Err(malformed) };
    if length > MOST {
        return Err(Error::OutOfBounds("index"));
    }
    let mut bytes = buffer(length, "index")?;
    match zstd::bulk::decompress_to_buffer(packed, &mut bytes[..]) {
        Ok(written) if written as u64 == length => Ok(bytes),
        _ => Err(malformed),
    }
}

/// Zeroed; a length that memory has no room for is an error, not an abort.
fn buffer(length: u64, part: &'static str) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(length).map_err(|_| Error::OutOfBounds(part))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Error::Io(io::ErrorKind::OutOfMemory.into()))?;
    bytes.resize(length, 0);
    Ok(bytes)
}

fn out_of_bounds(source: io::Error, part: &'static str) -> Error {
    if source.kind() == io::ErrorKind::UnexpectedEof { Error::OutOfBounds(part) } else { Error::Io(source) }
}
