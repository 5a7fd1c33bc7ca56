//! Reading and writing of the index's primitives.

use super::{Digest, Error};

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads from the front; every method fails rather than reading past the end.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(malformed("it ends too early"))?;
        self.0 = rest;
        Ok(front)
    }

    /// LEB128, unsigned, at most 64 bits, and no longer than needed.
    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(malformed("a number is padded")) } else { Ok(value) };
            }
        }
        Err(malformed("a number is too large"))
    }

    /// How many entries follow. Each takes `least` bytes or more, so a list that is allocated by this number is
    /// bounded by the length of the index.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Error> {
        let count = self.varint()?;
        if count > (self.0.len() / least) as u64 {
            return Err(malformed("it claims more entries than it has room for"));
        }
        Ok(count as usize)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| malformed("a text is too long"))?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| malformed("a text is not UTF-8"))
    }

    pub(super) fn digest(&mut self) -> Result<Digest, Error> {
        let mut bytes = [0; Digest::LENGTH];
        bytes.copy_from_slice(self.bytes(Digest::LENGTH)?);
        Ok(Digest::from_bytes(bytes))
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed("something follows its end")) }
    }
}

pub(super) fn malformed(why: &'static str) -> Error {
    Error::Malformed { part: "index", why }
}
