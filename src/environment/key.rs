//! What tells one environment from another: all that goes into making it.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::lock::{LockFile, local_file};
use super::{Error, Facts};
use crate::config::Lock;

/// `bytes` are the lock file's, `installer` names the program that installs from it, with its version.
pub(super) fn key(
    lock: &Lock,
    bytes: &[u8],
    parsed: &LockFile,
    base: &Facts,
    installer: &str,
) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &[u8]| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(bytes);
    add(&identity(base)?);
    add(installer.as_bytes());
    for name in &lock.allow_sdist {
        add(name.as_str().as_bytes());
    }
    add(format!("{:?} {:?}", lock.indexes, lock.find_links).as_bytes());
    // One's own wheels are built again without another version, and only a hash would tell.
    let unhashed = || parsed.requirements.iter().filter(|requirement| !requirement.hashed);
    for folder in lock.find_links.iter().chain(&parsed.find_links).filter(|_| unhashed().next().is_some()) {
        add(&contents(folder)?);
    }
    for file in unhashed().filter_map(|requirement| local_file(&requirement.text)) {
        // That it is not there the installer tells.
        add(&fs::read(file).unwrap_or_default());
    }
    for project in &lock.editable {
        add(project.as_os_str().as_encoded_bytes());
        for file in ["pyproject.toml", "setup.cfg", "setup.py"] {
            add(&fs::read(project.join(file)).unwrap_or_default());
        }
        add(&built_from(project));
    }
    Ok(hasher.finalize().to_hex()[..24].to_owned())
}

/// What an editable project is when it is installed, and stays whatever becomes of its sources: its version, the packages
/// that setuptools' finder lists, and extension modules.
fn built_from(project: &Path) -> Vec<u8> {
    // What tools make, and what is others'.
    const OUTPUT: [&str; 4] = ["build", "dist", "node_modules", "target"];
    let is_own = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        let is_output = || OUTPUT.iter().any(|output| name == output.as_bytes());
        entry.depth() == 0 || !(name.starts_with(b".") || is_output() || entry.path().join("pyvenv.cfg").exists())
    };
    let entries = walkdir::WalkDir::new(project).sort_by_file_name().into_iter().filter_entry(is_own);
    let mut said = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.file_type().is_file()) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy());
        let content = || fs::read(path).unwrap_or_default();
        let is_package = entry.depth() <= 3 && name == "__init__.py";
        if is_package || is_native(path) {
            said.extend_from_slice(path.as_os_str().as_encoded_bytes());
        }
        if is_native(path) || ["VERSION", "version.txt"].contains(&&*name) {
            said.extend_from_slice(blake3::hash(&content()).as_bytes());
        } else if is_package || VERSIONED.contains(&&*name) {
            let text = content();
            let lines = String::from_utf8_lossy(&text);
            let of_the_version = lines.lines().filter(|line| line.to_ascii_lowercase().contains("version"));
            said.extend(of_the_version.flat_map(|line| line.bytes().chain([b'\n'])));
        }
    }
    said
}

/// Modules that hatch, flit, pdm and setuptools read a version from, beside a package's own.
const VERSIONED: [&str; 4] = ["__about__.py", "__version__.py", "_version.py", "version.py"];

/// Whether extension modules are built from it.
fn is_native(path: &Path) -> bool {
    const SOURCES: [&str; 12] = ["c", "cc", "cpp", "cxx", "f90", "h", "hh", "hpp", "pxd", "pxi", "pyx", "rs"];
    const ORDERS: [&str; 5] = ["CMakeLists.txt", "Cargo.lock", "Cargo.toml", "MANIFEST.in", "meson.build"];
    let ends = |with: &[&str]| path.extension().is_some_and(|end| with.iter().any(|known| end == *known));
    // Cython's own, which appears when the project is installed.
    let is_made = || ends(&["c", "cpp", "h"]) && path.with_extension("pyx").exists();
    ends(&SOURCES) && !is_made() || path.file_name().is_some_and(|name| ORDERS.iter().any(|order| name == *order))
}

/// Names and digests of the files in a folder. Their times would be others in every checkout.
fn contents(folder: &Path) -> Result<Vec<u8>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(format!("{:?} {}\n", path.file_name(), blake3::hash(&fs::read(&path)?).to_hex()));
        }
    }
    files.sort();
    Ok(files.concat().into_bytes())
}

/// What tells one interpreter from another: where it lies, its version, size and time of change.
fn identity(base: &Facts) -> Result<Vec<u8>, Error> {
    use std::os::unix::fs::MetadataExt;
    let path: &PathBuf = &base.base_executable;
    let meta = fs::metadata(path)?;
    Ok(format!("{} {} {} {}", path.display(), base.version_string(), meta.size(), meta.mtime()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_installation_of_an_editable_project_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            built_from(folder.path())
        };
        write("src/mine/__init__.py", "import os\n__version__ = '1.0'\n");
        write("src/mine/fast.pyx", "a = 1\n");
        let first = write("venv/pyvenv.cfg", "");
        for (path, text) in [
            ("src/mine/__init__.py", "import sys\n__version__ = '1.0'\n"),
            ("src/mine/fast.c", "made by Cython"),
            ("src/mine/other.py", ""),
            ("src/mine/more/__init__.py", ""),
            ("venv/lib/version.py", "version = 3\n"),
            (".tox/version.py", "version = 4\n"),
            ("build/fast.c", ""),
        ] {
            assert_eq!(write(path, text), first, "{path}");
        }
        for (path, text) in [
            ("src/mine/__init__.py", "import sys\n__version__ = '1.1'\n"),
            ("src/mine/fast.pyx", "a = 2\n"),
            ("other/__init__.py", ""),
            ("VERSION", "2"),
        ] {
            let before = built_from(folder.path());
            assert_ne!(write(path, text), before, "{path}");
        }
    }
}
