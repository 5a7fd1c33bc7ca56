//! What one ELF file asks of the system.

use std::collections::BTreeMap;

use goblin::elf::Elf;
use goblin::elf::dynamic::{
    DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DF_TEXTREL, DT_BIND_NOW, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_RPATH, DT_RUNPATH,
    DT_SONAME, DT_TEXTREL,
};
use goblin::elf::header::{EM_386, EM_AARCH64, EM_X86_64, ET_EXEC};
use goblin::elf::program_header::{PF_X, PT_DYNAMIC, PT_GNU_RELRO, PT_GNU_STACK};
use goblin::elf::section_header::{SHF_ALLOC, SHT_PROGBITS};
use serde::{Deserialize, Serialize};

use super::isa;
use super::{GlibcVersion, Isa};

/// Dynamic-linking facts of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFile {
    /// `e_machine`, e.g. 62 for x86-64.
    pub machine: u16,
    pub is_64: bool,
    pub soname: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_RPATH, split at colons. The loader passes over it where there is a DT_RUNPATH.
    pub rpath: Vec<String>,
    /// DT_RUNPATH, split at colons; an empty one is one all the same.
    pub runpath: Option<Vec<String>>,
    /// Symbol versions of other libraries, sorted.
    pub versions: Vec<VersionNeed>,
    /// `PT_INTERP`: a program, which no other process loads.
    pub interpreter: Option<String>,
    pub traits: Traits,
    /// The instruction set that its property note asks for, where it has one.
    pub isa: Option<Isa>,
}

/// One version that a file needs of a library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionNeed {
    /// The library's soname.
    pub library: String,
    /// `GLIBC_2.34`
    pub version: String,
    /// The first symbol by name that carries the version; nothing where only the file as a whole does.
    pub symbol: Option<String>,
}

/// How it was linked, as far as loaders and hardening care.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one file")]
pub struct Traits {
    /// `PT_GNU_STACK` asks for a stack that code can run on, or is missing where the loader then assumes so.
    pub executable_stack: bool,
    /// The loader has to write into code.
    pub text_relocations: bool,
    pub relro: bool,
    /// All symbols are bound at start, so that the table can be made read-only.
    pub bind_now: bool,
    /// Loads anywhere: a library, or a position-independent program.
    pub position_independent: bool,
}

/// Whether the bytes begin as an ELF file does.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// `e_machine` of the system that this tool was built for.
pub const HOST_MACHINE: u16 = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };

/// The machine's name as `uname -m` has it.
pub fn machine_name(machine: u16) -> String {
    match machine {
        EM_X86_64 => "x86_64".to_owned(),
        EM_AARCH64 => "aarch64".to_owned(),
        EM_386 => "i686".to_owned(),
        other => goblin::elf::header::machine_to_str(other).to_owned(),
    }
}

/// The code and the data of an ELF file, section by section, without what tells the loader where to find other files: a
/// library whose run path or needs were changed, as `auditwheel repair` changes them, is the same by these. Nothing for what
/// is no ELF file or has no sections.
pub fn code_and_data(bytes: &[u8]) -> Vec<&[u8]> {
    let Some(elf) = is_elf(bytes).then(|| Elf::parse(bytes).ok()).flatten() else { return Vec::new() };
    let is_loaded = |kind: u32, flags: u64| kind == SHT_PROGBITS && flags & u64::from(SHF_ALLOC) != 0;
    let sections = elf.section_headers.iter().filter(|section| is_loaded(section.sh_type, section.sh_flags));
    sections.filter_map(|section| bytes.get(section.file_range()?)).collect()
}

impl ElfFile {
    /// What of this source decides the facts: kept ones go by it.
    pub const CODE: &[u8] = include_bytes!("elf.rs");

