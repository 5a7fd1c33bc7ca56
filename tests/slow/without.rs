//! Each distribution of the runner's environment taken away in turn.

use crate::farm::Farm;

#[test]
#[expect(clippy::print_stderr, reason = "the counts are what the sweep shows")]
fn every_distribution_that_the_runner_needs_is_missed() {
    if !super::turn("without") {
        return;
    }
    let farm = Farm::new();
    let names: Vec<String> = farm.environment.distributions.iter().map(|dist| dist.name.to_string()).collect();
    let (mut needed, mut missed, mut alarms) = (0, Vec::new(), Vec::new());
    for name in &names {
        let removed = farm.without(name);
        eprintln!("{name}: {} imports fail, {} errors", removed.fails.len(), removed.errors.len());
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
