//! `Requires-Dist` of every distribution, evaluated for the target: which distribution asks for which.
//!
//! Source: PEP 508. An extra is active where some installed distribution asks for it (`spam[extra]`); what only an
//! inactive extra would ask for counts as optional.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::str::FromStr;

use pep508_rs::{ExtraName, MarkerEnvironment, MarkerEnvironmentBuilder, Requirement, VerbatimUrl};

use super::{Distribution, Environment, Facts};
use crate::names::DistName;

/// Distribution → what it asks for.
#[derive(Debug, Clone, Default)]
pub struct Requirements(BTreeMap<DistName, Vec<Required>>);

/// One `Requires-Dist` whose marker holds, with some extra at least.
#[derive(Debug, Clone)]
pub struct Required {
    pub name: DistName,
    pub requirement: Requirement<VerbatimUrl>,
    /// No extra, or an active one, asks for it.
    pub active: bool,
}

impl Requirements {
    pub fn of(environment: &Environment) -> Self {
        let Some(markers) = markers(&environment.facts) else { return Self::default() };
        let written: BTreeMap<&DistName, Vec<Written>> =
            environment.distributions.iter().map(|dist| (&dist.name, Written::of(dist))).collect();
        let active = active_extras(&written, &markers);
        let none = Vec::new();
        let required = |dist: &Distribution| {
            let all: Vec<ExtraName> = dist.extras.iter().filter_map(|extra| ExtraName::from_str(extra).ok()).collect();
            let on: Vec<ExtraName> = active.get(&dist.name).into_iter().flatten().cloned().collect();
            let written = written.get(&dist.name).unwrap_or(&none).iter();
            written
                .filter(|written| written.requirement.evaluate_markers(&markers, &all) || written.holds(&markers))
                .map(|written| Required {
                    name: written.name.clone(),
                    requirement: written.requirement.clone(),
                    active: written.requirement.evaluate_markers(&markers, &on),
                })
                .collect()
        };
        Self(environment.distributions.iter().map(|dist| (dist.name.clone(), required(dist))).collect())
    }

    pub fn direct(&self, name: &DistName) -> &[Required] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Everything that `names` ask for, directly or not, themselves included; with `optional`, through any extra.
    pub fn closure<'n>(&self, names: impl IntoIterator<Item = &'n DistName>, optional: bool) -> BTreeSet<DistName> {
        let mut found: BTreeSet<DistName> = names.into_iter().cloned().collect();
        let mut open: Vec<DistName> = found.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for required in self.direct(&name).iter().filter(|required| required.active || optional) {
                if found.insert(required.name.clone()) {
                    open.push(required.name.clone());
                }
            }
        }
        found
    }

    /// The shortest chain of active requirements from one of `from` to `to`, both ends included.
    pub fn chain<'n>(&self, from: impl IntoIterator<Item = &'n DistName>, to: &DistName) -> Option<Vec<DistName>> {
        let mut before: BTreeMap<DistName, Option<DistName>> = BTreeMap::new();
        let mut open: VecDeque<DistName> = VecDeque::new();
        for name in from {
            if before.insert(name.clone(), None).is_none() {
                open.push_back(name.clone());
            }
        }
        while let Some(name) = open.pop_front() {
            if name == *to {
                let mut chain = vec![name.clone()];
                let mut at = &name;
                while let Some(Some(previous)) = before.get(at) {
                    chain.push(previous.clone());
                    at = previous;
                }
                chain.reverse();
                return Some(chain);
            }
            for required in self.direct(&name).iter().filter(|required| required.active) {
                if !before.contains_key(&required.name) {
                    before.insert(required.name.clone(), Some(name.clone()));
                    open.push_back(required.name.clone());
                }
            }
        }
        None
    }
}

struct Written {
    name: DistName,
    requirement: Requirement<VerbatimUrl>,
}

impl Written {
    /// What cannot be read as a requirement was none for the installer either.
    fn of(dist: &Distribution) -> Vec<Self> {
        let parsed = dist.requires.iter().filter_map(|text| Requirement::<VerbatimUrl>::from_str(text).ok());
        parsed
            .filter_map(|requirement| Some(Self { name: DistName::new(requirement.name.as_ref()).ok()?, requirement }))
            .collect()
    }

    fn holds(&self, markers: &MarkerEnvironment) -> bool {
        self.requirement.evaluate_markers(markers, &[])
    }
}

/// An extra may ask for another distribution's extra, so it is gone round until nothing is new.
fn active_extras(
    written: &BTreeMap<&DistName, Vec<Written>>,
    markers: &MarkerEnvironment,
) -> BTreeMap<DistName, BTreeSet<ExtraName>> {
    let mut active: BTreeMap<DistName, BTreeSet<ExtraName>> = BTreeMap::new();
    loop {
        let mut grown = false;
        for (dist, requirements) in written {
            let on: Vec<ExtraName> = active.get(*dist).into_iter().flatten().cloned().collect();
            for written in requirements.iter().filter(|written| !written.requirement.extras.is_empty()) {
                if written.requirement.evaluate_markers(markers, &on) {
                    let extras = active.entry(written.name.clone()).or_default();
                    for extra in &written.requirement.extras {
                        grown |= extras.insert(extra.clone());
                    }
                }
            }
        }
        if !grown {
            return active;
        }
    }
}

/// The PEP 508 variables of the target; nothing where the interpreter's answers are no versions.
pub fn markers(facts: &Facts) -> Option<MarkerEnvironment> {
    let marker = |name: &str| facts.markers.get(name).map_or("", String::as_str);
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: marker("implementation_name"),
        implementation_version: marker("implementation_version"),
        os_name: marker("os_name"),
        platform_machine: marker("platform_machine"),
        platform_python_implementation: marker("platform_python_implementation"),
        platform_release: marker("platform_release"),
        platform_system: marker("platform_system"),
        platform_version: marker("platform_version"),
        python_full_version: marker("python_full_version"),
        python_version: marker("python_version"),
        sys_platform: marker("sys_platform"),
    })
    .ok()
}
