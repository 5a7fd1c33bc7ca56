//! The last bytes of an artifact, which say where everything else is.

use super::digest::hex_digit;
use super::{Digest, Error, FORMAT_VERSION};

/// Text of a fixed length. It is the comment of the ZIP container, so `unzip -z` shows it; and as it holds no byte
/// beyond ASCII, no reader can find a ZIP signature in it by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Bytes before the ZIP container: the launcher alone.
    pub launcher: u64,
    pub manifest: Part,
    /// Of no length where the tree lies unpacked beside the file (`PACKPROOF=extract`).
    pub index: Part,
}

/// A range of the file. Offsets count from the file's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub offset: u64,
    pub length: u64,
    pub digest: Digest,
}

const TITLE: &str = "packproof artifact, format ";

impl Footer {
    /// Lines of 32, 26, 76, 76 and 42 bytes.
    pub const LENGTH: usize = 252;
    const SUMMED: usize = 210;

    pub fn encode(&self) -> String {
        let part = |part: Part| format!("{:016x} {:016x} {}", part.offset, part.length, part.digest);
        let text = format!(
            "{TITLE}{FORMAT_VERSION:04x}\nlauncher {:016x}\nmanifest {}\nindex    {}\n",
            self.launcher,
            part(self.manifest),
            part(self.index)
        );
        let sum = Digest::of(text.as_bytes());
        let text = format!("{text}footer   {sum}\n");
        debug_assert_eq!(text.len(), Self::LENGTH);
        text
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let Some(rest) = bytes.strip_prefix(TITLE.as_bytes()) else { return Err(Error::NoFooter) };
        if bytes.len() != Self::LENGTH {
            return Err(Error::NoFooter);
        }
        // Before the checksum: a later format may well have another length.
        let version = hex(&rest[..4]).ok_or(Error::FooterDamaged)?;
        if version != u64::from(FORMAT_VERSION) {
            return Err(Error::UnknownFormat(version as u32));
        }
        let footer = Self::fields(bytes).ok_or(Error::FooterDamaged)?;
        // The text is canonical, so this compares the checksum and every blank and line end as well.
        if footer.encode().as_bytes() == bytes { Ok(footer) } else { Err(Error::FooterDamaged) }
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let part = |at: usize| {
            Some(Part {
                offset: hex(&bytes[at + 9..at + 25])?,
                length: hex(&bytes[at + 26..at + 42])?,
                digest: Digest::from_hex(&bytes[at + 43..at + 75])?,
            })
        };
        let sum = Digest::from_hex(&bytes[Self::SUMMED + 9..Self::LENGTH - 1])?;
        if sum != Digest::of(&bytes[..Self::SUMMED]) {
            return None;
        }
        Some(Self { launcher: hex(&bytes[41..57])?, manifest: part(58)?, index: part(134)? })
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | u64::from(hex_digit(*digit)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            launcher: 1_400_000,
            manifest: Part { offset: 70_000_000, length: 900, digest: Digest::of(b"m") },
            index: Part { offset: 69_000_000, length: 0x1234_5678_9abc, digest: Digest::of(b"i") },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = footer().encode();
        assert_eq!(text.len(), Footer::LENGTH);
        assert_eq!(Footer::decode(text.as_bytes()).unwrap(), footer());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let text = footer().encode().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                assert!(Footer::decode(&damaged).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn another_format_is_named() {
        for other in [FORMAT_VERSION - 1, FORMAT_VERSION + 1] {
            let text = footer().encode().replacen(&format!("{FORMAT_VERSION:04x}"), &format!("{other:04x}"), 1);
            let decoded = Footer::decode(text.as_bytes());
            assert!(matches!(decoded, Err(Error::UnknownFormat(found)) if found == other));
        }
        assert!(matches!(Footer::decode(b"#!/bin/sh\n"), Err(Error::NoFooter)));
    }
}
