//! Where modules find others without an import statement, or change how others are found, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::place::{Places, listed};
use crate::graph::{Dynamic, DynamicSite, Module, ModuleGraph, ModuleId, Origin};

/// By module, the application's own first. The standard library's are left out: they serve whoever calls them.
pub(super) fn text(graph: &ModuleGraph, places: &Places<'_>) -> String {
    of(graph, places, |module| module.origin != Origin::Stdlib)
}

/// Of the user's own modules.
pub(super) fn own(graph: &ModuleGraph, places: &Places<'_>) -> String {
    of(graph, places, |module| module.editable)
}

fn of(graph: &ModuleGraph, places: &Places<'_>, is_told: impl Fn(&Module) -> bool) -> String {
    let mut modules: Vec<_> = graph.modules().filter(|(_, module)| is_told(module)).collect();
    modules.sort_by_key(|(id, module)| (graph.distance(*id), &module.name));
    let mut out = String::new();
    for (title, changes) in [("found when it runs", false), ("changes what is found from then on", true)] {
        let mut lines = String::new();
        for (id, module) in &modules {
            for site in module.sites.iter().filter(|site| site.what.changes_imports() == changes) {
                let place = places.place(*id, site.line, module.name.as_str());
                // Writing to a string does not fail.
                let _ = writeln!(lines, "  {place}: {}", said(site));
            }
        }
        if !lines.is_empty() {
            let _ = writeln!(out, "{title}\n{lines}");
        }
    }
    out.pop();
    out
}

fn said(site: &DynamicSite) -> String {
    let all = listed(site.holds.iter().map(|held| &**held), 8);
    let held = if site.holds.is_empty() { "nothing here".to_owned() } else { all };
    match &site.what {
        Dynamic::Import => "imports what is computed: whatever is installed is there".to_owned(),
        Dynamic::EntryPoints(Some(group)) => format!("loads the entry points of `{group}`: {held}"),
        Dynamic::EntryPoints(None) => "loads entry points of a group that is computed: all are there".to_owned(),
        Dynamic::Walk { own: true } => format!("walks through its own package: {held}"),
        Dynamic::Walk { own: false } => "walks through a package: whatever is installed is there".to_owned(),
        Dynamic::Lazy => "imports its names when they are asked for: the package is there whole".to_owned(),
        Dynamic::Dotted(text) => format!("names `{text}`: {held}"),
        Dynamic::Registers(Some(name)) => format!("puts `{name}` into `sys.modules`"),
        Dynamic::Registers(None) => "puts modules into `sys.modules` under names that are computed".to_owned(),
        Dynamic::ReplacesItself => "puts something else into `sys.modules` in its own place".to_owned(),
        Dynamic::ExtendsPath => "changes the `__path__` of a package".to_owned(),
        Dynamic::SearchPath => "changes `sys.path`".to_owned(),
        Dynamic::Finder => "puts a finder of its own on `sys.meta_path`".to_owned(),
    }
}

#[derive(Serialize)]
pub(super) struct Row<'a> {
    line: u32,
    /// `import`, `{"entry-points": "group"}` and so on.
    what: &'a Dynamic,
    #[serde(skip_serializing_if = "<[Box<str>]>::is_empty")]
    holds: &'a [Box<str>],
}

pub(super) fn rows(sites: &[DynamicSite]) -> Vec<Row<'_>> {
    sites.iter().map(|DynamicSite { line, what, holds }| Row { line: *line, what, holds }).collect()
}

/// Files and folders that modules name beside themselves.
pub(super) fn data(graph: &ModuleGraph, places: &Places<'_>) -> Vec<Value> {
    let row = |data: &crate::graph::DataFile| {
        let module: ModuleId = data.module;
        json!({ "module": module.index(), "line": data.line, "path": places.file(&data.path), "found": data.found })
    };
    graph.data().iter().map(row).collect()
}
