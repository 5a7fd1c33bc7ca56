//! Each distribution of the runner's environment taken away in turn.

use crate::farm::Farm;

/// What is taken away is dealt out to so many sweeps.
const PARTS: usize = 4;

#[test]
#[expect(clippy::print_stderr, reason = "the counts are what the sweep shows")]
fn every_distribution_that_the_runner_needs_is_missed() {
    let parts: Vec<usize> = (0..PARTS).filter(|part| super::turn(&format!("without-{}", part + 1))).collect();
    if parts.is_empty() {
        return;
    }
    let farm = Farm::new();
    let names = farm.environment.distributions.iter().map(|dist| dist.name.to_string()).enumerate();
    let names: Vec<String> = names.filter(|(at, _)| parts.contains(&(at % PARTS))).map(|(_, name)| name).collect();
    let (mut needed, mut missed, mut alarms) = (0, Vec::new(), Vec::new());
    for name in &names {
        let removed = farm.without(name);
        let (fails, errors, told) = (removed.fails.len(), removed.errors.len(), removed.is_named);
        eprintln!("{name}: {fails} imports fail, {errors} errors{}", if told { ", named" } else { "" });
        needed += usize::from(!removed.fails.is_empty());
        match (removed.fails.is_empty(), removed.errors.is_empty() && !removed.is_named) {
            (false, true) => missed.push(format!("{name}: {:?}", removed.fails)),
            (true, false) if !removed.errors.is_empty() => alarms.push(format!("{name}: {:?}", removed.errors)),
            (true, _) | (false, false) => {}
        }
    }
    eprintln!("{} distributions, {needed} needed, {} not missed, {} alarms", names.len(), missed.len(), alarms.len());
    eprintln!("alarms: {alarms:#?}");
    assert!(missed.is_empty(), "{missed:#?}");
}
