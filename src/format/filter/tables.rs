//! Tables that the linker writes: relocations, and what is known of each function for unwinding the stack.

use super::{Way, relative};

/// Of `Elf64_Rela`: offset, kind, addend.
pub(super) const RELOCATION: usize = 24;

/// Offsets and addends count upwards.
pub(super) fn relocations(bytes: &mut [u8], way: Way) {
    let (mut offset, mut addend) = (0, 0);
    for record in bytes.chunks_exact_mut(RELOCATION) {
        let (first, rest) = record.split_at_mut(8);
        offset = relative_long(first, offset, way);
        addend = relative_long(&mut rest[8..], addend, way);
    }
}

/// As [`relative`], for eight bytes.
fn relative_long(field: &mut [u8], base: u64, way: Way) -> u64 {
    let Some(field) = field.first_chunk_mut::<8>() else { return base };
    let stored = u64::from_le_bytes(*field);
    let (written, number) = match way {
        Way::Encode => (stored.wrapping_sub(base), stored),
        Way::Decode => (stored.wrapping_add(base), stored.wrapping_add(base)),
    };
    *field = written.to_le_bytes();
    number
}

/// `.eh_frame`: records of a length, a distance back to what several have in common (0 where this is that), and then the
/// distance to a function, and the function's length. The latter mostly follows the function before it.
pub(super) fn frames(bytes: &mut [u8], way: Way) {
    let mut at = 0;
    let mut end = 0_u32;
    while let Some(length) = number(bytes, at) {
        let body = at + 4;
        at = body.saturating_add(length as usize);
        if length == 0 {
            continue;
        }
        let Some(record) = bytes.get_mut(body..at) else { return };
        let [common, function, range] = match record.as_chunks_mut::<4>().0 {
            [common, ..] if *common == [0; 4] => continue,
            [common, function, range, ..] => [common, function, range],
            _ => return,
        };
        // Its own inverse. Where the difference would be 0, which says something else, nothing is changed.
        let here = body as u32 + 1;
        let distance = u32::from_le_bytes(*common);
        if distance != here {
            *common = here.wrapping_sub(distance).to_le_bytes();
        }
        let place = body as u32 + 4;
        let start = relative(function, end.wrapping_sub(place), way).wrapping_add(place);
        end = start.wrapping_add(u32::from_le_bytes(*range));
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

/// What `.eh_frame_hdr` begins with where its table has pairs of four bytes, relative to the section.
const PAIRS: u8 = 0x3b;

/// `.eh_frame_hdr`: twelve bytes, then the places of functions and of their records, both counting upwards.
pub(super) fn frame_table(bytes: &mut [u8], way: Way) {
    let Some(([_, _, _, PAIRS, ..], table)) = bytes.split_first_chunk_mut::<12>() else { return };
    let mut before = [0; 2];
    for pair in table.as_chunks_mut::<4>().0.as_chunks_mut::<2>().0 {
        for (field, before) in pair.iter_mut().zip(&mut before) {
            *before = relative(field, *before, way);
        }
    }
}
