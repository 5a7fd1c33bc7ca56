//! Bytecode of every source that the layout wants it of: from the store, else compiled by the target interpreter.

mod compiler;
mod marshal;
mod store;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use rayon::prelude::*;

use super::{Error, PackSpec};
use crate::format::ArchivePath;
use crate::layout::{Layout, Origin, Source};
use crate::progress::Progress;

use store::Store;

/// PEP 552: magic number, flags, hash of the source.
const HEADER: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Bytecode<'a> {
    /// By the path of the `.pyc`.
    pub(super) compiled: BTreeMap<&'a ArchivePath, Vec<u8>>,
    /// Sources that do not compile. As in any installation, that shows when they are imported.
    pub(super) uncompiled: Vec<ArchivePath>,
}

/// One `.pyc` that is wanted.
#[derive(Debug)]
struct Wanted<'a> {
    path: &'a ArchivePath,
    of: &'a ArchivePath,
    source: Cow<'a, [u8]>,
    hash: blake3::Hash,
}

pub(super) fn compile<'a>(
    layout: &'a Layout,
    spec: &PackSpec,
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
    let mut bytecode = Bytecode::default();
    let mut missing = Vec::new();
    let mut stores = BTreeMap::new();
    for (origin, group) in groups {
        let store = Store::open(spec.cache.as_deref(), &identity, origin);
        let wanted = pool.install(|| {
            group.into_par_iter().map(|(path, of)| read(layout, path, of)).collect::<Result<Vec<_>, _>>()
        })?;
        for wanted in wanted {
            match store.get(wanted.of, wanted.hash) {
                Some(pyc) => {
                    bytecode.take(wanted.path, wanted.of, pyc.to_vec());
                    progress.advance(1);
                }
                None => missing.push((origin, wanted)),
            }
        }
        stores.insert(origin, store);
    }
    let made = compiler::compile(spec, pool, &missing, progress)?;
    let made = pool.install(|| {
        let wanted = missing.par_iter().map(|(_, wanted)| wanted.of);
        made.into_par_iter().zip(wanted).map(|(pyc, of)| canonical(pyc, of, spec)).collect::<Result<Vec<_>, _>>()
    })?;
    let mut changed = BTreeSet::new();
    for ((origin, wanted), pyc) in missing.into_iter().zip(made) {
        if let Some(store) = stores.get_mut(origin) {
            store.put(wanted.of, wanted.hash, pyc.clone());
            changed.insert(origin);
        }
        bytecode.take(wanted.path, wanted.of, pyc);
    }
    for origin in changed {
        // A store that cannot be written costs the next build its time, and nothing else.
        let _ = stores[origin].save();
    }
    progress.finish();
    bytecode.uncompiled.sort();
    Ok(bytecode)
}

impl<'a> Bytecode<'a> {
    /// An empty pyc stands for a source that does not compile.
    fn take(&mut self, path: &'a ArchivePath, of: &ArchivePath, pyc: Vec<u8>) {
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
        let code = marshal::canonical(code, minor).map_err(|why| Error::Bytecode { path: of.clone(), why })?;
        pyc.truncate(HEADER);
        pyc.extend_from_slice(&code);
    }
    Ok(pyc)
}

fn read<'a>(layout: &'a Layout, path: &'a ArchivePath, of: &'a ArchivePath) -> Result<Wanted<'a>, Error> {
    let source = match layout.entries.get(of).map(|entry| &entry.source) {
        Some(Source::File(path)) => Cow::Owned(fs::read(path).map_err(Error::Read)?),
        Some(Source::Patched { bytes, .. } | Source::Generated(bytes)) => Cow::Borrowed(&bytes[..]),
        Some(Source::Bytecode { .. } | Source::Link(_) | Source::EmptyFolder) | None => {
            return Err(Error::NoSource { path: path.clone(), of: of.clone() });
        }
    };
    let hash = blake3::hash(&source);
    Ok(Wanted { path, of, source, hash })
}
