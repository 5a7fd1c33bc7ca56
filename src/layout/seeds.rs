//! Installers that an environment was made with, and that the application does not use.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use crate::environment::Environment;
use crate::environment::create::SEEDS;
use crate::names::DistName;

/// The seeds that no import reaches and no other distribution requires.
pub(super) fn unneeded(environment: &Environment, reached: &BTreeSet<DistName>) -> BTreeSet<DistName> {
    let is_seed = |name: &DistName| SEEDS.contains(&name.as_str());
    let required: BTreeSet<DistName> = environment
        .distributions
        .iter()
        .filter(|dist| !is_seed(&dist.name))
        .flat_map(|dist| &dist.requires)
        .filter_map(|text| Requirement::<VerbatimUrl>::from_str(text).ok())
        .filter_map(|requirement| DistName::new(requirement.name.as_ref()).ok())
        .collect();
    environment
        .distributions
        .iter()
        .map(|dist| &dist.name)
        .filter(|name| is_seed(name) && !reached.contains(*name) && !required.contains(*name))
        .cloned()
        .collect()
}
