//! Bytecode of every source that the layout wants it of: from the store, else compiled by the target interpreter.

mod compiler;
mod marshal;
mod store;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::contents::Contents;
use super::{Error, PackSpec};
use crate::format::ArchivePath;
use crate::layout::{Layout, Origin, Source};
use crate::progress::Progress;

pub(super) use store::Pyc;

pub use marshal::canonical as canonical_marshal;
use store::Store;

/// PEP 552: magic number, flags, hash of the source.
const HEADER: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Bytecode<'a> {
    /// By the path of the `.pyc`.
    pub(super) compiled: BTreeMap<&'a ArchivePath, Pyc>,
    /// Hashes of what was compiled, by the path of the source.
    pub(super) sources: BTreeMap<&'a ArchivePath, [u8; 32]>,
    /// Sources that do not compile. As in any installation, that shows when they are imported.
    pub(super) uncompiled: Vec<ArchivePath>,
}

/// One `.pyc` that is to be compiled.
#[derive(Debug)]
struct Wanted<'a> {
    path: &'a ArchivePath,
    of: &'a ArchivePath,
    /// Read when its turn comes, and not kept: all sources together are as large as their bytecode.
    source: &'a Source,
}

/// A `.pyc` and what it was compiled from.
#[derive(Debug, Clone, Copy)]
struct Made<'a> {
    path: &'a ArchivePath,
    of: &'a ArchivePath,
    hash: [u8; 32],
}

/// What a source became.
#[derive(Debug, Clone, Default)]
struct Compiled {
    /// Of the source.
    hash: [u8; 32],
    /// Empty where it does not compile.
    pyc: Vec<u8>,
}

/// What earlier builds kept of one owner's.
struct Looked<'a> {
    origin: &'a Origin,
    store: Store,
    kept: Vec<(Made<'a>, Pyc)>,
    missing: Vec<Wanted<'a>>,
}

pub(super) fn compile<'a>(
    layout: &'a Layout,
    spec: &PackSpec,
    contents: &Contents,
    pool: &rayon::ThreadPool,
    progress: &dyn Progress,
) -> Result<Bytecode<'a>, Error> {
    let mut groups: BTreeMap<&Origin, Vec<(&ArchivePath, &ArchivePath)>> = BTreeMap::new();
    for (path, entry) in &layout.entries {
        if let Source::Bytecode { of } = &entry.source {
            groups.entry(&entry.origin).or_default().push((path, of));
        }
    }
    progress.start("compiling", groups.values().map(|group| group.len() as u64).sum());
    let identity = store::identity(spec)?;
    let looked = pool.install(|| {
        let look = |(origin, group): (&'a Origin, Vec<_>)| {
            let store = Store::open(spec.cache.as_deref(), &identity, origin);
            look(layout, contents, origin, store, group)
        };
        groups.into_par_iter().map(look).collect::<Result<Vec<_>, _>>()
    })?;
    let mut bytecode = Bytecode::default();
    let mut missing = Vec::new();
    let mut stores = BTreeMap::new();
    for Looked { origin, store, kept, missing: more } in looked {
        progress.advance(kept.len() as u64);
        for (made, pyc) in kept {
            bytecode.take(made, pyc);
        }
        if !more.is_empty() {
            stores.insert(origin, store);
        }
        missing.extend(more.into_iter().map(|wanted| (origin, wanted)));
    }
    let made = compiler::compile(spec, pool, &missing, progress)?;
    for ((origin, wanted), Compiled { hash, pyc }) in missing.into_iter().zip(made) {
        let pyc = Pyc::from(pyc);
        if let Some(store) = stores.get_mut(origin) {
            store.put(wanted.of, hash, pyc.clone());
        }
        bytecode.take(Made { path: wanted.path, of: wanted.of, hash }, pyc);
    }
    for store in stores.values() {
        // A store that cannot be written costs the next build its time, and nothing else.
        let _ = store.save();
    }
    if let (Some(folder), false) = (&spec.cache, stores.is_empty()) {
        store::prune(folder);
    }
    progress.finish();
    bytecode.uncompiled.sort();
    Ok(bytecode)
}

impl<'a> Bytecode<'a> {
    /// An empty pyc stands for a source that does not compile.
    fn take(&mut self, Made { path, of, hash }: Made<'a>, pyc: Pyc) {
        self.sources.insert(of, hash);
        if pyc.is_empty() {
            self.uncompiled.push(of.clone());
        } else {
            self.compiled.insert(path, pyc);
        }
    }
}

/// The same bytes for the same source, whatever else was compiled beside it.
fn canonical(mut pyc: Vec<u8>, of: &ArchivePath, spec: &PackSpec) -> Result<Vec<u8>, Error> {
    if let Some(code) = pyc.get(HEADER..) {
        let minor = spec.python_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default();
        let code = match marshal::canonical(code, minor) {
            Ok(code) => code,
            // Lambdas in lambdas, made by a program: it is compiled where it is imported.
            Err(marshal::TOO_DEEP) => return Ok(Vec::new()),
            Err(why) => return Err(Error::Bytecode { path: of.clone(), why }),
        };
        pyc.truncate(HEADER);
        pyc.extend_from_slice(&code);
        pyc.shrink_to_fit();
    }
    Ok(pyc)
}

fn look<'a>(
    layout: &'a Layout,
    contents: &Contents,
    origin: &'a Origin,
    store: Store,
    group: Vec<(&'a ArchivePath, &'a ArchivePath)>,
) -> Result<Looked<'a>, Error> {
    let (mut kept, mut missing) = (Vec::new(), Vec::new());
    for (path, of) in group {
        let none = || Error::NoSource { path: path.clone(), of: of.clone() };
        let source = layout.entries.get(of).map(|entry| &entry.source).ok_or_else(none)?;
        let hash = match source {
            Source::File(file) => contents.facts(file)?.hash,
            made => blake3::hash(&made.content().map_err(Error::Read)?.ok_or_else(none)?).into(),
        };
        match store.get(of, &hash) {
            Some(pyc) => kept.push((Made { path, of, hash }, pyc)),
            None => missing.push(Wanted { path, of, source }),
        }
    }
    Ok(Looked { origin, store, kept, missing })
}
