//! What of the tree's ELF files is changed, so that they are at home in it.
//!
//! The interpreter gets the run path `$ORIGIN/../lib` as a DT_RPATH, which serves every file that the process loads and
//! that has no RUNPATH of its own. A file with one is told otherwise: it becomes a DT_RPATH, which does not switch the
//! interpreter's off. Run paths that name folders of the build machine go, and so does the prefix that is compiled into the
//! interpreter. Nothing else is touched.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::builder::Builder;
use super::interpreter::COMMON_PREFIXES;
use super::pathfile::{normalise, relative};
use super::{Error, Origin, Source, below};
use crate::environment::Facts;
use crate::format::ArchivePath;
use crate::native::closure::{LIB, Object};
use crate::native::relocate::{self, Relocation, Tag};
use crate::native::{Closure, HOST_MACHINE};

/// What can be changed of a file where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fit {
    /// The interpreter's prefix is compiled in.
    pub(super) names_prefix: bool,
    /// As [`relocate::room`].
    pub(super) room: Option<usize>,
}

pub(super) fn add(
    builder: &mut Builder,
    facts: &Facts,
    interpreter: &ArchivePath,
    object: &Object,
    fit: Fit,
    closure: &Closure,
) -> Result<(), Error> {
    let place = ArchivePath::new(object.place.clone())?;
    let Some(entry) = builder.get(&place) else { return Ok(()) };
    let Source::File(path) = &entry.source else { return Ok(()) };
    let path = path.clone();
    let prefix = facts.base_prefix.to_string_lossy();
    // Programs that lie among the library's files are data to it.
    let is_own = match entry.origin {
        Origin::Interpreter => true,
        Origin::Stdlib => place.as_str().ends_with(".so"),
        Origin::Distribution(_) | Origin::Application | Origin::System | Origin::Packproof | Origin::Unowned => false,
    };
    let names_prefix = is_own && fit.names_prefix && !COMMON_PREFIXES.contains(&prefix.as_ref());
    let run_path = if object.elf.machine == HOST_MACHINE {
        run_path(builder, facts, &place, place == *interpreter, object, closure)?
    } else {
        None
    };
    let why = match (&run_path, names_prefix) {
        (Some(_), true) => "run path, compiled-in prefix",
        (Some(_), false) => "run path",
        (None, true) => "compiled-in prefix",
        (None, false) => return Ok(()),
    };
    let grows = |folders: &[String]| fit.room.is_none_or(|room| folders.join(":").len() > room);
    let prefix = names_prefix.then(|| prefix.into_owned());
    let source = match run_path {
        Some((folders, tag)) if grows(&folders) => {
            let mut bytes = Relocation { prefix, run_path: None }.read(&path)?;
            relocate::set_run_path(&mut bytes, &folders, tag)
                .map_err(|source| Error::Relocate { path: path.clone(), source })?;
            Source::Patched { path, bytes, why }
        }
        run_path => Source::Relocated { path, relocation: Relocation { prefix, run_path }, why },
    };
    builder.replace(&place, source);
    Ok(())
}

/// The folders that the file is to search, with the entry's tag; nothing where it stays as it is.
fn run_path(
    builder: &Builder,
    facts: &Facts,
    place: &ArchivePath,
    is_interpreter: bool,
    object: &Object,
    closure: &Closure,
) -> Result<Option<(Vec<String>, Tag)>, Error> {
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
    let reaches_lib = |paths: &[String]| paths.iter().any(|path| same_folder(path, &to_lib));
    let mut tag = Tag::Keep;
    if is_interpreter {
        let needs_lib = !closure.packed.is_empty() || facts.shared_library.is_some();
        if !needs_lib && wanted == own {
            return Ok(None);
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
    Ok((!unchanged).then_some((wanted, tag)))
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
            && !COMMON_PREFIXES.iter().any(|common| prefix == Path::new(common))
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

fn origin(way: &str) -> String {
    if way == "." { "$ORIGIN".to_owned() } else { format!("$ORIGIN/{way}") }
}

/// By text, `$ORIGIN/../lib` and `${ORIGIN}/../lib/` are the same.
fn same_folder(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.replace("${ORIGIN}", "$ORIGIN").trim_end_matches('/').to_owned();
    plain(a) == plain(b)
}
