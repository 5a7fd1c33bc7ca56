//! Scripts and starts: each a job, which one of a few lanes takes, each lane with sandboxes of its own.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::expected::Unpackaged;
use super::pair::{Ground, Pair};
use super::plan::{Plan, StartProbe};
use super::proof::{Difference, Kind};
use super::scripts::{self, Ran, Script};
use super::side::Side;
use super::smoke::{self, Run, Smoke};
use super::start::{self, Probed, Said};
use super::{Error, left_out};
use crate::progress::Progress;

/// What is done beside the imports, in the order of a proof's results.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job<'a> {
    Start(&'a StartProbe),
    /// Without a word of the configuration's about it.
    AsItIs(&'a StartProbe),
    Script(Script<'a>),
    /// The interpreter again, with the application's own imports, where no script starts it.
    Again,
}

impl Job<'_> {
    fn is_start(&self) -> bool {
        match self {
            Self::Start(_) | Self::AsItIs(_) => true,
            Self::Script(_) | Self::Again => false,
        }
    }

    pub(super) fn all(plan: &Plan) -> Vec<Job<'_>> {
        let files = plan.scripts.iter().map(|path| Script::File(path));
        let scripts: Vec<Script<'_>> = files.chain(plan.pytest.as_ref().map(Script::Pytest)).collect();
        let starts = plan.starts.iter().map(Job::Start);
        // Seldom short, and no other job is to wait for it in the end.
        let as_it_is = plan.as_it_is.iter().filter(|_| plan.starts.is_empty()).map(Job::AsItIs);
        let again = scripts.is_empty().then_some(Job::Again);
        starts.chain(as_it_is).chain(again).chain(scripts.into_iter().map(Job::Script)).collect()
    }
}

/// The jobs that no lane has taken yet.
pub(super) struct Queue<'a> {
    left: Mutex<Left<'a>>,
    changed: Condvar,
}

struct Left<'a> {
    jobs: VecDeque<(usize, Job<'a>)>,
    /// Queued or under way.
    starts: usize,
}

/// A job that a lane has taken, for as long as it has to do with it.
struct Taken<'q, 'a> {
    number: usize,
    job: Job<'a>,
    queue: &'q Queue<'a>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(jobs: Vec<Job<'a>>) -> Self {
        let starts = jobs.iter().filter(|job| job.is_start()).count();
        let left = Left { jobs: jobs.into_iter().enumerate().collect(), starts };
        Self { left: Mutex::new(left), changed: Condvar::new() }
    }

    fn left(&self) -> MutexGuard<'_, Left<'a>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Taken<'_, 'a>> {
        let (number, job) = self.left().jobs.pop_front()?;
        Some(Taken { number, job, queue: self })
    }

    fn is_empty(&self) -> bool {
        self.left().jobs.is_empty()
    }

