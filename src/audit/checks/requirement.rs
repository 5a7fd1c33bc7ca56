//! `unmet-requirement`: a distribution that is reached declares another one that is absent, or there in a version
//! that it does not take.

use std::collections::BTreeMap;

use pep440_rs::Version;
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};

use super::super::place::title;
use super::super::{Context, Evidence, Finding, Severity, Sink};
use crate::environment::{Distribution, Required};
use crate::graph::{Import, Origin, Reach, Target};
use crate::names::DistName;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let reached = reached(context);
    let mut unmet: BTreeMap<DistName, Vec<(&Distribution, &Requirement<VerbatimUrl>)>> = BTreeMap::new();
    for dist in &context.environment.distributions {
        if !reached.contains_key(&dist.name) {
            continue;
        }
        for Required { name, requirement, active } in context.requirements.direct(&dist.name) {
            if *active && !is_met(context, name, requirement) {
                unmet.entry(name.clone()).or_default().push((dist, requirement));
            }
        }
    }
    for (name, by) in unmet {
        let there = context.environment.distribution(name.as_str());
        let wanting = missed_import(context, &name).filter(|_| there.is_none());
        let mut evidence: Vec<_> = by
            .iter()
            .take(3)
            .map(|(dist, requirement)| Evidence {
                path: None,
                file: None,
                line: None,
                text: format!("{} requires `{requirement}`", title(dist)),
            })
            .collect();
        if let Some(import) = wanting {
            evidence.push(context.places.import(import, format!("imports `{}`", import.module)));
        }
        let message = match there {
            Some(dist) => format!("{} is installed, which {} does not take", title(dist), by[0].0.name),
            None => format!("{name} is required and not installed"),
        };
        let distance = by.iter().filter_map(|(dist, _)| reached.get(&dist.name)).map(|(_, distance)| *distance).min();
        sink.push(
            distance.unwrap_or(super::super::FAR),
            Finding {
                code: "unmet-requirement",
                severity: if wanting.is_some() { Severity::Error } else { Severity::Warning },
                subject: name.to_string(),
                message,
                evidence,
                cure: Some(match there {
                    Some(_) => "install versions that go together, e.g. by locking anew".to_owned(),
                    None => format!("add `{name}` to the lock file, or allow it where nothing of it is needed"),
                }),
            },
        );
    }
}

fn is_met(context: &Context<'_>, name: &DistName, requirement: &Requirement<VerbatimUrl>) -> bool {
    let Some(there) = context.environment.distribution(name.as_str()) else { return false };
    match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
            // Installed on purpose, so that a pre-release counts.
            there.version.parse::<Version>().is_ok_and(|version| {
                specifiers.contains(&version)
                    || specifiers.contains(&version.only_release()) && version.any_prerelease()
            })
        }
        Some(VersionOrUrl::Url(_)) | None => true,
    }
}

/// Distributions that the application reaches other than through guards, with how near they lie.
fn reached(context: &Context<'_>) -> BTreeMap<DistName, (Reach, u32)> {
    let mut reached: BTreeMap<DistName, (Reach, u32)> = BTreeMap::new();
    for (id, module) in context.graph.modules() {
        let (Origin::Distribution(name), reach) = (&module.origin, context.graph.reach(id)) else { continue };
        if reach != Reach::Guarded {
            let here = (reach, context.graph.distance(id));
            reached.entry(name.clone()).and_modify(|known| *known = (*known).min(here)).or_insert(here);
        }
    }
    reached
}

/// An unguarded import of a module that is missing and bears the distribution's name.
fn missed_import<'a>(context: &Context<'a>, name: &DistName) -> Option<&'a Import> {
    let graph = context.graph;
    graph.imports().iter().find(|import| {
        let Target::Missing { .. } = import.target else { return false };
        let top = import.module.split('.').next().unwrap_or_default();
        DistName::new(top).is_ok_and(|top| top == *name) && graph.import_reach(import) != Reach::Guarded
    })
}
