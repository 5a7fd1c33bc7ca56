//! `record-mismatch`: a file of a reached distribution is missing, or not what its RECORD says.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::place::{few, title};
use super::super::{Context, FAR, Finding, Severity, Sink};
use crate::cache::stamped::Stamped;
use crate::environment::Distribution;
use crate::environment::record::{self, Mismatch};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let reached: FxHashMap<&OsStr, Option<[u8; 32]>> = context
        .graph
        .modules()
        .filter_map(|(_, module)| Some((module.file.as_deref()?.as_os_str(), module.digest)))
        .collect();
    let prefix = context.environment.facts.prefix.as_os_str().as_encoded_bytes();
    let kept = Stamped::open(context.cache, "sha256", &[prefix]);
    let overlaps = listed_twice(context);
    let files: Vec<_> = context
        .environment
        .distributions
        .iter()
        .filter(|dist| dist.editable.is_none())
        .flat_map(|dist| dist.files.iter().filter_map(move |entry| Some((dist, entry, record::file(dist, entry)?))))
        .filter(|(_, _, file)| !overlaps.contains(file.as_os_str()))
        .collect();
    // All sizes are looked at; what is hashed is what the application imports.
    let wrong: Vec<(&Distribution, PathBuf, Mismatch)> = files
        .into_par_iter()
        .filter_map(|(dist, entry, file)| {
            let digest = || {
                let read = reached.get(file.as_os_str()).filter(|_| is_code(&entry.path))?;
                read.or_else(|| kept.get_or(&file, || record::digest_of(&file)).ok())
            };
            Some((dist, record::compare(&file, context.size(&file), entry, digest)?, file))
                .map(|(dist, mismatch, file)| (dist, file, mismatch))
        })
        .collect();
    kept.save();
    let mut by_distribution: BTreeMap<&str, Wrong<'_>> = BTreeMap::new();
    for (dist, file, mismatch) in wrong {
        by_distribution.entry(dist.name.as_str()).or_insert((dist, Vec::new())).1.push((file, mismatch));
    }
    for (dist, mut wrong) in by_distribution.into_values() {
        let code = |file: &Path| is_code(&file.display().to_string());
        wrong.sort_by_key(|(file, mismatch)| (!code(file), *mismatch, file.clone()));
        let severity = if wrong.iter().any(|(file, _)| code(file)) { Severity::Warning } else { Severity::Info };
        let evidence = few(wrong.iter(), 3, |(file, mismatch)| {
            let text = match mismatch {
                Mismatch::Missing => "is missing",
                Mismatch::Changed => "is not what was installed",
            };
            context.places.evidence(file, 0, text)
        });
        sink.push(
            FAR,
            Finding {
                code: "record-mismatch",
                severity,
                subject: dist.name.to_string(),
                message: format!("{} is not as it was installed", title(dist)),
                evidence,
                cure: Some(format!(
                    "install it again: `pip install --force-reinstall --no-deps {}=={}`",
                    dist.name, dist.version
                )),
            },
        );
    }
}

/// A distribution, and which of its files are not as they were.
type Wrong<'a> = (&'a Distribution, Vec<(PathBuf, Mismatch)>);

/// Which of two distributions a file belongs to is `distribution-overlap`'s to tell.
fn listed_twice(context: &Context<'_>) -> FxHashSet<OsString> {
    let mut seen = FxHashSet::default();
    let mut twice = FxHashSet::default();
    for dist in &context.environment.distributions {
        for file in dist.files.iter().filter_map(|entry| Some(record::file(dist, entry)?.into_os_string())) {
            if !seen.insert(file.clone()) {
                twice.insert(file);
            }
        }
    }
    twice
}

/// A module outside of test folders: images leave out tests and type stubs to save space.
fn is_code(path: &str) -> bool {
    let is_module = path.ends_with(".py") || path.ends_with(".so");
    is_module && !path.split('/').any(|part| matches!(part, "tests" | "test" | "testing"))
}
