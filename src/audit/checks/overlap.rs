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
        let (shared, other): (Vec<_>, Vec<_>) = clashes.into_iter().partition(Clash::is_meant);
        let (severity, clashes) = if other.is_empty() { (Severity::Info, shared) } else { (Severity::Warning, other) };
        let Some(Clash { first, second, .. }) = clashes.first() else { continue };
        let evidence = few(clashes.iter(), 3, |clash| {
            context.places.evidence(&clash.file, 0, format!("on the disk: {}", clash.on_disk()))
        });
        sink.push(
            FAR,
            Finding {
                code: "distribution-overlap",
                severity,
                subject: format!("{},{}", first.name, second.name),
                message: format!(
                    "{} and {} install the same paths with different content",
                    title(first),
                    title(second)
                ),
                evidence,
                cure: (severity == Severity::Warning).then(|| {
                    "install only one of the two: which of them wins depends on the order of installation".to_owned()
                }),
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
    /// An `__init__.py` that makes a namespace of its package, as each distribution with a part of the namespace has one:
    /// it need not be the same text in each.
    fn is_meant(&self) -> bool {
        self.file.ends_with("__init__.py")
            && fs_err::read_to_string(&self.file)
                .is_ok_and(|text| ["extend_path(", "declare_namespace("].iter().any(|call| text.contains(call)))
    }

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
