//! What [`crate::pack`] writes and [`crate::launcher`] reads: footer, manifest, index. `docs/format.md` describes
//! it for everybody else.

mod path;

pub use path::{ArchivePath, InvalidArchivePath};
