//! What one ELF file asks of the system.

use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME};
use goblin::elf::program_header::{PT_DYNAMIC, PT_LOAD};

use super::GlibcVersion;

/// Dynamic-linking facts of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfFile {
    pub soname: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_RPATH and DT_RUNPATH, split at colons.
    pub run_paths: Vec<String>,
    /// The highest `GLIBC_x.y` among the versions that it needs.
    pub glibc: Option<GlibcVersion>,
}

/// Whether the bytes begin as an ELF file does.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

impl ElfFile {
    /// Nothing for files that are no ELF, or too damaged to tell.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !is_elf(bytes) {
            return None;
        }
        let elf = Elf::parse(bytes).ok()?;
        let run_paths = [&elf.rpaths, &elf.runpaths].into_iter().flatten().flat_map(|path| path.split(':'));
        Some(Self {
            soname: elf.soname.map(str::to_owned),
            needed: elf.libraries.iter().map(|name| (*name).to_owned()).collect(),
            run_paths: run_paths.filter(|path| !path.is_empty()).map(str::to_owned).collect(),
            glibc: highest_glibc(&elf),
        })
    }
}

fn highest_glibc(elf: &Elf<'_>) -> Option<GlibcVersion> {
    let needs = elf.verneed.as_ref()?;
    let names = needs.iter().flat_map(|need| need.iter().map(|version| version.vna_name).collect::<Vec<_>>());
    names.filter_map(|at| GlibcVersion::parse(elf.dynstrtab.get_at(at)?.strip_prefix("GLIBC_")?)).max()
}

/// Of `<elf.h>`; goblin has no names for these two.
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// Where in the file a run-path entry of the dynamic section and its string lie.
pub(super) struct RunPathEntry {
    /// File offset of the 16-byte entry.
    pub(super) entry: usize,
    /// File offset of the string.
    pub(super) string: usize,
    pub(super) value: String,
}

/// The dynamic section's run paths, and the file offset of the string table that they point into.
pub(super) fn run_path_entries(elf: &Elf<'_>) -> Option<(Vec<RunPathEntry>, usize)> {
    let dynamic = elf.dynamic.as_ref()?;
    let header = elf.program_headers.iter().find(|header| header.p_type == PT_DYNAMIC)?;
    let table = file_offset(elf, dynamic.info.strtab as u64)?;
    let section = usize::try_from(header.p_offset).ok()?;
    let run_paths = dynamic.dyns.iter().enumerate().filter(|(_, entry)| matches!(entry.d_tag, DT_RPATH | DT_RUNPATH));
    let entries = run_paths.filter_map(|(at, entry)| {
        let offset = usize::try_from(entry.d_val).ok()?;
        let value = elf.dynstrtab.get_at(offset)?.to_owned();
        Some(RunPathEntry { entry: section + at * 16, string: table + offset, value })
    });
    Some((entries.collect(), table))
}

/// Of an address in a loaded segment.
fn file_offset(elf: &Elf<'_>, address: u64) -> Option<usize> {
    let segment = elf.program_headers.iter().find(|header| {
        header.p_type == PT_LOAD && (header.p_vaddr..header.p_vaddr + header.p_filesz).contains(&address)
    })?;
    usize::try_from(address - segment.p_vaddr + segment.p_offset).ok()
}

/// Every offset into the dynamic string table that something else than a run path refers to.
pub(super) fn other_string_users(elf: &Elf<'_>) -> Vec<usize> {
    let mut users: Vec<usize> = elf.dynsyms.iter().map(|symbol| symbol.st_name).collect();
    let entries = elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns);
    let named = entries.filter(|entry| matches!(entry.d_tag, DT_NEEDED | DT_SONAME | DT_AUXILIARY | DT_FILTER));
    users.extend(named.filter_map(|entry| usize::try_from(entry.d_val).ok()));
    for need in elf.verneed.iter().flat_map(goblin::elf::VerneedSection::iter) {
        users.push(need.vn_file);
        users.extend(need.iter().map(|version| version.vna_name));
    }
    for definition in elf.verdef.iter().flat_map(goblin::elf::VerdefSection::iter) {
        users.extend(definition.iter().map(|version| version.vda_name));
    }
    users
}
