//! What is done to the bytes of a block before they are compressed, and undone after they are unpacked.
//!
//! Much in an ELF file says where something lies by its distance from the place that says so, or counts upwards in large
//! steps. The same thing said twice then looks different twice, and does not compress. Which sections a file has
//! ([`sections`]) is read from bytes that are never changed, so both ways find the same places.

mod code;
mod sections;
mod tables;

use sections::What;

/// Reversible, and of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    #[default]
    None,
    /// For ELF files, one after another. Changes those for x86-64, and makes them about a tenth smaller.
    Elf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Encode,
    Decode,
}

impl Filter {
    /// In the index.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Elf => 1,
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Elf),
            _ => None,
        }
    }

    /// `starts` are the offsets at which files begin in `block`, ascending.
    pub fn encode(self, block: &mut [u8], starts: &[u64]) {
        self.run(block, starts, Way::Encode);
    }

    pub fn decode(self, block: &mut [u8], starts: &[u64]) {
        self.run(block, starts, Way::Decode);
    }

    fn run(self, block: &mut [u8], starts: &[u64], way: Way) {
        match self {
            Self::None => {}
            Self::Elf => {
                let ends = starts.iter().skip(1).copied().chain([block.len() as u64]);
                for (start, end) in starts.iter().zip(ends) {
                    // An index that was made to lie is told by the digests.
                    if let Some(file) = block.get_mut(*start as usize..end as usize) {
                        change(file, way);
                    }
                }
            }
        }
    }
}

fn change(file: &mut [u8], way: Way) {
    for section in sections::find(file) {
        let bytes = &mut file[section.range];
        match section.what {
            What::Code => code::change(bytes, section.address, way),
            What::Relocations => tables::relocations(bytes, way),
            What::Frames => tables::frames(bytes, way),
            What::FrameTable => tables::frame_table(bytes, way),
        }
    }
}

/// Stores a number as what it is beyond `base`, or takes it from there. Says the number itself.
fn relative(field: &mut [u8; 4], base: u32, way: Way) -> u32 {
    let stored = u32::from_le_bytes(*field);
    match way {
        Way::Encode => {
            *field = stored.wrapping_sub(base).to_le_bytes();
            stored
        }
        Way::Decode => {
            let number = stored.wrapping_add(base);
            *field = number.to_le_bytes();
            number
        }
    }
}

#[cfg(test)]
mod tests;