    /// Returns once every start is over: how long one takes is measured, and not to be while more runs than there are
    /// cores for.
    fn wait_for_starts(&self) {
        let left = self.left();
        drop(self.changed.wait_while(left, |left| left.starts > 0).unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing is left for anybody, as where a lane has come to grief.
    fn give_up(&self) {
        let mut left = self.left();
        let starts = left.jobs.iter().filter(|(_, job)| job.is_start()).count();
        left.starts -= starts;
        left.jobs.clear();
        self.changed.notify_all();
    }
}

impl Drop for Taken<'_, '_> {
    fn drop(&mut self) {
        if self.job.is_start() {
            self.queue.left().starts -= 1;
            self.queue.changed.notify_all();
        }
    }
}

/// Lanes beside the first. Where there are several scripts there is one more than there are cores for: jobs of about the
/// same length would leave one of two lanes with nothing to do in the end.
pub(super) fn further(jobs: &[Job<'_>]) -> usize {
    let scripts = jobs.iter().filter(|job| matches!(job, Job::Script(_))).count();
    if scripts > 1 { 2 } else { 1 }
}

/// `first` in this lane and `other` in further ones.
pub(super) fn run<A, T: Send>(
    queue: &Queue<'_>,
    further: usize,
    first: impl FnOnce() -> Result<(A, Vec<T>), Error>,
    other: impl Fn() -> Result<Vec<T>, Error> + Sync,
) -> Result<(A, Vec<T>), Error> {
    let other = &other;
    std::thread::scope(|scope| {
        let lane = |lane| {
            scope.spawn(move || {
                if lane > 1 {
                    queue.wait_for_starts();
                }
                let found = if queue.is_empty() { Ok(Vec::new()) } else { other() };
                found.inspect_err(|_| queue.give_up())
            })
        };
        let others: Vec<_> = (1..=further).map(lane).collect();
        let first = first().inspect_err(|_| queue.give_up());
        let others: Vec<_> = others
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        let (told, mut found) = first?;
        for lane in others {
            found.extend(lane?);
        }
        Ok((told, found))
    })
}

/// What a job of the environment's side gave.
pub(super) enum Before {
    Start(String, Probed),
    AsItIs {
        did: String,
        said: Option<Said>,
    },
    /// Nothing was started, as it could not be kept apart from everything of the user's.
    Apart,
    Script(String, Box<Ran>),
}

/// The environment's half of what is left in the queue, each with the number of its job; in a sandbox of its own that
/// `open` gives, where `side` can be kept apart from it.
pub(super) fn drain_environment(
    side: &mut Side,
    open: impl Fn() -> Result<Side, Error>,
    queue: &Queue<'_>,
    plan: &Plan,
    progress: &dyn Progress,
) -> Result<Vec<(usize, Before)>, Error> {
    let mut found = Vec::new();
    while let Some(taken) = queue.next() {
        let mut own = side.is_apart().then(&open).transpose()?;
        let side = own.as_mut().unwrap_or(side);
        let before = match taken.job {
            Job::Start(probe) => {
                let probed = start::run(side, None, probe, plan)?;
                Before::Start(probe.settings.name.clone(), probed)
            }
            Job::AsItIs(probe) => {
                let unpackaged = Some((probe, plan.application.as_slice()));
                let limit = start::AS_IT_IS.saturating_mul(plan.limits.multiplier);
                if side.is_apart() {
                    let names = start::names(plan, probe);
                    let start::Showed { did, said, .. } = start::as_it_is(side, unpackaged, &names, limit)?;
                    // With what the artifact does without, it may well say more.
                    let said = match said {
                        Some(said) if side.without.is_empty() => {
                            let again = start::as_it_is(&mut open()?, unpackaged, &names, limit)?;
                            Some(said).filter(|said| again.said.as_ref() == Some(said))
                        }
                        Some(_) | None => None,
                    };
                    Before::AsItIs { did, said }
                } else {
                    Before::Apart
                }
            }
            Job::Script(script) => {
                let ran = scripts::run(side, script, plan.limits.script, progress)?;
                Before::Script(script.key(), Box::new(ran))
            }
            Job::Again => continue,
        };
        found.push((taken.number, before));
    }
    Ok(found)
}

/// What a job showed of both sides.
pub(super) enum Done {
    Start {
        name: String,
        before: Option<Box<Probed>>,
        after: Option<Box<Probed>>,
    },
    /// What it did, packed; the output, and what was seen of it.
    AsItIs {
        before: Option<String>,
        /// What the unpackaged one printed, twice.
        said: Option<Said>,
        after: Option<Box<start::Showed>>,
    },
    Script {
        name: String,
        before: Option<Box<Ran>>,
        after: Box<Ran>,
    },
    Again(Vec<usize>, Smoke),
}

/// As many as the artifact's interpreter is started with again: the first are the application's own.
const AGAIN: usize = 50;

/// The artifact's half of what is left in the queue, each in sandboxes of its own where there can be such; the
/// environment's where it is not known, or where the artifact's shows something that it may be to blame for.
pub(super) fn drain(
    pair: &mut Pair,
    queue: &Queue<'_>,
    ground: &Ground<'_>,
    known: &Unpackaged,
    plan: &Plan,
    progress: &dyn Progress,
) -> Result<Vec<(usize, Done)>, Error> {
    let mut found = Vec::new();
    while let Some(taken) = queue.next() {
        let mut own = pair.anew(ground)?;
        let pair = own.as_mut().unwrap_or(pair);
        let done = match taken.job {
            Job::Start(probe) => start(pair, known, probe, plan, ground)?,
            Job::AsItIs(probe) => as_it_is(pair, known, probe, plan)?,
            Job::Script(script) => {
                let key = script.key();
                let mut before = known.scripts.get(&key).cloned();
                let after = scripts::run(&mut pair.artifact, script, plan.limits.script, progress)?;
                let is_known = before.is_some();
                let again = |before: &Option<Ran>| {
                    before.is_none() || is_known && scripts::differ(script, before.as_ref(), &after)
                };
                if let Some(environment) = pair.environment.as_mut().filter(|_| again(&before)) {
                    let mut ran = scripts::run(environment, script, plan.limits.script, progress)?;
                    ran.left.extend(before.into_iter().flat_map(|before| before.left));
                    before = Some(ran);
                }
                Done::Script { name: script.name(), before: before.map(Box::new), after: Box::new(after) }
            }
            Job::Again => {
                let (checks, _) = left_out::split(&plan.imports);
                let ids: Vec<usize> = (0..checks.len().min(AGAIN)).collect();
                // The numbers before are those of the imports.
                let run = Run { number: 3, is_brief: true };
                let few = &checks[..ids.len()];
                let limit = plan.limits.import;
                let smoke = smoke::run(&mut pair.artifact, few, limit, run, &crate::progress::Silent)?;
                pair.artifact.sweep()?;
                Done::Again(ids, smoke)
            }
        };
        progress.advance(1);
        found.push((taken.number, done));
    }
    Ok(found)
}

fn start(
    pair: &mut Pair,
    known: &Unpackaged,
    probe: &StartProbe,
    plan: &Plan,
    ground: &Ground<'_>,
) -> Result<Done, Error> {
    let Pair { environment, artifact } = pair;
    let name = probe.settings.name.clone();
    let Some(environment) = environment else {
        // Its helpers run from the environment.
        let can = probe.settings.with.is_empty();
        let after = can.then(|| start::run_alone(artifact, probe, plan.limits, &ground.shared)).transpose()?;
        return Ok(Done::Start { name, before: None, after: after.map(Box::new) });
    };
    let mut before = known.starts.get(&name).cloned();
    if before.is_none() {
        before = Some(start::run(environment, None, probe, plan)?);
    }
    if before.as_ref().is_some_and(|before| before.failure.is_some()) {
        return Ok(Done::Start { name, before: before.map(Box::new), after: None });
    }
    let after = start::run(environment, Some(artifact), probe, plan)?;
    if start::differ(before.as_ref(), &after) && known.starts.contains_key(&name) {
        let mut again = start::run(environment, None, probe, plan)?;
        again.left.extend(before.into_iter().flat_map(|before| before.left));
        before = Some(again);
    }
    Ok(Done::Start { name, before: before.map(Box::new), after: Some(Box::new(after)) })
}

/// Only in full isolation: nobody asked for it to be started, and it has nothing to harm there.
fn as_it_is(pair: &mut Pair, known: &Unpackaged, probe: &StartProbe, plan: &Plan) -> Result<Done, Error> {
    let mut before = known.expected.get(Kind::Start, AS_IT_IS).cloned();
    if !pair.is_apart() || before.is_none() {
        return Ok(Done::AsItIs { before: None, said: None, after: None });
    }
    let runs_on = before.as_deref() == Some(start::RUNS_ON);
    // One that refuses to be an interpreter unpacks itself while it is looked at.
    let trees = 1 + u32::from(pair.artifact.interpreter.is_some());
    // A record does not say how much longer the unpackaged one would have run.
    let multiplier = if pair.environment.is_some() { plan.limits.multiplier } else { 1 };
    let while_running = start::AS_IT_IS.saturating_mul(trees).saturating_mul(multiplier);
    let limit = if runs_on { while_running } else { plan.limits.import };
    let names = start::names(plan, probe);
    let mut after = start::as_it_is(&mut pair.artifact, None, &names, limit)?;
    let says_else = |after: &start::Showed| known.said.is_some() && after.said.is_some() && known.said != after.said;
    if says_else(&after) {
        after = start::as_it_is(&mut pair.artifact, None, &names, limit)?;
    }
    if before.as_ref() != Some(&after.did)
        && let Some(environment) = &mut pair.environment
    {
        // It may have been about to end.
        let unpackaged = Some((probe, plan.application.as_slice()));
        before = Some(start::as_it_is(environment, unpackaged, &names, plan.limits.import)?.did);
    }
    Ok(Done::AsItIs { before, said: known.said.clone(), after: Some(Box::new(after)) })
}

/// What the start without `[start]` is called.
pub(super) const AS_IT_IS: &str = "the application, started as it is";

/// What two sides did that nobody told anything; and, where they did the same, what they said.
pub(super) fn compare_as_it_is(before: &str, said: Option<&Said>, after: &start::Showed) -> Option<Difference> {
    let (environment, artifact) = match (said, &after.said) {
        _ if before != after.did => (before.to_owned(), after.did.clone()),
        (Some(before), Some(after)) if before != after => {
            (format!("prints {}", before.beyond(after)), format!("prints {}", after.beyond(before)))
        }
        _ => return None,
    };
    Some(Difference {
        kind: Kind::Start,
        subject: AS_IT_IS.to_owned(),
        because: vec!["there is no [start]".to_owned()],
        also: Vec::new(),
        environment,
        artifact,
        output: Some(after.tail.clone()).filter(|output| !output.is_empty()),
    })
}
