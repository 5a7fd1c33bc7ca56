//! Artifact and environment → [`Proof`]: whether the artifact does what the unpackaged application does.
//!
//! Takes a [`Plan`] of plain data. Both sides run in a [`sandbox`] each, the artifact's without the environment,
//! the base interpreter and the sources; imports, smoke scripts, versions, a child's environment and the start
//! probe are compared, and whatever the artifact loaded must be its own. What is to be imported is the graph's
//! business, and how a proof reads is the report's. `docs/proof.md` says what a proof claims and what it does not.

mod alone;
mod asserted;
mod compare;
mod escape;
mod expected;
mod files;
mod halves;
mod hidden;
mod lanes;
mod left_out;
mod leftover;
mod observe;
mod outcome;
mod pair;
mod plan;
mod process;
mod proof;
mod record;
pub mod sandbox;
mod scratch;
mod scripts;
mod side;
mod smoke;
mod start;
mod told;
mod tree;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use expected::{Expected, Unpackaged};
use lanes::{Before, Job, Queue};
use observe::Observations;
use outcome::Inventory;
use pair::{Ground, Pair};
pub use plan::{ApplicationFolder, EntryPoint, ImportCheck, Libraries, Limits, Plan, Pytest, StartProbe, World};
pub use proof::{
    Difference, Escape, Imports, Isolation, Kind, LeftOut, Measured, Probe, Proof, Run, SCHEMA, Script, Start, Subject,
    Verdict,
};
use side::{Counter, Side, Which};
use smoke::Smoke;
use told::{First, Told};

pub use record::{Record, prove_alone};

use crate::format::Artifact;
use crate::progress::Progress;

/// Runs on both sides: one file there, in parts here.
pub const SMOKE: &str = concat!(
    include_str!("smoke/main.py"),
    "\n\n",
    include_str!("smoke/watch.py"),
    "\n\n",
    include_str!("smoke/reporter.py"),
    "\n\n",
    include_str!("smoke/inventory.py"),
    "\n\n",
    include_str!("smoke/words.py"),
    "\n\nif __name__ == \"__main__\":\n    main()\n"
);

/// The tool could not do its work. A broken artifact is no error but a [`Difference`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the artifact `{}`", path.display())]
    Artifact { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    #[error("`[start] stop = \"{name}\"` is not a signal; `SIGTERM`, `SIGINT`, `SIGQUIT` and their like are")]
    UnknownSignal { name: String },
    #[error("`[start]`: `{pattern}` is no regular expression")]
    Pattern { pattern: String, source: regex::Error },
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
    #[error(
        "programs may not be run in `{}`, where the proof would lay down the artifact's files, nor in `/var/tmp` or beside packproof's \
         cache (they are mounted `noexec`, or a policy forbids it); set TMPDIR to a folder where they may",
        folder.display()
    )]
    NothingRuns { folder: PathBuf },
    #[error("there is no environment to compare with")]
    NoEnvironment,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// [`expect`], then [`prove_against`].
pub fn prove(plan: &Plan, progress: &dyn Progress) -> Result<Proof, Error> {
    let unpackaged = expect(plan, progress)?;
    prove_against(plan, &unpackaged, progress)
}

/// Runs the environment's side: the imports twice, scripts and starts once; or finds what was kept of an earlier run.
/// Needs no artifact.
pub fn expect(plan: &Plan, progress: &dyn Progress) -> Result<Unpackaged, Error> {
    // What took too long may not with more time.
    let kept = plan.kept.as_ref().map(|(folder, key)| (folder, format!("{key}-{}", plan.limits.multiplier)));
    if let Some(unpackaged) = kept.as_ref().and_then(|(folder, key)| Unpackaged::kept(folder, key)) {
        return Ok(unpackaged);
    }
    let (unpackaged, is_apart) = scratch::within(plan, |scratch| expect_in(scratch, plan, progress))?;
    // What the machine's network had a part in is not to stand for a run without one.
    if let Some((folder, key)) = kept.filter(|_| is_apart) {
        // What cannot be kept costs the next build its time, and nothing else.
        let _ = unpackaged.keep(folder, &key);
    }
    Ok(unpackaged)
}

