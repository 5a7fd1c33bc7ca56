//! Machine code of x86-64.

use super::Way;

/// The longest that is looked at.
const LONGEST: usize = 7;

/// An instruction holds the distance to what it calls or reads, which differs from place to place; the address itself is
/// the same wherever it is used. Only distances of less than 16 MiB are changed, and modulo 32 MiB: the fourth byte of such a number
/// is 00 or FF before and after, so that both ways change the same places.
pub(super) fn change(bytes: &mut [u8], address: u32, way: Way) {
    let mut at = 0;
    while let Some(window) = bytes.get_mut(at..at + LONGEST) {
        let opcode = opcode(window);
        if opcode == 0 {
            at += 1;
            continue;
        }
        // What was looked at is not looked at again, changed or not: else a change could make a place look as if it
        // had been changed that was not.
        at += opcode + 4;
        let Some(distance) = window.get_mut(opcode..opcode + 4) else { continue };
        if !matches!(distance[3], 0 | 0xff) {
            continue;
        }
        let number = u32::from_le_bytes([distance[0], distance[1], distance[2], distance[3]]);
        let end = address.wrapping_add(at as u32);
        let changed = match way {
            Way::Encode => number.wrapping_add(end),
            Way::Decode => number.wrapping_sub(end),
        };
        // The sign is bit 24.
        let changed = ((changed << 7).cast_signed() >> 7).cast_unsigned();
        distance.copy_from_slice(&changed.to_le_bytes());
    }
}

/// How many bytes come before the distance; 0 where there is none. The second byte never decides where the first is one of
/// a call, and the third one only after a second that is none: so no byte is looked at here that may be changed later.
fn opcode(bytes: &[u8]) -> usize {
    match bytes {
        // CALL and JMP.
        [0xe8 | 0xe9, ..] => 1,
        // The same through a pointer.
        [0xff, 0x15 | 0x25, ..] => 2,
        // MOV and LEA of eight bytes, relative to RIP.
        [0x48..=0x4f, 0x89 | 0x8b | 0x8d, third, ..] if third & 0xc7 == 5 => 3,
        _ => 0,
    }
}
