//! `distribution-overlap`: one path in two RECORDs, with different content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use rustc_hash::FxHashMap;

use super::super::place::{few, title};
use super::super::{Context, FAR, Finding, Severity, Sink};
use crate::environment::{Distribution, RecordEntry};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let mut owners: FxHashMap<OsString, (&Distribution, &RecordEntry)> = FxHashMap::default();
    let mut clashes: BTreeMap<(&str, &str), Vec<Clash<'_>>> = BTreeMap::new();
    for dist in &context.environment.distributions {
        for entry in dist.files.iter().filter(|entry| counts(&entry.path)) {
            match owners.entry(dist.site.join(&entry.path).into_os_string()) {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert((dist, entry));
                }
                std::collections::hash_map::Entry::Occupied(occupied) => {
                    let (first, its) = *occupied.get();
                    if its.hash != entry.hash && first.name != dist.name {
                        let clash = Clash { file: occupied.key().into(), first, its, second: dist, entry };
                        clashes.entry((first.name.as_str(), dist.name.as_str())).or_default().push(clash);
                    }
                }
            }
        }
    }
    for clashes in clashes.into_values() {
        let Some(Clash { first, second, .. }) = clashes.first() else { continue };
        let evidence = few(clashes.iter(), 3, |clash| {
            context.places.evidence(&clash.file, 0, format!("on the disk: {}", clash.on_disk()))
        });
        sink.push(
            FAR,
            Finding {
                code: "distribution-overlap",
                severity: Severity::Warning,
                subject: format!("{},{}", first.name, second.name),
                message: format!(
                    "{} and {} install the same paths with different content",
                    title(first),
                    title(second)
                ),
                evidence,
                cure: Some(
                    "install only one of the two: which of them wins depends on the order of installation".to_owned(),
                ),
            },
        );
    }
}

struct Clash<'a> {
    file: PathBuf,
    first: &'a Distribution,
    its: &'a RecordEntry,
    second: &'a Distribution,
    entry: &'a RecordEntry,
}

impl Clash<'_> {
    /// Told by the size, where the two differ in it.
    fn on_disk(&self) -> String {
        let size = fs_err::metadata(&self.file).map(|metadata| metadata.len()).ok();
        match (size == self.its.size, size == self.entry.size) {
            (true, false) => format!("that of {}", self.first.name),
            (false, true) => format!("that of {}", self.second.name),
            (true, true) | (false, false) => "one of the two".to_owned(),
        }
    }
}

/// Whether a path is a module or data that an import may meet, and not a script, a licence or a test's `__init__.py`.
pub(crate) fn counts(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    !path.starts_with("..")
        && !path.starts_with('/')
        && !path.contains("__pycache__/")
        && path.contains('/')
        && !matches!(top, "tests" | "test" | "docs" | "doc" | "examples" | "share" | "bin")
        && !std::path::Path::new(top).extension().is_some_and(|end| end == "dist-info" || end == "egg-info")
}
