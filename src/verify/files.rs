//! The application's own files: in the artifact as they lie in the project. No RECORD speaks for them.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

use super::expected::Expected;
use super::plan::Plan;
use super::proof::{Difference, Kind};
use crate::format::{Artifact, Digest};

/// Place in the tree → digest.
pub(super) fn of_sources(plan: &Plan) -> BTreeMap<String, String> {
    let digest = |(place, source): (&String, &std::path::PathBuf)| {
        Some((place.clone(), Digest::of(&fs::read(source).ok()?).to_string()))
    };
    plan.files.iter().filter_map(digest).collect()
}

/// By the artifact's index, whose digests its launcher checks when it unpacks.
pub(super) fn check(artifact: &Path, expected: &Expected) -> Vec<Difference> {
    let wanted: Vec<&String> = expected.subjects(Kind::File).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let index = Artifact::open(artifact).and_then(|artifact| artifact.index());
    let held: BTreeMap<String, String> = index
        .map(|index| index.files.iter().map(|file| (file.path.to_string(), file.digest.to_string())).collect())
        .unwrap_or_default();
    let mut differences = Vec::new();
    for place in wanted {
        let before = expected.get(Kind::File, place).cloned().unwrap_or_default();
        let after = held.get(place).cloned().unwrap_or_else(|| "is missing".to_owned());
        if before != after {
            differences.push(Difference {
                kind: Kind::File,
                subject: place.clone(),
                because: vec!["one of the application's files".to_owned()],
                also: Vec::new(),
                environment: before,
                artifact: after,
                output: None,
            });
        }
    }
    differences
}
