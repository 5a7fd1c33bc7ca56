//! Tcl's and Tk's scripts, without which their libraries do nothing. Tcl looks for them where its library was configured
//! to have them, then in `lib/tclX.Y` of the installation that its program lies in (`tclInit` in tclInterp.c), Tk beside Tcl's:
//! so `lib/` is where they lie in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::builder::Builder;
use super::{Entry, Error, Origin, below, walk};
use crate::native::Closure;
use crate::native::closure::LIB;

/// What a library of either kind reads first: the script, and what the script demands of it with an exact version.
const TCL: Kit = Kit { name: "tcl", script: "init.tcl", package: "Tcl" };
const TK: Kit = Kit { name: "tk", script: "tk.tcl", package: "Tk" };

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kit {
    name: &'static str,
    script: &'static str,
    package: &'static str,
}

/// Adds the scripts of each packed library. One that carries its own inside itself, as Tcl 9 may, has no folder of them.
pub(super) fn add(builder: &mut Builder, closure: &Closure) -> Result<(), Error> {
    let files: BTreeSet<&Path> = closure.packed.values().map(|library| library.file.as_path()).collect();
    // By name, so that Tcl comes before Tk.
    let libraries: BTreeMap<(&Kit, String), &Path> =
        files.into_iter().filter_map(|file| Some((scripts_of(file)?, file))).collect();
    let mut beside = Vec::new();
    for ((kit, folder), file) in libraries {
        let Some(scripts) = find(&fs::read(file)?, file, kit, &folder, &beside) else { continue };
        place(builder, &scripts, &folder)?;
        if *kit == TCL {
            modules(builder, &scripts, &folder)?;
        }
        beside.extend(scripts.parent().map(Path::to_owned));
    }
    Ok(())
}

/// Tcl modules (`msgcat`, which Tk needs; `http`) that lie beside the scripts, for all versions, or inside them, where Debian's Tcl names
/// that folder by its absolute path. Found they are in `lib/tcl8/8.6`.
fn modules(builder: &mut Builder, scripts: &Path, folder: &str) -> Result<(), Error> {
    let Some((all_versions, _)) = folder.split_once('.') else { return Ok(()) };
    let version = folder.trim_start_matches(TCL.name);
    let beside = scripts.with_file_name(all_versions);
    let inside = scripts.join(all_versions);
    for (from, to) in [(beside, all_versions.to_owned()), (inside, format!("{all_versions}/{version}"))] {
        if from.is_dir() {
            place(builder, &from, &to)?;
        }
    }
    Ok(())
}

fn place(builder: &mut Builder, scripts: &Path, folder: &str) -> Result<(), Error> {
    for found in walk::files(scripts, &|_: &Path| true)? {
        let target = below(LIB, &Path::new(folder).join(&found.relative))?;
        if !builder.contains(&target) {
            builder.add(target, Entry { source: found.source, mode: found.mode, origin: Origin::System })?;
        }
    }
    Ok(())
}

/// What a library is by its name, and how the folder of its scripts is called: `libtcl8.6.so` → `tcl8.6`, `libtcl9tk9.0.so` → `tk9.0`.
fn scripts_of(library: &Path) -> Option<(&'static Kit, String)> {
    let stem = library.file_name()?.to_str()?.strip_prefix("lib")?.split(".so").next()?;
    let (kit, at) = [&TK, &TCL].into_iter().find_map(|kit| Some((kit, stem.rfind(kit.name)?)))?;
    let (before, folder) = stem.split_at(at);
    let version = &folder[kit.name.len()..];
    let is_version = version.starts_with(|first: char| first.is_ascii_digit());
    let is_named_so = before.is_empty() || before.starts_with("tcl");
    (is_version && is_named_so).then(|| (kit, folder.to_owned()))
}

/// The folder that the library finds in the environment: one that it names itself, one that lies `beside` Tcl's, else the
/// installation's.
fn find(library: &[u8], file: &Path, kit: &Kit, folder: &str, beside: &[PathBuf]) -> Option<PathBuf> {
    let installation = file.ancestors().skip(1).take(2).flat_map(|root| [root.to_owned(), root.join("lib")]);
    let around = beside.iter().cloned().chain(installation).map(|root| root.join(folder));
    named(library, folder).into_iter().chain(around).find(|scripts| fits(library, scripts, kit))
}

