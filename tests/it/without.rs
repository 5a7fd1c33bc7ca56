//! Distributions taken out of the runner's environment.

use fs_err as fs;
use serde_json::Value;

use crate::farm::Farm;

/// One that everything needs, one that a deferred import needs, one that native code alone imports, and one that nothing
/// needs. `tests/slow/without.rs` takes away each in turn.
#[test]
fn a_distribution_that_the_runner_needs_is_missed() {
    let farm = Farm::new();
    for name in ["temporalio", "multipart"] {
        let removed = farm.without(name);
        assert!(!removed.fails.is_empty() && !removed.errors.is_empty(), "{name}: {removed:?}");
    }
    let removed = farm.without("cffi");
    assert!(!removed.fails.is_empty() && removed.errors.is_empty() && removed.is_named, "{removed:?}");
    let removed = farm.without("python-multipart");
    assert!(removed.fails.is_empty() && removed.errors.is_empty(), "{removed:?}");
}

/// What a dependency update's CI sees: with the package beside the file everything still works, and only a baseline tells.
#[test]
fn a_second_owner_of_a_name_is_new_since_the_baseline() {
    let farm = Farm::new();
    let (code, saved) = farm.audit(Some("python-multipart"), &["--format", "json"]);
    assert_eq!(code, Some(0));
    let baseline = farm.at("baseline.json");
    fs::write(&baseline, saved).unwrap();
    let baseline = ["--baseline", baseline.to_str().unwrap()];
    assert_eq!(farm.audit(Some("python-multipart"), &baseline).0, Some(0));
    assert_eq!(farm.audit(None, &[]).0, Some(0), "a warning alone does not fail");
    let (code, said) = farm.audit(None, &[&baseline[..], &["--format", "json"]].concat());
    let report: Value = serde_json::from_slice(&said).unwrap();
    let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] != "info");
    let found: Vec<_> = found.map(|finding| (finding["code"].as_str(), finding["subject"].as_str())).collect();
    assert_eq!(code, Some(1));
    assert_eq!(found, [(Some("module-shadowed"), Some("multipart"))]);
}
