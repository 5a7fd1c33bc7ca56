//! The interpreter, its shared library and its standard library.
//!
//! What of an installation stays behind: tests of the standard library and the wheels that ensurepip installs, unless
//! something imports them; the static library and what else is there to build extension modules with; `EXTERNALLY-MANAGED`, which forbids pip to touch
//! a system's Python; other packages' folders, which `distributions` brings. Paths that are compiled in are `relocation`'s business.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;

use super::builder::Builder;
use super::walk::Trees;
use super::{Entry, Error, Origin, Source, below, variables};
use crate::environment::Facts;
use crate::format::ArchivePath;
use crate::graph::Without;

/// Prefixes that every system has; that they are compiled in says nothing about the build machine.
pub(super) const COMMON_PREFIXES: &[&str] = &["/usr", "/usr/local"];

/// Packages and folders of the standard library that hold its own tests.
const TESTS: &[&str] = &[
    "ctypes/test",
    "distutils/tests",
    "idlelib/idle_test",
    "lib2to3/tests",
    "sqlite3/test",
    "test",
    "tkinter/test",
    "unittest/test",
];

/// Says where the interpreter lies.
pub(super) fn add(
    builder: &mut Builder,
    facts: &Facts,
    name: &str,
    reached: &BTreeSet<String>,
    trees: &Trees,
    without: &Without,
) -> Result<ArchivePath, Error> {
    let interpreter = ArchivePath::new(format!("bin/{name}"))?;
    executable(builder, facts, &interpreter)?;
    shared_library(builder, facts)?;
    let mut folders = vec![facts.stdlib.as_path()];
    if facts.platstdlib != facts.stdlib {
        folders.push(&facts.platstdlib);
    }
    for folder in folders {
        stdlib(builder, facts, folder, reached, trees, without)?;
    }
    Ok(interpreter)
}

fn executable(builder: &mut Builder, facts: &Facts, interpreter: &ArchivePath) -> Result<(), Error> {
    let source = Source::File(facts.base_executable.clone());
    builder.add(interpreter.clone(), Entry { source, mode: 0o755, origin: Origin::Interpreter })?;

    for link in ["python".to_owned(), "python3".to_owned(), facts.python_name()] {
        if link != interpreter.file_name() {
            let source = Source::Link(interpreter.file_name().to_owned());
            builder.add(below("bin", Path::new(&link))?, Entry { source, mode: 0o777, origin: Origin::Packproof })?;
        }
    }
    Ok(())
}

fn shared_library(builder: &mut Builder, facts: &Facts) -> Result<(), Error> {
    let Some(name) = &facts.shared_library else { return Ok(()) };
    let folders = facts.library_folder.iter().cloned().chain([facts.base_prefix.join("lib")]);
    // libpython3.so is what extension modules of the stable ABI may link, instead of the versioned one.
    for (name, wanted) in [(name.as_str(), true), ("libpython3.so", false)] {
        let found = folders.clone().map(|folder| folder.join(name)).find(|path| path.is_file());
        let Some(path) = found else {
            if wanted {
                let folder = facts.base_prefix.join("lib");
                return Err(Error::NoLibrary { name: name.to_owned(), folder });
            }
            continue;
        };
        let source = Source::File(fs::canonicalize(path)?);
        builder.add(below("lib", Path::new(name))?, Entry { source, mode: 0o755, origin: Origin::Interpreter })?;
    }
    Ok(())
}

fn stdlib(
    builder: &mut Builder,
    facts: &Facts,
    folder: &Path,
    reached: &BTreeSet<String>,
    trees: &Trees,
    without: &Without,
) -> Result<(), Error> {
    let root = stdlib_place(facts, folder)?;
    let keep_tests = reached.contains("test");
    let keep = |path: &Path| {
        let Some(text) = path.to_str() else { return true };
        let packages = matches!(text, "site-packages" | "dist-packages");
        // PEP 668 and PEP 739, and what 3.14 and newer have of `_sysconfigdata` for tools of other languages.
        let building = ["config-", "EXTERNALLY-MANAGED", "build-details", "_sysconfig_vars"];
        let building = building.iter().any(|start| text.starts_with(start));
        // `venv` starts ensurepip in a process of its own, which no import shows.
        let seeds = text == "ensurepip/_bundled" && !reached.contains("ensurepip") && !reached.contains("venv");
        !packages && !building && !seeds && !without.holds(&folder.join(path)) && (keep_tests || !TESTS.contains(&text))
    };
    for found in trees.files(folder, &keep)? {
        let path = below(root.as_str(), &found.relative)?;
        let source = match found.source {
            Source::File(file) if is_build_data(&file) => variables::patched(&file, &facts.base_prefix)?,
            other => other,
        };
        builder.add(path, Entry { source, mode: found.mode, origin: Origin::Stdlib })?;
    }
    Ok(())
}

/// Where a folder of the standard library lies in the tree.
pub(super) fn stdlib_place(facts: &Facts, folder: &Path) -> Result<ArchivePath, Error> {
    match folder.strip_prefix(&facts.base_prefix) {
        Ok(relative) => below("", relative),
        Err(_) => below("lib", Path::new(&facts.python_name())),
    }
}

fn is_build_data(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_sysconfigdata"))
}
