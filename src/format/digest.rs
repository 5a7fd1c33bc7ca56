//! The one digest of the format.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first 16 bytes of a BLAKE3 hash.
///
/// Inside an artifact digests find damage and name trees, so they must withstand a second preimage (2^128 for 16
/// bytes). Collisions (2^64) help nobody: whoever can choose two contents of an artifact already runs code as
/// its user. Half the length keeps 230 KB of incompressible bytes out of a typical index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; Self::LENGTH]);

impl Digest {
    pub const LENGTH: usize = 16;

    pub fn of(bytes: &[u8]) -> Self {
        Self::truncate(blake3::hash(bytes))
    }

    pub fn truncate(hash: blake3::Hash) -> Self {
        let mut short = [0; Self::LENGTH];
        short.copy_from_slice(&hash.as_bytes()[..Self::LENGTH]);
        Self(short)
    }

    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Reads 32 lower-case hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        if text.len() != 2 * Self::LENGTH {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

pub(super) fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::from_hex(text.as_bytes()).ok_or_else(|| format!("`{text}` is not a digest: 32 hexadecimal digits"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}
