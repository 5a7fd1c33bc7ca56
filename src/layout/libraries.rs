//! The shared libraries that the tree needs: packed into `lib/`, and found there.
//!
//! What is changed of the files that need them, [`relocation`](super::relocation) decides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::builder::Builder;
use super::relocation::{self, Fit};
use super::{Entry, Error, Origin, Reached, Source, below, walk};
use crate::cache::stamped::Stamped;
use crate::config::Config;
use crate::environment::Facts;
use crate::format::ArchivePath;
use crate::licenses::debian::Packages;
use crate::licenses::is_strong_copyleft;
use crate::native::closure::{self, LIB, Object, Rules};
use crate::native::relocate::{self, Relocation};
use crate::native::{Closure, ElfFile, GlibcVersion, HOST_MACHINE, Loader, Native, Opened, Policy, is_elf, opened};

pub(super) fn add(
    builder: &mut Builder,
    config: &Config,
    facts: &Facts,
    interpreter: &ArchivePath,
    reached: &Reached,
    cache: Option<&Path>,
) -> Result<Native, Error> {
    let elves = Elves::of(facts, cache);
    let (objects, fits) = objects(builder, interpreter, &elves)?;
    let packages = Packages::of_this_machine();
    let policy = Policy::built_in();
    let rules = Rules {
        read: &|file| elves.read(file).ok().flatten().map(|known| known.elf),
        policy,
        max_glibc: config.audit.max_glibc.as_deref().and_then(GlibcVersion::parse),
        imported: &|module| reached.stdlib_surely.contains(module),
        refused: &|name, file| {
            let known = policy.license(name).map(str::to_owned);
            let license = known.or_else(|| packages.of(file)?.license)?;
            (is_strong_copyleft(&license) && !config.licenses.allows(&license)).then_some(license)
        },
    };
    let opened = opened(builder, reached);
    // What a module opens by name is found as if a library beside it needed it.
    let openers = opened.iter().map(|(place, (disk, calls))| Object {
        place: place.clone(),
        disk: disk.clone(),
        elf: ElfFile { machine: HOST_MACHINE, is_64: true, needed: opened::libraries(calls), ..ElfFile::default() },
    });
    let loaded = objects.iter().cloned().chain(openers).collect();
    let closure = closure::close(loaded, &Loader::of_this_machine(), &rules);
    elves.kept.save();
    let mut files: BTreeMap<String, ElfFile> =
        objects.iter().map(|object| (object.place.clone(), object.elf.clone())).collect();
    let mut all = objects;
    for object in packed(builder, &closure)? {
        files.insert(object.place.clone(), object.elf.clone());
        all.push(object);
    }
    for object in &all {
        let fit = fits.get(&object.place).copied().unwrap_or_default();
        relocation::add(builder, facts, interpreter, object, fit, &closure)?;
    }
    let roots = all
        .iter()
        .filter(|object| object.place == interpreter.as_str() || reached.extensions_surely.contains(&object.disk))
        .map(|object| object.place.clone());
    let opened = opened.into_iter().map(|(place, (_, calls))| (place, calls)).collect();
    Ok(Native { opened, ..Native::new(files, closure, roots.collect::<Vec<_>>()) })
}

/// Place in the tree → the file, and what it opens; of what is not packed nothing.
fn opened(builder: &Builder, reached: &Reached) -> BTreeMap<String, (PathBuf, Vec<Opened>)> {
    if reached.opened.is_empty() {
        return BTreeMap::new();
    }
    let sources = builder.paths().filter_map(|(place, entry)| {
        let file = entry.source.file()?;
        Some((place.to_string(), (file.to_owned(), reached.opened.get(file)?.clone())))
    });
    sources.collect()
}

/// What is known of files: kept, as they are large.
struct Elves {
    kept: Stamped,
    /// The interpreter's, which may be compiled in.
    prefix: String,
}

#[derive(Serialize, Deserialize)]
struct Known {
    elf: ElfFile,
    fit: Fit,
}

