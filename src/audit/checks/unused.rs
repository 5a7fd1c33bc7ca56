//! `unused-dependency`: the application declares it, and nothing that is reached imports it.

use std::collections::BTreeSet;
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use super::super::place::title;
use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};
use crate::environment::requirements::markers;
use crate::graph::Origin;
use crate::names::DistName;

/// `declared`: `[project] dependencies` of the application's pyproject.toml.
pub(in crate::audit) fn check(context: &Context<'_>, declared: &[String], sink: &mut Sink) {
    let Some(markers) = markers(&context.environment.facts) else { return };
    let mut by: Vec<(String, DistName)> = Vec::new();
    for text in declared {
        let Ok(requirement) = Requirement::<VerbatimUrl>::from_str(text) else { continue };
        let Ok(name) = DistName::new(requirement.name.as_ref()) else { continue };
        if requirement.evaluate_markers(&markers, &[]) {
            by.push(("pyproject.toml".to_owned(), name));
        }
    }
    for dist in context.environment.distributions.iter().filter(|dist| dist.editable.is_some()) {
        let required = context.requirements.direct(&dist.name).iter().filter(|required| required.active);
        by.extend(required.map(|required| (title(dist), required.name.clone())));
    }
    let reached: BTreeSet<&DistName> = context
        .graph
        .modules()
        .filter_map(|(_, module)| match &module.origin {
            Origin::Distribution(name) => Some(name),
            Origin::Application | Origin::Stdlib | Origin::Unowned => None,
        })
        .collect();
    for (declarer, name) in by {
        let Some(dist) = context.environment.distribution(name.as_str()) else { continue };
        // Type stubs and plugins have nothing to import, or are found by their entry points.
        let has_modules = dist.files.iter().any(|entry| entry.path.ends_with(".py") || entry.path.ends_with(".so"));
        if reached.contains(&name) || !has_modules || !dist.entry_points.is_empty() {
            continue;
        }
        sink.push(
            FAR,
            Finding {
                code: "unused-dependency",
                severity: Severity::Info,
                subject: name.to_string(),
                message: format!("{} is declared, and no import that is reached needs it", title(dist)),
                evidence: vec![Evidence {
                    path: None,
                    file: None,
                    line: None,
                    text: format!("declared by {declarer}"),
                }],
                cure: Some(
                    "remove it, or name what is imported in a way that cannot be seen in `[runner] hidden-imports`"
                        .to_owned(),
                ),
            },
        );
    }
}
