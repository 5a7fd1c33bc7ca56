//! What the environment's side showed, run twice: the half of the comparison that does not need the artifact. Kept
//! between builds, and stored in the artifact for whoever proves it elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::observe::{Facts, Observations};
use super::outcome::Inventory;
use super::proof::Kind;
use super::scripts::Ran;
use super::start::{Probed, Said};
use crate::cache;

/// Bytes of all that is kept.
const MOST: u64 = 256 << 20;

/// All that the environment's side showed. What went wrong there is not kept: it may go better the next time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Unpackaged {
    pub expected: Expected,
    /// By name, as in a plan.
    pub(super) scripts: BTreeMap<String, Ran>,
    pub(super) starts: BTreeMap<String, Probed>,
    /// What it printed as it is, where it ends well and prints the same twice. Not in the artifact: what another run would print
    /// must not decide its bytes.
    pub(super) said: Option<Said>,
}

impl Unpackaged {
    fn path(folder: &Path, key: &str) -> std::path::PathBuf {
        folder.join("expected").join(format!("{key}.json.zst"))
    }

    /// What was kept under `key`; nothing where it cannot be read.
    pub(super) fn kept(folder: &Path, key: &str) -> Option<Self> {
        let packed = cache::read(&Self::path(folder, key)).ok()?;
        serde_json::from_slice(&zstd::decode_all(packed.as_slice()).ok()?).ok()
    }

    pub(super) fn keep(&self, folder: &Path, key: &str) -> Result<(), Error> {
        let mut good = self.clone();
        good.scripts.retain(|_, ran| ran.is_good());
        good.starts.retain(|_, probed| probed.failure.is_none());
        let json = serde_json::to_vec(&good).map_err(std::io::Error::from)?;
        Ok(cache::keep(&Self::path(folder, key), &zstd::encode_all(json.as_slice(), 1)?, MOST)?)
    }
}

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

    /// Those that only one of the two runs has as well.
    pub(super) fn all_subjects(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.subjects(kind).chain(self.unstable.get(&kind).into_iter().flatten())
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

    /// Adds what is known of one run alone.
    pub(super) fn add(&mut self, kind: Kind, subject: String, value: String) {
        self.facts.entry(kind).or_default().entry(subject).or_insert(value);
    }

    /// What a smoke script opens, calls and writes to it does unpackaged too.
    pub(super) fn add_watched(&mut self, inventory: &Inventory) {
        for (kind, subject, who) in inventory.watched() {
            self.add(kind, subject.into_owned(), format!("by `{who}`"));
        }
    }
}