/// Also whether that was in full isolation.
fn expect_in(scratch: &Path, plan: &Plan, progress: &dyn Progress) -> Result<(Unpackaged, bool), Error> {
    let counters: [Counter; 2] = Default::default();
    let (checks, _) = left_out::split(&plan.imports);
    let jobs = Job::all(plan);
    progress.start("importing and starting, unpackaged", 2 * checks.len() as u64 + jobs.len() as u64);
    let (mut side, runs) = import_unpackaged(scratch, plan, &checks, &counters, progress)?;
    // What one run leaves is known for both: the next may leave it or not.
    let inventories: Vec<_> = runs.iter().flat_map(|(run, _)| run.inventories.clone()).collect();
    let mut left = leftover::of(&side, &inventories);
    left.extend(runs.iter().any(|(_, runs_on)| *runs_on).then(|| leftover::RUNNING.to_owned()));
    let seen = runs.iter().map(|(run, _)| {
        let mut seen = Observations::of(&checks, run, Which::Environment);
        seen.leftovers(left.iter().cloned());
        seen
    });
    let [one, two] = seen.collect::<Vec<_>>().try_into().unwrap_or_default();
    let mut unpackaged = Unpackaged { expected: Expected::of(&one, &two), ..Unpackaged::default() };

    let further = if side.is_apart() { lanes::further(&jobs) } else { 0 };
    let queue = Queue::new(jobs);
    let open = || pair::environment_alone(plan, scratch, &counters);
    let other = || {
        let mut side = open()?;
        if !side.is_apart() {
            return Ok(Vec::new());
        }
        lanes::drain_environment(&mut side, open, &queue, plan, progress)
    };
    let first = || Ok(((), lanes::drain_environment(&mut side, open, &queue, plan, progress)?));
    let ((), mut found) = lanes::run(&queue, further, first, other)?;
    progress.finish();
    // Of several that open a file the first is named, whichever lane was quicker.
    found.sort_by_key(|(number, _)| *number);
    let expected = &mut unpackaged.expected;
    for (_, before) in found {
        match before {
            Before::Start(name, probed) => _ = unpackaged.starts.insert(name, probed),
            Before::AsItIs { did, said } => {
                expected.add(Kind::Start, lanes::AS_IT_IS.to_owned(), did);
                unpackaged.said = said;
            }
            Before::Apart => {}
            Before::Script(key, ran) => {
                if let Some(inventory) = &ran.inventory {
                    expected.add_watched(inventory);
                }
                unpackaged.scripts.insert(key, *ran);
            }
        }
    }
    for (place, digest) in files::of_sources(plan) {
        expected.add(Kind::File, place, digest);
    }
    Ok((unpackaged, side.is_apart()))
}

