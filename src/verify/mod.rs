//! Artifact and environment → [`Proof`]: whether the artifact does what the unpackaged application does.
//!
//! Takes a [`Plan`] of plain data. Both sides run in a [`sandbox`] each, the artifact's without the environment,
//! the base interpreter and the sources; imports, smoke scripts, versions, a child's environment and the start
//! probe are compared, and whatever the artifact loaded must be its own. What is to be imported is the graph's
//! business, and how a proof reads is the report's. `docs/proof.md` says what a proof claims and what it does not.

mod asserted;
mod compare;
mod escape;
mod expected;
mod hidden;
mod left_out;
mod leftover;
mod observe;
mod outcome;
mod pair;
mod plan;
mod proof;
mod record;
pub mod sandbox;
mod scripts;
mod side;
mod smoke;
mod start;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use expected::Expected;
use fs_err as fs;
use observe::Observations;
use pair::Pair;
pub use plan::{ApplicationFolder, EntryPoint, ImportCheck, Libraries, Limits, Plan, Pytest, StartProbe, World};
pub use proof::{
    Difference, Escape, Imports, Isolation, Kind, LeftOut, Measured, Probe, Proof, Run, SCHEMA, Script, Start, Subject,
    Verdict,
};
use side::Which;
use smoke::Runs;

pub use record::{Record, prove_alone};

use crate::progress::Progress;

/// Runs on both sides.
pub const SMOKE: &str = include_str!("smoke.py");

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
    #[error(
        "`{}` holds no record of what to expect of it (it was packed without a proof, or by another version); name the \
         project's folder, to compare it with the environment",
        path.display()
    )]
    NoRecord { path: PathBuf },
    #[error("there is no environment to compare with")]
    NoEnvironment,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// [`expect`], then [`prove_against`].
pub fn prove(plan: &Plan, progress: &dyn Progress) -> Result<Proof, Error> {
    let expected = expect(plan, progress)?;
    prove_against(plan, &expected, progress)
}

/// Runs the environment's side of the imports twice, or finds what was kept of an earlier run. Needs no artifact.
pub fn expect(plan: &Plan, progress: &dyn Progress) -> Result<Expected, Error> {
    if let Some(expected) = plan.kept.as_ref().and_then(|(folder, key)| Expected::kept(folder, key)) {
        return Ok(expected);
    }
    let expected = in_scratch(plan, |scratch| {
        let mut side = pair::environment_alone(plan, scratch)?;
        let (checks, _) = left_out::split(&plan.imports);
        progress.start("importing, unpackaged, twice", 2 * checks.len() as u64);
        let runs = smoke::run(&mut side, &checks, plan.limits.import, Runs { first: 0, count: 2 }, progress)?;
        progress.finish();
        // What one run leaves is known for both: the next may leave it or not.
        let inventories: Vec<_> = runs.iter().flat_map(|run| run.inventories.clone()).collect();
        let left = leftover::of(&side, &inventories);
        let seen = runs.iter().map(|run| {
            let mut seen = Observations::of(&checks, run, Which::Environment);
            seen.leftovers(left.iter().cloned());
            seen
        });
        let [one, two] = seen.collect::<Vec<_>>().try_into().unwrap_or_default();
        Ok(Expected::of(&one, &two))
    })?;
    if let Some((folder, key)) = &plan.kept {
        expected.keep(folder, key)?;
    }
    Ok(expected)
}

/// Runs everything else; the artifact is copied first, and neither it nor anything of the user's is written to.
pub fn prove_against(plan: &Plan, expected: &Expected, progress: &dyn Progress) -> Result<Proof, Error> {
    in_scratch(plan, |scratch| prove_in(scratch, plan, expected, progress))
}