/// Absolute paths of that name among a library's texts; lists of them are separated by spaces.
fn named(library: &[u8], folder: &str) -> Vec<PathBuf> {
    let is_end = |byte: &u8| *byte == 0 || *byte == b' ';
    let ends = memchr::memmem::find_iter(library, folder.as_bytes()).map(|at| at + folder.len());
    ends.filter(|&end| library.get(end).is_none_or(is_end))
        .filter_map(|end| {
            let start = library[..end].iter().rposition(is_end).map_or(0, |before| before + 1);
            let path = Path::new(OsStr::from_bytes(&library[start..end]));
            (path.is_absolute() && path.ends_with(folder)).then(|| path.to_owned())
        })
        .collect()
}

/// Scripts refuse every library but that of their own version: `package require -exact Tcl 8.6.13`.
fn fits(library: &[u8], scripts: &Path, kit: &Kit) -> bool {
    let Ok(text) = fs::read(scripts.join(kit.script)) else { return false };
    let text = String::from_utf8_lossy(&text);
    let demanded = text.lines().find_map(|line| {
        let (_, demand) = line.split_once("package require -exact")?;
        let mut words = demand.split_whitespace();
        (words.next() == Some(kit.package)).then(|| words.next().map(|version| version.trim_end_matches(['}', ']'])))?
    });
    demanded.is_none_or(|version| memchr::memmem::find(library, version.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_tells_how_its_scripts_folder_is_called() {
        let folder = |name: &str| scripts_of(Path::new(name)).map(|(kit, folder)| (kit.package, folder));
        assert_eq!(folder("/usr/lib/libtcl8.6.so"), Some(("Tcl", "tcl8.6".to_owned())));
        assert_eq!(folder("/usr/lib/libtcl8.6.so.0"), Some(("Tcl", "tcl8.6".to_owned())));
        assert_eq!(folder("/usr/lib/libtk8.6.so"), Some(("Tk", "tk8.6".to_owned())));
        assert_eq!(folder("/opt/lib/libtcl9tk9.0.so"), Some(("Tk", "tk9.0".to_owned())));
        for other in ["libtclap.so.1", "libgtk3.so", "libgtk-3.so.0", "libssl.so.3", "tcl8.6.so"] {
            assert_eq!(folder(other), None, "{other}");
        }
    }

    #[test]
    fn scripts_are_those_of_the_librarys_own_version() {
        let folder = tempfile::tempdir().unwrap();
        let scripts = |place: &str, version: &str| {
            let scripts = folder.path().join(place).join("tcl8.6");
            fs::create_dir_all(&scripts).unwrap();
            fs::write(scripts.join("init.tcl"), format!("# scripts\npackage require -exact Tcl {version}\n")).unwrap();
            scripts
        };
        let library =
            |named: &Path| format!("\x7fELF\08.6.13\0/usr/lib/tcltk /x{0} {0}\0end", named.display()).into_bytes();
        let configured = scripts("share", "8.6.13");
        let file = folder.path().join("lib/libtcl8.6.so");
        let found = |bytes: &[u8]| find(bytes, &file, &TCL, "tcl8.6", &[]);
        assert_eq!(found(&library(&configured)), Some(configured));

        let older = scripts("older", "8.6.9");
        assert_eq!(found(&library(&older)), None);

        // A Python that was moved: what its library names is not there.
        let installed = scripts("lib", "8.6.13");
        assert_eq!(found(&library(Path::new("/install/lib/tcl8.6"))), Some(installed));
    }

    #[test]
    fn tk_scripts_lie_beside_tcls() {
        let folder = tempfile::tempdir().unwrap();
        let scripts = folder.path().join("tk8.6");
        fs::create_dir(&scripts).unwrap();
        // As Tk 8.6.13 has it, two spaces included.
        fs::write(scripts.join("tk.tcl"), "# Verify\npackage require -exact Tk  8.6.13\n").unwrap();
        let found =
            |beside: &[PathBuf]| find(b"\x7fELF 8.6.13", Path::new("/nowhere/lib/libtk8.6.so"), &TK, "tk8.6", beside);
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[folder.path().to_owned()]), Some(scripts));
    }
}
