//! An ELF file without its symbol table and debugging sections, which only debuggers read.
//!
//! Nothing that is loaded moves: everything up to the end of the last segment and of the last section that is part of
//! the process stays byte for byte, which includes what patchelf and auditwheel have made of a library. Of what lies
//! behind it, sections that stay are moved up. A section that goes but lies between loaded parts is filled with zeros,
//! which compress to nothing. No section gets another number, so nothing that refers to one needs to know.
//!
//! Sources: <https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>, `elf(5)`

/// Sizes and offsets of `Elf64_Ehdr`, `Elf64_Phdr` and `Elf64_Shdr`.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;

const SHT_NULL: u32 = 0;
const SHT_SYMTAB: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;
const SHF_ALLOC: u64 = 2;

const DEBUGGING: &[&[u8]] = &[b".debug_", b".zdebug_", b".gnu.debuglto_", b".stab"];

#[derive(Debug, Clone, Copy)]
struct Section {
    /// Of its header.
    at: usize,
    kind: u32,
    flags: u64,
    offset: usize,
    size: usize,
    link: usize,
    info: usize,
    align: usize,
    goes: bool,
}

/// Nothing where there is nothing to take away, or where the file is not as a linker makes it.
pub fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    // 64 bits, little-endian, version 1.
    if !bytes.starts_with(b"\x7fELF\x02\x01\x01") || bytes.len() < HEADER {
        return None;
    }
    let mut sections = sections(bytes)?;
    let names = u16_at(bytes, 62)?;
    mark(bytes, &mut sections, names)?;
    if !sections.iter().any(|section| section.goes && section.size > 0) {
        return None;
    }
    let loaded = loaded(bytes)?;
    let end = end_of_loaded(bytes, &sections, &loaded)?;
    let mut out = bytes.get(..end)?.to_vec();
    clear(&mut out, &sections, &loaded);
    write_tail(bytes, &mut out, &sections, names)?;
    (out.len() < bytes.len() || out[..end] != bytes[..end]).then_some(out)
}

fn sections(bytes: &[u8]) -> Option<Vec<Section>> {
    let (table, count) = (u64_at(bytes, 40)?, u16_at(bytes, 60)?);
    if count == 0 || u16_at(bytes, 58)? != SECTION_HEADER {
        return None;
    }
    let sections: Option<Vec<Section>> = (0..count)
        .map(|number| {
            let at = table.checked_add(number * SECTION_HEADER)?;
            let section = Section {
                at,
                kind: u32_at(bytes, at + 4)?,
                flags: u64::try_from(u64_at(bytes, at + 8)?).ok()?,
                offset: u64_at(bytes, at + 24)?,
                size: u64_at(bytes, at + 32)?,
                link: u32_at(bytes, at + 40)? as usize,
                info: u32_at(bytes, at + 44)? as usize,
                align: u64_at(bytes, at + 48)?.max(1),
                goes: false,
            };
            let inside = section.kind == SHT_NOBITS || section.end()? <= bytes.len();
            (inside && section.align <= 1 << 16).then_some(section)
        })
        .collect();
    let sections = sections?;
    // Something appended to the file, behind all that its headers know of, may count its offset from the end. Zeros are
    // only what patchelf fills a page up with.
    let known = sections.iter().filter(|section| section.kind != SHT_NOBITS).filter_map(Section::end);
    let known = known.max()?.max(table + count * SECTION_HEADER);
    bytes.get(known..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0)).then_some(sections)
}

/// Decides which sections go.
fn mark(bytes: &[u8], sections: &mut [Section], names: usize) -> Option<()> {
    let table = *sections.get(names)?;
    for number in 0..sections.len() {
        let section = sections[number];
        if section.flags & SHF_ALLOC != 0 || number == names {
            continue;
        }
        let name = bytes.get(table.offset + u32_at(bytes, section.at)? as usize..table.end()?)?;
        if section.kind == SHT_SYMTAB || DEBUGGING.iter().any(|prefix| name.starts_with(prefix)) {
            sections[number].goes = true;
            // The symbols' names; linkers may put those of the sections into the same table.
            if section.kind == SHT_SYMTAB && section.link != names {
                sections.get_mut(section.link)?.goes = true;
            }
        }
    }
    // Relocations of what goes, left by `ld --emit-relocs`.
    for number in 0..sections.len() {
        let section = sections[number];
        let relocates = matches!(section.kind, SHT_REL | SHT_RELA) && section.flags & SHF_ALLOC == 0;
        if relocates && sections.get(section.info).is_some_and(|of| of.goes) {
            sections[number].goes = true;
        }
    }
    let dangling = |section: &Section| {
        !section.goes && section.kind != SHT_NULL && sections.get(section.link).is_some_and(|to| to.goes)
    };
    (!sections.iter().any(dangling)).then_some(())
}

/// The file ranges of all segments.
fn loaded(bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
    let (table, count) = (u64_at(bytes, 32)?, u16_at(bytes, 56)?);
    if count > 0 && u16_at(bytes, 54)? != PROGRAM_HEADER {
        return None;
    }
    let mut ranges = vec![(0, HEADER), (table, table.checked_add(count * PROGRAM_HEADER)?)];
    for number in 0..count {
        let at = table + number * PROGRAM_HEADER;
        let offset = u64_at(bytes, at + 8)?;
        ranges.push((offset, offset.checked_add(u64_at(bytes, at + 32)?)?));
    }
    Some(ranges)
}