fn in_scratch<T>(plan: &Plan, work: impl FnOnce(&Path) -> Result<T, Error>) -> Result<T, Error> {
    let folder = plan.scratch.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&folder)?;
    let scratch = tempfile::Builder::new().prefix("packproof-proof-").tempdir_in(folder.canonicalize()?)?;
    let result = work(scratch.path());
    make_removable(scratch.path());
    scratch.close()?;
    result
}

fn prove_in(scratch: &Path, plan: &Plan, expected: &Expected, progress: &dyn Progress) -> Result<Proof, Error> {
    let mut run =
        Run { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(), ..Run::default() };
    let mut clock = Clock::default();
    let mut pair = Pair::open(plan, scratch)?;
    clock.lap("isolation");
    let Imported { imports, mut escape, tree, mut differences } =
        import_everything(&mut pair, plan, expected, progress)?;
    clock.lap("imports");
    let (scripts, failed) = run_scripts(&mut pair, plan, progress)?;
    differences.extend(failed);
    clock.lap("scripts");
    let (start, probes, failed) = probe_starts(&mut pair, plan, &mut run, progress)?;
    differences.extend(failed);
    clock.lap("start");
    if let Some(tree) = tree {
        let (changed, alike) = tree::check(&plan.artifact, &tree, expected);
        differences.extend(changed);
        let known: BTreeSet<String> = differences.iter().map(|difference| difference.subject.clone()).collect();
        differences.extend(tree::path_files(&tree).into_iter().filter(|found| !known.contains(&found.subject)));
        escape.written = alike;
    }
    clock.lap("tree");
    run.seconds = clock.laps;

    for difference in &mut differences {
        difference.hide(scratch);
    }
    let (isolation, digest) = pair.describe();
    if let Some(reason) = isolation.partial.as_ref().filter(|_| plan.limits.require_isolation) {
        differences.push(Difference {
            kind: Kind::Isolation,
            subject: "isolation".to_owned(),
            because: vec!["--require-isolation".to_owned()],
            also: Vec::new(),
            environment: "full isolation is asked for".to_owned(),
            artifact: format!("partial: {reason}"),
            output: None,
        });
    }
    differences.sort_by(|a, b| (a.kind, &a.subject, &a.artifact).cmp(&(b.kind, &b.subject, &b.artifact)));
    Ok(Proof {
        schema: SCHEMA.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        subject: Subject { name: plan.name.clone(), digest: BTreeMap::from([("sha256".to_owned(), digest)]) },
        verdict: match (differences.is_empty(), &isolation.partial) {
            (false, _) => Verdict::NotProved,
            (true, Some(_)) => Verdict::PartiallyIsolated,
            (true, None) => Verdict::Proved,
        },
        inputs: plan.inputs.clone(),
        isolation,
        imports,
        scripts,
        start,
        probes,
        escape,
        differences,
        run,
    })
}

struct Imported {
    imports: Imports,
    escape: Escape,
    /// Where the artifact has unpacked itself.
    tree: Option<PathBuf>,
    differences: Vec<Difference>,
}

fn import_everything(
    pair: &mut Pair,
    plan: &Plan,
    expected: &Expected,
    progress: &dyn Progress,
) -> Result<Imported, Error> {
    let (checks, left_out) = left_out::split(&plan.imports);
    let (seen, inventories) = import_packed(pair, plan, &checks, 0, progress)?;
    let (mut imports, mut differences) =
        compare::compare(&checks, expected, &seen, &plan.distributions, &plan.libraries.changed);
    if !differences.is_empty() && differences.iter().all(|difference| difference.kind != Kind::NoResult) {
        // The environment has had two runs to show what it does not do alike; so has the artifact.
        let (again, _) = import_packed(pair, plan, &checks, 1, progress)?;
        let (_, second) = compare::compare(&checks, expected, &again, &plan.distributions, &plan.libraries.changed);
        let (stable, unstable) = compare::twice(differences, &second);
        imports.unstable.extend(unstable.iter().map(|it| format!("{}: {} (packed)", it.kind.name(), it.subject)));
        differences = stable;
    }
    imports.left_out = left_out;
    let bounds = escape::Bounds { scratch: &pair.artifact.folder, hidden: &pair.hidden, libraries: &plan.libraries };
    let (escape, escaped) = escape::check(&inventories, &bounds, expected);
    differences.extend(escaped);
    let tree = inventories.first().map(|inventory| PathBuf::from(&inventory.prefix));
    let tree = tree.filter(|tree| tree.starts_with(&pair.artifact.folder));
    Ok(Imported { imports, escape, tree, differences })
}

