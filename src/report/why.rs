//! Chains of imports → text: by which way something gets in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::audit::place::{Places, title};
use crate::crates::Crates;
use crate::environment::{Environment, Requirements};
use crate::graph::{Chain, Lookup, ModuleGraph, ModuleId, Origin, Reach};
use crate::names::DistName;
use crate::native::Needed;

/// Chains that are shown; the rest is counted.
const SHOWN: usize = 3;

/// What was asked, and whether it gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    pub text: String,
    pub gets_in: bool,
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

    /// `asked` is a module, `module:name`, a distribution, or a crate of the application's own extension modules.
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
            .chain((!crates.is_empty()).then_some(Why { text: crates, gets_in: true }))
            .collect();
        if parts.is_empty() {
            let text = format!(
                "`{asked}` does not get in: no import that is reached asks for it, and no distribution that is installed is called so\n"
            );
            return Why { text, gets_in: false };
        }
        Why {
            gets_in: parts.iter().any(|part| part.gets_in),
            text: parts.into_iter().map(|part| part.text).collect::<Vec<_>>().join("\n"),
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
        self.chains(&mut text, &chains);
        Why { text, gets_in: true }
    }

    fn name(&self, module: &str, name: &str) -> Why {
        let Some(id) = self.graph.find(module) else {
            let text = format!("`{module}` does not get in: no import that is reached asks for it\n");
            return Why { text, gets_in: false };
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
        self.chains(&mut text, &chains);
        Why { text, gets_in: !chains.is_empty() }
    }

    /// A module of the same name may have shown the chains already.
    fn distribution(&self, name: &DistName, shows_chains: bool) -> Why {
        let title = self.environment.distribution(name.as_str()).map_or_else(|| name.to_string(), title);
        let chains = self.graph.chains_to_origin(&Origin::Distribution(name.clone()));
        let mut text = match chains.first() {
            Some(best) => format!("the distribution {title} gets in, {}\n", words(best.reach)),
            None => format!("no import that is reached needs the distribution {title}\n"),
        };
        if shows_chains {
            self.chains(&mut text, &chains);
        }
        let imported: Vec<DistName> = self
            .graph
            .modules()
            .filter_map(|(_, module)| match &module.origin {
                Origin::Distribution(owner) if owner != name => Some(owner.clone()),
                Origin::Distribution(_) | Origin::Application | Origin::Stdlib | Origin::Unowned => None,
            })
            .collect();
        if let Some(chain) = Requirements::of(self.environment).chain(&imported, name) {
            let chain: Vec<_> = chain.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "  required: {}", chain.join(" → "));
        }
        Why { text, gets_in: !chains.is_empty() }
    }

    /// `library` is what a file asks the dynamic loader for, e.g. `libssl.so.3`.
    pub fn library(&self, library: &str, needed: &Needed) -> Why {
        let modules: BTreeMap<&Path, ModuleId> =
            self.graph.modules().filter_map(|(id, module)| Some((module.file.as_deref()?, id))).collect();
        let Some(chain) = needed.chain(library, |file| modules.contains_key(file.as_path())) else {
            let text = format!("`{library}` does not get in: no extension module that is reached needs it\n");
            return Why { text, gets_in: false };
        };
        let mut text = format!("the shared library `{library}` gets in\n\n");
        for (at, file) in chain.iter().enumerate() {
            let next = chain.get(at + 1).map_or_else(|| library.to_owned(), |next| self.places.file(next));
            let _ = writeln!(text, "  {} needs {next}", self.places.file(file));
        }
        if let Some(id) = chain.first().and_then(|file| modules.get(file.as_path())) {
            text.push('\n');
            text.push_str(&self.module(*id).text);
        }
        Why { text, gets_in: true }
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

    fn chains(&self, text: &mut String, chains: &[Chain]) {
        for chain in chains.iter().take(SHOWN) {
            text.push('\n');
            for step in &chain.steps {
                let imported = &self.graph.module(step.imported).name;
                let place = self.places.place(step.importer, step.line, imported.as_str());
                let _ = writeln!(text, "  {place}: {} import of `{imported}`", step.kind.words());
            }
        }
        if chains.len() > SHOWN {
            let _ = writeln!(text, "\n  and {} more distributions import it", chains.len() - SHOWN);
        }
    }
}

fn words(reach: Reach) -> &'static str {
    match reach {
        Reach::Sure => "surely",
        Reach::Possible => "when some function of a distribution is called",
        Reach::Guarded => "by guarded or dynamic imports alone",
    }
}
