//! What the environment's side showed, run twice: the half of the comparison that does not need the artifact. Kept
//! between builds, and stored in the artifact for whoever proves it elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Error;
use super::observe::{Facts, Observations};
use super::proof::Kind;
use crate::cache;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    facts: Facts,
    /// What the environment's own two runs did not agree on.
    unstable: BTreeMap<Kind, BTreeSet<String>>,
}

impl Expected {
    /// Two runs of the same side.
    pub(super) fn of(one: &Observations, two: &Observations) -> Self {
        let mut expected = Self::default();
        let kinds: BTreeSet<Kind> = one.facts.keys().chain(two.facts.keys()).copied().collect();
        let none = BTreeMap::new();
        for kind in kinds {
            let (one, two) = (one.facts.get(&kind).unwrap_or(&none), two.facts.get(&kind).unwrap_or(&none));
            let subjects: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for subject in subjects {
                match (one.get(subject), two.get(subject)) {
                    (Some(one), Some(two)) if one == two => {
                        expected.facts.entry(kind).or_default().insert(subject.clone(), one.clone());
                    }
                    _ => _ = expected.unstable.entry(kind).or_default().insert(subject.clone()),
                }
            }
        }
        expected
    }

    pub(super) fn get(&self, kind: Kind, subject: &str) -> Option<&String> {
        self.facts.get(&kind)?.get(subject)
    }

    pub(super) fn subjects(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.facts.get(&kind).into_iter().flat_map(BTreeMap::keys)
    }

    pub(super) fn is_unstable(&self, kind: Kind, subject: &str) -> bool {
        self.unstable.get(&kind).is_some_and(|subjects| subjects.contains(subject))
    }

    /// `import: module`
    pub(super) fn unstable_subjects(&self) -> Vec<String> {
        let listed = |(kind, subjects): (&Kind, &BTreeSet<String>)| {
            let kind = kind.name();
            subjects.iter().map(move |subject| format!("{kind}: {subject}")).collect::<Vec<_>>()
        };
        self.unstable.iter().flat_map(listed).collect()
    }

    fn path(folder: &Path, key: &str) -> std::path::PathBuf {
        folder.join("expected").join(format!("{key}.json.zst"))
    }

    /// What was kept under `key`; nothing where it cannot be read.
    pub(super) fn kept(folder: &Path, key: &str) -> Option<Self> {
        let packed = fs::read(Self::path(folder, key)).ok()?;
        serde_json::from_slice(&zstd::decode_all(packed.as_slice()).ok()?).ok()
    }

    pub(super) fn keep(&self, folder: &Path, key: &str) -> Result<(), Error> {
        let json = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        Ok(cache::write(&Self::path(folder, key), &zstd::encode_all(json.as_slice(), 3)?)?)
    }
}
