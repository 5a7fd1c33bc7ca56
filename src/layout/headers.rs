//! The interpreter's C headers, for what compiles extension modules when it runs. Only hooks ask for them.

use std::path::Path;

use super::builder::Builder;
use super::{Entry, Error, Origin, Source, below, walk};
use crate::environment::Facts;

/// Where `sysconfig` looks for them, below the prefix; nothing where the interpreter came without. Compilers that link the
/// shared library ask for it by a name without a version.
pub(super) fn add(builder: &mut Builder, facts: &Facts) -> Result<(), Error> {
    let relative = Path::new("include").join(facts.python_name());
    let folder = facts.base_prefix.join(&relative);
    if !folder.is_dir() {
        return Ok(());
    }
    for found in walk::files(&folder, &|_: &Path| true)? {
        let path = below("", &relative.join(&found.relative))?;
        builder.add(path, Entry { source: found.source, mode: found.mode, origin: Origin::Stdlib })?;
    }
    if let Some(name) = &facts.shared_library
        && let Some((stem, _)) = name.split_once(".so.")
    {
        let link = below("lib", Path::new(&format!("{stem}.so")))?;
        builder.add(link, Entry { source: Source::Link(name.clone()), mode: 0o777, origin: Origin::Packproof })?;
    }
    Ok(())
}
