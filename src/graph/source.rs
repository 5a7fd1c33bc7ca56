//! Bytes of a Python file → its text, as CPython's tokenizer would decode them.
//!
//! Source: <https://docs.python.org/3/reference/lexical_analysis.html#encoding-declarations>

use serde::{Deserialize, Serialize};

/// Beyond this nothing written by hand lies, and a parser's tree would take gigabytes.
pub(super) const SIZE_LIMIT: usize = 64 * 1024 * 1024;

/// Why a source cannot be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uninspectable {
    /// From 1; 0 where no line is to blame.
    pub line: u32,
    pub message: String,
}

pub(crate) fn decode(mut bytes: Vec<u8>) -> Result<String, Uninspectable> {
    if bytes.len() > SIZE_LIMIT {
        let message = format!("{} bytes are more than the {SIZE_LIMIT} that are looked into", bytes.len());
        return Err(Uninspectable { line: 0, message });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if let Some(at) = memchr::memchr(0, &bytes) {
        return Err(Uninspectable { line: line_of(&bytes, at), message: "a NUL byte".to_owned() });
    }
    let encoding = declared(&bytes).unwrap_or_else(|| "utf-8".to_owned());
    match encoding.as_str() {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => String::from_utf8(bytes).map_err(|error| Uninspectable {
            line: line_of(error.as_bytes(), error.utf8_error().valid_up_to()),
            message: format!("not {encoding}, and no other encoding is declared"),
        }),
        // The first 256 code points are Latin-1 itself; its relatives differ in letters, not in what Python
        // takes as syntax.
        "latin-1" | "latin1" | "iso-8859-1" | "iso-8859-15" | "latin-9" | "cp1252" | "windows-1252" => {
            Ok(bytes.into_iter().map(char::from).collect())
        }
        _ => String::from_utf8(bytes).map_err(|error| Uninspectable {
            line: line_of(error.as_bytes(), error.utf8_error().valid_up_to()),
            message: format!("declared as {encoding}, which is not read here"),
        }),
    }
}

/// PEP 263: a comment in the first two lines that matches `coding[:=]\s*([-\w.]+)`.
fn declared(bytes: &[u8]) -> Option<String> {
    bytes.split(|byte| *byte == b'\n').take(2).find_map(|line| {
        let line = line.trim_ascii_start();
        let at = line.starts_with(b"#").then(|| memchr::memmem::find(line, b"coding"))??;
        let rest = &line[at + "coding".len()..];
        let rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="))?.trim_ascii_start();
        let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte)));
        let name = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).to_ascii_lowercase().replace('_', "-");
        (!name.is_empty()).then_some(name)
    })
}

fn line_of(bytes: &[u8], offset: usize) -> u32 {
    1 + memchr::memchr_iter(b'\n', &bytes[..offset]).count() as u32
}

/// Offset → line, counted once.
pub(super) struct Lines(Vec<u32>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at as u32).collect())
    }

    pub(super) fn at(&self, offset: ruff_text_size::TextSize) -> u32 {
        1 + self.0.partition_point(|newline| *newline < offset.to_u32()) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(decode(b"\xef\xbb\xbfx = 1".to_vec()).unwrap(), "x = 1");
        assert_eq!(decode(b"# -*- coding: latin-1 -*-\ns = '\xe4'".to_vec()).unwrap().chars().last(), Some('\''));
        assert_eq!(
            decode(b"#!/bin/python\n# vim: fileencoding=iso_8859_1\n'\xe4'".to_vec()).unwrap().lines().count(),
            3
        );
        assert_eq!(decode(b"\n\n'\xe4'".to_vec()).unwrap_err().line, 3);
        assert!(decode(b"# coding: shift_jis\n'\x82\xa0'".to_vec()).unwrap_err().message.contains("shift-jis"));
        assert_eq!(decode(b"a\nb\0".to_vec()).unwrap_err().line, 2);
    }

    #[test]
    fn a_third_line_declares_nothing() {
        assert!(decode(b"\n\n# coding: latin-1\n'\xe4'".to_vec()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_text_or_an_error(bytes in vec(any::<u8>(), 0..200), declared in "(# coding: [a-z0-9-]{0,10}\n)?") {
            let bytes = [declared.as_bytes(), &bytes].concat();
            let lines = bytes.split(|byte| *byte == b'\n').count();
            if let Err(error) = decode(bytes) {
                prop_assert!((1..=lines).contains(&(error.line as usize)));
            }
        }
    }
}
