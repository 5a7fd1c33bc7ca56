//! What one PE file asks of the system: the DLLs that it imports, and its machine.

use goblin::pe::PE;
use goblin::pe::header::{COFF_MACHINE_ARM64, COFF_MACHINE_X86, COFF_MACHINE_X86_64};

/// Import facts of one DLL or program. What it loads late, by `/DELAYLOAD` or `LoadLibrary`, is not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeFile {
    /// As wheels' tags name it: `amd64`, `arm64`, `x86`.
    pub machine: String,
    /// Its own name in the export table.
    pub name: Option<String>,
    /// Sorted, as written: case does not count.
    pub imports: Vec<String>,
}

impl PeFile {
    /// Nothing for files that are none, or too damaged to tell.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"MZ") {
            return None;
        }
        let pe = PE::parse(bytes).ok()?;
        let machine = match pe.header.coff_header.machine {
            COFF_MACHINE_X86_64 => "amd64".to_owned(),
            COFF_MACHINE_ARM64 => "arm64".to_owned(),
            COFF_MACHINE_X86 => "x86".to_owned(),
            other => format!("machine {other:#x}"),
        };
        Some(Self {
            machine,
            name: pe.name.map(str::to_owned),
            imports: pe.libraries.iter().map(|name| (*name).to_owned()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none() {
        assert!(PeFile::parse(b"MZ no more").is_none() && PeFile::parse(b"").is_none());
    }
}
