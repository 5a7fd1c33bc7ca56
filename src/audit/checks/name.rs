//! `missing-name`: `from X import a`, where X is there and has no `a`.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::super::place::listed;
use super::super::{Context, Finding, Severity, Sink};
use crate::graph::{Import, ImportKind, Lookup, ModuleId, ModuleKind, Names, Origin, Target};

/// An import, and which of its names are not there.
type Lacking<'a> = (&'a Import, Vec<&'a str>);

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let told = &*sink;
    let found = graph.imports().par_iter().filter_map(|import| lacking(context, told, import));
    let mut by_module: BTreeMap<(Severity, ModuleId), Vec<Lacking<'_>>> = BTreeMap::new();
    for (severity, target, lacking) in found.collect::<Vec<_>>() {
        by_module.entry((severity, target)).or_default().push(lacking);
    }
    for ((severity, target), mut imports) in by_module {
        imports.sort_by_key(|(import, _)| (graph.distance(import.importer), import.importer, import.line));
        let module = graph.module(target);
        let mut names: Vec<_> = imports.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let mut evidence: Vec<_> = imports
            .iter()
            .take(3)
            .map(|(import, names)| {
                let text = format!("imports {} from `{}`", listed(names.iter().copied(), 4), module.name);
                context.places.import(import, text)
            })
            .collect();
        let owner = context.places.owner(&module.origin);
        if let Some(file) = &module.file {
            evidence.push(context.places.evidence(file, 0, format!("of {owner}")));
        }
        let cure = match &module.origin {
            Origin::Distribution(_) => format!("install a version that goes with {owner}, or another one of it"),
            Origin::Application | Origin::Stdlib | Origin::Unowned => "mend the import".to_owned(),
        };
        sink.push(
            imports.first().map_or(super::super::FAR, |(import, _)| graph.distance(import.importer)),
            Finding {
                code: "missing-name",
                severity,
                subject: module.name.to_string(),
                message: format!("`{}` does not define {}", module.name, listed(names, 3)),
                evidence,
                cure: Some(cure),
            },
        );
    }
}

/// What an import lacks in its module, and how much that matters.
fn lacking<'a>(context: &Context<'a>, told: &Sink, import: &'a Import) -> Option<(Severity, ModuleId, Lacking<'a>)> {
    let graph = context.graph;
    let (Target::Module(target), Names::Listed(names)) = (import.target, &import.names) else { return None };
    // Nothing but a module can be lacking in a namespace: as `missing-module` has it.
    let is_namespace = graph.module(target).kind == ModuleKind::Namespace;
    let possible = (!is_namespace).then_some(Severity::Warning);
    let severity = super::severity(context, import, possible)?;
    if told.is_explained(import) || (severity == Severity::Warning && is_own(context, import, target)) {
        return None;
    }
    // A function for another platform, which is not called on this one.
    let may_be_foreign = severity == Severity::Warning || import.kind == ImportKind::Deferred;
    let is_foreign = |name: &&str| may_be_foreign && graph.module(target).symbols.has_elsewhere(name);
    let names = names.iter().map(|name| &**name);
    let lacking: Vec<_> =
        names.filter(|name| graph.lookup(target, name) == Lookup::NotBound && !is_foreign(name)).collect();
    (!lacking.is_empty()).then_some((severity, target, (import, lacking)))
}

/// A distribution's own corners that nothing needs are not the user's to mend.
fn is_own(context: &Context<'_>, import: &Import, target: ModuleId) -> bool {
    let importer = &context.graph.module(import.importer).origin;
    *importer == Origin::Stdlib || *importer == context.graph.module(target).origin
}