fn import_packed(
    pair: &mut Pair,
    plan: &Plan,
    checks: &[ImportCheck],
    number: usize,
    progress: &dyn Progress,
) -> Result<(Observations, Vec<outcome::Inventory>), Error> {
    progress.start("importing, packed", checks.len() as u64);
    let runs = smoke::run(&mut pair.artifact, checks, plan.limits.import, Runs { first: number, count: 1 }, progress)?;
    progress.finish();
    let mut seen = Observations::default();
    let mut inventories = Vec::new();
    for run in runs {
        seen = Observations::of(checks, &run, Which::Artifact);
        inventories = run.inventories;
    }
    seen.leftovers(leftover::of(&pair.artifact, &inventories));
    Ok((seen, inventories))
}

fn run_scripts(pair: &mut Pair, plan: &Plan, progress: &dyn Progress) -> Result<(Vec<Script>, Vec<Difference>), Error> {
    let mut results = Vec::new();
    let mut differences = Vec::new();
    let files = plan.scripts.iter().map(|path| scripts::Script::File(path));
    let all: Vec<_> = files.chain(plan.pytest.as_ref().map(scripts::Script::Pytest)).collect();
    if all.is_empty() {
        return Ok((results, differences));
    }
    progress.start("smoke scripts", 2 * all.len() as u64);
    for script in all {
        let (before, after) = pair.both(|side| scripts::run(side, script, plan.limits.script, progress))?;
        let (result, difference) = scripts::compare(script, before.as_ref(), &after);
        results.push(result);
        differences.extend(difference);
    }
    progress.finish();
    Ok((results, differences))
}

/// One after the other: each is to have the machine to itself, and the first may make the second pointless.
fn probe_starts(
    pair: &mut Pair,
    plan: &Plan,
    run: &mut Run,
    progress: &dyn Progress,
) -> Result<(Start, Vec<Probe>, Vec<Difference>), Error> {
    let mut probes = Vec::new();
    let mut differences = Vec::new();
    let mut tried = false;
    progress.start("start probe", 2 * plan.starts.len() as u64);
    for probe in &plan.starts {
        let Pair { environment, artifact, shared, .. } = &mut *pair;
        let name = &probe.settings.name;
        let before = match environment {
            Some(environment) => Some(start::run(environment, None, probe, plan, shared)?),
            None => None,
        };
        progress.advance(1);
        let after = match (environment, &before) {
            (_, Some(before)) if before.failure.is_some() => None,
            (Some(environment), _) => Some(start::run(environment, Some(artifact), probe, plan, shared)?),
            (None, _) if probe.settings.with.is_empty() => Some(start::run_alone(artifact, probe, shared)?),
            // Its helpers run from the environment.
            (None, _) => None,
        };
        progress.advance(1);
        tried |= before.is_some() || after.is_some();
        let (told, difference) = start::compare(name, before.as_ref(), after.as_ref());
        let measured = (before.and_then(|it| it.measured), after.and_then(|it| it.measured));
        if probes.is_empty() {
            (run.environment, run.artifact) = measured;
        } else {
            run.further.insert(name.clone(), measured);
        }
        probes.push(told);
        differences.extend(difference);
    }
    progress.finish();
    let start = match (tried, differences.is_empty()) {
        (false, _) => Start::NotConfigured,
        (true, true) => Start::Passed,
        (true, false) => Start::Failed,
    };
    Ok((start, probes, differences))
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
