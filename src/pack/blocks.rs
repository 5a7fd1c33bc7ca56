//! Which file goes into which block, and the packing of one block.

use std::collections::HashMap;

use zstd::zstd_safe::CParameter;

use super::kept::Kept;
use super::survey::{Kind, Survey, Surveyed};
use super::{Compression, Error};
use crate::format::{Digest, Filter};

/// A block: numbers of files in the survey, one for each content, in the order of their bytes.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) files: Vec<usize>,
    pub(super) size: u64,
    pub(super) filter: Filter,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) blocks: Vec<Planned>,
    /// Block and offset of each file of the survey; 0 and 0 for an empty one.
    pub(super) places: Vec<(usize, u64)>,
    pub(super) level: Compression,
}

#[derive(Debug)]
pub(super) struct PackedBlock {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
}

/// Raised where [`Filter::encode`] changes, so that no block of an earlier packproof is taken for one of this.
const FILTER_VERSION: u32 = 1;

/// Of zstd.
#[derive(Debug, Clone, Copy)]
struct Parameters {
    level: i32,
    /// Logarithm of the bytes that are looked back on: no less than a block has, unless a single file is larger.
    window: u32,
    /// Logarithm of the places that are remembered. Each takes 4 bytes of memory in every thread.
    chain: Option<u32>,
}

impl Compression {
    fn parameters(self) -> Parameters {
        match self {
            Self::Fast => Parameters { level: 3, window: 22, chain: None },
            // The levels above it take twice as long for a thousandth.
            Self::Balanced => Parameters { level: 11, window: 23, chain: None },
            Self::Small => Parameters { level: 19, window: 24, chain: Some(25) },
        }
    }

    /// A thread at `small` has tables of about 150 MB: a machine with many processors may not have the memory for all.
    pub(super) fn most_threads(self) -> Option<usize> {
        match self {
            Self::Fast | Self::Balanced => None,
            Self::Small => Some(8),
        }
    }

    /// The block size that is aimed at. Half of it is the least, three halves the most.
    fn block_size(self) -> u64 {
        match self {
            Self::Fast => 4 << 20,
            Self::Balanced => 8 << 20,
            Self::Small => 16 << 20,
        }
    }
}

/// Each content once, ordered by kind and path. A border lies, between the least and the most size, where a file's
/// path says so: when one file grows, the borders of other blocks stay.
pub(super) fn plan(survey: &Survey<'_>, level: Compression) -> Plan {
    let mut order: Vec<usize> = (0..survey.files.len()).filter(|at| survey.files[*at].size > 0).collect();
    order.sort_by_key(|at| {
        let file = &survey.files[*at];
        (file.kind, file.beside, file.path)
    });
    let (least, most) = (level.block_size() / 2, level.block_size() * 3 / 2);
    let mut blocks: Vec<Planned> = Vec::new();
    let mut places = vec![(0, 0); survey.files.len()];
    let mut known = HashMap::new();
    let mut kind = None;
    for at in order {
        let file = &survey.files[at];
        if let Some(first) = known.get(&file.hash) {
            places[at] = places[*first];
            continue;
        }
        known.insert(&file.hash, at);
        let open = blocks.last().is_some_and(|block| {
            kind == Some(file.kind) && block.size + file.size <= most && (block.size < least || !is_border(file))
        });
        if !open {
            blocks.push(Planned { filter: filter(file.kind), ..Planned::default() });
        }
        kind = Some(file.kind);
        let number = blocks.len() - 1;
        let block = &mut blocks[number];
        places[at] = (number, block.size);
        block.files.push(at);
        block.size += file.size;
    }
    Plan { blocks, places, level }
}

fn filter(kind: Kind) -> Filter {
    match kind {
        Kind::Code | Kind::Data => Filter::None,
        Kind::Elf => Filter::X86,
    }
}

/// About one file in a hundred, and never between a source and its bytecode.
fn is_border(file: &Surveyed<'_>) -> bool {
    file.path == file.beside && blake3::hash(file.path.as_str().as_bytes()).as_bytes()[0] < 3
}

impl Planned {
    /// From what earlier builds kept, else packed anew.
    pub(super) fn pack(&self, survey: &Survey<'_>, level: Compression, kept: &Kept) -> Result<PackedBlock, Error> {
        let key = self.key(survey, level);
        if let Some(bytes) = kept.get(&key) {
            return Ok(PackedBlock { digest: Digest::of(&bytes), bytes });
        }
        let mut unpacked = Vec::with_capacity(self.size as usize);
        for at in &self.files {
            unpacked.extend_from_slice(&survey.files[*at].read()?);
        }
        self.filter.encode(&mut unpacked);
        let Parameters { level, window, chain } = level.parameters();
        let mut compressor = zstd::bulk::Compressor::new(level).map_err(Error::Compress)?;
        compressor.set_parameter(CParameter::WindowLog(window)).map_err(Error::Compress)?;
        if let Some(chain) = chain {
            compressor.set_parameter(CParameter::ChainLog(chain)).map_err(Error::Compress)?;
        }
        let bytes = compressor.compress(&unpacked).map_err(Error::Compress)?;
        kept.put(&key, &bytes);
        Ok(PackedBlock { digest: Digest::of(&bytes), bytes })
    }

    /// Everything that the packed bytes depend on: contents in order, and the compressor.
    fn key(&self, survey: &Survey<'_>, level: Compression) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?} {:?} {FILTER_VERSION} ", level.parameters(), self.filter).as_bytes());
        hasher.update(&zstd::zstd_safe::version_number().to_le_bytes());
        for at in &self.files {
            hasher.update(&survey.files[*at].hash);
        }
        hasher.finalize()
    }
}
