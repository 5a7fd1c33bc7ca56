//! Where in an ELF file what lies that the filter changes.

use std::ops::Range;

use super::tables::RELOCATION;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) what: What,
    /// The lower half of the address at which it is loaded.
    pub(super) address: u32,
    /// In the file.
    pub(super) range: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Code,
    Relocations,
    Frames,
    FrameTable,
}

const FILE_HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
/// ELF, 64 bits, little-endian.
const MAGIC: &[u8; 6] = b"\x7fELF\x02\x01";
const X86_64: u64 = 62;
/// `SHT_PROGBITS`, `SHT_RELA`, `SHT_X86_64_UNWIND`.
const PROGRAM: u64 = 1;
const RELOCATIONS: u64 = 4;
const UNWIND: u64 = 0x7000_0001;
/// `SHF_EXECINSTR`
const EXECUTABLE: u64 = 4;

/// In the order of the file's section headers. None for a file that is not for x86-64, that is cut off, or where one of them
/// overlaps another, or what was read to find them.
pub(super) fn find(file: &[u8]) -> Vec<Section> {
    read(file).unwrap_or_default()
}

fn read(file: &[u8]) -> Option<Vec<Section>> {
    if !file.starts_with(MAGIC) || field(file, 18, 2)? != X86_64 || field(file, 58, 2)? != SECTION_HEADER as u64 {
        return None;
    }
    let (offset, count, names) = (field(file, 40, 8)?, field(file, 60, 2)?, field(file, 62, 2)? as usize);
    let table = range(offset, count * SECTION_HEADER as u64)?;
    let headers: Vec<&[u8]> = file.get(table.clone())?.chunks_exact(SECTION_HEADER).collect();
    let names = place(headers.get(names)?)?;
    let name_bytes = file.get(names.clone())?;
    let mut sections = Vec::new();
    for header in headers {
        let Some(what) = what(header, name_bytes) else { continue };
        sections.push(Section { what, address: field(header, 16, 4)? as u32, range: place(header)? });
    }
    let mut taken = vec![0..FILE_HEADER, table, names];
    taken.extend(sections.iter().map(|section| section.range.clone()));
    taken.sort_by_key(|range| (range.start, range.end));
    let is_apart = taken.is_sorted_by(|before, after| before.end <= after.start);
    (is_apart && taken.last()?.end <= file.len()).then_some(sections)
}

fn what(header: &[u8], names: &[u8]) -> Option<What> {
    let name = names.get(field(header, 0, 4)? as usize..)?;
    match field(header, 4, 4)? {
        RELOCATIONS if field(header, 56, 8)? == RELOCATION as u64 => Some(What::Relocations),
        PROGRAM | UNWIND if name.starts_with(b".eh_frame\0") => Some(What::Frames),
        PROGRAM | UNWIND if name.starts_with(b".eh_frame_hdr\0") => Some(What::FrameTable),
        PROGRAM if field(header, 8, 8)? & EXECUTABLE != 0 => Some(What::Code),
        _ => None,
    }
}

/// Where a section's bytes are.
fn place(header: &[u8]) -> Option<Range<usize>> {
    range(field(header, 24, 8)?, field(header, 32, 8)?)
}

fn range(offset: u64, length: u64) -> Option<Range<usize>> {
    let end = offset.checked_add(length)?;
    Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}

fn field(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
