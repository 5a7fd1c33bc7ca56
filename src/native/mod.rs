//! ELF files → needed libraries, symbol versions, run paths; and the few bytes that relocation changes in them.
//!
//! Reading goes through goblin. Writing is done in place, within strings that are already there (see [`relocate`]):
//! nothing else in the file moves, so that a file which needs no change is never touched.

mod elf;
mod floor;
mod needed;
pub mod relocate;
mod survey;

pub use elf::{ElfFile, is_elf};
pub use floor::{Floor, GlibcVersion};
pub use needed::Needed;
pub use survey::{Error, Native, survey};
