//! How the dynamic loader finds a library: run paths, its cache, default folders.
//!
//! Source: ld.so(8), and glibc's `elf/dl-load.c` where that is silent. `LD_LIBRARY_PATH` is not asked: what an
//! application needs must not depend on the shell that it was built from.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::elf::HOST_MACHINE;
use super::{ElfFile, cache};

/// The loader of the machine that builds.
#[derive(Debug, Default)]
pub struct Loader {
    cache: BTreeMap<String, PathBuf>,
}

/// After the cache. Debian's come first where they exist.
const DEFAULT_FOLDERS: &[&str] = &[
    if cfg!(target_arch = "aarch64") { "/lib/aarch64-linux-gnu" } else { "/lib/x86_64-linux-gnu" },
    if cfg!(target_arch = "aarch64") { "/usr/lib/aarch64-linux-gnu" } else { "/usr/lib/x86_64-linux-gnu" },
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

impl Loader {
    pub fn of_this_machine() -> Self {
        let bytes = fs::read("/etc/ld.so.cache").unwrap_or_default();
        Self { cache: cache::parse(&bytes, HOST_MACHINE) }
    }

    /// What the loader takes for `name`, which the last file of `chain` needs. The chain is that file and those that
    /// brought it in, each with its path, the program first.
    pub fn find(&self, name: &str, chain: &[(&Path, &ElfFile)]) -> Option<PathBuf> {
        let (path, elf) = *chain.last()?;
        let fits = |candidate: &PathBuf| same_machine(candidate, elf);
        if name.contains('/') {
            return Some(expand(name, path)).filter(fits);
        }
        let mut folders: Vec<PathBuf> = Vec::new();
        match &elf.runpath {
            Some(own) => folders.extend(own.iter().map(|folder| expand(folder, path))),
            None => {
                for (path, elf) in chain.iter().rev().filter(|(_, elf)| elf.runpath.is_none()) {
                    folders.extend(elf.rpath.iter().map(|folder| expand(folder, path)));
                }
            }
        }
        folders
            .into_iter()
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .chain(self.cache.get(name).cloned())
            .chain(DEFAULT_FOLDERS.iter().map(|folder| Path::new(folder).join(name)))
            .find(fits)
    }
}

/// `$ORIGIN` and its like, with or without braces.
fn expand(text: &str, file: &Path) -> PathBuf {
    let origin = file.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let (lib, platform) = if cfg!(target_arch = "aarch64") {
        ("lib/aarch64-linux-gnu", "aarch64")
    } else {
        ("lib/x86_64-linux-gnu", "x86_64")
    };
    let mut text = text.to_owned();
    for (token, value) in [("ORIGIN", &*origin), ("LIB", lib), ("PLATFORM", platform)] {
        text = text.replace(&format!("${{{token}}}"), value).replace(&format!("${token}"), value);
    }
    PathBuf::from(text)
}

/// The loader passes over a file for another machine and looks further.
fn same_machine(candidate: &Path, elf: &ElfFile) -> bool {
    let mut head = [0; 20];
    let read = fs::File::open(candidate).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok()
        && super::is_elf(&head)
        && (head[4] == 2) == elf.is_64
        && u16::from_le_bytes([head[18], head[19]]) == elf.machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let file = Path::new("/a/b/c.so");
        assert_eq!(expand("$ORIGIN/../lib", file), Path::new("/a/b/../lib"));
        assert_eq!(expand("${ORIGIN}", file), Path::new("/a/b"));
        assert_eq!(expand("/x", file), Path::new("/x"));
    }

    /// A file that passes for a library of this machine.
    fn library(path: &Path) {
        let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\0\0";
        head[18..].copy_from_slice(&HOST_MACHINE.to_le_bytes());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, head).unwrap();
    }

    #[test]
    fn run_paths_before_the_cache_and_inherited_ones_unless_there_is_a_runpath() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["program/libx", "own/libx", "cached/libx", "cached/liby"] {
            library(&at(path));
        }
        fs::create_dir_all(at("bad")).unwrap();
        fs::write(at("bad/libx"), "not a library at all").unwrap();
        let loader = Loader { cache: ["libx", "liby"].map(|name| (name.to_owned(), at("cached").join(name))).into() };
        let elf = |rpath: &[&str], runpath: Option<&[&str]>| ElfFile {
            machine: HOST_MACHINE,
            is_64: true,
            rpath: rpath.iter().map(|path| at(path).display().to_string()).collect(),
            runpath: runpath.map(|paths| paths.iter().map(|path| at(path).display().to_string()).collect()),
            ..ElfFile::default()
        };
        let program = elf(&["program"], None);
        let find =
            |name: &str, elf: &ElfFile| loader.find(name, &[(Path::new("/p"), &program), (Path::new("/l"), elf)]);
        assert_eq!(find("libx", &elf(&[], None)), Some(at("program/libx")));
        assert_eq!(find("libx", &elf(&["bad", "own"], None)), Some(at("own/libx")));
        assert_eq!(find("libx", &elf(&["own"], Some(&["none"]))), Some(at("cached/libx")));
        assert_eq!(find("liby", &elf(&[], None)), Some(at("cached/liby")));
        assert_eq!(find("libz.so.none", &elf(&[], None)), None);
    }
}
