//! Sweeps that are too wide for every `cargo test`: matrices, hundreds of kills, many applications, fresh clones.
//!
//! Without `PACKPROOF_SHARD` nothing is run, and each test says so. `PACKPROOF_SHARD=K/N` runs every Nth sweep from the
//! Kth on (K from 1), `1/1` all of them; `.ci/run` takes another shard each day. What came out stands in `docs/`.

mod applications;
mod audits;
#[path = "../it/bare.rs"]
mod bare;
#[path = "../it/broken.rs"]
#[expect(dead_code, reason = "shared with the tests of every run, which use more of it")]
mod broken;
#[path = "../it/context.rs"]
#[expect(dead_code, reason = "shared with the tests of every run, which use more of it")]
mod context;
#[path = "../it/farm.rs"]
#[expect(dead_code, reason = "shared with the tests of every run, which use more of it")]
mod farm;
mod fresh_clone;
#[path = "../it/installed.rs"]
mod installed;
mod interpreters;
mod kills;
mod libraries;
mod marshal;
#[path = "../it/marshalled.rs"]
mod marshalled;
mod newest;
#[path = "../it/relocatable.rs"]
mod relocatable;
mod strangers;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the tests of every run, which use more of it")]
mod support;
mod userlands;
mod without;

/// Every sweep, in the order in which shards deal them out: heavy ones apart.
const SWEEPS: &[&str] = &[
    "fresh-clone",
    "interpreters",
    "userlands",
    "libraries",
    "kills",
    "numpy",
    "without-1",
    "django",
    "fastapi",
    "without-2",
    "celery",
    "nbconvert",
    "without-3",
    "matplotlib",
    "without-4",
    "sqlalchemy",
    "strangers-1",
    "boto3",
    "opentelemetry",
    "langchain",
    "audits",
    "strangers-2",
    "scikit-learn",
    "marshal",
    "newest",
];

/// Whether this run is to do the sweep `name`; says so where it is not.
#[expect(clippy::print_stderr, reason = "a test that does nothing says why")]
fn turn(name: &str) -> bool {
    let at = SWEEPS.iter().position(|sweep| *sweep == name).unwrap_or_else(|| panic!("`{name}` is not in SWEEPS"));
    let asked = std::env::var("PACKPROOF_SHARD").ok();
    let mine = asked.as_deref().is_some_and(|shard| is_in(at, shard));
    if !mine {
        let shard = asked.map_or_else(|| "PACKPROOF_SHARD is not set".to_owned(), |shard| format!("shard {shard}"));
        eprintln!("skipped: {name}: {shard}");
    }
    mine
}

fn is_in(at: usize, shard: &str) -> bool {
    let wanted = "PACKPROOF_SHARD is K/N, K from 1 to N";
    let (number, of) = shard.split_once('/').expect(wanted);
    let (number, of): (usize, usize) = (number.parse().expect(wanted), of.parse().expect(wanted));
    assert!((1..=of).contains(&number), "{wanted}");
    at % of == number - 1
}

#[test]
fn every_sweep_is_in_one_shard() {
    for at in 0..SWEEPS.len().max(7) {
        assert_eq!((1..=3).filter(|number| is_in(at, &format!("{number}/3"))).count(), 1);
        assert!(is_in(at, "1/1"));
    }
}
