//! Files that no RECORD speaks for, the application's own and the standard library's: in the artifact as they lie unpackaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;

use super::expected::Expected;
use super::plan::Plan;
use super::proof::{Difference, Kind};
use crate::format::{Artifact, Digest};

/// Characters of a digest that are kept: there are thousands of them in an artifact's record.
const KEPT: usize = 16;

/// Stands for a digest: native code may be stripped and relocated. What is loaded of it is compared as it is loaded.
const NATIVE: &str = "native code";

/// Place in the tree → the beginning of the digest.
pub(super) fn of_sources(plan: &Plan) -> BTreeMap<String, String> {
    let digest = |(place, source): (&String, &PathBuf)| {
        let bytes = fs::read(source).ok()?;
        let is_native = bytes.starts_with(b"\x7fELF");
        let value = if is_native { NATIVE.to_owned() } else { short(&Digest::of(&bytes).to_string()) };
        Some((place.clone(), value))
    };
    plan.files.par_iter().filter_map(digest).collect()
}

fn short(digest: &str) -> String {
    digest.chars().take(KEPT).collect()
}

/// By the artifact's index, whose digests its launcher checks when it unpacks.
pub(super) fn check(artifact: &Path, expected: &Expected) -> Vec<Difference> {
    let wanted: Vec<&String> = expected.subjects(Kind::File).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let index = Artifact::open(artifact).and_then(|artifact| artifact.index());
    let held: BTreeMap<String, String> = index
        .map(|index| index.files.iter().map(|file| (file.path.to_string(), short(&file.digest.to_string()))).collect())
        .unwrap_or_default();
    let mut differences = Vec::new();
    for place in wanted {
        let before = expected.get(Kind::File, place).cloned().unwrap_or_default();
        let after = held.get(place).cloned().unwrap_or_else(|| "is missing".to_owned());
        let is_native = before == NATIVE && held.contains_key(place);
        if before != after && !is_native {
            differences.push(Difference {
                kind: Kind::File,
                subject: place.clone(),
                because: vec!["what is packed as it is".to_owned()],
                also: Vec::new(),
                environment: before,
                artifact: after,
                output: None,
            });
        }
    }
    differences
}
