//! ELF files → needed libraries, symbol versions, run paths; where each needed library comes from; and the few bytes
//! that relocation changes.
//!
//! Reading goes through goblin. [`search`] finds a library as the dynamic loader does, [`policy`] says which are the
//! system's, [`closure`] puts the two together. Writing ([`relocate`]) is done in place wherever it can be: nothing else
//! in the file moves, and a file that needs no change is never touched.

mod cache;
pub mod closure;
mod elf;
mod floor;
mod isa;
pub mod macho;
mod needed;
pub mod opened;
pub mod pe;
pub mod policy;
pub mod relocate;
mod search;
pub mod strip;

use std::collections::{BTreeMap, BTreeSet};

pub use closure::{Closure, Left, Object, Rules, Why};
pub use elf::{ElfFile, HOST_MACHINE, Traits, VersionNeed, code_and_data, is_elf, machine_name};
pub use floor::{Floor, GlibcVersion};
pub use isa::Isa;
pub use macho::MachFile;
pub use needed::Needed;
pub use opened::Opened;
pub use pe::PeFile;
pub use policy::Policy;
pub use search::Loader;

/// What the native code of a layout is, and what it asks of the system that it will run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Native {
    /// Path in the tree → facts, as they are before relocation. Packed libraries are among them.
    pub files: BTreeMap<String, ElfFile>,
    pub closure: Closure,
    /// The files that the application loads whenever it runs, as far as can be told: the interpreter, extension modules
    /// that are surely imported, and their libraries.
    pub surely: BTreeSet<String>,
    /// Of all files.
    pub floor: Floor,
    /// Of [`Native::surely`]: below it the application does not run at all.
    pub sure_floor: Floor,
    /// Path in the tree of a module → the libraries that it opens by name.
    pub opened: BTreeMap<String, Vec<Opened>>,
}

impl Native {
    /// `roots`: the interpreter and the extension modules that are surely imported.
    pub fn new(files: BTreeMap<String, ElfFile>, closure: Closure, roots: impl IntoIterator<Item = String>) -> Self {
        let surely = closure.with_libraries(roots);
        let (mut floor, mut sure_floor) = (Floor::default(), Floor::default());
        for (path, elf) in files.iter().filter(|(_, elf)| elf.machine == HOST_MACHINE) {
            let version = elf.glibc().map(|(version, _)| version);
            floor.add(path, version.as_ref());
            if surely.contains(path) {
                sure_floor.add(path, version.as_ref());
            }
        }
        Self { files, closure, surely, floor, sure_floor, opened: BTreeMap::new() }
    }
}
