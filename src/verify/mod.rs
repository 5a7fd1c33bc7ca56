//! Artifact and environment → [`Proof`]: whether the artifact does what the unpackaged application does.
//!
//! Takes a [`Plan`] of plain data. Both sides run in a [`sandbox`] each, the artifact's without the environment,
//! the base interpreter and the sources; imports, smoke scripts, versions, a child's environment and the start
//! probe are compared, and whatever the artifact loaded must be its own. What is to be imported is the graph's
//! business, and how a proof reads is the report's. `docs/proof.md` says what a proof claims and what it does not.

mod compare;
mod escape;
mod hidden;
mod left_out;
mod outcome;
mod pair;
mod plan;
mod proof;
pub mod sandbox;
mod scripts;
mod side;
mod smoke;
mod start;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use pair::Pair;
pub use plan::{ApplicationFolder, ImportCheck, Limits, Plan, StartProbe, World};
pub use proof::{
    Difference, Escape, Imports, Isolation, Kind, LeftOut, Measured, Proof, Run, SCHEMA, Script, Start, Subject,
    Verdict,
};

use crate::progress::Progress;

const SMOKE: &str = include_str!("smoke.py");

/// The tool could not do its work. A broken artifact is no error but a [`Difference`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the artifact `{}`", path.display())]
    Artifact { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    #[error("`[start] stop = \"{name}\"` is not a signal; `SIGTERM`, `SIGINT`, `SIGQUIT` and their like are")]
    UnknownSignal { name: String },
    #[error("`[start] with`: cannot split `{command}` into words")]
    HelperUnreadable { command: String },
    #[error("cannot write the proof `{}`", path.display())]
    ProofNotWritten { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not a proof of this version of packproof", path.display())]
    ProofUnreadable { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs everything; the artifact is copied first, and neither it nor anything of the user's is written to.
pub fn prove(plan: &Plan, progress: &dyn Progress) -> Result<Proof, Error> {
    let folder = plan.scratch.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&folder)?;
    let scratch = tempfile::Builder::new().prefix("packproof-proof-").tempdir_in(folder.canonicalize()?)?;
    let proof = prove_in(scratch.path(), plan, progress);
    make_removable(scratch.path());
    scratch.close()?;
    proof
}

fn prove_in(scratch: &Path, plan: &Plan, progress: &dyn Progress) -> Result<Proof, Error> {
    let mut run =
        Run { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(), ..Run::default() };
    let mut clock = Clock::default();
    let mut pair = Pair::open(plan, scratch)?;
    clock.lap("isolation");
    let (imports, escape, mut differences) = import_everything(&mut pair, plan, progress)?;
    clock.lap("imports");
    let (scripts, failed) = run_scripts(&mut pair, plan, progress)?;
    differences.extend(failed);
    clock.lap("scripts");
    let (start, failed) = probe_start(&mut pair, plan, &mut run, progress)?;
    differences.extend(failed);
    clock.lap("start");
    run.seconds = clock.laps;

    for difference in &mut differences {
        difference.hide(scratch);
    }
    differences.sort_by(|a, b| (a.kind, &a.subject, &a.artifact).cmp(&(b.kind, &b.subject, &b.artifact)));
    let (isolation, digest) = pair.describe();
    Ok(Proof {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        subject: Subject { name: plan.name.clone(), digest: BTreeMap::from([("sha256".to_owned(), digest)]) },
        verdict: match (differences.is_empty(), &isolation.partial) {
            (false, _) => Verdict::NotProved,
            (true, Some(_)) => Verdict::PartiallyIsolated,
            (true, None) => Verdict::Proved,
        },
        isolation,
        imports,
        scripts,
        start,
        escape,
        differences,
        run,
    })
}

fn import_everything(
    pair: &mut Pair,
    plan: &Plan,
    progress: &dyn Progress,
) -> Result<(Imports, Escape, Vec<Difference>), Error> {
    let (checks, left_out) = left_out::split(&plan.imports);
    progress.start("importing, unpackaged and packed", 2 * checks.len() as u64);
    let (before, after) = pair.both(|side| smoke::run(side, &checks, plan.limits.import, progress))?;
    progress.finish();
    let (mut imports, mut differences) = compare::imports(&checks, &before.outcomes, &after.outcomes);
    imports.left_out = left_out;
    if let (Some(before), Some(after)) = (before.inventories.first(), after.inventories.first()) {
        differences.extend(compare::distributions(&plan.distributions, before, after));
        differences.extend(compare::child_environment(before, after));
    }
    let (escape, escaped) = escape::check(&after.inventories, &pair.artifact.folder, &pair.hidden);
    differences.extend(escaped);
    Ok((imports, escape, differences))
}

fn run_scripts(pair: &mut Pair, plan: &Plan, progress: &dyn Progress) -> Result<(Vec<Script>, Vec<Difference>), Error> {
    let mut results = Vec::new();
    let mut differences = Vec::new();
    if plan.scripts.is_empty() {
        return Ok((results, differences));
    }
    progress.start("smoke scripts", 2 * plan.scripts.len() as u64);
    for script in &plan.scripts {
        let (before, after) = pair.both(|side| scripts::run(side, script, plan.limits.script, progress))?;
        let (result, difference) = scripts::compare(script, &before, &after);
        results.push(result);
        differences.extend(difference);
    }
    progress.finish();
    Ok((results, differences))
}

/// One after the other: each is to have the machine to itself, and the first may make the second pointless.
fn probe_start(
    pair: &mut Pair,
    plan: &Plan,
    run: &mut Run,
    progress: &dyn Progress,
) -> Result<(Start, Option<Difference>), Error> {
    let Some(probe) = &plan.start else { return Ok((Start::NotConfigured, None)) };
    progress.start("start probe", 2);
    let Pair { environment, artifact, shared, .. } = pair;
    let before = start::run(environment, None, probe, &plan.world, shared)?;
    progress.advance(1);
    let after = match &before.failure {
        Some(_) => None,
        None => Some(start::run(environment, Some(artifact), probe, &plan.world, shared)?),
    };
    progress.finish();
    let difference = start::compare(&before, after.as_ref());
    run.environment = before.measured;
    run.artifact = after.and_then(|probed| probed.measured);
    Ok((if difference.is_some() { Start::Failed } else { Start::Passed }, difference))
}

/// An application may leave folders that not even their owner may change.
fn make_removable(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        if entry.metadata().is_ok_and(|it| it.permissions().mode() & 0o700 != 0o700) {
            let _ = fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
    }
}

struct Clock {
    last: Instant,
    laps: BTreeMap<String, f64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { last: Instant::now(), laps: BTreeMap::new() }
    }
}

impl Clock {
    fn lap(&mut self, stage: &str) {
        let now = Instant::now();
        self.laps.insert(stage.to_owned(), proof::seconds(now - self.last));
        self.last = now;
    }
}
