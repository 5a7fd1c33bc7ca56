//! `undeclared-dependency`: imported and there, but in no declared requirement of the one that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use super::super::place::title;
use super::super::{Context, Finding, Severity, Sink};
use crate::graph::{Import, Origin, Reach, Target};
use crate::names::DistName;

/// `declared`: `[project] dependencies` of the application's pyproject.toml; empty: it declares nothing.
pub(in crate::audit) fn check(context: &Context<'_>, declared: &[String], sink: &mut Sink) {
    let graph = context.graph;
    let mut found: BTreeMap<(&Origin, &DistName), Vec<&Import>> = BTreeMap::new();
    // What a clean install of the application brings: what it declares, else what it imports itself.
    let mut wanted: BTreeSet<DistName> = declared.iter().filter_map(|text| name_of(text)).collect();
    for import in graph.imports() {
        let importer = graph.module(import.importer);
        let Target::Module(target) = import.target else { continue };
        let Origin::Distribution(needed) = &graph.module(target).origin else { continue };
        if importer.origin == Origin::Application && declared.is_empty() {
            wanted.insert(needed.clone());
        }
        // What a call may need later is often an extra that is declared nowhere.
        // Of two modules of one name it is not the one that is found.
        if graph.import_reach(import) == Reach::Sure
            && !sink.is_explained(import)
            && super::severity(context, import, None).is_some()
            && importer.origin != Origin::Distribution(needed.clone())
        {
            found.entry((&importer.origin, needed)).or_default().push(import);
        }
    }
    let clean = context.requirements.closure(&wanted, false);
    for ((importer, needed), imports) in found {
        let is_declared = match importer {
            Origin::Distribution(name) => context.requirements.closure([name], true).contains(needed),
            Origin::Application => declared.is_empty() || clean.contains(needed),
            Origin::Stdlib | Origin::Unowned => true,
        };
        if !is_declared {
            report(context, sink, importer, needed, imports, clean.contains(needed));
        }
    }
}

fn report(
    context: &Context<'_>,
    sink: &mut Sink,
    importer: &Origin,
    needed: &DistName,
    mut imports: Vec<&Import>,
    is_brought: bool,
) {
    let graph = context.graph;
    let Some(wanted) = context.environment.distribution(needed.as_str()) else { return };
    imports.sort_by_key(|import| (graph.distance(import.importer), import.importer, import.line));
    let evidence = imports.iter().take(3);
    let evidence = evidence.map(|import| context.places.import(import, format!("imports `{}`", import.module)));
    let by = match importer {
        Origin::Distribution(name) => name.to_string(),
        Origin::Application | Origin::Stdlib | Origin::Unowned => "application".to_owned(),
    };
    sink.push(
        imports.first().map_or(super::super::FAR, |import| graph.distance(import.importer)),
        Finding {
            code: "undeclared-dependency",
            // Something else that the application needs brings it as well.
            severity: if is_brought { Severity::Info } else { Severity::Warning },
            subject: format!("{by}:{needed}"),
            message: format!("{} imports {} and does not require it", context.places.owner(importer), title(wanted)),
            evidence: evidence.collect(),
            cure: Some(format!("require `{needed}` in the application's own requirements")),
        },
    );
}

fn name_of(requirement: &str) -> Option<DistName> {
    let parsed = Requirement::<VerbatimUrl>::from_str(requirement).ok()?;
    DistName::new(parsed.name.as_ref()).ok()
}
