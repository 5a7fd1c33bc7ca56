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
        name if name.starts_with("utf-8") || ["utf8", "ascii", "us-ascii"].contains(&name) => String::from_utf8(bytes)
            .map_err(|error| Uninspectable {
                line: line_of(error.as_bytes(), error.utf8_error().valid_up_to()),
                message: format!("not {encoding}, and no other encoding is declared"),
            }),
        name if PAIRS.contains(&name) => Ok(pairs(&bytes, JAPANESE.contains(&name))),
        // ASCII below 0x80, and letters above it, one byte or several each. Which letters they are is nothing that Python
        // takes as syntax: the first 256 code points do for all.
        name if FAMILIES.iter().any(|family| name.starts_with(family)) => {
            Ok(String::from_utf8(bytes)
                .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
        }
        // A distribution may have registered it: future-fstrings and its like, over UTF-8.
        name => String::from_utf8(bytes).map_err(|error| Uninspectable {
            line: line_of(error.as_bytes(), error.utf8_error().valid_up_to()),
            message: format!("neither UTF-8 nor an encoding that Python has: `{name}` is declared"),
        }),
    }
}

/// How the names of CPython's other encodings for sources begin.
///
/// Source: <https://docs.python.org/3/library/codecs.html#standard-encodings>
const FAMILIES: [&str; 19] = [
    "8859",
    "ansi",
    "arabic",
    "cp",
    "cyrillic",
    "euc",
    "greek",
    "hebrew",
    "hp-roman8",
    "ibm",
    "iso",
    "koi8",
    "ks",
    "kz",
    "l",
    "mac",
    "ptcp154",
    "tis",
    "windows",
];

/// Encodings in which the second byte of a letter may be ASCII, a backslash too.
const PAIRS: [&str; 17] = [
    "gbk",
    "gb2312",
    "gb18030",
    "cp936",
    "936",
    "big5",
    "big5-hkscs",
    "big5hkscs",
    "cp950",
    "shift-jis",
    "shiftjis",
    "sjis",
    "cp932",
    "ms932",
    "cp949",
    "uhc",
    "johab",
];

/// Those of them whose half-width katakana are single bytes.
const JAPANESE: [&str; 5] = ["shift-jis", "shiftjis", "sjis", "cp932", "ms932"];

/// One letter, no matter which, for each pair.
fn pairs(bytes: &[u8], has_katakana: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte <= 0x80 || has_katakana && (0xa1..=0xdf).contains(byte) {
            text.push(char::from(*byte));
        } else {
            rest.next();
            text.push('\u{e4}');
        }
    }
    text
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
        assert_eq!(decode(b"# coding: cp1251\n'\xcf'".to_vec()).unwrap().lines().last(), Some("'\u{cf}'"));
        // The second byte of the letter is a backslash.
        assert_eq!(
            decode(b"# coding: shift_jis\n'\x83\x5c\xb1'".to_vec()).unwrap().lines().last(),
            Some("'\u{e4}\u{b1}'")
        );
        assert_eq!(decode(b"# coding: gbk\n'\x81\x5c'".to_vec()).unwrap().lines().last(), Some("'\u{e4}'"));
        assert_eq!(decode(b"a\nb\0".to_vec()).unwrap_err().line, 2);
        assert_eq!(decode(b"# coding: klingon\n'\xe4'".to_vec()).unwrap_err().line, 2);
        assert!(decode("# coding: future_fstrings\n'ä'".as_bytes().to_vec()).is_ok());
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
