//! What `pack` writes and `launcher` reads: launcher + ZIP container, with a [`Footer`] at its very end, a
//! [`Manifest`], an [`Index`] of the tree, and blocks. `docs/format.md` describes every byte.
//!
//! Takes bytes that may be damaged or hostile, gives values that are safe to act upon: every path stays inside the
//! tree, every range inside its block. Built without the tool's dependencies. Writing the container is `pack`'s
//! business, unpacking it the launcher's.

mod artifact;
mod digest;
mod error;
mod filter;
mod footer;
mod index;
mod manifest;
mod path;
mod wire;

pub use artifact::Artifact;
pub use digest::Digest;
pub use error::Error;
pub use filter::Filter;
pub use footer::{Footer, Part};
pub use index::{Block, File, Index, Link, stays_inside};
pub use manifest::{Manifest, Start, StartEntry, is_name};
pub use path::{ArchivePath, InvalidArchivePath};

/// Written to footer and manifest. A launcher reads its own artifact only, the tool reads this version.
pub const FORMAT_VERSION: u32 = 3;

/// Name of the file in a tree's root that says that the tree is whole. It holds the payload digest, and what is
/// known of the tree's way to the disk.
pub const MARK: &str = ".packproof";

/// A file in the tree's root that nobody ever reads. Cleaners that take what was not read for long take it no later than any source, which
/// is not read either where there is bytecode; so a tree without it may lack others too.
pub const UNREAD: &str = ".packproof-unread";
