//! The instruction set that a file's property note asks for.
//!
//! Source: the x86-64 psABI, "Program Property", `GNU_PROPERTY_X86_ISA_1_NEEDED`.

use std::fmt;

use goblin::elf::Elf;
use goblin::elf::header::EM_X86_64;
use serde::{Deserialize, Serialize};

const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;

/// Levels of x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Isa {
    V1,
    V2,
    V3,
    V4,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "x86-64",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        })
    }
}

pub(super) fn of(elf: &Elf<'_>, bytes: &[u8]) -> Option<Isa> {
    if elf.header.e_machine != EM_X86_64 || !elf.is_64 || !elf.little_endian {
        return None;
    }
    let notes = elf
        .iter_note_headers(bytes)
        .into_iter()
        .flatten()
        .chain(elf.iter_note_sections(bytes, None).into_iter().flatten());
    notes
        .filter_map(Result::ok)
        .filter(|note| note.name == "GNU" && note.n_type == NT_GNU_PROPERTY_TYPE_0)
        .find_map(|note| needed(note.desc))
}

/// A list of type, size and data, each padded to eight bytes.
fn needed(mut properties: &[u8]) -> Option<Isa> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    while let (Some(kind), Some(size)) = (word(properties, 0), word(properties, 4)) {
        if kind == GNU_PROPERTY_X86_ISA_1_NEEDED {
            let bits = word(properties, 8)?;
            let levels = [(8, Isa::V4), (4, Isa::V3), (2, Isa::V2), (1, Isa::V1)];
            return levels.into_iter().find(|(bit, _)| bits & bit != 0).map(|(_, level)| level);
        }
        properties = properties.get(8 + (size as usize).next_multiple_of(8)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_counts() {
        let property = |kind: u32, value: u32| [kind, 4, value, 0].map(u32::to_le_bytes).concat();
        let other = property(0xc000_0002, 3);
        let note = [other.clone(), property(GNU_PROPERTY_X86_ISA_1_NEEDED, 0b111)].concat();
        assert_eq!(needed(&note), Some(Isa::V3));
        assert_eq!(needed(&other), None);
        assert_eq!(needed(&note[..20]), None);
    }
}
