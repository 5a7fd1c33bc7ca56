//! What is in each file, read once before anything is written, so that identical content, order and block borders
//! are known.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use rayon::prelude::*;

use super::bytecode::Pyc;
use super::contents::{self, Contents, Facts};
use super::{Error, PackSpec};
use crate::config::Strip;
use crate::format::{ArchivePath, Link};
use crate::layout::{Entry, Layout, Origin, Source};
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
    /// BLAKE3.
    pub(super) hash: [u8; 32],
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
    InMemory(Cow<'a, [u8]>),
}

impl Surveyed<'_> {
    /// The content again. A file that is not as it was surveyed is an error.
    pub(super) fn read(&self) -> Result<Cow<'_, [u8]>, Error> {
        let bytes = match (&self.content, self.stripped) {
            (Content::OnDisk(path), true) => Cow::Owned(contents::read_stripped(path)?),
            (Content::OnDisk(path), false) => Cow::Owned(fs::read(path).map_err(Error::Read)?),
            (Content::InMemory(bytes), true) => contents::stripped(Cow::Borrowed(&**bytes)),
            (Content::InMemory(bytes), false) => Cow::Borrowed(&**bytes),
        };
        let same = matches!(self.content, Content::InMemory(_)) || *blake3::hash(&bytes).as_bytes() == self.hash;
        if same { Ok(bytes) } else { Err(Error::Changed(self.path.clone())) }
    }
}

pub(super) fn survey<'a>(
    layout: &'a Layout,
    bytecode: &'a BTreeMap<&ArchivePath, Pyc>,
    contents: &Contents,
    spec: &PackSpec,
    progress: &dyn Progress,
) -> Result<Survey<'a>, Error> {
    let mut folders = BTreeSet::new();
    let mut links = Vec::new();
    let mut wanted = Vec::new();
    for (path, entry) in &layout.entries {
        let content = match &entry.source {
            Source::File(on_disk) => Content::OnDisk(on_disk),
            Source::Patched { bytes, .. } | Source::Generated(bytes) => Content::InMemory(Cow::Borrowed(bytes)),
            Source::Relocated { path, relocation, .. } => {
                Content::InMemory(Cow::Owned(relocation.read(path).map_err(Error::Read)?))
            }
            Source::Bytecode { .. } => match bytecode.get(path) {
                Some(pyc) => Content::InMemory(Cow::Borrowed(pyc)),
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
            let surveyed = look(path, entry, content, contents, is_stripped(&entry.origin, spec));
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

/// Whether a file of this origin loses its symbols.
fn is_stripped(origin: &Origin, spec: &PackSpec) -> bool {
    match (spec.strip, origin) {
        (Strip::All, _) | (Strip::Interpreter, Origin::Interpreter | Origin::Stdlib) => true,
        // Python's own flags have the compiler write down in which folder it ran, a temporary one.
        (Strip::Interpreter, Origin::Distribution(name)) => spec.built.contains(name),
        (Strip::None, _)
        | (Strip::Interpreter, Origin::Application | Origin::Packproof | Origin::System | Origin::Unowned) => false,
    }
}

fn look<'a>(
    path: &'a ArchivePath,
    entry: &'a Entry,
    content: Content<'a>,
    contents: &Contents,
    stripped: bool,
) -> Result<Surveyed<'a>, Error> {
    let facts = match (&content, stripped) {
        (Content::OnDisk(path), true) => contents.stripped_facts(path)?,
        (Content::OnDisk(path), false) => contents.facts(path)?,
        (Content::InMemory(bytes), true) => Facts::of(&contents::stripped(Cow::Borrowed(&**bytes))),
        (Content::InMemory(bytes), false) => Facts::of(bytes),
    };
    let Facts { size, hash, elf } = facts;
    let before = match &content {
        Content::OnDisk(path) if stripped && elf => fs::metadata(path).map_err(Error::Read)?.len(),
        Content::InMemory(bytes) if stripped => bytes.len() as u64,
        Content::OnDisk(_) | Content::InMemory(_) => size,
    };
    // Stripping only ever takes away.
    let changed = size != before || entry.source.change().is_some();
    let beside = match &entry.source {
        Source::Bytecode { of } => of,
        _ => path,
    };
    let (mode, kind) = (entry.mode & 0o777, kind(path, elf));
    Ok(Surveyed { path, mode, size, hash, kind, beside, changed, content, stripped })
}

fn kind(path: &ArchivePath, elf: bool) -> Kind {
    if elf {
        Kind::Elf
    } else if [".py", ".pyc", ".pyi"].iter().any(|suffix| path.as_str().ends_with(suffix)) {
        Kind::Code
    } else {
        Kind::Data
    }
}
