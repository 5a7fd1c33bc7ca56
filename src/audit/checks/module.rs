//! `missing-module`: an import that no finder can serve.

use std::collections::BTreeMap;

use super::super::place::few;
use super::super::{Context, Finding, Severity, Sink};
use crate::graph::{Import, ModuleId, Target};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let mut by_cause: BTreeMap<String, Vec<&Import>> = BTreeMap::new();
    for import in graph.imports() {
        let Target::Missing { within } = import.target else { continue };
        if super::severity(context, import, None).is_some() && !sink.is_explained(import) {
            by_cause.entry(first_missing(context, import, within)).or_default().push(import);
        }
    }
    // A folder that the application adds to `sys.path` when it runs may hold it.
    let moved = graph
        .modules()
        .find_map(|(id, module)| Some((id, module.editable.then_some(module.symbols.changes_path()).flatten()?)));
    for (missing, mut imports) in by_cause {
        imports.sort_by_key(|import| (graph.distance(import.importer), import.importer, import.line));
        let top_level = !missing.contains('.');
        let severity = if top_level && moved.is_some() { Severity::Warning } else { Severity::Error };
        let mut evidence =
            few(imports.iter(), 3, |import| context.places.import(import, format!("imports `{}`", import.module)));
        if let (true, Some((id, line))) = (top_level, moved) {
            evidence.push(context.places.in_module(
                id,
                line,
                "changes `sys.path` when it runs; what lies there is not seen",
            ));
        }
        for import in &imports {
            sink.explain(import);
        }
        let cure = match (missing.as_str(), top_level) {
            (name, _) if graph.without().names(name) => {
                format!("take `{name}` out of `[runner] exclude`, or do without it")
            }
            ("", _) => "a relative import cannot leave its top-level package; use an absolute one".to_owned(),
            (name, true) => format!("install the distribution that has `{name}`, or add its folder to `[runner] path`"),
            (name, false) => {
                let package = name.rsplit_once('.').map_or(name, |(package, _)| package);
                format!("check the version of `{package}` that is installed")
            }
        };
        let message = match missing.as_str() {
            "" => "a relative import leaves its package".to_owned(),
            name if graph.without().names(name) => {
                format!("`{name}` is imported, and `[runner] exclude` leaves it out")
            }
            name => format!("no module named `{name}`"),
        };
        let distance = imports.first().map_or(super::super::FAR, |import| graph.distance(import.importer));
        sink.push(
            distance,
            Finding { code: "missing-module", severity, subject: missing, message, evidence, cure: Some(cure) },
        );
    }
}

/// `a.b` of `a.b.c` where the package `a` is there and has no `b`.
fn first_missing(context: &Context<'_>, import: &Import, within: Option<ModuleId>) -> String {
    let found = within.map_or(0, |id| context.graph.module(id).name.as_str().split('.').count());
    import.module.split('.').take(found + 1).collect::<Vec<_>>().join(".")
}
