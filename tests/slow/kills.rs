//! First starts that are killed at random moments, hundreds of times, in one cache.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Place, sample, text};

const KILLS: u64 = 200;

#[test]
fn killed_first_starts_pile_nothing_up() {
    if !super::turn("kills") {
        return;
    }
    let place = Place::new();
    let since = Instant::now();
    text(&place.run(&["hello"]));
    let whole = since.elapsed();
    let tree = format!("sample-{}", sample().payload);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..KILLS {
        drop(fs_err::remove_dir_all(place.tree()));
        // xorshift: moments over the whole first start, and a little beyond.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = Duration::from_micros(random % (whole.as_micros() as u64 * 5 / 4));
        let mut child = place.command(&["hello"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        // It may have come to its end.
        drop(child.kill());
        child.wait().unwrap();
        let mut left = place.cached();
        // A probe is removed by the next unpacking a minute later.
        left.retain(|name| !name.starts_with(".packproof-probe-"));
        assert!(left.len() <= 1, "round {round}: {left:?}");
        if round % 10 == 9 {
            assert_eq!(text(&place.run(&["hello"])), "hello\n", "round {round}, killed after {moment:?}");
            let trees: Vec<_> =
                place.cached().into_iter().filter(|name| !name.starts_with(".packproof-probe-")).collect();
            assert_eq!(trees, std::slice::from_ref(&tree));
        }
    }
    let entries = fs_err::read_dir(place.cache()).unwrap().count();
    assert!(entries <= 4, "{entries} entries in the cache");
}