fn end_of_loaded(bytes: &[u8], sections: &[Section], loaded: &[(usize, usize)]) -> Option<usize> {
    let allocated = sections.iter().filter(|section| section.flags & SHF_ALLOC != 0 && section.kind != SHT_NOBITS);
    let end = loaded.iter().map(|(_, end)| *end).chain(allocated.filter_map(Section::end)).max()?;
    (end <= bytes.len()).then_some(end)
}

/// Zeros for sections that go and lie before the end, where they overlap nothing that stays.
fn clear(out: &mut [u8], sections: &[Section], loaded: &[(usize, usize)]) {
    for section in sections.iter().filter(|section| section.goes && section.kind != SHT_NOBITS) {
        let (from, to) = (section.offset, section.offset + section.size);
        let apart = |(start, end): (usize, usize)| to <= start || end <= from;
        let others = sections.iter().filter(|other| !other.goes && other.kind != SHT_NOBITS);
        let alone = loaded.iter().all(|range| apart(*range))
            && others.into_iter().all(|other| apart((other.offset, other.offset + other.size)));
        if alone && to <= out.len() {
            out[from..to].fill(0);
        }
    }
}

/// What stays behind the loaded part, then the section headers.
fn write_tail(bytes: &[u8], out: &mut Vec<u8>, sections: &[Section], names: usize) -> Option<()> {
    let end = out.len();
    let last = sections.iter().rposition(|section| !section.goes && section.kind != SHT_NULL)?.max(names);
    let mut headers = Vec::with_capacity((last + 1) * SECTION_HEADER);
    for section in &sections[..=last] {
        if section.goes {
            headers.extend_from_slice(&[0; SECTION_HEADER]);
            continue;
        }
        let mut header = bytes.get(section.at..section.at + SECTION_HEADER)?.to_vec();
        let has_content = section.kind != SHT_NOBITS && section.kind != SHT_NULL;
        if has_content && section.offset + section.size > end {
            out.resize(out.len().next_multiple_of(section.align), 0);
            header[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes.get(section.offset..section.end()?)?);
        }
        headers.extend_from_slice(&header);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = out.len() as u64;
    out[40..48].copy_from_slice(&table.to_le_bytes());
    out[60..62].copy_from_slice(&u16::try_from(last + 1).ok()?.to_le_bytes());
    out.extend_from_slice(&headers);
    Some(())
}

impl Section {
    fn end(&self) -> Option<usize> {
        self.offset.checked_add(self.size)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|bytes| usize::from(u16::from_le_bytes(bytes)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).and_then(|bytes| usize::try_from(u64::from_le_bytes(bytes)).ok())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use goblin::elf::Elf;

    use super::*;

    /// A shared library with symbols and debugging sections, as the C compiler makes it.
    fn library(folder: &std::path::Path) -> Vec<u8> {
        let (source, library) = (folder.join("x.c"), folder.join("x.so"));
        fs_err::write(&source, "static int hidden(int x) { return x * 3; }\nint shown(int x) { return hidden(x); }\n")
            .unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-g", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        assert!(compiler.status().unwrap().success());
        fs_err::read(library).unwrap()
    }

    #[test]
    fn what_is_loaded_stays_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let original = library(folder.path());
        let stripped = strip(&original).unwrap();
        assert!(stripped.len() < original.len());
        let (before, after) = (Elf::parse(&original).unwrap(), Elf::parse(&stripped).unwrap());
        assert!(!before.syms.is_empty() && after.syms.is_empty());
        assert_eq!(before.program_headers, after.program_headers);
        for header in &before.program_headers {
            let mut range = header.file_range();
            // The file's own header says where the sections' are now.
            range.start = range.start.max(HEADER);
            if range.start < range.end {
                assert_eq!(original[range.clone()], stripped[range]);
            }
        }
        let named = |elf: &Elf<'_>| -> Vec<String> {
            let allocated = elf.section_headers.iter().filter(|section| section.sh_flags & SHF_ALLOC != 0);
            allocated.filter_map(|section| elf.shdr_strtab.get_at(section.sh_name).map(str::to_owned)).collect()
        };
        assert_eq!(named(&before), named(&after));
        assert_eq!(before.libraries, after.libraries);
        let symbols = |elf: &Elf<'_>| elf.dynsyms.iter().collect::<Vec<_>>();
        assert_eq!(symbols(&before), symbols(&after));
        assert_eq!(strip(&stripped), None, "nothing is left to take away");
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut appended = library(folder.path());
        appended.extend_from_slice(b"payload");
        assert_eq!(strip(&appended), None);
        // As patchelf leaves a library that it has moved parts of to the end.
        let mut padded = library(folder.path());
        let stripped = strip(&padded).unwrap();
        padded.extend_from_slice(&[0; 7]);
        assert_eq!(strip(&padded).unwrap(), stripped);
        assert_eq!(strip(b"\x7fELF\x02\x01\x01"), None);
        assert_eq!(strip(b"#!/bin/sh"), None);
        let whole = library(folder.path());
        for cut in (0..whole.len()).step_by(61) {
            // No panic, whatever the headers claim.
            drop(strip(&whole[..cut]));
        }
    }
}