    /// Nothing for files that are no ELF, or too damaged to tell.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !is_elf(bytes) {
            return None;
        }
        let elf = Elf::parse(bytes).ok()?;
        let split = |path: &str| path.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let runpath = (!elf.runpaths.is_empty()).then(|| elf.runpaths.iter().flat_map(|path| split(path)).collect());
        Some(Self {
            machine: elf.header.e_machine,
            is_64: elf.is_64,
            soname: elf.soname.map(str::to_owned),
            needed: elf.libraries.iter().map(|name| (*name).to_owned()).collect(),
            rpath: elf.rpaths.iter().flat_map(|path| split(path)).collect(),
            runpath,
            versions: versions(&elf),
            interpreter: elf.interpreter.map(str::to_owned),
            traits: traits(&elf),
            isa: isa::of(&elf, bytes),
        })
    }

    /// The highest `GLIBC_x.y` that it needs, with a symbol that needs it.
    pub fn glibc(&self) -> Option<(GlibcVersion, &VersionNeed)> {
        // Of two needs of the same version the first, which is the one with the smaller library and symbol.
        self.versions
            .iter()
            .rev()
            .filter_map(|need| Some((GlibcVersion::of_need(&need.version)?, need)))
            .max_by(|(left, _), (right, _)| left.cmp(right))
    }

    /// The highest version with this prefix, e.g. `GLIBCXX_` or `CXXABI_`.
    pub fn highest(&self, prefix: &str) -> Option<GlibcVersion> {
        self.versions.iter().filter_map(|need| GlibcVersion::parse(need.version.strip_prefix(prefix)?)).max()
    }

    /// The folders that this file itself adds to the search, and whether they are a DT_RUNPATH.
    pub fn run_paths(&self) -> &[String] {
        self.runpath.as_deref().unwrap_or(&self.rpath)
    }
}

fn versions(elf: &Elf<'_>) -> Vec<VersionNeed> {
    let Some(needs) = elf.verneed.as_ref() else { return Vec::new() };
    // The number that a symbol's entry in `.gnu.version` carries → the version.
    let mut by_number: BTreeMap<u16, VersionNeed> = BTreeMap::new();
    for need in needs {
        let library = elf.dynstrtab.get_at(need.vn_file).unwrap_or_default();
        for version in &need {
            let Some(name) = elf.dynstrtab.get_at(version.vna_name) else { continue };
            by_number.insert(
                version.vna_other,
                VersionNeed { library: library.to_owned(), version: name.to_owned(), symbol: None },
            );
        }
    }
    for (symbol, number) in elf.dynsyms.iter().zip(elf.versym.iter().flat_map(goblin::elf::VersymSection::iter)) {
        let (Some(need), Some(name)) = (by_number.get_mut(&number.version()), elf.dynstrtab.get_at(symbol.st_name))
        else {
            continue;
        };
        if need.symbol.as_deref().is_none_or(|first| name < first) {
            need.symbol = Some(name.to_owned());
        }
    }
    let mut found: Vec<_> = by_number.into_values().collect();
    found.sort();
    found
}

fn traits(elf: &Elf<'_>) -> Traits {
    let header = |kind| elf.program_headers.iter().find(move |header| header.p_type == kind);
    let entries = elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns);
    let flags = |tag| entries.clone().filter(move |entry| entry.d_tag == tag).fold(0, |all, entry| all | entry.d_val);
    let has = |tag| entries.clone().any(|entry| entry.d_tag == tag);
    // Without the header an x86 loader takes the stack to be executable; other machines do not.
    let x86 = matches!(elf.header.e_machine, EM_X86_64 | EM_386);
    Traits {
        executable_stack: header(PT_GNU_STACK).map_or(x86, |header| header.p_flags & PF_X != 0),
        text_relocations: has(DT_TEXTREL) || flags(DT_FLAGS) & DF_TEXTREL != 0,
        relro: header(PT_GNU_RELRO).is_some(),
        bind_now: has(DT_BIND_NOW) || flags(DT_FLAGS) & DF_BIND_NOW != 0 || flags(DT_FLAGS_1) & DF_1_NOW != 0,
        position_independent: elf.header.e_type != ET_EXEC || flags(DT_FLAGS_1) & DF_1_PIE != 0,
    }
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
    // goblin has made a file offset of the address.
    let table = dynamic.info.strtab;
    let section = usize::try_from(header.p_offset).ok()?;
    let run_paths = dynamic.dyns.iter().enumerate().filter(|(_, entry)| matches!(entry.d_tag, DT_RPATH | DT_RUNPATH));
    let entries = run_paths.filter_map(|(at, entry)| {
        let offset = usize::try_from(entry.d_val).ok()?;
        let value = elf.dynstrtab.get_at(offset)?.to_owned();
        Some(RunPathEntry { entry: section + at * 16, string: table + offset, value })
    });
    Some((entries.collect(), table))
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