impl Elves {
    fn of(facts: &Facts, cache: Option<&Path>) -> Self {
        let prefix = facts.base_prefix.to_string_lossy().into_owned();
        let environment = facts.prefix.as_os_str().as_encoded_bytes();
        let key = [ElfFile::CODE, Relocation::CODE, prefix.as_bytes(), environment];
        Self { kept: Stamped::open(cache, "elf", &key), prefix }
    }

    /// Nothing of a file that is none.
    fn read(&self, file: &Path) -> std::io::Result<Option<Known>> {
        self.kept.get_or(file, || {
            let bytes = read_elf(file)?;
            Ok(ElfFile::parse(&bytes).map(|elf| {
                let fit = Fit { names_prefix: relocate::holds(&bytes, &self.prefix), room: relocate::room(&bytes) };
                Known { elf, fit }
            }))
        })
    }
}

/// Every ELF file of the tree as it is on the disk, the interpreter first; and by place what can be changed of each.
fn objects(
    builder: &Builder,
    interpreter: &ArchivePath,
    elves: &Elves,
) -> Result<(Vec<Object>, BTreeMap<String, Fit>), Error> {
    let candidates: Vec<(&ArchivePath, &Path)> = builder
        .paths()
        .filter(|(path, entry)| may_be_elf(path.file_name(), entry.mode))
        .filter_map(|(path, entry)| Some((path, entry.source.file()?)))
        .collect();
    let mut objects: Vec<(Object, Fit)> = candidates
        .into_par_iter()
        .map(|(place, file)| {
            let Some(Known { elf, fit }) = elves.read(file)? else { return Ok(None) };
            Ok(Some((Object { place: place.to_string(), disk: fs::canonicalize(file)?, elf }, fit)))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, Error>>()?;
    objects.sort_by_key(|(object, _)| object.place != interpreter.as_str());
    let fits = objects.iter().map(|(object, fit)| (object.place.clone(), *fit)).collect();
    Ok((objects.into_iter().map(|(object, _)| object).collect(), fits))
}

/// Libraries and programs; reading everything else would double the time of a build.
fn may_be_elf(name: &str, mode: u32) -> bool {
    mode & 0o111 != 0 || name.ends_with(".so") || name.contains(".so.")
}

/// Of a file that is none, the first bytes.
fn read_elf(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut head = Vec::with_capacity(4);
    fs::File::open(path)?.take(4).read_to_end(&mut head)?;
    // At once, into a buffer of its size: one that grows is copied, and zeroed before.
    if is_elf(&head) { fs::read(path) } else { Ok(head) }
}

/// Puts the libraries into the tree under their own file names, with links as the system has them.
fn packed(builder: &mut Builder, closure: &Closure) -> Result<Vec<Object>, Error> {
    let mut added = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, library) in &closure.packed {
        let real = library.file.file_name().unwrap_or_default();
        let place = below(LIB, Path::new(real))?;
        if seen.insert(place.clone()) && !builder.contains(&place) {
            let mode = walk::mode_of(&library.file)?;
            let source = Source::File(library.file.clone());
            builder.add(place.clone(), Entry { source, mode, origin: Origin::System })?;
            added.push(Object { place: place.to_string(), disk: library.file.clone(), elf: library.elf.clone() });
        }
        for (link, target) in links(&library.file, name) {
            let link = below(LIB, Path::new(&link))?;
            if !builder.contains(&link) {
                builder.add(link, Entry { source: Source::Link(target), mode: 0o777, origin: Origin::System })?;
            }
        }
    }
    Ok(added)
}

/// The links from `name` to the file, each with its target: `libfoo.so.1` → `libfoo.so.1.2` → `libfoo.so.1.2.3`, as its
/// folder has them; one that leads straight there where the name is another folder's.
fn links(file: &Path, name: &str) -> Vec<(String, String)> {
    const LONGEST: usize = 8;
    let real = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut chain = Vec::new();
    let mut at = name.to_owned();
    while at != real {
        let target = fs::read_link(file.with_file_name(&at)).ok().and_then(|target| target.to_str().map(str::to_owned));
        let target =
            target.filter(|target| !target.contains('/') && chain.len() < LONGEST).unwrap_or_else(|| real.clone());
        chain.push((at, target.clone()));
        at = target;
    }
    chain
}
