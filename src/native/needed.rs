//! Which files ask the dynamic loader for which libraries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{ElfFile, Opened, opened};

/// A library's name (as DT_NEEDED spells it) → the files that need it.
#[derive(Debug, Clone, Default)]
pub struct Needed {
    by_name: BTreeMap<String, BTreeSet<PathBuf>>,
    /// A file → the names under which it is needed: its soname, and its file name.
    names: BTreeMap<PathBuf, Vec<String>>,
}

impl Needed {
    /// Reads `files`; what is no ELF file needs nothing.
    pub fn read(files: &BTreeSet<PathBuf>) -> Self {
        let read: Vec<(PathBuf, ElfFile)> = files
            .par_iter()
            .filter_map(|file| Some((file.clone(), ElfFile::parse(&fs_err::read(file).ok()?)?)))
            .collect();
        let mut needed = Self::default();
        for (file, elf) in read {
            for name in elf.needed {
                needed.by_name.entry(name).or_default().insert(file.clone());
            }
            let own = file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            needed.names.insert(file, elf.soname.into_iter().chain(own).collect());
        }
        needed
    }

    /// Whether `file` is needed by one for which `is_start` holds, itself or through others.
    pub fn is_needed(&self, file: &Path, is_start: impl Fn(&PathBuf) -> bool) -> bool {
        self.names.get(file).into_iter().flatten().any(|name| self.chain(name, &is_start).is_some())
    }

    /// Whether one of the files bears the name of `file`.
    pub fn has_namesake(&self, file: &Path) -> bool {
        self.names.keys().any(|known| known.file_name() == file.file_name())
    }

    /// The files that need `file` themselves, by one of the names that `of` knows for it.
    pub fn users<'a>(&'a self, file: &Path, of: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        of.names.get(file).into_iter().flatten().filter_map(|name| self.by_name.get(name)).flatten()
    }

    /// Adds what Python code opens by name.
    #[must_use]
    pub fn with_opened(mut self, opened: &BTreeMap<PathBuf, Vec<Opened>>) -> Self {
        for (file, calls) in opened {
            for name in opened::libraries(calls) {
                self.by_name.entry(name).or_default().insert(file.clone());
            }
        }
        self
    }

    /// The shortest chain of files from one for which `is_start` holds to one that needs `library` itself.
    pub fn chain(&self, library: &str, is_start: impl Fn(&PathBuf) -> bool) -> Option<Vec<PathBuf>> {
        let mut seen = BTreeSet::new();
        let mut open: VecDeque<Vec<PathBuf>> = VecDeque::new();
        let mut push = |open: &mut VecDeque<Vec<PathBuf>>, name: &str, chain: &[PathBuf]| {
            for file in self.by_name.get(name).into_iter().flatten() {
                if seen.insert(file.clone()) {
                    open.push_back(std::iter::once(file.clone()).chain(chain.iter().cloned()).collect());
                }
            }
        };
        push(&mut open, library, &[]);
        while let Some(chain) = open.pop_front() {
            if is_start(&chain[0]) {
                return Some(chain);
            }
            for name in self.names.get(&chain[0]).into_iter().flatten() {
                push(&mut open, name, &chain);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Loader;

    #[test]
    fn who_needs_a_file() {
        let program = std::env::current_exe().unwrap();
        let elf = ElfFile::parse(&fs_err::read(&program).unwrap()).unwrap();
        let library = Loader::of_this_machine().find("libc.so.6", &[(&program, &elf)]).unwrap();
        let needed = Needed::read(&BTreeSet::from([library.clone(), program.clone()]));
        assert!(needed.is_needed(&library, |file| *file == program));
        assert!(!needed.is_needed(&program, |file| *file == library));
        assert!(!needed.is_needed(Path::new("/nonexistent"), |_| true));
    }
}
