//! `undeclared-dependency`: imported and there, but in no declared requirement of the one that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use super::super::place::title;
use super::super::{Context, Finding, Severity, Sink};
use crate::environment::requirements::markers;
use crate::graph::{Import, ModuleGraph, ModuleKind, Origin, Reach, Target};
use crate::names::DistName;

/// `declared`: `[project] dependencies` of the application's pyproject.toml; empty: it declares nothing. `optional`: what
/// its extras add, and whoever packs it may have wanted.
pub(in crate::audit) fn check(context: &Context<'_>, declared: &[String], optional: &[String], sink: &mut Sink) {
    let graph = context.graph;
    let mut found: BTreeMap<(&Origin, &DistName), Vec<&Import>> = BTreeMap::new();
    // What a clean install of the application brings: what it declares, else what it imports itself.
    let texts = declared.iter().chain(optional);
    let mut wanted: BTreeSet<DistName> = texts.flat_map(|text| brought_by(context, text)).collect();
    for import in graph.imports() {
        let importer = graph.module(import.importer);
        for needed in brought(graph, import) {
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

/// Whose the imported modules are. Of `from google.cloud import storage` it is the submodules: a namespace is nobody's.
fn brought<'a>(graph: &'a ModuleGraph, import: &'a Import) -> Vec<&'a DistName> {
    let Target::Module(target) = &import.target else { return Vec::new() };
    let is_namespace = graph.module(*target).kind == ModuleKind::Namespace;
    let modules = if is_namespace { &*import.submodules } else { std::slice::from_ref(target) };
    let owners = modules.iter().filter_map(|id| match &graph.module(*id).origin {
        Origin::Distribution(name) => Some(name),
        Origin::Application | Origin::Stdlib | Origin::Unowned => None,
    });
    owners.collect()
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

/// What an application's own requirement asks for: the distribution, and what the extras bring that it names.
fn brought_by(context: &Context<'_>, requirement: &str) -> Vec<DistName> {
    let parsed = Requirement::<VerbatimUrl>::from_str(requirement).ok();
    let parsed = parsed.zip(markers(&context.environment.facts));
    let Some((parsed, markers)) = parsed.filter(|(parsed, markers)| parsed.evaluate_markers(markers, &[])) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut open = vec![(parsed.name.as_ref().to_owned(), parsed.extras.clone())];
    let mut seen = BTreeSet::new();
    while let Some((name, extras)) = open.pop() {
        let Ok(name) = DistName::new(&name) else { continue };
        // `pkg[all]` asks for `pkg[x]` and `pkg[y]`, as a rule.
        if !seen.insert((name.clone(), format!("{extras:?}"))) {
            continue;
        }
        for required in context.requirements.direct(&name) {
            if required.requirement.evaluate_markers(&markers, &extras) {
                open.push((required.name.to_string(), required.requirement.extras.clone()));
            }
        }
        names.push(name);
    }
    names
}
