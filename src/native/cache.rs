//! `/etc/ld.so.cache`, which `ldconfig` writes and the loader asks.
//!
//! Source: glibc's `sysdeps/generic/dl-cache.h`, the format with the magic `glibc-ld.so.cache1.1`, alone or behind
//! the old one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use goblin::elf::header::{EM_AARCH64, EM_X86_64};
use memchr::memmem;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `FLAG_ELF_LIBC6`, and what stands for the machine.
const LIBC6: u32 = 3;
const X86_64: u32 = 0x0300;
const AARCH64: u32 = 0x0a00;

/// Soname → file, for one machine; the first entry of a name counts. Variants for a newer processor are passed over:
/// which one the loader would take depends on the machine.
pub(super) fn parse(bytes: &[u8], machine: u16) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let wanted = match machine {
        EM_X86_64 => LIBC6 | X86_64,
        EM_AARCH64 => LIBC6 | AARCH64,
        _ => return found,
    };
    // Offsets count from the magic.
    let Some(bytes) = memmem::find(bytes, MAGIC).and_then(|at| bytes.get(at..)) else { return found };
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| Some(u32::from_le_bytes(word.try_into().ok()?)));
    let text = |at: u32| {
        let rest = bytes.get(at as usize..)?;
        str::from_utf8(&rest[..rest.iter().position(|byte| *byte == 0)?]).ok()
    };
    let count = word(MAGIC.len()).unwrap_or_default() as usize;
    for at in (0..count).map(|entry| HEADER + entry * ENTRY) {
        let (Some(flags), Some(key), Some(value)) = (word(at), word(at + 4), word(at + 8)) else { break };
        let plain = word(at + 16) == Some(0) && word(at + 20) == Some(0);
        if let (true, true, Some(name), Some(path)) = (flags == wanted, plain, text(key), text(value)) {
            found.entry(name.to_owned()).or_insert_with(|| PathBuf::from(path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_machine() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(4u32.to_le_bytes());
        bytes.resize(HEADER, 0);
        let strings = (HEADER + 4 * ENTRY) as u32;
        for (flags, key, value, hwcap) in [
            (LIBC6, 0, 5, 0u64),
            (LIBC6 | X86_64, 0, 10, 1 << 62),
            (LIBC6 | X86_64, 0, 5, 0),
            (LIBC6 | X86_64, 0, 10, 0),
        ] {
            bytes.extend([flags, strings + key, strings + value, 0].map(u32::to_le_bytes).concat());
            bytes.extend(hwcap.to_le_bytes());
        }
        bytes.extend(b"liba\0/l/a\0/m/a\0");
        let with_old_format_before = [b"ld.so-1.7.0\0\0\0\0\0".as_slice(), &bytes].concat();
        for bytes in [bytes, with_old_format_before] {
            let found = parse(&bytes, EM_X86_64);
            assert_eq!(found, BTreeMap::from([("liba".to_owned(), PathBuf::from("/l/a"))]));
            assert!(parse(&bytes, EM_AARCH64).is_empty());
        }
        assert!(parse(b"nothing", EM_X86_64).is_empty());
    }
}
