//! `missing-module`: an import that no finder can serve.

use std::collections::BTreeMap;

use super::super::place::few;
use super::super::{Context, Evidence, Finding, Severity, Sink};
use crate::environment::facts::Finder;
use crate::graph::{Import, ImportKind, ModuleId, Target};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let mut by_cause: BTreeMap<String, Vec<&Import>> = BTreeMap::new();
    for import in graph.imports() {
        let Target::Missing { within } = import.target else { continue };
        // A function for another system, which is not called on this one.
        if import.kind == ImportKind::Deferred && FOREIGN.contains(&top_level(&import.module)) {
            continue;
        }
        if super::severity(context, import, None).is_some() && !sink.is_explained(import) {
            by_cause.entry(first_missing(context, import, within)).or_default().push(import);
        }
    }
    // A folder that the application adds to `sys.path` when it runs may hold it.
    let moved = graph
        .modules()
        .find_map(|(id, module)| Some((id, module.editable.then_some(module.symbols.changes_path()).flatten()?)));
    let hooked = unread_finder(context);
    for (missing, mut imports) in by_cause {
        imports.sort_by_key(|import| (graph.distance(import.importer), import.importer, import.line));
        let top_level = !missing.contains('.');
        let may_be_found = top_level && (moved.is_some() || hooked.is_some());
        let severity = if may_be_found { Severity::Warning } else { Severity::Error };
        let mut evidence =
            few(imports.iter(), 3, |import| context.places.import(import, format!("imports `{}`", import.module)));
        if let (true, Some((id, line))) = (top_level, moved) {
            evidence.push(context.places.in_module(
                id,
                line,
                "changes `sys.path` when it runs; what lies there is not seen",
            ));
        }
        if let (true, Some(class)) = (top_level, hooked) {
            let text = format!("`{class}` is on `sys.meta_path` from the start; what it finds is not seen");
            evidence.push(Evidence { path: None, file: None, line: None, text });
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

/// Modules that other systems alone have: those of CPython itself, of pywin32 and of `PyObjC`.
const FOREIGN: [&str; 18] = [
    "AppKit",
    "Foundation",
    "_msi",
    "_overlapped",
    "_scproxy",
    "_winapi",
    "msvcrt",
    "nt",
    "objc",
    "pythoncom",
    "pywintypes",
    "win32api",
    "win32com",
    "win32con",
    "win32file",
    "win32gui",
    "winreg",
    "winsound",
];

fn top_level(module: &str) -> &str {
    module.split('.').next().unwrap_or_default()
}

/// A finder that the environment's start has put on `sys.meta_path`, and whose table nobody can read: meson-python's and
/// scikit-build-core's for editable projects.
fn unread_finder<'a>(context: &Context<'a>) -> Option<&'a str> {
    // They find nothing that is not on `sys.path`.
    const KNOWN: [&str; 2] = ["_distutils_hack.", "_virtualenv."];
    let is_unread = |finder: &&Finder| {
        let is_known = KNOWN.iter().any(|known| finder.class.starts_with(known));
        finder.mapping.is_empty() && finder.namespaces.is_empty() && !is_known
    };
    context.environment.facts.finders.iter().find(is_unread).map(|finder| finder.class.as_str())
}

/// `a.b` of `a.b.c` where the package `a` is there and has no `b`.
fn first_missing(context: &Context<'_>, import: &Import, within: Option<ModuleId>) -> String {
    let found = within.map_or(0, |id| context.graph.module(id).name.as_str().split('.').count());
    import.module.split('.').take(found + 1).collect::<Vec<_>>().join(".")
}
