//! `unmet-requirement`: a distribution that is reached declares another one that is absent, or there in a version
//! that it does not take.

use std::collections::BTreeMap;
use std::str::FromStr;

use pep440_rs::Version;
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder, Requirement, VerbatimUrl, VersionOrUrl};

use super::super::place::title;
use super::super::{Context, Evidence, Finding, Severity, Sink};
use crate::environment::{Distribution, Facts};
use crate::graph::{ModuleId, Origin, Reach, Target};
use crate::names::DistName;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let Some(markers) = marker_environment(&context.environment.facts) else { return };
    let reached = reached(context);
    let mut unmet: BTreeMap<DistName, Vec<(&Distribution, Requirement<VerbatimUrl>)>> = BTreeMap::new();
    for dist in &context.environment.distributions {
        if !reached.contains_key(&dist.name) {
            continue;
        }
        for requirement in &dist.requires {
            // What cannot be read as a requirement was none for the installer either.
            let Ok(requirement) = Requirement::<VerbatimUrl>::from_str(requirement) else { continue };
            let Ok(name) = DistName::new(requirement.name.as_ref()) else { continue };
            if requirement.evaluate_markers(&markers, &[]) && !is_met(context, &name, &requirement) {
                unmet.entry(name).or_default().push((dist, requirement));
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
                file: None,
                line: None,
                text: format!("{} requires `{requirement}`", title(dist)),
            })
            .collect();
        if let Some((id, line, module)) = wanting {
            evidence.push(context.places.in_module(id, line, format!("imports `{module}`")));
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
fn missed_import<'a>(context: &Context<'a>, name: &DistName) -> Option<(ModuleId, u32, &'a str)> {
    let graph = context.graph;
    graph.imports().iter().find_map(|import| {
        let Target::Missing { .. } = import.target else { return None };
        let top = import.module.split('.').next().unwrap_or_default();
        let same = DistName::new(top).is_ok_and(|top| top == *name);
        (same && graph.import_reach(import) != Reach::Guarded).then_some((
            import.importer,
            import.line,
            &*import.module,
        ))
    })
}

fn marker_environment(facts: &Facts) -> Option<MarkerEnvironment> {
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
