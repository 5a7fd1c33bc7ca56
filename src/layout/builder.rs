//! Where entries come together: a path is taken once, and a collision names both sources.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::{Entry, Error, Layout, Origin, Source};
use crate::format::ArchivePath;

#[derive(Debug, Default)]
pub(super) struct Builder {
    entries: BTreeMap<ArchivePath, Entry>,
}

impl Builder {
    /// The same file twice is no collision.
    pub(super) fn add(&mut self, path: ArchivePath, entry: Entry) -> Result<(), Error> {
        match self.entries.entry(path) {
            Slot::Vacant(slot) => _ = slot.insert(entry),
            Slot::Occupied(slot) if slot.get().source == entry.source => {}
            Slot::Occupied(slot) => {
                return Err(Error::Collision {
                    path: slot.key().clone(),
                    first: describe(slot.get()),
                    second: describe(&entry),
                });
            }
        }
        Ok(())
    }

    /// Another content for an entry that is there.
    pub(super) fn replace(&mut self, path: &ArchivePath, source: Source) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.source = source;
        }
    }

    pub(super) fn get(&self, path: &ArchivePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub(super) fn contains(&self, path: &ArchivePath) -> bool {
        self.entries.contains_key(path)
    }

    /// Whether anything lies below `folder`.
    pub(super) fn holds_folder(&self, folder: &ArchivePath) -> bool {
        let below = format!("{folder}/");
        // A path that begins with it comes right after the folder's own name, but for names like `lib-x`.
        let after = self.entries.range(folder.clone()..);
        after
            .take_while(|(path, _)| path.as_str().starts_with(folder.as_str()))
            .any(|(path, _)| path.as_str().starts_with(&below))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&ArchivePath, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn finish(self) -> Layout {
        Layout { entries: self.entries }
    }
}

fn describe(entry: &Entry) -> String {
    let what = match &entry.source {
        Source::File(path) | Source::Patched { path, .. } | Source::Relocated { path, .. } => {
            format!("`{}`", path.display())
        }
        Source::Generated(_) => "a file of packproof's own".to_owned(),
        Source::Bytecode { of } => format!("the bytecode of `{of}`"),
        Source::Link(target) => format!("a link to `{target}`"),
        Source::EmptyFolder => "an empty folder".to_owned(),
    };
    match &entry.origin {
        Origin::Distribution(name) => format!("{what} ({name})"),
        Origin::Application => format!("{what} (the application)"),
        Origin::Interpreter | Origin::Stdlib | Origin::System | Origin::Packproof | Origin::Unowned => what,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_collision_names_both_sources() {
        let path = || ArchivePath::new("app/x.py").unwrap();
        let entry =
            |file: &str| Entry { source: Source::File(PathBuf::from(file)), mode: 0o644, origin: Origin::Application };
        let mut builder = Builder::default();
        builder.add(path(), entry("/a/x.py")).unwrap();
        builder.add(path(), entry("/a/x.py")).unwrap();
        let error = builder.add(path(), entry("/b/x.py")).unwrap_err().to_string();
        assert_eq!(
            error,
            "two files want to lie at `app/x.py` in the artifact: `/a/x.py` (the application) and `/b/x.py` (the \
             application)"
        );
    }
}
