//! What is done to the bytes of a block before they are compressed, and undone after they are unpacked.

/// Reversible, and of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    #[default]
    None,
    /// For x86 and x86-64 machine code. A call or jump holds the distance to its target, which differs from place to
    /// place; the target itself is the same wherever it is called from, and repeats compress. Makes shared libraries
    /// about 5 % smaller.
    X86,
}

impl Filter {
    /// In the index.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::X86 => 1,
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::X86),
            _ => None,
        }
    }

    pub fn encode(self, bytes: &mut [u8]) {
        match self {
            Self::None => {}
            Self::X86 => branches(bytes, u32::wrapping_add),
        }
    }

    pub fn decode(self, bytes: &mut [u8]) {
        match self {
            Self::None => {}
            Self::X86 => branches(bytes, u32::wrapping_sub),
        }
    }
}

/// `CALL rel32` and `JMP rel32` are E8 and E9 with four bytes, little-endian. Only distances of less than 16 MiB are
/// changed, and modulo 32 MiB: the fourth byte of such a number is 00 or FF before and after, so that both ways change
/// the same places.
fn branches(bytes: &mut [u8], change: impl Fn(u32, u32) -> u32) {
    let mut at = 0;
    while let Some(branch) = bytes.get_mut(at..at + 5) {
        if branch[0] & 0xfe != 0xe8 {
            at += 1;
            continue;
        }
        // What was looked at is not looked at again, changed or not: else a change could make a place look as if it
        // had been changed that was not.
        at += 5;
        if !matches!(branch[4], 0 | 0xff) {
            continue;
        }
        let distance = u32::from_le_bytes([branch[1], branch[2], branch[3], branch[4]]);
        let changed = change(distance, at as u32 - 5) << 7;
        // The sign is bit 24.
        let changed = (changed.cast_signed() >> 7).cast_unsigned();
        branch[1..].copy_from_slice(&changed.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filtered_comes_back() {
        // xorshift; a third of the bytes are those that matter.
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let bytes: Vec<u8> = (0..1 << 20)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                match random >> 60 {
                    0..2 => 0xe8,
                    2 => 0xe9,
                    3..5 => 0,
                    5 => 0xff,
                    _ => (random >> 32) as u8,
                }
            })
            .collect();
        for length in [0, 1, 4, 5, 6, 9, 10, 1000, bytes.len()] {
            let original = &bytes[bytes.len() - length..];
            for filter in [Filter::None, Filter::X86] {
                let mut changed = original.to_vec();
                filter.encode(&mut changed);
                assert!(filter == Filter::None || length < 1000 || changed != original);
                filter.decode(&mut changed);
                assert!(changed == original, "{filter:?}, {length} bytes");
                assert_eq!(Filter::from_number(filter.number()), Some(filter));
            }
        }
    }

    #[test]
    fn two_calls_of_one_target_look_the_same() {
        let mut code = [0x90; 32];
        code[3..8].copy_from_slice(&[0xe8, 100, 0, 0, 0]);
        code[13..18].copy_from_slice(&[0xe8, 90, 0, 0, 0]);
        Filter::X86.encode(&mut code);
        assert_eq!(code[3..8], code[13..18]);
        code[3..8].copy_from_slice(&[0xe8, 0xf0, 0xff, 0xff, 0xff]);
        Filter::X86.encode(&mut code[..8]);
        assert_eq!(code[3..8], [0xe8, 0xf3, 0xff, 0xff, 0xff], "backwards");
    }
}
