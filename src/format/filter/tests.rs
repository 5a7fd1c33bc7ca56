use super::*;

/// xorshift; a third of the bytes are those that matter.
fn random(length: usize) -> Vec<u8> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let other = (random >> 32) as u8;
        match random >> 59 {
            0..3 => 0xe8,
            3 => 0xe9,
            4..7 => 0,
            7..9 => 0xff,
            9 => 0x15,
            10..13 => 0x48 | other & 7,
            13..15 => 0x8d,
            15..17 => 5 | other & 0x38,
            _ => other,
        }
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn code_comes_back() {
    let bytes = random(1 << 20);
    for length in [0, 1, 4, 6, 7, 8, 11, 1000, bytes.len()] {
        let original = &bytes[bytes.len() - length..];
        for address in [0, 0x1000, 0xffff_fff0] {
            let mut changed = original.to_vec();
            code::change(&mut changed, address, Way::Encode);
            assert!(length < 1000 || changed != original);
            code::change(&mut changed, address, Way::Decode);
            assert!(changed == original, "{length} bytes at {address:x}");
        }
    }
}

#[test]
fn two_uses_of_one_place_look_the_same() {
    let mut code = [0x90; 64];
    code[3..8].copy_from_slice(&[0xe8, 100, 0, 0, 0]);
    code[13..18].copy_from_slice(&[0xe8, 90, 0, 0, 0]);
    code[23..30].copy_from_slice(&[0x48, 0x8d, 0x3d, 78, 0, 0, 0]);
    code[33..39].copy_from_slice(&[0xff, 0x15, 69, 0, 0, 0]);
    code::change(&mut code, 0x10_0000, Way::Encode);
    let place = [108, 0, 0x10, 0];
    assert_eq!([&code[4..8], &code[14..18], &code[26..30], &code[35..39]], [place; 4]);
    let mut backwards = [0xe8, 0xf0, 0xff, 0xff, 0xff, 0x90, 0x90];
    code::change(&mut backwards, 0, Way::Encode);
    assert_eq!(backwards[..5], [0xe8, 0xf5, 0xff, 0xff, 0xff]);
}

#[test]
fn tables_come_back_from_any_bytes() {
    for length in [0, 3, 11, 12, 23, 24, 100, 100_003] {
        let mut original = random(length);
        for (name, change) in [
            ("relocations", tables::relocations as fn(&mut [u8], Way)),
            ("frames", tables::frames),
            ("frame table", tables::frame_table),
        ] {
            // Records of lengths that lead on, and distances that are taken for something else.
            for (number, word) in original.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                match number % 5 {
                    0 => *word = 16_u32.to_le_bytes(),
                    1 if number % 3 == 0 => *word = (number as u32 * 4 + 1).to_le_bytes(),
                    1 if number % 7 == 0 => *word = [0; 4],
                    _ => {}
                }
            }
            if let Some(encoding) = original.get_mut(3) {
                *encoding = if name == "frame table" { 0x3b } else { 0 };
            }
            let mut changed = original.clone();
            change(&mut changed, Way::Encode);
            assert!(length < 100 || changed != original, "{name}");
            change(&mut changed, Way::Decode);
            assert!(changed == original, "{name}, {length} bytes");
        }
    }
}

#[test]
fn what_counts_upwards_becomes_the_same_again_and_again() {
    let relocation = |number: u64| [0x4000 + 8 * number, 8, 0x1234 + 32 * number].map(u64::to_le_bytes).concat();
    let mut bytes: Vec<u8> = (0..10).flat_map(relocation).collect();
    tables::relocations(&mut bytes, Way::Encode);
    assert!(bytes.chunks(24).skip(1).all(|record| record == [8, 8, 32].map(u64::to_le_bytes).concat()));

    // A common record of 16 bytes at 0, then functions of 64 bytes, one after another from 0x1000 on.
    let mut bytes = [12_u32, 0, 0, 0].map(u32::to_le_bytes).concat();
    for number in 0..10_u32 {
        let at = 16 + 16 * number;
        let words = [12, at + 4, (0x1000 + 64 * number).wrapping_sub(at + 8), 64];
        bytes.extend(words.map(u32::to_le_bytes).concat());
    }
    tables::frames(&mut bytes, Way::Encode);
    assert!(bytes.chunks(16).skip(2).all(|record| record == [12, 1, 0, 64].map(u32::to_le_bytes).concat()));

    let mut bytes = vec![1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 10, 0, 0, 0];
    bytes.extend((0..10_u32).flat_map(|number| [64 * number, 16 * number].map(u32::to_le_bytes).concat()));
    tables::frame_table(&mut bytes, Way::Encode);
    assert!(bytes[20..].chunks(8).all(|pair| pair == [64_u32, 16].map(u32::to_le_bytes).concat()));
}

/// The test's own executable, and one of these bytes more.
#[test]
fn files_come_back() {
    let own = fs_err::read("/proc/self/exe").unwrap();
    let found = sections::find(&own);
    if cfg!(target_arch = "x86_64") {
        for what in [What::Code, What::Relocations, What::Frames, What::FrameTable] {
            assert!(found.iter().any(|section| section.what == what), "{what:?}");
        }
    }
    let mut block = b"something else".to_vec();
    let mut starts = vec![0, block.len() as u64];
    block.extend_from_slice(&own);
    // Cut off, and changed where sections are described.
    for (cut, at) in [(own.len() / 2, 40), (own.len(), 40), (own.len(), 62), (70, 0), (10, 0)] {
        starts.push(block.len() as u64);
        let mut damaged = own[..cut].to_vec();
        damaged[at] ^= 8;
        block.extend_from_slice(&damaged);
    }
    for filter in [Filter::None, Filter::Elf] {
        let mut changed = block.clone();
        filter.encode(&mut changed, &starts);
        assert_eq!(changed == block, filter == Filter::None || found.is_empty());
        filter.decode(&mut changed, &starts);
        assert!(changed == block, "{filter:?}");
        assert_eq!(Filter::from_number(filter.number()), Some(filter));
    }
}

#[test]
fn sections_that_overlap_are_left_alone() {
    let mut own = fs_err::read("/proc/self/exe").unwrap();
    let table = u64::from_le_bytes(*own[40..].first_chunk().unwrap()) as usize;
    assert!(cfg!(not(target_arch = "x86_64")) || !sections::find(&own).is_empty());
    // Two relocation sections, the second where the file's header is.
    for (number, offset) in [(1, 4096_u64), (2, 0)] {
        let header = &mut own[table + 64 * number..];
        header[4] = 4;
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&48_u64.to_le_bytes());
        header[56..64].copy_from_slice(&24_u64.to_le_bytes());
    }
    assert_eq!(sections::find(&own), []);
}
