//! Chains of imports → text: by which way something gets in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::audit::place::{Places, title};
use crate::crates::Crates;
use crate::environment::{Environment, Requirements};
use crate::graph::{Chain, ImportKind, Lookup, ModuleGraph, ModuleId, Origin, Reach, Step};
use crate::names::DistName;
use crate::native::Needed;

/// Chains that are shown; the rest is counted.
const SHOWN: usize = 3;

/// What was asked, and whether it gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    pub text: String,
    pub gets_in: bool,
    /// The same for machines.
    parts: Vec<Part>,
}

/// Version of the JSON; raised where a reader would have to change.
const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Part {
    /// What the name is taken for.
    kind: Kind,
    name: String,
    gets_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<Reach>,
    /// The surest first, each from the application on.
    chains: Vec<Vec<Row>>,
    /// The shortest chain of `Requires-Dist` that asks for it, or the files that need one another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needed_by: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Module,
    Name,
    Distribution,
    Library,
    File,
    Crate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    /// `file:line`, or the key of the configuration.
    place: String,
    kind: ImportKind,
    imports: String,
}

impl Part {
    /// `text` has a chain a line.
    fn of_crate(name: &str, text: &str) -> Self {
        let needed_by = text.lines().skip(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        Self {
            kind: Kind::Crate,
            name: name.to_owned(),
            gets_in: true,
            reach: None,
            chains: Vec::new(),
            needed_by: needed_by.collect(),
        }
    }
}

impl Why {
    fn of(part: Part, text: String) -> Self {
        Self { text, gets_in: part.gets_in, parts: vec![part] }
    }

    fn out(text: String) -> Self {
        Self { text, gets_in: false, parts: Vec::new() }
    }

    /// One object; without `answers` nothing is known of the name.
    pub fn json(&self) -> String {
        let document = json!({ "schema": SCHEMA, "gets_in": self.gets_in, "answers": self.parts });
        // Strings, numbers and lists: nothing that JSON could refuse.
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }
}

pub struct Asker<'a> {
    environment: &'a Environment,
    graph: &'a ModuleGraph,
    places: Places<'a>,
    crates: &'a Crates,
}

impl<'a> Asker<'a> {
    pub fn of(environment: &'a Environment, graph: &'a ModuleGraph) -> Self {
        Self { environment, graph, places: Places::of(environment, graph), crates: &super::crates::NONE }
    }

    /// With those of the application's own extension modules.
    #[must_use]
    pub fn with_crates(self, crates: &'a Crates) -> Self {
        Self { crates, ..self }
    }

    /// `asked` is a module, `module:name`, a distribution, a crate of the application's own extension modules, or a data file
    /// as findings name it.
    pub fn why(&self, asked: &str) -> Why {
        if let Some((module, name)) = asked.split_once(':') {
            return self.name(module, name);
        }
        let distribution =
            DistName::new(asked).ok().filter(|name| self.environment.distribution(name.as_str()).is_some());
        let module = self.graph.find(asked);
        let crates = super::crates::chains(self.crates, asked);
        let parts: Vec<Why> = module
            .map(|id| self.module(id))
            .into_iter()
            .chain(distribution.map(|name| {
                let origin = Origin::Distribution(name.clone());
                let same =
                    module.is_some_and(|id| self.graph.chains_to_module(id) == self.graph.chains_to_origin(&origin));
                self.distribution(&name, !same)
            }))
            .chain((!crates.is_empty()).then(|| Why::of(Part::of_crate(asked, &crates), crates.clone())))
            .collect();
        if parts.is_empty()
            && let Some(file) = self.file(asked)
        {
            return file;
        }
        if parts.is_empty() {
            let text = format!(
                "`{asked}` does not get in: no import that is reached asks for it, and no distribution that is installed is called so\n"
            );
            return Why::out(text);
        }
        Why {
            gets_in: parts.iter().any(|part| part.gets_in),
            text: parts.iter().map(|part| part.text.clone()).collect::<Vec<_>>().join("\n"),
            parts: parts.into_iter().flat_map(|part| part.parts).collect(),
        }
    }