/// Twice, each time in a sandbox of its own, and at the same time where neither notices the other. Gives the first one's
/// side, and of each run whether it left a process running.
fn import_unpackaged(
    scratch: &Path,
    plan: &Plan,
    checks: &[ImportCheck],
    counters: &[Counter; 2],
    progress: &dyn Progress,
) -> Result<(Side, Vec<(Smoke, bool)>), Error> {
    let open = || pair::environment_alone(plan, scratch, counters);
    let run = |side: &mut Side, number| {
        let run = smoke::Run { number, is_brief: false };
        let smoke = smoke::run(side, checks, plan.limits.import, run, progress)?;
        Ok::<_, Error>((smoke, side.sweep()?))
    };
    let mut side = open()?;
    if !side.is_apart() {
        let runs = vec![run(&mut side, 0)?, run(&mut side, 1)?];
        return Ok((side, runs));
    }
    let mut other = open()?;
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(|| run(&mut other, 1));
        let one = run(&mut side, 0);
        (one, two.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let runs = vec![one?, two?];
    Ok((side, runs))
}

/// Runs everything else; the artifact is copied first, and neither it nor anything of the user's is written to.
pub fn prove_against(plan: &Plan, unpackaged: &Unpackaged, progress: &dyn Progress) -> Result<Proof, Error> {
    scratch::within(plan, |scratch| prove_in(scratch, plan, unpackaged, progress))
}

fn prove_in(scratch: &Path, plan: &Plan, unpackaged: &Unpackaged, progress: &dyn Progress) -> Result<Proof, Error> {
    let mut run =
        Run { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(), ..Run::default() };
    let mut clock = Clock::default();
    let ground = Ground::new(plan, scratch)?;
    let mut pair = Pair::open(&ground)?;
    let manifest = Artifact::open(&plan.artifact).map(|artifact| artifact.manifest).ok();
    if let Some(manifest) = manifest.filter(|manifest| !manifest.interpreter) {
        pair.artifact.extract(&manifest)?;
    }
    clock.lap("isolation");
    let expected = &unpackaged.expected;
    let (checks, left_out) = left_out::split(&plan.imports);
    let jobs = Job::all(plan);
    progress.start("importing and starting, packed", (checks.len() + jobs.len()) as u64);
    let further = if pair.is_apart() { lanes::further(&jobs) } else { 0 };
    let queue = Queue::new(jobs);
    let interpreter = pair.artifact.interpreter.clone();
    let other = || {
        let mut pair = Pair::open(&ground)?;
        // Refused what the first lane has, so that one does it all.
        if !pair.is_apart() {
            return Ok(Vec::new());
        }
        pair.artifact.interpreter.clone_from(&interpreter);
        lanes::drain(&mut pair, &queue, &ground, unpackaged, plan, progress)
    };
    let first = || {
        let imported = import_everything(&mut pair, plan, &checks, expected, progress)?;
        clock.lap("imports");
        Ok((imported, lanes::drain(&mut pair, &queue, &ground, unpackaged, plan, progress)?))
    };
    let (imported, mut done) = lanes::run(&queue, further, first, other)?;
    progress.finish();
    clock.lap("scripts and starts, beyond the imports");
    done.sort_by_key(|(number, _)| *number);

    let Imported { mut imports, inventories, observed, mut differences } = imported;
    imports.left_out.extend(left_out);
    let bounds = escape::Bounds {
        scratch: &pair.artifact.folder,
        hidden: &ground.hidden,
        is_whole: pair.artifact.sandbox.reason().is_none(),
        libraries: &plan.libraries,
        imported: &inventories,
    };
    let mut told = Told::new(&bounds, &mut run);
    for (_, done) in done {
        told.take(done, &First { checks: &checks, observed: &observed, inventories: &inventories, expected });
    }
    let Told { scripts, probes, start, ran, again, differences: failed, starts, .. } = told;
    let mut expected = expected.clone();
    for inventory in &again {
        expected.add_watched(inventory);
    }
    differences.extend(failed);
    imports.starts = starts + usize::from(!inventories.is_empty());
    let all: Vec<Inventory> = inventories.iter().cloned().chain(ran).collect();
    let (mut escape, escaped) = escape::check(&all, &bounds, &expected);
    escape.modules = inventories.iter().map(|inventory| inventory.files.len()).max().unwrap_or_default();
    differences.extend(escaped);
    differences.extend(files::check(&plan.artifact, &expected));
    let tree = inventories.first().map(|inventory| PathBuf::from(&inventory.prefix));
    if let Some(tree) = tree.filter(|tree| tree.starts_with(&pair.artifact.folder)) {
        let (mut changed, alike) = tree::check(&plan.artifact, &tree, &expected);
        // An extracted tree is started by a small program of its own in its root.
        let is_starter = |subject: &str| interpreter.is_some() && (subject == plan.name || subject == "run");
        changed.retain(|difference| !is_starter(&difference.subject));
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
    let (isolation, digest) = ground.describe(&pair);
    let refused = isolation.partial.iter().filter(|_| plan.limits.require_isolation);
    differences.extend(refused.map(|reason| full_isolation_is_asked_for(reason)));
    differences.sort_by(|a, b| (a.kind, &a.subject, &a.artifact).cmp(&(b.kind, &b.subject, &b.artifact)));
    differences.dedup();
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

fn full_isolation_is_asked_for(reason: &str) -> Difference {
    Difference {
        kind: Kind::Isolation,
        subject: "isolation".to_owned(),
        because: vec!["--require-isolation".to_owned()],
        also: Vec::new(),
        environment: "full isolation is asked for".to_owned(),
        artifact: format!("partial: {reason}"),
        output: None,
    }
}

struct Imported {
    imports: Imports,
    /// Of the run that counts.
    inventories: Vec<Inventory>,
    observed: Observations,
    differences: Vec<Difference>,
}

fn import_everything(
    pair: &mut Pair,
    plan: &Plan,
    checks: &[ImportCheck],
    expected: &Expected,
    progress: &dyn Progress,
) -> Result<Imported, Error> {
    let (observed, inventories) = import_packed(pair, plan, checks, 0, progress)?;
    let Plan { distributions, libraries, .. } = plan;
    let judge = |seen: &Observations| {
        let (mut imports, mut differences) = compare::compare(checks, expected, seen, distributions, libraries);
        if plan.world.is_none() {
            imports.unstable.extend(compare::of_the_machine(&mut differences));
        }
        (imports, differences)
    };
    let (mut imports, mut differences) = judge(&observed);
    if !differences.is_empty() && differences.iter().all(|difference| difference.kind != Kind::NoResult) {
        // The environment has had two runs to show what it does not do alike; so has the artifact.
        let (again, _) = import_packed(pair, plan, checks, 1, progress)?;
        let (_, second) = judge(&again);
        let (stable, unstable) = compare::twice(differences, &second);
        imports.unstable.extend(unstable.iter().map(|it| format!("{}: {} (packed)", it.kind.name(), it.subject)));
        differences = stable;
    }
    let of_a_venv = alone::look_closer(pair, plan, checks, &mut differences, progress)?;
    imports.unstable.extend(of_a_venv);
    Ok(Imported { imports, inventories, observed, differences })
}

fn import_packed(
    pair: &mut Pair,
    plan: &Plan,
    checks: &[ImportCheck],
    number: usize,
    progress: &dyn Progress,
) -> Result<(Observations, Vec<Inventory>), Error> {
    let run = smoke::Run { number, is_brief: false };
    let smoke = smoke::run(&mut pair.artifact, checks, plan.limits.import, run, progress)?;
    let mut seen = Observations::of(checks, &smoke, Which::Artifact);
    let inventories = smoke.inventories;
    let runs_on = pair.artifact.sweep()?.then(|| leftover::RUNNING.to_owned());
    seen.leftovers(leftover::of(&pair.artifact, &inventories).into_iter().chain(runs_on));
    Ok((seen, inventories))
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
