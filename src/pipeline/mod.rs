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
use std::time::{Duration, Instant};

use crate::audit::{self, Report};
use crate::cache;
use crate::config::{self, Config, EnvironmentSource, Overrides};
use crate::crates::{self, Crates};
use crate::environment::{self, Environment, create};
use crate::graph::{self, ModuleGraph, Roots};
use crate::hooks::{self, Hooks};
use crate::layout::{self, Planned};
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
    Graph(#[from] graph::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
}

impl Project {
    /// Reads the configuration of `target`, a folder or a script, makes or reads its environment, and builds the graph.
    pub fn open(target: &Path, overrides: &Overrides, progress: &dyn Progress) -> Result<Self, Error> {
        let mut times = Times::default();
        let mut config = Config::load(target, overrides)?;
        let hooks = Hooks::load(&config.runner.hooks)?;
        let environment = times.take("environment", || match &config.environment {
            EnvironmentSource::Lock(lock) => create::from_lock(lock, progress),
            EnvironmentSource::Python(python) => Environment::read(python),
        })?;
        let crates = times.take("crates", || crates::build(&mut config, &environment.facts, progress))?;
        let graph = times.take("graph", || {
            progress.start("reading modules", 0);
            let graph = graph::build(&environment, &Roots::of(&config), &hooks, cache::root().as_deref());
            progress.finish();
            graph
        })?;
        crates.check(|module| graph.module(graph.find(module.as_str())?).file.clone())?;
        Ok(Self { config, environment, hooks, crates, graph, times })
    }

    /// Asks a child interpreter for names that cannot be read; without it the audit cannot tell them.
    pub fn ask(&mut self) {
        let Self { environment, graph, times, .. } = self;
        times.take("names", || graph.ask(environment, cache::root().as_deref()));
    }

    /// With a plan the artifact's native code too.
    pub fn audit(&mut self, plan: Option<&Plan>) -> Report {
        let Self { config, environment, hooks, graph, times, .. } = self;
        times.take("audit", || {
            let native = plan.map(|plan| audit::Native { planned: &plan.planned, licenses: &plan.licenses });
            audit::run(environment, graph, hooks, &config.audit, native, cache::root().as_deref())
        })
    }

    /// Where everything goes.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        let Self { config, environment, crates, graph, hooks, times, .. } = self;
        times.take("layout", || {
            let reached = reached(graph, environment, hooks);
            let planned = layout::plan(config, environment, &reached, cache::root().as_deref())?;
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
