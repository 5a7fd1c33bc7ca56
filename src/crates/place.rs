//! Where a built module goes, and under which name Python finds it there.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::cache;
use crate::config::{Config, Entry};
use crate::environment::Facts;
use crate::names::ModuleName;

/// `fast.abi3.so`, or `fast.cpython-311-x86_64-linux-gnu.so`
pub(super) fn file_name(module: &ModuleName, abi3: bool, facts: &Facts) -> String {
    format!("{}{}", module.last(), suffix(abi3, &facts.extension_suffixes))
}

/// 3.15 and newer also know `.abi3-x86_64-linux-gnu.so`, which those before do not.
fn suffix(abi3: bool, known: &[String]) -> &str {
    let is_it = |suffix: &&String| if abi3 { *suffix == ".abi3.so" } else { !suffix.starts_with(".abi3") };
    known.iter().find(is_it).map_or(".so", String::as_str)
}

/// The folder of one of the application's own packages.
pub(super) fn package_folder(config: &Config, package: &ModuleName) -> Option<PathBuf> {
    let script = match &config.runner.entry {
        Entry::Script(script) => script.parent(),
        Entry::Module(_) | Entry::Function { .. } => None,
    };
    let roots =
        [script, Some(&*config.root)].into_iter().flatten().chain(config.runner.path.iter().map(PathBuf::as_path));
    let relative = package.as_str().replace('.', "/");
    roots.map(|root| root.join(&relative)).find(|folder| folder.join("__init__.py").is_file())
}

/// Makes `folder` hold these files and nothing else.
pub(super) fn fill(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !files.contains_key(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    files.iter().try_for_each(|(name, bytes)| write(&folder.join(name), bytes))
}

/// A file that is the same already keeps its time, so that nothing that was known of it is forgotten.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    cache::write(path, bytes)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_that_most_interpreters_know() {
        let known = [".cpython-315-x86_64-linux-gnu.so", ".abi3-x86_64-linux-gnu.so", ".abi3.so", ".abi3t.so", ".so"];
        let known = known.map(str::to_owned);
        assert_eq!(suffix(true, &known), ".abi3.so");
        assert_eq!(suffix(false, &known), ".cpython-315-x86_64-linux-gnu.so");
    }

    #[test]
    fn a_folder_is_made_to_hold_what_it_should() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.abi3.so"), "x").unwrap();
        let files = BTreeMap::from([("new.abi3.so".to_owned(), b"y".to_vec())]);
        fill(folder.path(), &files).unwrap();
        let written = fs::metadata(folder.path().join("new.abi3.so")).unwrap().modified().unwrap();
        fill(folder.path(), &files).unwrap();
        assert_eq!(fs::metadata(folder.path().join("new.abi3.so")).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
