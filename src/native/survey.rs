//! Every ELF file of a layout, read once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{ElfFile, Floor, is_elf};
use crate::layout::{Layout, Source};

/// glibc itself, which no artifact brings: it has to match the system's loader.
const GLIBC: &[&str] = &[
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];

/// What the native code of a layout asks of the system that it will run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Native {
    pub files: usize,
    pub floor: Floor,
    /// Libraries that lie nowhere in the tree, glibc's own left out, each with the files that need it.
    pub from_system: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads the ELF files of `layout`.
pub fn survey(layout: &Layout) -> Result<Native, Error> {
    let files: Vec<(&str, ElfFile)> = layout
        .entries
        .par_iter()
        .map(|(path, entry)| {
            let bytes = match &entry.source {
                Source::File(file) => {
                    if !may_be_elf(path.file_name(), entry.mode) {
                        return Ok(None);
                    }
                    Cow::Owned(read_elf(file)?)
                }
                Source::Patched { bytes, .. } => Cow::Borrowed(&bytes[..]),
                Source::Generated(_) | Source::Bytecode { .. } | Source::Link(_) | Source::EmptyFolder => {
                    return Ok(None);
                }
            };
            Ok(ElfFile::parse(&bytes).map(|elf| (path.as_str(), elf)))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, Error>>()?;
    let mut in_tree: BTreeSet<&str> = layout.entries.keys().map(crate::format::ArchivePath::file_name).collect();
    in_tree.extend(files.iter().filter_map(|(_, elf)| elf.soname.as_deref()));
    Ok(summarise(&files, &in_tree))
}

/// Libraries and programs; reading everything else would double the time of a build.
fn may_be_elf(name: &str, mode: u32) -> bool {
    mode & 0o111 != 0 || name.ends_with(".so") || name.contains(".so.")
}

/// Of a file that is none, the first bytes.
fn read_elf(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut file = fs_err::File::open(path)?;
    let mut bytes = vec![0; 4];
    let length = file.read(&mut bytes)?;
    bytes.truncate(length);
    if is_elf(&bytes) {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// `in_tree`: every file name and soname that the tree holds.
fn summarise(files: &[(&str, ElfFile)], in_tree: &BTreeSet<&str>) -> Native {
    let mut native = Native { files: files.len(), ..Native::default() };
    for (path, elf) in files {
        native.floor.add(path, elf.glibc.as_ref());
        for needed in
            elf.needed.iter().filter(|name| !GLIBC.contains(&name.as_str()) && !in_tree.contains(name.as_str()))
        {
            native.from_system.entry(needed.clone()).or_default().insert((*path).to_owned());
        }
    }
    native
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::GlibcVersion;

    #[test]
    fn what_the_tree_does_not_hold_comes_from_the_system() {
        let elf = |needed: &[&str], glibc: &str| ElfFile {
            soname: None,
            needed: needed.iter().map(|name| (*name).to_owned()).collect(),
            run_paths: Vec::new(),
            glibc: GlibcVersion::parse(glibc),
        };
        let files =
            [("a.so", elf(&["libc.so.6", "libx.so.1"], "2.17")), ("b.so", elf(&["libx.so.1", "liby.so"], "2.34"))];
        let native = summarise(&files, &BTreeSet::from(["liby.so"]));
        assert_eq!(native.from_system.keys().collect::<Vec<_>>(), ["libx.so.1"]);
        assert_eq!(native.from_system["libx.so.1"].len(), 2);
        assert_eq!((native.files, native.floor.set_by.as_slice()), (2, &["b.so".to_owned()][..]));
    }
}
