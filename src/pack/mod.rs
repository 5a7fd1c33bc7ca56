//! [`Layout`] → artifact: bytecode ([`bytecode`]), a survey of every content ([`survey`]), blocks ([`blocks`]), and the
//! container around them ([`container`]).
//!
//! The same layout gives the same bytes, whatever the number of threads and the state of the caches. Which file
//! lies where was decided before; what it runs as is in [`PackSpec`].

mod blocks;
mod bytecode;
mod container;
mod contents;
mod kept;
mod survey;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Strip;
use crate::format::{self, ArchivePath, Digest, Manifest, Start, StartEntry, is_name};
use crate::layout::{Layout, Source};
use crate::names::DistName;
use crate::progress::Progress;

pub use bytecode::canonical_marshal;

use contents::Contents;
use kept::Kept;

/// The static launcher that every artifact begins with; `build.rs` made it.
pub const LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));

/// The crates linked into [`LAUNCHER`]: a JSON list of objects with `name`, `version`, `license`, `source`, `checksum`.
pub const LAUNCHER_CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/launcher-crates.json"));

/// What the layout does not say.
#[derive(Debug, Clone)]
pub struct PackSpec {
    pub name: String,
    /// `3.11.7`
    pub python_version: String,
    /// The environment's base interpreter. It compiles.
    pub python: PathBuf,
    pub start: Start,
    pub glibc_floor: Option<String>,
    /// A CycloneDX document.
    pub sbom: Option<Vec<u8>>,
    /// Further entries of the container, name and content: what the proof keeps in the artifact.
    pub stored: Vec<(String, Vec<u8>)>,
    pub level: Compression,
    pub strip: Strip,
    /// Distributions that were built from source on this machine.
    pub built: BTreeSet<DistName>,
    /// `[runner] interpreter`
    pub interpreter_mode: bool,
    /// Where bytecode and blocks are kept between builds, below [`crate::cache::root`] as a rule; nothing keeps none.
    pub cache: Option<PathBuf>,
    /// As many as the machine has processors, unless said; at [`Compression::Small`] no more than two, for their memory.
    pub threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A build in seconds.
    Fast,
    Balanced,
    /// For a release.
    Small,
}

