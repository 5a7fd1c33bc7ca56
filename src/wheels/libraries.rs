//! `missing-library`: what native code of a wheel loads, and neither the platform nor any wheel of the house brings.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{finding, title};
use super::read::{Wheel, installed};
use super::tag::Platform;
use super::{NativeFile, system};
use crate::audit::{Finding, Severity};
use crate::environment::record::joined;

/// What the wheels bring for each other: `nvidia-cublas` for torch, as it were.
#[derive(Debug, Default)]
pub(super) struct House {
    /// File names and sonames of ELF and Mach-O files.
    names: BTreeSet<String>,
    /// File names of DLLs, in small letters.
    dlls: BTreeSet<String>,
    /// Where native code comes out in site-packages.
    paths: BTreeSet<String>,
}

/// The Visual C++ runtime's parts that no Python brings; many machines have them, by another program's doing.
const REDISTRIBUTED: [&str; 5] = ["concrt140", "msvcp140", "vcomp140", "vccorlib140", "mfc140"];

impl House {
    pub(super) fn of(wheels: &[&Wheel]) -> Self {
        let mut house = Self::default();
        for (path, file) in wheels.iter().flat_map(|wheel| &wheel.native) {
            let name = path.rsplit('/').next().unwrap_or(path);
            house.paths.extend(installed(path).map(str::to_owned));
            match file {
                NativeFile::Elf(elf) => {
                    house.names.insert(name.to_owned());
                    house.names.extend(elf.soname.clone());
                }
                NativeFile::Mach(file) => {
                    house.names.insert(name.to_owned());
                    let own = file.slices.iter().filter_map(|slice| slice.install_name.as_deref());
                    house.names.extend(own.filter_map(|own| own.rsplit('/').next()).map(str::to_owned));
                }
                NativeFile::Pe(_) => _ = house.dlls.insert(name.to_ascii_lowercase()),
            }
        }
        house
    }

    pub(super) fn missing(&self, wheel: &Wheel, target: &Platform) -> Vec<Finding> {
        let mut missing: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (path, file) in &wheel.native {
            for (library, told) in self.needs(path, file, target) {
                missing.entry(library).or_default().push((path.clone(), told));
            }
        }
        missing
            .into_iter()
            .map(|(library, files)| {
                let redistributed = REDISTRIBUTED.iter().any(|name| library.to_ascii_lowercase().starts_with(name));
                let (severity, cure) = if redistributed {
                    (
                        Severity::Warning,
                        "install the Visual C++ redistributable there, or add a wheel that brings it (`msvc-runtime`)",
                    )
                } else if files.len() < wheel.native.len() && !should_bring(wheel, &library) {
                    // A plugin for something else that one may have installed, as often as not.
                    (Severity::Warning, "take a wheel that brings it where that part of it is used")
                } else {
                    (Severity::Error, "take a wheel that brings it, or see to it that the system has it")
                };
                let message =
                    format!("{} needs `{library}`, which neither {target} nor any wheel here brings", title(wheel));
                let mut found = finding("missing-library", severity, wheel, message, files, cure);
                found.subject = library;
                found
            })
            .collect()
    }

    /// The libraries that one file needs and nobody has.
    fn needs(&self, path: &str, file: &NativeFile, target: &Platform) -> Vec<(String, String)> {
        let mut needs = Vec::new();
        match (file, target) {
            (NativeFile::Elf(elf), Platform::Linux { machine, .. } | Platform::Musl { machine, .. })
                if elf_machine(machine).is_none_or(|number| number == elf.machine) =>
            {
                for library in &elf.needed {
                    let name = library.rsplit('/').next().unwrap_or(library);
                    if !system::brings(target, library) && !self.names.contains(name) {
                        needs.push((library.clone(), "needs it".to_owned()));
                    }
                }
            }
            (NativeFile::Mach(file), Platform::Macos { .. }) => {
                let wanted = target.machines();
                for slice in file.slices.iter().filter(|slice| wanted.contains(&slice.machine.as_str())) {
                    for library in slice.libraries.iter().filter(|library| !slice.weak.contains(library)) {
                        if !system::brings(target, library) && !self.brings_dylib(path, library) {
                            needs.push((library.clone(), format!("needs it on {}", slice.machine)));
                        }
                    }
                }
            }
            (NativeFile::Pe(file), Platform::Windows { machine }) if file.machine == *machine => {
                for library in &file.imports {
                    if !system::brings(target, library) && !self.dlls.contains(&library.to_ascii_lowercase()) {
                        needs.push((library.clone(), "imports from it".to_owned()));
                    }
                }
            }
            (NativeFile::Elf(_) | NativeFile::Mach(_) | NativeFile::Pe(_), _) => {}
        }
        needs
    }

    /// A path below the file itself has to be there; of `@rpath/…` and `@executable_path/…` the name has to be.
    fn brings_dylib(&self, path: &str, library: &str) -> bool {
        if let Some(relative) = library.strip_prefix("@loader_path/") {
            let folder = installed(path).and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
            return self.paths.contains(&joined(folder, relative));
        }
        let name = ["@rpath/", "@executable_path/"]
            .iter()
            .find_map(|start| library.strip_prefix(start))
            .map(|rest| rest.rsplit('/').next().unwrap_or(rest));
        // A name without a folder is the extension module's own, by habit of some linkers.
        let name = name.or_else(|| (!library.contains('/')).then_some(library));
        name.is_some_and(|name| self.names.contains(name))
    }
}

/// Whether it is one of the wheel's own: named by its place in it, or listed in its RECORD.
fn should_bring(wheel: &Wheel, library: &str) -> bool {
    let name = library.rsplit('/').next().unwrap_or(library);
    let mut listed = wheel.record.iter().flatten();
    library.starts_with("@loader_path/") || listed.any(|entry| entry.path.rsplit('/').next() == Some(name))
}

/// `e_machine` of a tag's machine; nothing for those that packproof has no number for.
pub(super) fn elf_machine(machine: &str) -> Option<u16> {
    use goblin::elf::header::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
    Some(match machine {
        "x86_64" => EM_X86_64,
        "aarch64" => EM_AARCH64,
        "i686" => EM_386,
        "armv7l" | "armv6l" => EM_ARM,
        "ppc64le" | "ppc64" => EM_PPC64,
        "s390x" => EM_S390,
        "riscv64" => EM_RISCV,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_beside_the_file() {
        assert_eq!(joined("a/b", "../.dylibs/x.dylib"), "a/.dylibs/x.dylib");
        let house = House {
            names: BTreeSet::from(["liby.dylib".to_owned()]),
            paths: BTreeSet::from(["a/.dylibs/x.dylib".to_owned()]),
            ..House::default()
        };
        assert!(house.brings_dylib("a/b/m.so", "@loader_path/../.dylibs/x.dylib"));
        assert!(!house.brings_dylib("a/m.so", "@loader_path/../.dylibs/x.dylib"));
        assert!(house.brings_dylib("a/m.so", "@rpath/liby.dylib") && !house.brings_dylib("a/m.so", "/opt/liby.dylib"));
    }
}
