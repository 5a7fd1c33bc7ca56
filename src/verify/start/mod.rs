//! The start probe: the application is started as in production, waited for, and stopped; unpackaged first.

mod application;
mod as_it_is;
mod filled;
mod helper;
mod said;
mod sign;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use application::application;
pub(super) use as_it_is::{AS_IT_IS, RUNS_ON, Showed, as_it_is, names};
use filled::Filled;
use helper::Helper;
pub(super) use said::Said;
use serde::{Deserialize, Serialize};

use super::plan::{ApplicationFolder, Limits, Plan, StartProbe};
use super::proof::{Difference, Kind, Measured, Probe};
use super::sandbox::Seen;
use super::side::{Side, Which, tail};
use super::{Error, leftover};

/// Lines of output that a failure shows.
const TAIL: usize = 40;

/// What one side's probe gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Probed {
    pub measured: Option<Measured>,
    /// What went wrong, and the last lines of the output.
    pub failure: Option<(String, String)>,
    pub seen: Seen,
    /// What it left in its home folder, the one for temporary files and its working folder, and whether a process goes on.
    pub left: BTreeSet<String>,
}

impl Probed {
    fn describe(&self) -> String {
        self.failure.as_ref().map_or_else(|| "starts, gets ready and stops".to_owned(), |(what, _)| what.clone())
    }
}

/// Whether the environment has to show once more what it does.
pub(super) fn differ(environment: Option<&Probed>, artifact: &Probed) -> bool {
    artifact.failure.is_some() || leftover::beyond(environment.map(|it| &it.left), &artifact.left).next().is_some()
}

/// A failure that both sides share is the environment's, and is said to be.
pub(super) fn compare(
    name: &str,
    environment: Option<&Probed>,
    artifact: Option<&Probed>,
) -> (Probe, Option<Difference>) {
    let describe = |probed: Option<&Probed>| probed.map_or_else(|| "not started".to_owned(), Probed::describe);
    let probe = Probe { name: name.to_owned(), environment: describe(environment), artifact: describe(artifact) };
    let failure = |probed: Option<&Probed>| probed.and_then(|probed| probed.failure.clone());
    let (side, (_, output)) = match (failure(environment), failure(artifact)) {
        (Some(failure), _) => ("environment, so that nothing can be said of the artifact", failure),
        (None, Some(failure)) => ("artifact", failure),
        (None, None) => return (probe, None),
    };
    let difference = Difference {
        kind: Kind::Start,
        subject: name.to_owned(),
        because: vec!["[start]".to_owned()],
        also: Vec::new(),
        environment: probe.environment.clone(),
        artifact: probe.artifact.clone(),
        output: Some(format!("in the {side}:\n{output}")),
    };
    (probe, Some(difference))
}

/// The artifact by itself, where there is no environment for helpers to run in.
pub(super) fn run_alone(
    artifact: &mut Side,
    probe: &StartProbe,
    limits: Limits,
    shared: &Path,
) -> Result<Probed, Error> {
    let filled = Filled::of(&probe.settings, limits, shared, artifact.which)?;
    let command = [vec![artifact.program.display().to_string()], filled.settings.args.clone()].concat();
    let env = filled.settings.env.iter().cloned().collect();
    application(artifact, command, env, &filled)
}

/// `target` runs the application; nothing: the environment's own side does. Helpers run on the environment's side.
pub(super) fn run(
    environment: &mut Side,
    target: Option<&mut Side>,
    probe: &StartProbe,
    plan: &Plan,
) -> Result<Probed, Error> {
    let world = plan.world.as_ref().ok_or(Error::NoEnvironment)?;
    let shared = environment.shared.clone();
    let which = target.as_ref().map_or(Which::Environment, |side| side.which);
    let filled = Filled::of(&probe.settings, plan.limits, &shared, which)?;
    let settings = &filled.settings;

    let mut helpers = Vec::new();
    for (command, written) in settings.with.iter().zip(&probe.settings.with) {
        helpers.push(Helper::start(environment, command, written, world)?);
    }
    let mut probed = if let Some(failure) = helper::meet(environment, &helpers, &probe.settings, &filled)? {
        Probed { failure: Some(failure), ..Probed::default() }
    } else {
        let env = settings.env.iter().cloned().collect();
        if let Some(side) = target {
            let command = [vec![side.program.display().to_string()], settings.args.clone()].concat();
            application(side, command, env, &filled)?
        } else {
            let python = environment.program.display().to_string();
            let options = environment.interpreter_options();
            let command = [vec![python], options, probe.unpackaged.clone(), settings.args.clone()].concat();
            application(environment, command, with_python_path(env, probe, &plan.application), &filled)?
        }
    };
    for helper in helpers {
        let Some(exit) = environment.sandbox.wait(helper.id, Duration::ZERO)? else {
            environment.kill(helper.id)?;
            continue;
        };
        if let Some((what, last)) = &mut probed.failure {
            *what = format!("{what}; its helper `{}` had ended ({exit})", helper.command);
            *last = format!("{last}\nthe helper's last lines:\n{}", tail(&helper.output, TAIL));
        }
    }
    // One that went into the background would answer to the next start as well.
    environment.sweep()?;
    Ok(probed)
}

/// `[runner] path` does for the artifact what this variable does for `python main.py`. With `-m` and `-c` Python
/// looks in the current folder, which is an empty one here, so that the application's own has to be named too.
fn with_python_path(
    mut env: BTreeMap<String, String>,
    probe: &StartProbe,
    application: &[ApplicationFolder],
) -> BTreeMap<String, String> {
    let has_folder = probe.unpackaged.first().is_some_and(|first| !first.starts_with('-'));
    let folders = application.iter().skip(usize::from(has_folder));
    let folders: Vec<String> = folders.map(|folder| folder.environment.display().to_string()).collect();
    if !folders.is_empty() {
        env.entry("PYTHONPATH".to_owned()).or_insert_with(|| folders.join(":"));
    }
    env
}
