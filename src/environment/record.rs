//! RECORD's hashes: does a file hold what its distribution brought?
//!
//! Source: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Distribution, RecordEntry};

/// What became of a recorded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    Missing,
    Changed,
}

/// The file, where RECORD names one that an import may meet: inside site-packages, with a hash.
pub fn file(dist: &Distribution, entry: &RecordEntry) -> Option<PathBuf> {
    let inside = !entry.path.starts_with("..") && !entry.path.starts_with('/');
    (inside && entry.hash.is_some()).then(|| dist.site.join(&entry.path))
}

/// By existence and size, and by what `digest` gives: the file's SHA-256, or nothing where it is not to be compared.
///
/// `size` is the file's own, where it is known already.
pub fn compare(
    file: &Path,
    size: Option<u64>,
    entry: &RecordEntry,
    digest: impl FnOnce() -> Option<[u8; 32]>,
) -> Option<Mismatch> {
    let Some(size) = size.or_else(|| Some(fs_err::metadata(file).ok()?.len())) else { return Some(Mismatch::Missing) };
    if entry.size.is_some_and(|recorded| recorded != size) {
        return Some(Mismatch::Changed);
    }
    // Other algorithms are written by no installer of today.
    let wanted = entry.hash.as_deref()?.strip_prefix("sha256=")?;
    (encode(&digest()?) != wanted.trim_end_matches('=')).then_some(Mismatch::Changed)
}

/// Of a file's content.
pub fn digest_of(file: &Path) -> std::io::Result<[u8; 32]> {
    Ok(Sha256::digest(fs_err::read(file)?).into())
}

/// `sha256=…`, as RECORD spells it.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256={}", encode(&Sha256::digest(bytes)))
}

/// Base64 with `-` and `_`, unpadded (RFC 4648, section 5).
fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// `relative` as seen from `folder`, by their text alone, both with `/` and below a root that neither names. RECORD leads out of
/// its folder with `..`, and so do run paths.
pub(crate) fn joined(folder: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "." | "" => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{3fb}\u{fff}", "z7vgv78")]
        {
            assert_eq!(encode(plain.as_bytes()), encoded);
        }
    }
}
