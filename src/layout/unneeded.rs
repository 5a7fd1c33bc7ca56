//! Distributions of the environment that the application can do without: installers that the environment was made with, and,
//! where `[runner] prune` asks for it, whatever nothing leads to.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use pep508_rs::{Requirement, VerbatimUrl};

use super::Reached;
use crate::environment::create::SEEDS;
use crate::environment::{Distribution, Environment, Requirements};
use crate::names::DistName;

/// The seeds that no import reaches and no other distribution requires.
pub(super) fn seeds(environment: &Environment, reached: &BTreeSet<DistName>) -> BTreeSet<DistName> {
    let is_seed = |name: &DistName| SEEDS.contains(&name.as_str());
    let others = environment.distributions.iter().filter(|dist| !is_seed(&dist.name));
    let required: BTreeSet<DistName> = others
        .flat_map(|dist| &dist.requires)
        .filter_map(|text| Requirement::<VerbatimUrl>::from_str(text).ok())
        .filter_map(|requirement| DistName::new(requirement.name.as_ref()).ok())
        .collect();
    let names = environment.distributions.iter().map(|dist| &dist.name);
    names.filter(|name| is_seed(name) && !reached.contains(*name) && !required.contains(*name)).cloned().collect()
}

/// What no import reaches, neither the project (`declared`) nor anything that is reached requires, and nothing calls as Python
/// starts.
pub(super) fn unreached(environment: &Environment, reached: &Reached, declared: &[String]) -> BTreeSet<DistName> {
    let requirements = Requirements::of(environment);
    let mut roots: BTreeSet<DistName> = BTreeSet::new();
    for requirement in declared.iter().filter_map(|text| Requirement::<VerbatimUrl>::from_str(text).ok()) {
        let Ok(name) = DistName::new(requirement.name.as_ref()) else { continue };
        // Which of the extras asks for which is not gone into: they are few.
        let of_extras = requirements.direct(&name).iter().filter(|_| !requirement.extras.is_empty());
        roots.extend(of_extras.map(|required| required.name.clone()));
        roots.insert(name);
    }
    let is_wanted = |dist: &&Distribution| {
        // What others look for under a name, beside what it can be called by.
        let is_plugin = || dist.entry_points.iter().any(|point| !point.is_script());
        reached.distributions.contains(&dist.name) || runs_at_start(dist) || reached.asks_for_any_plugin && is_plugin()
    };
    roots.extend(environment.distributions.iter().filter(is_wanted).map(|dist| dist.name.clone()));
    let kept = requirements.closure(&roots, false);
    // Of one without a RECORD nothing tells which files are its.
    let others = environment.distributions.iter().filter(|dist| !dist.files.is_empty() && !kept.contains(&dist.name));
    others.map(|dist| dist.name.clone()).collect()
}

/// By a line of a `.pth` file, or an entry point of a `.start` file.
fn runs_at_start(dist: &Distribution) -> bool {
    let is_it = |path: &str| !path.contains('/') && (path.ends_with(".pth") || path.ends_with(".start"));
    // What keeps the standard library's `distutils` out of the way for setuptools' own does nothing for anybody else.
    dist.name.as_str() != "setuptools" && dist.files.iter().any(|file| is_it(&file.path))
}
