//! The stages joined: what one of them gives, in the form that the next one takes.
//!
//! [`Project`] is everything that is known before a byte is packed. From it come the layout, what the packer must know
//! beside it ([`spec`]) and what is to be proved ([`proof`]). Nothing is decided here that is a stage's own to decide,
//! and nothing is printed.

mod proof;
mod reach;
mod spec;
mod wheelhouse;
mod whole;

use std::path::Path;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::audit::{self, Report, Scope};
use crate::cache;
use crate::config::{self, Config, EnvironmentSource, Overrides};
use crate::crates::{self, Crates};
use crate::environment::{self, Environment, Facts, create};
use crate::graph::{self, ModuleGraph, Questions, Roots};
use crate::hooks::{self, Hooks};
use crate::layout::{self, Planned, Trees};
use crate::licenses::Inventory;
use crate::licenses::debian::Packages;
use crate::progress::Progress;
use crate::wheels;

pub use proof::{STAGING, proof_plan};
pub use reach::{opened, reached};
pub use spec::{Choices, pack_spec};
pub use wheelhouse::audit_wheels;
pub use whole::audit_environment;

/// Configuration, environment, hooks and graph of one project.
#[derive(Debug)]
pub struct Project {
    pub config: Config,
    pub environment: Environment,
    pub hooks: Hooks,
    /// The application's own.
    pub crates: Crates,
    pub graph: ModuleGraph,
    pub times: Times,
    trees: Listing,
    questions: Option<Questions>,
}

/// The folders of an environment, listed while the graph is built.
#[derive(Debug, Default)]
struct Listing {
    beside: Option<JoinHandle<Trees>>,
    trees: OnceLock<Trees>,
}

impl Listing {
    fn begin(facts: &Facts) -> Self {
        let facts = facts.clone();
        Self { beside: Some(std::thread::spawn(move || Trees::of(&facts))), trees: OnceLock::new() }
    }

    /// Waits where they are not listed yet.
    fn done(&mut self) -> &Trees {
        let beside = self.beside.take();
        // Where the thread has died, what is wanted is listed then.
        self.trees.get_or_init(|| beside.and_then(|beside| beside.join().ok()).unwrap_or_default())
    }
}

/// A project with everything in its place.
#[derive(Debug)]
pub struct Plan {
    pub planned: Planned,
    pub licenses: Inventory,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Environment(#[from] environment::Error),
    #[error(transparent)]
    Crates(#[from] crates::Error),
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    #[error(transparent)]
    Wheels(#[from] wheels::Error),
    #[error(transparent)]
    Without(#[from] graph::WithoutError),
    #[error(transparent)]
    Graph(#[from] graph::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
}

impl Project {
    /// Reads the configuration of `target`, a folder or a script, makes or reads its environment, and builds the graph.
    pub fn open(target: &Path, overrides: &Overrides, progress: &dyn Progress) -> Result<Self, Error> {
        Self::read(target, overrides, progress, true)
    }

    /// As [`Self::open`], for those who want the graph alone: nothing is prepared for a plan.
    pub fn open_graph(target: &Path, overrides: &Overrides, progress: &dyn Progress) -> Result<Self, Error> {
        Self::read(target, overrides, progress, false)
    }

    fn read(target: &Path, overrides: &Overrides, progress: &dyn Progress, to_plan: bool) -> Result<Self, Error> {
        let mut times = Times::default();
        let mut config = Config::load(target, overrides)?;
        let hooks = Hooks::load(&config.runner.hooks)?;
        let cache = cache::root();
        let cache = cache.as_deref();
        let (mut environment, again) = times.take("environment", || match &config.environment {
            EnvironmentSource::Lock(lock) => create::from_lock(lock, progress),
            EnvironmentSource::Python(python) => Environment::read_ahead(python, cache),
        })?;
        let mut again = Some(again);
        // What is built for an interpreter is built for the one that is there.
        if let Some(again) = again.take_if(|_| !config.crates.is_empty()) {
            again.settle(&mut environment)?;
        }
        let crates = times.take("crates", || crates::build(&mut config, &environment.facts, progress))?;
        let list = |facts: &Facts| if to_plan { Listing::begin(facts) } else { Listing::default() };
        let mut trees = list(&environment.facts);
        let graph = times.take("graph", || -> Result<ModuleGraph, Error> {
            progress.start("reading modules", 0);
            let roots = Roots::of(&config, &environment);
            let build = |environment: &Environment, roots: Result<Roots, graph::WithoutError>| -> Result<_, Error> {
                Ok(graph::build(environment, &roots?, &hooks, cache)?)
            };
            let mut graph = build(&environment, roots);
            // Either may have failed because what the interpreter said before is no longer so.
            if let Some(again) = again
                && again.settle(&mut environment)?
            {
                trees = list(&environment.facts);
                graph = build(&environment, Roots::of(&config, &environment));
            }
            progress.finish();
            graph
        })?;
        crates.check(|module| graph.module(graph.find(module.as_str())?).file.clone())?;
        Ok(Self { config, environment, hooks, crates, graph, times, trees, questions: None })
    }

    /// Begins to ask a child interpreter for names that cannot be read; without it the audit cannot tell them.
    pub fn ask(&mut self) {
        self.questions = Some(self.graph.begin_to_ask(&self.environment, cache::root().as_deref()));
    }

    /// With a plan the artifact's native code too.
    pub fn audit(&mut self, plan: Option<&Plan>) -> Report {
        let Self { config, environment, hooks, graph, times, trees, questions, .. } = self;
        let compared = times.take("records", || {
            let cache = cache::root();
            audit::compare(environment, graph, trees.done(), cache.as_deref())
        });
        if let Some(questions) = questions.take() {
            times.take("names", || {
                graph.hear(questions);
                graph.confirm(environment, cache::root().as_deref());
            });
        }
        times.take("audit", || {
            let native = plan.map(|plan| audit::Native { planned: &plan.planned, licenses: &plan.licenses });
            audit::run(environment, graph, hooks, &config.audit, Scope::Application(native), &compared)
        })
    }

    /// For a process that is about to end: its memory goes with it. Freeing it piece by piece takes a good part of the time
    /// in which an unchanged project is audited.
    pub fn leave(mut self, plan: Option<Plan>) {
        self.graph.settle();
        std::mem::forget((self, plan));
    }

    /// Where everything goes.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        let Self { config, environment, crates, graph, hooks, times, trees, .. } = self;
        times.take("layout", || {
            let reached = reached(graph, environment, hooks);
            let planned =
                layout::plan(config, environment, &reached, trees.done(), graph.without(), cache::root().as_deref())?;
            let packages = Packages::of_this_machine();
            let licenses = Inventory::new(environment, crates, &planned, &config.licenses, &packages);
            Ok(Plan { planned, licenses })
        })
    }
}

/// Stage → how long it took, in the order in which they ran.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<(&'static str, Duration)>);

impl Times {
    pub fn take<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let result = work();
        self.0.push((stage, since.elapsed()));
        result
    }

    pub fn extend(&mut self, times: impl IntoIterator<Item = (&'static str, Duration)>) {
        self.0.extend(times);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().copied()
    }
}