    fn module(&self, id: ModuleId) -> Why {
        let module = self.graph.module(id);
        let mut text = format!(
            "the module `{}` ({}, of {}) gets in, {}\n",
            module.name,
            module.kind.words(),
            self.places.owner(&module.origin),
            words(self.graph.reach(id))
        );
        let chains = self.graph.chains_to_module(id);
        if chains.is_empty() {
            text.push_str("  it is where the application starts\n");
        }
        let part = Part {
            kind: Kind::Module,
            name: module.name.to_string(),
            gets_in: true,
            reach: Some(self.graph.reach(id)),
            chains: self.chains(&mut text, &chains),
            needed_by: Vec::new(),
        };
        Why::of(part, text)
    }

    fn name(&self, module: &str, name: &str) -> Why {
        let Some(id) = self.graph.find(module) else {
            let text = format!("`{module}` does not get in: no import that is reached asks for it\n");
            return Why::out(text);
        };
        let verdict = match self.graph.lookup(id, name) {
            Lookup::Bound => "has it".to_owned(),
            Lookup::NotBound => "does not define it".to_owned(),
            Lookup::CannotTell(_) => "may have it: that shows when it runs".to_owned(),
        };
        let mut text = format!("`{name}` of `{module}`, which {verdict}\n");
        let chains = self.graph.chains_to_name(id, name);
        if chains.is_empty() {
            text.push_str("  no import that is reached takes it\n");
        }
        let part = Part {
            kind: Kind::Name,
            name: format!("{module}:{name}"),
            gets_in: !chains.is_empty(),
            reach: chains.first().map(|chain| chain.reach),
            chains: self.chains(&mut text, &chains),
            needed_by: Vec::new(),
        };
        Why::of(part, text)
    }

    /// A file or folder that some module names: the modules that do, the surest first.
    fn file(&self, asked: &str) -> Option<Why> {
        let is_asked = |path: &Path| self.places.file(path) == asked || path.ends_with(asked);
        let mut named: Vec<_> = self.graph.data().iter().filter(|data| is_asked(&data.path)).collect();
        named.sort_by_key(|data| (self.graph.reach(data.module), self.graph.why(data.module).len(), data.line));
        let first = named.first()?;
        let verb = if first.found { "is named by modules that get in" } else { "is named, and is not there" };
        let mut text = format!("`{}` {verb}\n", self.places.file(&first.path));
        let mut chains = Vec::new();
        for data in named.iter().take(SHOWN) {
            let chain = Chain { steps: self.graph.why(data.module), reach: self.graph.reach(data.module) };
            chains.extend(self.chains(&mut text, std::slice::from_ref(&chain)));
            let module = self.graph.module(data.module);
            let place = self.places.place(data.module, data.line, module.name.as_str());
            let _ = writeln!(text, "  {place}: names the file");
        }
        let part = Part {
            kind: Kind::File,
            name: self.places.file(&first.path),
            gets_in: first.found,
            reach: Some(self.graph.reach(first.module)),
            chains,
            needed_by: Vec::new(),
        };
        Some(Why::of(part, text))
    }

