//! What is in each file, read once before anything is written, so that identical content, order and block borders
//! are known.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use rayon::prelude::*;

use super::Error;
use crate::config::Strip;
use crate::format::{ArchivePath, Link};
use crate::layout::{Entry, Layout, Origin, Source};
use crate::native::{is_elf, strip};
use crate::progress::Progress;

/// Every entry of the tree, sorted by path.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) folders: Vec<ArchivePath>,
    pub(super) files: Vec<Surveyed<'a>>,
    pub(super) links: Vec<Link>,
}

#[derive(Debug)]
pub(super) struct Surveyed<'a> {
    pub(super) path: &'a ArchivePath,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) hash: blake3::Hash,
    pub(super) kind: Kind,
    /// Where it sorts within its kind: bytecode right after its source.
    pub(super) beside: &'a ArchivePath,
    /// Not as it is on the disk.
    pub(super) changed: bool,
    content: Content<'a>,
    stripped: bool,
}

/// Files of one kind share blocks: they have more in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Code,
    Data,
    Elf,
}

#[derive(Debug)]
enum Content<'a> {
    OnDisk(&'a std::path::Path),
    InMemory(&'a [u8]),
}

impl Surveyed<'_> {
    /// The content again. A file that is not as it was surveyed is an error.
    pub(super) fn read(&self) -> Result<Cow<'_, [u8]>, Error> {
        let bytes = self.content.read()?;
        let bytes = if self.stripped { strip(bytes) } else { bytes };
        let same = matches!(self.content, Content::InMemory(_)) || blake3::hash(&bytes) == self.hash;
        if same { Ok(bytes) } else { Err(Error::Changed(self.path.clone())) }
    }
}

pub(super) fn survey<'a>(
    layout: &'a Layout,
    bytecode: &'a BTreeMap<&ArchivePath, Vec<u8>>,
    stripped: Strip,
    progress: &dyn Progress,
) -> Result<Survey<'a>, Error> {
    let mut folders = BTreeSet::new();
    let mut links = Vec::new();
    let mut wanted = Vec::new();
    for (path, entry) in &layout.entries {
        let content = match &entry.source {
            Source::File(on_disk) => Content::OnDisk(on_disk),
            Source::Patched { bytes, .. } | Source::Generated(bytes) => Content::InMemory(bytes),
            Source::Bytecode { .. } => match bytecode.get(path) {
                Some(bytes) => Content::InMemory(bytes),
                None => continue,
            },
            Source::Link(target) => {
                links.push(Link { path: path.clone(), target: target.clone() });
                add_parents(&mut folders, path);
                continue;
            }
            Source::EmptyFolder => {
                folders.insert(path.clone());
                add_parents(&mut folders, path);
                continue;
            }
        };
        add_parents(&mut folders, path);
        wanted.push((path, entry, content));
    }
    progress.start("reading", wanted.len() as u64);
    let files = wanted
        .into_par_iter()
        .map(|(path, entry, content)| {
            let surveyed = look(path, entry, content, stripped);
            progress.advance(1);
            surveyed
        })
        .collect::<Result<_, _>>()?;
    progress.finish();
    Ok(Survey { folders: folders.into_iter().collect(), files, links })
}

fn add_parents(folders: &mut BTreeSet<ArchivePath>, path: &ArchivePath) {
    let mut parent = path.parent();
    while let Some(folder) = parent {
        parent = folder.parent();
        if !folders.insert(folder) {
            break;
        }
    }
}

impl<'a> Content<'a> {
    fn read(&self) -> Result<Cow<'a, [u8]>, Error> {
        match self {
            Self::InMemory(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::OnDisk(path) => Ok(Cow::Owned(fs::read(path).map_err(Error::Read)?)),
        }
    }
}

fn strip(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    strip::strip(&bytes).map_or(bytes, Cow::Owned)
}

/// Whether a file of this origin loses its symbols.
fn is_stripped(origin: &Origin, wanted: Strip) -> bool {
    match (wanted, origin) {
        (Strip::All, _) | (Strip::Interpreter, Origin::Interpreter | Origin::Stdlib) => true,
        (Strip::None, _)
        | (
            Strip::Interpreter,
            Origin::Distribution(_) | Origin::Application | Origin::Packproof | Origin::System | Origin::Unowned,
        ) => false,
    }
}

fn look<'a>(
    path: &'a ArchivePath,
    entry: &'a Entry,
    content: Content<'a>,
    wanted: Strip,
) -> Result<Surveyed<'a>, Error> {
    let bytes = content.read()?;
    let stripped = is_elf(&bytes) && is_stripped(&entry.origin, wanted);
    let before = bytes.len();
    let bytes = if stripped { strip(bytes) } else { bytes };
    // Stripping only ever takes away.
    let changed = bytes.len() != before || matches!(entry.source, Source::Patched { .. });
    let beside = match &entry.source {
        Source::Bytecode { of } => of,
        _ => path,
    };
    Ok(Surveyed {
        path,
        mode: entry.mode & 0o777,
        size: bytes.len() as u64,
        hash: blake3::hash(&bytes),
        kind: kind(path, &bytes),
        beside,
        changed,
        content,
        stripped,
    })
}

fn kind(path: &ArchivePath, bytes: &[u8]) -> Kind {
    if is_elf(bytes) {
        Kind::Elf
    } else if [".py", ".pyc", ".pyi"].iter().any(|suffix| path.as_str().ends_with(suffix)) {
        Kind::Code
    } else {
        Kind::Data
    }
}
