//! [`ModuleGraph`] → a tree, JSON, DOT.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::crates;
use crate::audit::place::Places;
use crate::crates::Crates;
use crate::environment::{Environment, Requirements};
use crate::graph::{
    ImportKind, Link, LinkImport, Links, ModuleGraph, ModuleId, ModuleKind, Names, Origin, Reach, Target,
};

/// Version of the JSON; raised where a reader would have to change.
const SCHEMA: u32 = 1;

/// How close the graph is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Distributions,
    Modules,
}

/// What a graph is shown from.
pub struct View<'a> {
    name: &'a str,
    environment: &'a Environment,
    graph: &'a ModuleGraph,
    links: Links,
    places: Places<'a>,
    crates: &'a Crates,
}

impl<'a> View<'a> {
    /// `name` is the application's.
    pub fn of(name: &'a str, environment: &'a Environment, graph: &'a ModuleGraph) -> Self {
        let links = Links::of(graph, &Requirements::of(environment));
        Self { name, environment, graph, links, places: Places::of(environment, graph), crates: &crates::NONE }
    }

    /// With those of the application's own extension modules.
    #[must_use]
    pub fn with_crates(self, crates: &'a Crates) -> Self {
        Self { crates, ..self }
    }

    /// As `cargo tree` prints one: what stands there already is marked `(*)`.
    pub fn text(&self, level: Level, depth: usize) -> String {
        let mut out = String::new();
        match level {
            Level::Distributions => {
                let _ = writeln!(out, "{}", self.name);
                self.distribution(&mut out, &Origin::Application, "", depth, &mut BTreeSet::new());
                out.push_str(&crates::text(self.crates, depth));
            }
            Level::Modules => {
                let main = self.graph.module(ModuleId::MAIN);
                let _ =
                    writeln!(out, "{}", main.file.as_deref().map_or(self.name.into(), |file| self.places.file(file)));
                self.module(&mut out, ModuleId::MAIN, "", depth, &mut BTreeSet::new());
            }
        }
        out
    }

    /// Where modules find others without an import statement, or change how others are found.
    pub fn dynamic(&self) -> String {
        super::sites::text(self.graph, &self.places)
    }

    /// As [`Self::dynamic`], of the user's own modules alone.
    pub fn dynamic_of_the_application(&self) -> String {
        super::sites::own(self.graph, &self.places)
    }