    /// A module of the same name may have shown the chains already.
    fn distribution(&self, name: &DistName, shows_chains: bool) -> Why {
        let title = self.environment.distribution(name.as_str()).map_or_else(|| name.to_string(), title);
        let chains = self.graph.chains_to_origin(&Origin::Distribution(name.clone()));
        let mut text = match chains.first() {
            Some(best) => format!("the distribution {title} gets in, {}\n", words(best.reach)),
            None => format!("no import that is reached needs the distribution {title}\n"),
        };
        let rows = if shows_chains { self.chains(&mut text, &chains) } else { Vec::new() };
        let imported: Vec<DistName> = self
            .graph
            .modules()
            .filter_map(|(_, module)| match &module.origin {
                Origin::Distribution(owner) if owner != name => Some(owner.clone()),
                Origin::Distribution(_) | Origin::Application | Origin::Stdlib | Origin::Unowned => None,
            })
            .collect();
        let required = Requirements::of(self.environment).chain(&imported, name).unwrap_or_default();
        let needed_by: Vec<String> = required.iter().map(ToString::to_string).collect();
        if !needed_by.is_empty() {
            let _ = writeln!(text, "  required: {}", needed_by.join(" → "));
        }
        let part = Part {
            kind: Kind::Distribution,
            name: name.to_string(),
            gets_in: !chains.is_empty(),
            reach: chains.first().map(|chain| chain.reach),
            chains: rows,
            needed_by,
        };
        Why::of(part, text)
    }

    /// `library` is what a file asks the dynamic loader for, e.g. `libssl.so.3`.
    pub fn library(&self, library: &str, needed: &Needed) -> Why {
        let modules: BTreeMap<&Path, ModuleId> =
            self.graph.modules().filter_map(|(id, module)| Some((module.file.as_deref()?, id))).collect();
        let Some(chain) =
            needed.chain(library, |file| modules.contains_key(file.as_path()) || file.ends_with("METADATA"))
        else {
            let text = format!("`{library}` does not get in: no module that is reached needs or opens it\n");
            return Why::out(text);
        };
        let mut text = format!("the shared library `{library}` gets in\n\n");
        for (at, file) in chain.iter().enumerate() {
            let next = chain.get(at + 1).map_or_else(|| library.to_owned(), |next| self.places.file(next));
            let _ = writeln!(text, "  {} needs {next}", self.places.file(file));
        }
        let mut parts = vec![Part {
            kind: Kind::Library,
            name: library.to_owned(),
            gets_in: true,
            reach: None,
            chains: Vec::new(),
            needed_by: chain.iter().map(|file| self.places.file(file)).collect(),
        }];
        if let Some(id) = chain.first().and_then(|file| modules.get(file.as_path())) {
            text.push('\n');
            let why = self.module(*id);
            text.push_str(&why.text);
            parts.extend(why.parts);
        }
        Why { text, gets_in: true, parts }
    }

    /// Files that may need a shared library: extension modules that are reached, and whatever distributions bring.
    pub fn native_files(&self) -> BTreeSet<PathBuf> {
        let is_native = |path: &Path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.ends_with(".so") || name.contains(".so."))
        };
        let reached = self.graph.modules().filter_map(|(_, module)| module.file.clone());
        let recorded = self
            .environment
            .distributions
            .iter()
            .flat_map(|dist| dist.files.iter().map(|entry| dist.site.join(&entry.path)));
        reached.chain(recorded).filter(|path| is_native(path)).collect()
    }

    /// Writes the first few, and gives those for machines.
    fn chains(&self, text: &mut String, chains: &[Chain]) -> Vec<Vec<Row>> {
        let mut rows = Vec::new();
        for chain in chains.iter().take(SHOWN) {
            text.push('\n');
            let row = |step: &Step| {
                let imports = self.graph.module(step.imported).name.to_string();
                Row { place: self.places.place(step.importer, step.line, &imports), kind: step.kind, imports }
            };
            let chain: Vec<Row> = chain.steps.iter().map(row).collect();
            for Row { place, kind, imports } in &chain {
                let _ = writeln!(text, "  {place}: {} import of `{imports}`", kind.words());
            }
            rows.push(chain);
        }
        if chains.len() > SHOWN {
            let _ = writeln!(text, "\n  and {} more distributions import it", chains.len() - SHOWN);
        }
        rows
    }
}

fn words(reach: Reach) -> &'static str {
    match reach {
        Reach::Sure => "surely",
        Reach::Possible => "when some function of a distribution is called",
        Reach::Guarded => "by guarded or dynamic imports alone",
    }
}