#[derive(Debug, Clone)]
pub struct Packed {
    pub path: PathBuf,
    /// Bytes of the artifact.
    pub size: u64,
    pub payload: Digest,
    /// SHA-256 of the artifact, hexadecimal.
    pub sha256: String,
    pub files: u64,
    /// Bytes of all files, unpacked.
    pub unpacked: u64,
    /// Sources without bytecode, as they do not compile.
    pub uncompiled: Vec<ArchivePath>,
    /// In the order in which they ran.
    pub times: Vec<(&'static str, Duration)>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "`{0}` cannot be an artifact's name: letters, digits, `-`, `_`, `.` and `+` are wanted, a letter, digit or `_` first"
    )]
    Name(String),
    #[error("the layout has no file `{0}`, which the artifact is to start")]
    NoStart(ArchivePath),
    #[error("`{0}` is both a file and a folder in the layout")]
    Collision(ArchivePath),
    #[error("`{0}` is a name that packproof needs for itself in the root of the tree")]
    Reserved(ArchivePath),
    #[error("the link `{path}` to `{target}` leaves the tree")]
    Escape { path: ArchivePath, target: String },
    #[error("bytecode `{path}` is wanted of `{of}`, which the layout has no content of")]
    NoSource { path: ArchivePath, of: ArchivePath },
    #[error("cannot run `{}` to compile bytecode", path.display())]
    Spawn { path: PathBuf, source: std::io::Error },
    #[error("`{}` cannot compile bytecode: it stopped at once", path.display())]
    Compiler { path: PathBuf },
    #[error("bytecode of `{path}` cannot be understood: {why}")]
    Bytecode { path: ArchivePath, why: &'static str },
    #[error("`{0}` changed while it was being packed; build again")]
    Changed(ArchivePath),
    #[error("cannot start {0} threads")]
    Threads(usize, #[source] rayon::ThreadPoolBuildError),
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot write the container of `{}`", path.display())]
    Container { path: PathBuf, source: zip::result::ZipError },
    #[error("cannot compress")]
    Compress(#[source] std::io::Error),
    #[error(transparent)]
    Read(std::io::Error),
}

/// Packs `layout` into an executable at `out`. What was there stays whole until the new one is.
pub fn pack(layout: &Layout, spec: &PackSpec, out: &Path, progress: &dyn Progress) -> Result<Packed, Error> {
    check(layout, spec)?;
    let mut pool = rayon::ThreadPoolBuilder::new();
    let most = spec.level.most_threads();
    let many = std::thread::available_parallelism().ok().map(std::num::NonZero::get);
    let capped = many.zip(most).and_then(|(many, most)| (many > most).then_some(most));
    if let Some(threads) = spec.threads.or(capped) {
        pool = pool.num_threads(threads);
    }
    let pool = pool.build().map_err(|source| Error::Threads(spec.threads.unwrap_or_default(), source))?;
    let mut times = Vec::new();
    let mut took = |stage, since: Instant| times.push((stage, since.elapsed()));

    let since = Instant::now();
    let contents = Contents::open(spec.cache.as_deref());
    let bytecode = bytecode::compile(layout, spec, &contents, &pool, progress)?;
    took("bytecode", since);

    let since = Instant::now();
    let survey = pool.install(|| survey::survey(layout, &bytecode.compiled, &contents, spec, progress))?;
    // Bytecode says of itself that it need not be compared with its source.
    let is_other =
        |file: &&survey::Surveyed<'_>| bytecode.sources.get(file.path).is_some_and(|hash| *hash != file.hash);
    if let Some(file) = survey.files.iter().find(is_other) {
        return Err(Error::Changed(file.path.clone()));
    }
    contents.save();
    took("survey", since);

    let since = Instant::now();
    let plan = blocks::plan(&survey, spec.level);
    let kept = Kept::open(spec.cache.as_deref());
    let written = pool.install(|| container::write(&survey, &plan, &kept, spec, out, progress))?;
    kept.prune();
    took("blocks", since);

    Ok(Packed {
        path: out.to_owned(),
        size: written.size,
        payload: written.manifest.payload,
        sha256: written.sha256,
        files: written.manifest.files,
        unpacked: written.manifest.unpacked,
        uncompiled: bytecode.uncompiled,
        times,
    })
}

/// What must hold before anything is read.
fn check(layout: &Layout, spec: &PackSpec) -> Result<(), Error> {
    if !is_name(&spec.name) {
        return Err(Error::Name(spec.name.clone()));
    }
    let mut wanted = vec![&spec.start.interpreter];
    if let StartEntry::Script(script) = &spec.start.entry {
        wanted.push(script);
    }
    for path in wanted {
        let there = layout.entries.get(path).is_some_and(|entry| !matches!(entry.source, Source::EmptyFolder));
        if !there {
            return Err(Error::NoStart(path.clone()));
        }
    }
    for (path, entry) in &layout.entries {
        if [format::MARK, format::UNREAD].contains(&path.as_str()) {
            return Err(Error::Reserved(path.clone()));
        }
        if let Source::Link(target) = &entry.source
            && !format::stays_inside(path, target)
        {
            return Err(Error::Escape { path: path.clone(), target: target.clone() });
        }
        let mut parent = path.parent();
        while let Some(folder) = parent {
            if layout.entries.get(&folder).is_some_and(|entry| !matches!(entry.source, Source::EmptyFolder)) {
                return Err(Error::Collision(folder));
            }
            parent = folder.parent();
        }
    }
    Ok(())
}

impl PackSpec {
    fn manifest(&self, index: &format::Index) -> Manifest {
        Manifest {
            format: format::FORMAT_VERSION,
            name: self.name.clone(),
            packproof: env!("CARGO_PKG_VERSION").to_owned(),
            python: self.python_version.clone(),
            start: self.start.clone(),
            payload: index.payload_digest(),
            files: index.files.len() as u64,
            unpacked: index.unpacked(),
            blocks: index.blocks.len() as u64,
            glibc: self.glibc_floor.clone(),
            interpreter: self.interpreter_mode,
        }
    }
}
