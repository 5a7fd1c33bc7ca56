//! Imports that differ, each in a process of its own: what that says of the reason.

use super::Error;
use super::outcome::Outcome;
use super::pair::Pair;
use super::plan::{ImportCheck, Plan};
use super::proof::{Difference, Kind};
use super::smoke;
use crate::progress::Progress;

/// As many are tried.
const MOST: usize = 20;
/// The number of the run whose folders they have, and the next one's.
const RUN: usize = 2;

/// Says of an import that fails among others and not alone, or the other way round, that it fails for another reason. It
/// stays a difference, since unpackaged it goes well among the same others.
///
/// A module that cannot be imported in either world may say in which kind of environment it could not be. What fails as
/// it did unpackaged in an artifact that calls itself a virtual environment is no longer a difference; such are given
/// back, to be listed.
pub(super) fn look_closer(
    pair: &mut Pair,
    plan: &Plan,
    checks: &[ImportCheck],
    differences: &mut Vec<Difference>,
    progress: &dyn Progress,
) -> Result<Vec<String>, Error> {
    let id = |subject: &str| checks.iter().position(|check| check.subject() == *subject);
    let differing = differences.iter().filter(|it| it.kind == Kind::Import).flat_map(Difference::subjects);
    let wanted: Vec<usize> = differing.filter_map(|(_, subject)| id(subject)).take(MOST).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let packed = smoke::alone(&mut pair.artifact, checks, &wanted, plan.limits.import, RUN, progress)?;
    let side = &mut pair.artifact;
    side.is_posing = true;
    let posing = smoke::alone(side, checks, &wanted, plan.limits.import, RUN + 1, progress);
    side.is_posing = false;
    let posing = posing?;
    pair.sweep()?;
    let is_required = |id: usize| checks[id].required;
    let is_of_a_venv = |it: &Difference| {
        it.kind == Kind::Import
            && exception(&it.environment).is_some()
            && exception(&it.environment) == exception(&it.artifact)
            && it.subjects().all(|(_, subject)| {
                id(subject).filter(|id| !is_required(*id)).and_then(|id| posing.get(&id)).is_some_and(|outcome| {
                    matches!(outcome, Outcome::Failed(_)) && outcome.to_string() == it.environment
                })
            })
    };
    let mut of_a_venv = Vec::new();
    differences.retain(|difference| {
        let settled = is_of_a_venv(difference);
        if settled {
            let subjects = difference.subjects();
            of_a_venv
                .extend(subjects.map(|(_, subject)| format!("import: {subject} (unless in a virtual environment)")));
        }
        !settled
    });
    for difference in differences.iter_mut().filter(|it| it.kind == Kind::Import) {
        let outcome = id(&difference.subject).and_then(|id| packed.get(&id)).map(ToString::to_string);
        if let Some(outcome) = outcome.filter(|outcome| *outcome != difference.artifact) {
            difference.output = Some(format!("in a process of its own: {outcome}; so the order of imports matters"));
        }
    }
    Ok(of_a_venv)
}

/// Of the text of an [`Outcome`]: the type, where an exception was raised.
fn exception(outcome: &str) -> Option<&str> {
    let (name, _) = outcome.split_once(": ")?;
    name.chars().all(|char| char.is_alphanumeric() || char == '_').then_some(name)
}
