//! Which file goes into which block, and the packing of one block.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use zstd::zstd_safe::CParameter;

use super::kept::Kept;
use super::survey::{Kind, Survey, Surveyed};
use super::{Compression, Error};
use crate::format::{Digest, Filter};
use crate::progress::Progress;

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
const FILTER_VERSION: u32 = 2;

/// Of zstd.
#[derive(Debug, Clone, Copy)]
struct Parameters {
    level: i32,
    /// Logarithm of the bytes that are looked back on: no less than a block has, unless a single file is larger.
    window: u32,
    /// Look for long repeats all over the window; for short ones the tables of the level remember less than that.
    long_distance: bool,
}

impl Compression {
    /// Of zstd, for what is small.
    pub(super) fn zstd(self) -> i32 {
        self.parameters().level
    }

    fn parameters(self) -> Parameters {
        match self {
            Self::Fast => Parameters { level: 3, window: 22, long_distance: false },
            // The levels above it take twice as long for a thousandth.
            Self::Balanced => Parameters { level: 11, window: 23, long_distance: false },
            // Levels 20 to 22 gain half a percent, for tables of up to 800 MB in each thread instead of 80.
            Self::Small => Parameters { level: 19, window: 25, long_distance: true },
        }
    }

    /// A thread at `small` holds a block and its tables, about 100 MB: few large blocks gain more than many processors.
    pub(super) fn most_threads(self) -> Option<usize> {
        match self {
            Self::Fast | Self::Balanced => None,
            Self::Small => Some(2),
        }
    }

    /// Least and most bytes of a block. At `small`, where every byte counts, borders may well move from build to build.
    fn block_sizes(self) -> (u64, u64) {
        match self {
            Self::Fast => (2 << 20, 6 << 20),
            Self::Balanced => (4 << 20, 12 << 20),
            Self::Small => (26 << 20, 32 << 20),
        }
    }
}

/// Each content once, ordered by kind and path, a source right before its bytecode. A border lies, between the least and
/// the most size, where a file's path says so: when one file grows, the borders of other blocks stay.
pub(super) fn plan(survey: &Survey<'_>, level: Compression) -> Plan {
    let mut order: Vec<usize> = (0..survey.files.len()).filter(|at| survey.files[*at].size > 0).collect();
    order.sort_by_key(|at| {
        let file = &survey.files[*at];
        (file.kind, file.beside, file.path != file.beside, file.path)
    });
    let (least, most) = level.block_sizes();
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
        Kind::Elf => Filter::Elf,
    }
}

/// About one file in a hundred, and never between a source and its bytecode.
fn is_border(file: &Surveyed<'_>) -> bool {
    file.path == file.beside && blake3::hash(file.path.as_str().as_bytes()).as_bytes()[0] < 3
}

impl Plan {
    /// Packs all blocks in parallel, and hands them over in their order. Few wait for it: blocks are begun in that order too.
    pub(super) fn pack(
        &self,
        survey: &Survey<'_>,
        kept: &Kept,
        progress: &dyn Progress,
        mut take: impl FnMut(&Planned, PackedBlock) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::sync_channel(0);
        let work = |sender: SyncSender<_>| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(block) = self.blocks.get(number) else { return };
                let packed = block.pack(survey, self.level, kept);
                progress.advance(block.size);
                let failed = packed.is_err();
                // Nobody listens any more where another block has failed.
                if sender.send((number, packed)).is_err() || failed {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..rayon::current_num_threads() {
                let sender = sender.clone();
                scope.spawn(|| work(sender));
            }
            drop(sender);
            let (mut early, mut due) = (BTreeMap::new(), 0);
            for (number, packed) in receiver {
                early.insert(number, packed?);
                while let Some(packed) = early.remove(&due) {
                    take(&self.blocks[due], packed)?;
                    due += 1;
                }
            }
            Ok(())
        })
    }
}

impl Planned {
    /// From what earlier builds kept, else packed anew.
    fn pack(&self, survey: &Survey<'_>, level: Compression, kept: &Kept) -> Result<PackedBlock, Error> {
        let key = self.key(survey, level);
        if let Some(bytes) = kept.get(&key) {
            return Ok(PackedBlock { digest: Digest::of(&bytes), bytes });
        }
        let (mut unpacked, starts) = self.read(survey)?;
        self.filter.encode(&mut unpacked, &starts);
        let Parameters { level, window, long_distance } = level.parameters();
        let mut compressor = zstd::bulk::Compressor::new(level).map_err(Error::Compress)?;
        let parameters = [CParameter::WindowLog(window), CParameter::EnableLongDistanceMatching(long_distance)];
        for parameter in parameters {
            compressor.set_parameter(parameter).map_err(Error::Compress)?;
        }
        if long_distance {
            // Else they grow with the window.
            compressor.set_parameter(CParameter::ChainLog(23)).map_err(Error::Compress)?;
        }
        let mut bytes = compressor.compress(&unpacked).map_err(Error::Compress)?;
        bytes.shrink_to_fit();
        kept.put(&key, &bytes);
        Ok(PackedBlock { digest: Digest::of(&bytes), bytes })
    }

    /// The contents, and where each begins.
    fn read(&self, survey: &Survey<'_>) -> Result<(Vec<u8>, Vec<u64>), Error> {
        // The largest libraries lie alone, and need not be in memory twice.
        if let [alone] = self.files[..] {
            return Ok((survey.files[alone].read()?.into_owned(), vec![0]));
        }
        let mut bytes = Vec::with_capacity(self.size as usize);
        let mut starts = Vec::with_capacity(self.files.len());
        for at in &self.files {
            starts.push(bytes.len() as u64);
            bytes.extend_from_slice(&survey.files[*at].read()?);
        }
        Ok((bytes, starts))
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
