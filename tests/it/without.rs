//! Distributions taken out of the runner's environment.

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
