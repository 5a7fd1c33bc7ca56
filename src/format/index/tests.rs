use super::*;

fn path(text: &str) -> ArchivePath {
    ArchivePath::new(text).unwrap()
}

fn sample() -> Index {
    let block = |number: u8| Block {
        offset: 1_400_000 + u64::from(number),
        packed: 300,
        unpacked: 1000,
        filter: if number.is_multiple_of(2) { Filter::None } else { Filter::Elf },
        digest: Digest::of(&[number]),
    };
    let file = |name: &str, size, block, offset| File {
        path: path(name),
        mode: 0o644,
        changed: block == 1,
        size,
        digest: Digest::of(name.as_bytes()),
        block,
        offset,
    };
    Index {
        blocks: vec![block(0), block(1)],
        folders: ["bin", "lib", "lib/python3.11", "lib/ä"].map(path).to_vec(),
        files: vec![file("bin/app", 600, 1, 400), file("lib/python3.11/os.py", 1000, 0, 0), file("top", 0, 0, 0)],
        links: vec![Link { path: path("lib/link"), target: "../bin/app".to_owned() }],
    }
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Index::decode(&sample().encode()).unwrap(), sample());
    assert_eq!(Index::decode(&Index::default().encode()).unwrap(), Index::default());
}

#[test]
fn every_shorter_index_is_refused() {
    let bytes = sample().encode();
    for length in 0..bytes.len() {
        assert!(Index::decode(&bytes[..length]).is_err(), "the first {length} bytes");
    }
    assert!(Index::decode(&[&bytes[..], &[0]].concat()).is_err());
}

/// A flipped bit may give another index (that is for the footer's digest to find), but never a panic, and what
/// is accepted keeps every promise.
#[test]
fn flipped_bits_give_an_error_or_a_sound_index() {
    let bytes = sample().encode();
    let mut accepted = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(index) = Index::decode(&damaged) {
                accepted += 1;
                assert_eq!(index.encode(), damaged, "byte {at}, bit {bit}: not the one spelling of this index");
                index.check().unwrap();
            }
        }
    }
    assert!(accepted > 0, "digests are opaque, so some flips must pass");
}

#[test]
fn hostile_indexes_are_refused() {
    let refused = |change: &dyn Fn(&mut Index)| {
        let mut index = sample();
        change(&mut index);
        Index::decode(&index.encode()).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|index| index.links[0].target = "../../etc".to_owned()));
    assert!(refused(&|index| index.links[0].target = "/etc/passwd".to_owned()));
    assert!(refused(&|index| index.links[0].path = path("bin")));
    assert!(refused(&|index| index.files[0].mode = 0o4755));
    assert!(refused(&|index| index.files[0].offset = 401));
    assert!(refused(&|index| index.files[0].offset = u64::MAX));
    assert!(refused(&|index| index.files[0].block = 2));
    assert!(refused(&|index| index.files.swap(0, 1)));
    assert!(refused(&|index| index.files[1] = index.files[0].clone()));

    let mut bytes = sample().encode();
    let at = bytes.windows(3).position(|window| window == b"top").unwrap();
    bytes[at..at + 3].copy_from_slice(b"a/b");
    assert!(Index::decode(&bytes).is_err(), "a separator in a name");
    bytes[at - 1] = 2;
    bytes[at..at + 2].copy_from_slice(b"..");
    bytes.remove(at + 2);
    assert!(Index::decode(&bytes).is_err(), "a parent as a name");
}

#[test]
fn a_count_allocates_nothing_that_is_not_there() {
    let mut bytes = MAGIC.to_vec();
    put_varint(&mut bytes, u64::MAX / 2);
    assert!(Index::decode(&bytes).is_err());
}

#[test]
fn the_payload_digest_is_the_trees() {
    let whole = sample().payload_digest();
    let mut repacked = sample();
    repacked.blocks[0].packed = 200;
    assert_eq!(repacked.payload_digest(), whole);
    let mut executable = sample();
    executable.files[0].mode = 0o755;
    assert_ne!(executable.payload_digest(), whole);
    let mut relinked = sample();
    relinked.links[0].target = "../bin/other".to_owned();
    assert_ne!(relinked.payload_digest(), whole);
}

#[test]
fn links_stay_inside() {
    for (from, target) in [("a/b", "c"), ("a/b", "../c"), ("a", "b/../c"), ("a/b/c", "../../x/./y")] {
        assert!(stays_inside(&path(from), target), "{from} → {target}");
    }
    for (from, target) in [("a", ".."), ("a/b", "../../c"), ("a", "/c"), ("a", ""), ("a", "b/../../c")] {
        assert!(!stays_inside(&path(from), target), "{from} → {target}");
    }
}
