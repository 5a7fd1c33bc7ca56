//! The shared libraries that the tree needs: packed into `lib/`, and found there.
//!
//! The interpreter gets the run path `$ORIGIN/../lib` as a DT_RPATH, which serves every file that the process loads and
//! that has no RUNPATH of its own. A file with one is told otherwise: it becomes a DT_RPATH, which does not switch the
//! interpreter's off. Run paths that name folders of the build machine go. Nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;

use super::builder::Builder;
use super::pathfile::{normalise, relative};
use super::{Entry, Error, Origin, Reached, Source, below, walk};
use crate::cache::stamped::Stamped;
use crate::config::Config;
use crate::environment::Facts;
use crate::format::ArchivePath;
use crate::licenses::debian::Packages;
use crate::licenses::is_strong_copyleft;
use crate::native::closure::{self, LIB, Object, Rules};
use crate::native::relocate::{self, Tag};
use crate::native::{Closure, ElfFile, GlibcVersion, HOST_MACHINE, Loader, Native, Opened, Policy, is_elf, opened};

pub(super) fn add(
    builder: &mut Builder,
    config: &Config,
    facts: &Facts,
    interpreter: &ArchivePath,
    reached: &Reached,
    cache: Option<&Path>,
) -> Result<Native, Error> {
    let kept = Stamped::open(cache, "elf", &[ElfFile::CODE, facts.prefix.as_os_str().as_encoded_bytes()]);
    let objects = objects(builder, interpreter, &kept)?;
    let packages = Packages::of_this_machine();
    let policy = Policy::built_in();
    let rules = Rules {
        read: &|file| elf(&kept, file).ok().flatten(),
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
    kept.save();
    let mut files: BTreeMap<String, ElfFile> =
        objects.iter().map(|object| (object.place.clone(), object.elf.clone())).collect();
    let mut all = objects;
    for object in packed(builder, &closure)? {
        files.insert(object.place.clone(), object.elf.clone());
        all.push(object);
    }
    for object in all.iter().filter(|object| object.elf.machine == HOST_MACHINE) {
        run_path(builder, facts, interpreter, object, &closure)?;
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

/// Every ELF file of the tree as it is on the disk, the interpreter first.
fn objects(builder: &Builder, interpreter: &ArchivePath, kept: &Stamped) -> Result<Vec<Object>, Error> {
    let candidates: Vec<(&ArchivePath, &Path)> = builder
        .paths()
        .filter(|(path, entry)| may_be_elf(path.file_name(), entry.mode))
        .filter_map(|(path, entry)| Some((path, entry.source.file()?)))
        .collect();
    let mut objects: Vec<Object> = candidates
        .into_par_iter()
        .map(|(place, file)| {
            let Some(elf) = elf(kept, file)? else { return Ok(None) };
            Ok(Some(Object { place: place.to_string(), disk: fs::canonicalize(file)?, elf }))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, Error>>()?;
    objects.sort_by_key(|object| object.place != interpreter.as_str());
    Ok(objects)
}

/// Libraries and programs; reading everything else would double the time of a build.
fn may_be_elf(name: &str, mode: u32) -> bool {
    mode & 0o111 != 0 || name.ends_with(".so") || name.contains(".so.")
}

fn elf(kept: &Stamped, file: &Path) -> std::io::Result<Option<ElfFile>> {
    kept.get_or(file, || read_elf(file).map(|bytes| ElfFile::parse(&bytes)))
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

fn run_path(
    builder: &mut Builder,
    facts: &Facts,
    interpreter: &ArchivePath,
    object: &Object,
    closure: &Closure,
) -> Result<(), Error> {
    let place = ArchivePath::new(object.place.clone())?;
    if !builder.contains(&place) {
        return Ok(());
    }
    let folder = place.parent();
    let lib = ArchivePath::new(LIB)?;
    let to_lib = folder.as_ref().map_or_else(|| origin(LIB), |folder| origin(&relative(folder, &lib)));

    let own = object.elf.run_paths();
    let mut wanted: Vec<String> = Vec::new();
    for path in own {
        let kept =
            if path.starts_with('$') { Some(path.clone()) } else { rebased(builder, facts, path, folder.as_ref())? };
        if let Some(kept) = kept
            && !wanted.contains(&kept)
        {
            wanted.push(kept);
        }
    }
    let is_interpreter = place == *interpreter;
    let reaches_lib = |paths: &[String]| paths.iter().any(|path| same_folder(path, &to_lib));
    let mut tag = Tag::Keep;
    if is_interpreter {
        let needs_lib = !closure.packed.is_empty() || facts.shared_library.is_some();
        if !needs_lib && wanted == own {
            return Ok(());
        }
        wanted.retain(|path| !same_folder(path, &to_lib));
        wanted.insert(0, to_lib);
        tag = Tag::Rpath;
    } else if object.elf.interpreter.is_none()
        && object.elf.runpath.is_some()
        && closure.need_packed.contains(&object.place)
        && !reaches_lib(&wanted)
    {
        // Its own folders are searched as before; then the interpreter's.
        tag = Tag::Rpath;
    }
    let unchanged = wanted == own && (tag == Tag::Keep || object.elf.runpath.is_none());
    if unchanged {
        return Ok(());
    }
    builder.change(&place, |source| {
        let (path, mut bytes, why) = match source {
            Source::Patched { path, bytes, why } => (path, bytes, both(why)),
            Source::File(path) => {
                let bytes = fs::read(&path)?;
                (path, bytes, "run path")
            }
            other @ (Source::Generated(_) | Source::Bytecode { .. } | Source::Link(_) | Source::EmptyFolder) => {
                return Ok(other);
            }
        };
        relocate::set_run_path(&mut bytes, &wanted, tag)
            .map_err(|source| Error::Relocate { path: path.clone(), source })?;
        Ok(Source::Patched { path, bytes, why })
    })
}

fn both(why: &'static str) -> &'static str {
    if why == "compiled-in prefix" { "run path, compiled-in prefix" } else { why }
}

/// An absolute folder of a run path, as it is to read in the tree. A folder of the interpreter's installation has its
/// like there; another one that exists on the build machine would make the artifact load there what it can load nowhere
/// else. One that does not exist has no part in what the environment does, and stays as it is.
fn rebased(
    builder: &Builder,
    facts: &Facts,
    path: &str,
    folder: Option<&ArchivePath>,
) -> Result<Option<String>, Error> {
    let path = normalise(Path::new(path));
    for prefix in [&facts.base_prefix, &facts.prefix] {
        if let Ok(inside) = path.strip_prefix(prefix)
            && !is_common(prefix)
        {
            let Some(folder) = folder else { return Ok(None) };
            if inside.as_os_str().is_empty() {
                return Ok(None);
            }
            let target = below("", inside)?;
            let is_there = target.as_str() == LIB || builder.holds_folder(&target);
            return Ok(is_there.then(|| origin(&relative(folder, &target))));
        }
    }
    Ok((!path.is_dir()).then(|| path.display().to_string()))
}

/// Prefixes that every system has.
fn is_common(prefix: &Path) -> bool {
    [Path::new("/usr"), Path::new("/usr/local")].contains(&prefix)
}

fn origin(way: &str) -> String {
    if way == "." { "$ORIGIN".to_owned() } else { format!("$ORIGIN/{way}") }
}

/// By text, `$ORIGIN/../lib` and `${ORIGIN}/../lib/` are the same.
fn same_folder(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.replace("${ORIGIN}", "$ORIGIN").trim_end_matches('/').to_owned();
    plain(a) == plain(b)
}