    fn distribution<'s>(
        &'s self,
        out: &mut String,
        from: &'s Origin,
        indent: &str,
        depth: usize,
        shown: &mut BTreeSet<&'s Origin>,
    ) {
        if depth == 0 || !shown.insert(from) {
            return;
        }
        let links: Vec<_> = self.links.from(from).collect();
        for (at, (to, link)) in links.iter().enumerate() {
            let (branch, below) = rails(at + 1 == links.len());
            let again = shown.contains(*to) && self.links.from(to).next().is_some();
            let mark = if again { " (*)" } else { "" };
            let _ = writeln!(out, "{indent}{branch}{}  {}{mark}", self.party(to), self.means(link));
            self.distribution(out, to, &format!("{indent}{below}"), depth - 1, shown);
        }
    }

    fn module(&self, out: &mut String, from: ModuleId, indent: &str, depth: usize, shown: &mut BTreeSet<ModuleId>) {
        if depth == 0 || !shown.insert(from) {
            return;
        }
        let mut targets: Vec<(ModuleId, u32, ImportKind)> = Vec::new();
        for import in self.graph.imports_of(from).iter().filter(|import| import.kind != ImportKind::TypeChecking) {
            let Target::Module(target) = import.target else { continue };
            for id in std::iter::once(target).chain(import.submodules.iter().copied()) {
                if id != from && !targets.iter().any(|(known, _, _)| *known == id) {
                    targets.push((id, import.line, import.kind));
                }
            }
        }
        for (at, (id, line, kind)) in targets.iter().enumerate() {
            let (branch, below) = rails(at + 1 == targets.len());
            let again = shown.contains(id) && !self.graph.imports_of(*id).is_empty();
            let mark = if again { " (*)" } else { "" };
            let name = &self.graph.module(*id).name;
            let _ = writeln!(out, "{indent}{branch}{name}  {}, line {line}{mark}", kind.words());
            self.module(out, *id, &format!("{indent}{below}"), depth - 1, shown);
        }
    }

    fn party(&self, origin: &Origin) -> String {
        match origin {
            Origin::Application => self.name.to_owned(),
            Origin::Distribution(_) | Origin::Stdlib | Origin::Unowned => self.places.owner(origin),
        }
    }

    /// `deferred import, a.py:3; required`
    fn means(&self, link: &Link) -> String {
        let import = link.import.map(|import| {
            let place = self.place(import);
            format!("{} import, {place}", import.kind.words())
        });
        let required = link.required.then(|| "required".to_owned());
        import.into_iter().chain(required).collect::<Vec<_>>().join("; ")
    }

    fn place(&self, import: LinkImport) -> String {
        self.places.place(import.importer, import.line, self.graph.module(import.imported).name.as_str())
    }

    /// Everything: modules, imports, distributions, links.
    pub fn json(&self) -> String {
        let modules: Vec<ModuleRow<'_>> = self.graph.modules().map(|(id, _)| self.module_row(id)).collect();
        let imports: Vec<ImportRow<'_>> = self
            .graph
            .imports()
            .iter()
            .map(|import| ImportRow {
                importer: import.importer.index() as u32,
                line: import.line,
                kind: import.kind,
                module: &import.module,
                names: match &import.names {
                    Names::Module => None,
                    Names::Star => Some(vec!["*"]),
                    Names::Listed(names) => Some(names.iter().map(|name| &**name).collect()),
                },
                target: match import.target {
                    Target::Module(id) => json!(id.index()),
                    Target::Missing { .. } => json!("missing"),
                    Target::RunTime => json!("run-time"),
                },
                submodules: import.submodules.iter().map(|id| id.index() as u32).collect(),
            })
            .collect();
        let mut links = Vec::new();
        for (from, to, link) in self.all_links() {
            links.push(json!({
                "from": slug(from), "to": slug(to), "imports": link.imports, "required": link.required,
                "surest": link.import,
                "place": link.import.map(|import| self.place(import)),
            }));
        }
        let distributions: Vec<Value> = self
            .environment
            .distributions
            .iter()
            .map(|dist| json!({ "name": dist.name, "version": dist.version }))
            .collect();
        let document = json!({
            "schema": SCHEMA, "name": self.name, "python": self.environment.facts.version_string(),
            "modules": modules, "imports": imports, "distributions": distributions, "links": links,
            "crates": crates::json(self.crates),
            "data": super::sites::data(self.graph, &self.places),
        });
        // Strings, numbers and lists: nothing that JSON could refuse.
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }

    fn module_row(&self, id: ModuleId) -> ModuleRow<'_> {
        let module = self.graph.module(id);
        ModuleRow {
            name: module.name.as_str(),
            kind: module.kind,
            origin: slug(&module.origin),
            file: module.file.as_deref().map(|file| self.places.file(file)),
            reach: self.graph.reach(id),
            distance: self.graph.distance(id),
            dynamic: super::sites::rows(&module.sites),
            searches_path: module.probe.as_ref().map(|probe| probe.line),
        }
    }

    fn all_links(&self) -> impl Iterator<Item = (&Origin, &Origin, &Link)> {
        self.links.0.iter().flat_map(|(from, links)| links.iter().map(move |(to, link)| (from, to, link)))
    }

    /// For Graphviz. Dashed: perhaps. Dotted: guarded, or required and never imported.
    pub fn dot(&self, level: Level) -> String {
        let mut out = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(self.name));
        match level {
            Level::Distributions => {
                for (from, to, link) in self.all_links() {
                    let style = style(link.import.map(|import| import.reach));
                    let (from, to) = (quoted(&self.party(from)), quoted(&self.party(to)));
                    let _ = writeln!(out, "  {from} -> {to} [style={style}];");
                }
                for (from, to) in crates::edges(self.crates, self.name) {
                    let _ = writeln!(out, "  {} -> {} [style=solid];", quoted(&from), quoted(&to));
                }
            }
            Level::Modules => {
                let mut edges = BTreeSet::new();
                for import in self.graph.imports().iter().filter(|import| import.kind != ImportKind::TypeChecking) {
                    let Target::Module(target) = import.target else { continue };
                    for id in std::iter::once(target).chain(import.submodules.iter().copied()) {
                        edges.insert((import.importer, id, self.graph.import_reach(import)));
                    }
                }
                for (from, to, reach) in edges {
                    let name = |id| quoted(self.graph.module(id).name.as_str());
                    let _ = writeln!(out, "  {} -> {} [style={}];", name(from), name(to), style(Some(reach)));
                }
            }
        }
        out.push_str("}\n");
        out
    }
}

#[derive(Serialize)]
struct ModuleRow<'a> {
    name: &'a str,
    kind: ModuleKind,
    origin: &'a str,
    file: Option<String>,
    reach: Reach,
    distance: u32,
    /// Where it finds modules in another way than by an import statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dynamic: Vec<super::sites::Row<'a>>,
    /// The line where it looks through `sys.path` itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    searches_path: Option<u32>,
}

#[derive(Serialize)]
struct ImportRow<'a> {
    /// A place in `modules`, as is a number in `target`.
    importer: u32,
    line: u32,
    kind: ImportKind,
    module: &'a str,
    names: Option<Vec<&'a str>>,
    target: Value,
    submodules: Vec<u32>,
}

/// The branch to an entry, and what stands before the entries below it.
pub(super) fn rails(last: bool) -> (&'static str, &'static str) {
    if last { ("└── ", "    ") } else { ("├── ", "│   ") }
}

fn slug(origin: &Origin) -> &str {
    match origin {
        Origin::Application => "application",
        Origin::Distribution(name) => name.as_str(),
        Origin::Stdlib => "(standard library)",
        Origin::Unowned => "(no distribution)",
    }
}

fn style(reach: Option<Reach>) -> &'static str {
    match reach {
        Some(Reach::Sure) => "solid",
        Some(Reach::Possible) => "dashed",
        Some(Reach::Guarded) | None => "dotted",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
