//! A `__pycache__` entry for every source file that can be imported.

use super::builder::Builder;
use super::{Entry, Error, Origin, Source};
use crate::environment::Facts;
use crate::format::ArchivePath;

pub(super) fn add(builder: &mut Builder, facts: &Facts) -> Result<(), Error> {
    let sources: Vec<(ArchivePath, Origin)> = builder
        .paths()
        .filter(|(path, entry)| is_importable(path) && !matches!(entry.source, Source::Link(_) | Source::EmptyFolder))
        .map(|(path, entry)| (path.clone(), entry.origin.clone()))
        .collect();
    for (path, origin) in sources {
        let name = path.file_name();
        let stem = name.strip_suffix(".py").unwrap_or(name);
        let cached = format!("__pycache__/{stem}.{}.pyc", facts.cache_tag);
        let cached = match path.parent() {
            Some(parent) => parent.join(&cached)?,
            None => ArchivePath::new(cached)?,
        };
        builder.add(cached, Entry { source: Source::Bytecode { of: path }, mode: 0o644, origin })?;
    }
    Ok(())
}

/// Red Hat's and SUSE's Pythons have `lib64/`, Debian's has `local/`. Programs in `bin/` and data in `share/` are not imported, whatever their names.
fn is_importable(path: &ArchivePath) -> bool {
    let imported = ["lib/", "lib64/", "app/", "path/", "local/"].iter().any(|root| path.as_str().starts_with(root));
    imported && path.as_str().ends_with(".py")
}
