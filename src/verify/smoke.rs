//! Every import on one side: many in a process, and alone, or in halves, where a process did not live to report.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Error;
use super::halves::{Next, Suspicion};
use super::outcome::{Inventory, Lost, Outcome};
use super::plan::ImportCheck;
use super::process::Process;
use super::side::Side;
use crate::progress::Progress;

/// Enough that what the imports share is loaded once, few enough that a process stays within a few gigabytes.
const GROUP: usize = 20_000;
/// One core each; more would share them.
const AT_ONCE: usize = 2;

/// One run of every check on one side, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Smoke {
    pub outcomes: Vec<Outcome>,
    /// Check → what it warned of.
    pub warnings: BTreeMap<usize, Vec<String>>,
    /// One for each process that came to its end.
    pub inventories: Vec<Inventory>,
    /// Processes that came to the end of their imports and did not live to tell what they had loaded.
    pub unfinished: Vec<Lost>,
    /// Imports during which a process ended, which it does neither for them nor for any other one alone.
    pub together: BTreeMap<usize, Lost>,
}

/// How a run is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Each number has folders of its own.
    pub number: usize,
    /// Without what is the same in each process of a side.
    pub is_brief: bool,
}

/// Checks that share a process.
pub(super) struct Group {
    pub checks: Vec<usize>,
    why: Why,
}

#[derive(Debug, Clone, Copy)]
enum Why {
    Results,
    /// Whether it is this import that ended a process of many; by number of the suspicion.
    Alone(usize),
    /// Whether it is one of these; outcomes are known already.
    Half(usize),
}

/// `limit` is for one import.
pub(super) fn run(
    side: &mut Side,
    checks: &[ImportCheck],
    limit: Duration,
    run: Run,
    progress: &dyn Progress,
) -> Result<Smoke, Error> {
    let all: Vec<usize> = (0..checks.len()).collect();
    let waiting = all.chunks(GROUP).map(|ids| Group { checks: ids.to_vec(), why: Why::Results }).collect();
    let never = || Outcome::Lost(Lost { how: "it was never run".into(), output: String::new() });
    let (mut smoke, outcomes) = run_groups(side, checks, waiting, limit, run, progress)?;
    smoke.outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(never)).collect();
    Ok(smoke)
}

/// Each of `wanted` in a process of its own, all with the folders of the run `number`.
pub(super) fn alone(
    side: &mut Side,
    checks: &[ImportCheck],
    wanted: &[usize],
    limit: Duration,
    number: usize,
    progress: &dyn Progress,
) -> Result<BTreeMap<usize, Outcome>, Error> {
    let waiting = wanted.iter().map(|id| Group { checks: vec![*id], why: Why::Results }).collect();
    let (_, outcomes) = run_groups(side, checks, waiting, limit, Run { number, is_brief: true }, progress)?;
    Ok(outcomes.into_iter().enumerate().filter_map(|(id, outcome)| Some((id, outcome?))).collect())
}

type Outcomes = Vec<Option<Outcome>>;

fn run_groups(
    side: &mut Side,
    checks: &[ImportCheck],
    mut waiting: VecDeque<Group>,
    limit: Duration,
    run: Run,
    progress: &dyn Progress,
) -> Result<(Smoke, Outcomes), Error> {
    let (mut smoke, mut outcomes): (Smoke, Outcomes) = (Smoke::default(), vec![None; checks.len()]);
    let mut suspicions: Vec<Suspicion> = Vec::new();
    let mut active: Vec<Process> = Vec::new();
    loop {
        if waiting.is_empty() && active.is_empty() {
            // Without an import, or where none came back, the interpreter itself is still to be tried.
            if !smoke.inventories.is_empty() || !smoke.unfinished.is_empty() {
                break;
            }
            waiting.push_back(Group { checks: Vec::new(), why: Why::Results });
        }
        while active.len() < AT_ONCE
            && let Some(group) = waiting.pop_front()
        {
            active.push(Process::start(side, group, run, checks)?);
        }
        let mut at = 0;
        while at < active.len() {
            let pause = Duration::from_millis(50) / active.len() as u32;
            if !active[at].poll(side, limit, pause, progress)? {
                at += 1;
                continue;
            }
            let process = active.swap_remove(at);
            waiting.extend(take(process, &mut smoke, &mut outcomes, &mut suspicions));
        }
    }
    Ok((smoke, outcomes))
}

/// What a process that has ended showed, and what is to be run because of it.
fn take(process: Process, smoke: &mut Smoke, outcomes: &mut Outcomes, suspicions: &mut Vec<Suspicion>) -> Vec<Group> {
    let lost = process.lost();
    let halves = |number: usize, next: Next, smoke: &mut Smoke, outcomes: &mut Outcomes, suspicion: &Suspicion| {
        match next {
            Next::Try(checks) => return vec![Group { checks, why: Why::Half(number) }],
            // What it does alone is what counts, whatever it reported among others.
            Next::Culprit(id, lost) => outcomes[id] = Some(Outcome::Lost(lost)),
            Next::Together => _ = smoke.together.insert(suspicion.at, suspicion.lost.clone()),
        }
        Vec::new()
    };
    if let Why::Half(number) = process.group.why {
        let next = suspicions[number].tried(&process.group.checks, (!process.is_done).then_some(lost));
        return halves(number, next, smoke, outcomes, &suspicions[number]);
    }
    let mut told: Vec<usize> = Vec::new();
    for (id, outcome, warnings) in process.outcomes {
        if let Some(place) = outcomes.get_mut(id) {
            *place = Some(outcome);
            smoke.warnings.insert(id, warnings);
            told.push(id);
        }
    }
    smoke.inventories.extend(process.inventory);
    if let Why::Alone(number) = process.group.why {
        let culprit = process.group.checks[0];
        if process.is_done {
            let next = suspicions[number].begin();
            return halves(number, next, smoke, outcomes, &suspicions[number]);
        }
        outcomes[culprit] = Some(Outcome::Lost(lost));
        return Vec::new();
    }
    if process.is_done {
        return Vec::new();
    }
    let checks = process.group.checks;
    let missing: Vec<usize> = checks.iter().copied().filter(|id| outcomes[*id].is_none()).collect();
    if process.took_too_long && checks.len() > 1 {
        // Nobody is to blame; half as many take half as long.
        let size = checks.len().div_ceil(2);
        return checks.chunks(size).map(|ids| Group { checks: ids.to_vec(), why: Why::Results }).collect();
    }
    if let Some(culprit) = process.begun.filter(|id| checks.len() > 1 && missing.contains(id)) {
        // What came before it is imported again: this process did not live to tell what it had loaded.
        let others: Vec<usize> = checks.iter().copied().filter(|id| *id != culprit).collect();
        told.push(culprit);
        suspicions.push(Suspicion::new(culprit, told, lost));
        return vec![
            Group { checks: vec![culprit], why: Why::Alone(suspicions.len() - 1) },
            Group { checks: others, why: Why::Results },
        ];
    }
    if missing.is_empty() {
        smoke.unfinished.push(lost.clone());
        if checks.len() > 1 {
            let mut suspicion = Suspicion::new(checks[checks.len() - 1], checks, lost);
            let next = suspicion.begin();
            suspicions.push(suspicion);
            let number = suspicions.len() - 1;
            return halves(number, next, smoke, outcomes, &suspicions[number]);
        }
        return Vec::new();
    }
    // None begun: nothing can be imported at all.
    for id in missing {
        outcomes[id] = Some(Outcome::Lost(lost.clone()));
    }
    Vec::new()
}
