//! What one Mach-O file asks of the system: install name, libraries, run paths, the oldest macOS.

use goblin::mach::constants::cputype::{CPU_TYPE_ARM64, CPU_TYPE_X86, CPU_TYPE_X86_64, CpuType};
use goblin::mach::load_command::CommandVariant;
use goblin::mach::{Mach, MachO, SingleArch};

/// One file, which may hold the same code for several machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachFile {
    pub slices: Vec<Slice>,
}

/// The code for one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// As wheels' tags name it: `arm64`, `x86_64`.
    pub machine: String,
    /// `LC_ID_DYLIB`: under which name others load it.
    pub install_name: Option<String>,
    /// In order; `@rpath/…`, `@loader_path/…` and absolute paths as they are written.
    pub libraries: Vec<String>,
    /// Those of them that may be absent.
    pub weak: Vec<String>,
    pub rpaths: Vec<String>,
    /// Major and minor version of macOS, where it says so.
    pub minimum_os: Option<(u32, u32)>,
}

impl MachFile {
    /// Nothing for files that are none, or too damaged to tell.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        // A Java class begins with the number of a file for several machines, which goblin then counts.
        let is_class = bytes.starts_with(&[0xca, 0xfe, 0xba, 0xbe])
            && bytes.get(4..8).is_none_or(|count| count[..3] != [0; 3] || count[3] > 8);
        if is_class {
            return None;
        }
        let slices = match Mach::parse(bytes).ok()? {
            Mach::Binary(file) => vec![slice(&file)],
            Mach::Fat(files) => files
                .into_iter()
                .filter_map(|file| match file.ok()? {
                    SingleArch::MachO(file) => Some(slice(&file)),
                    SingleArch::Archive(_) => None,
                })
                .collect(),
        };
        (!slices.is_empty()).then_some(Self { slices })
    }
}

fn slice(file: &MachO<'_>) -> Slice {
    let mut minimum_os = None;
    let mut weak = Vec::new();
    // goblin puts the file's own name first, `self` where it has none.
    let libraries: Vec<String> = file.libs.iter().skip(1).map(|name| (*name).to_owned()).collect();
    let mut at = 0;
    for command in &file.load_commands {
        match command.command {
            CommandVariant::BuildVersion(version) => minimum_os = Some(parts(version.minos)),
            CommandVariant::VersionMinMacosx(version) => minimum_os = Some(parts(version.version)),
            CommandVariant::LoadDylib(_)
            | CommandVariant::ReexportDylib(_)
            | CommandVariant::LoadUpwardDylib(_)
            | CommandVariant::LazyLoadDylib(_) => at += 1,
            CommandVariant::LoadWeakDylib(_) => {
                weak.extend(libraries.get(at).cloned());
                at += 1;
            }
            _ => {}
        }
    }
    Slice {
        machine: machine(file.header.cputype),
        install_name: file.name.map(str::to_owned),
        weak,
        libraries,
        rpaths: file.rpaths.iter().map(|path| (*path).to_owned()).collect(),
        minimum_os,
    }
}

/// `xxxx.yy.zz` in nibbles.
fn parts(version: u32) -> (u32, u32) {
    (version >> 16, version >> 8 & 0xff)
}

fn machine(kind: CpuType) -> String {
    match kind {
        CPU_TYPE_ARM64 => "arm64".to_owned(),
        CPU_TYPE_X86_64 => "x86_64".to_owned(),
        CPU_TYPE_X86 => "i386".to_owned(),
        other => format!("cpu {other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_what_is_none() {
        assert_eq!(parts(0x000a_0d04), (10, 13));
        assert!(MachFile::parse(b"\xca\xfe\xba\xbe\0\0\0\x34class").is_none());
        assert!(MachFile::parse(b"\x7fELF").is_none() && MachFile::parse(b"").is_none());
    }
}
