//! `record-mismatch`: a file of a reached distribution is missing, or not what its RECORD says.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::place::{few, title};
use super::super::{Context, FAR, Finding, Severity, Sink};
use crate::cache::stamped::Stamped;
use crate::environment::record::{self, Mismatch};
use crate::environment::{Distribution, Environment};
use crate::graph::ModuleGraph;
use crate::layout::Trees;
use crate::names::DistName;

/// Files that are not as they were installed.
#[derive(Debug, Clone, Default)]
pub struct Compared(Vec<(DistName, PathBuf, Mismatch)>);

/// Looks at every file that a RECORD names. `trees` are folders that are listed already, as far as they are; `cache` is where
/// digests of large files are kept. It hangs on no module's names, so that it can be done while a child is asked for those.
pub fn compare(environment: &Environment, graph: &ModuleGraph, trees: &Trees, cache: Option<&Path>) -> Compared {
    let reached: FxHashMap<&OsStr, Option<[u8; 32]>> =
        graph.modules().filter_map(|(_, module)| Some((module.file.as_deref()?.as_os_str(), module.digest))).collect();
    let kept = Stamped::open(cache, "sha256", &[environment.facts.prefix.as_os_str().as_encoded_bytes()]);
    let overlaps = listed_twice(environment);
    let files: Vec<_> = environment
        .distributions
        .iter()
        .filter(|dist| dist.editable.is_none())
        .flat_map(|dist| dist.files.iter().filter_map(move |entry| Some((dist, entry, record::file(dist, entry)?))))
        .filter(|(_, _, file)| !overlaps.contains(file.as_os_str()))
        .collect();
    // All sizes are looked at; what is hashed is what the application imports.
    let wrong = files
        .into_par_iter()
        .filter_map(|(dist, entry, file)| {
            let digest = || {
                let read = reached.get(file.as_os_str()).filter(|_| is_code(&entry.path))?;
                read.or_else(|| kept.get_or(&file, || record::digest_of(&file)).ok())
            };
            let mismatch = record::compare(&file, trees.size(&file), entry, digest)?;
            if mismatch == Mismatch::Changed && is_stripped_by_its_distributor(dist, &entry.path) {
                return None;
            }
            Some((dist.name.clone(), file, mismatch))
        })
        .collect();
    kept.save();
    Compared(wrong)
}

pub(in crate::audit) fn check(context: &Context<'_>, compared: &Compared, sink: &mut Sink) {
    let mut by_distribution: BTreeMap<&DistName, Vec<(&PathBuf, Mismatch)>> = BTreeMap::new();
    for (name, file, mismatch) in &compared.0 {
        by_distribution.entry(name).or_default().push((file, *mismatch));
    }
    for (name, mut wrong) in by_distribution {
        let Some(dist) = context.environment.distribution(name.as_str()) else { continue };
        let code = |file: &Path| is_code(&file.display().to_string());
        wrong.sort_by_key(|(file, mismatch)| (!code(file), *mismatch, *file));
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

/// Packages of Debian's and rpm's are made of what a RECORD was written for, and stripped afterwards; no other installer's
/// name stands in them.
fn is_stripped_by_its_distributor(dist: &Distribution, path: &str) -> bool {
    let is_packaged = || match fs_err::read_to_string(dist.info.join("INSTALLER")) {
        Ok(installer) => installer.trim() == "rpm",
        Err(_) => dist.site.ends_with("dist-packages"),
    };
    path.ends_with(".so") && is_packaged()
}

/// Which of two distributions a file belongs to is `distribution-overlap`'s to tell.
fn listed_twice(environment: &Environment) -> FxHashSet<OsString> {
    let mut seen = FxHashSet::default();
    let mut twice = FxHashSet::default();
    for dist in &environment.distributions {
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
