//! Which interpreter: the virtual environment at hand, or the version that a lock file was made for.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Error, Facts, facts};
use crate::cache::{self, stamped::Stamped};

/// The project's environment where the configuration names none: `VIRTUAL_ENV`, then `.venv` beside the project.
pub fn project_python(root: &Path) -> Result<PathBuf, Error> {
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let candidates: Vec<PathBuf> =
        active.into_iter().chain([root.join(".venv")]).map(|venv| python_of(&venv)).collect();
    candidates.iter().find(|python| python.is_file()).cloned().ok_or_else(|| {
        let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        Error::NotFound { looked: format!("looked for {}", looked.join(" and ")) }
    })
}

/// A virtual environment's interpreter; a path to an interpreter is taken as it is.
pub fn python_of(path: &Path) -> PathBuf {
    if path.join("pyvenv.cfg").is_file() || path.is_dir() { path.join("bin").join("python") } else { path.to_owned() }
}

/// Looks for CPython `wanted` (`3.11`, `3.11.7`) on PATH, then among pyenv's and uv's installations. `None` takes the
/// first `python3` on PATH.
pub fn interpreter(wanted: Option<&str>) -> Result<Facts, Error> {
    let mut refused = Vec::new();
    // What a base interpreter says does not change while its executable stays.
    let kept = Stamped::open(cache::root().as_deref(), "interpreters", &[facts::SCRIPT.as_bytes()]);
    for candidate in candidates(wanted) {
        // What a shim starts is decided elsewhere.
        let facts = match pyenv_of(&candidate) {
            Some(_) => Facts::ask(&candidate),
            None => kept.get_or(&candidate, || Facts::ask(&candidate)),
        };
        match facts {
            Ok(facts) if wanted.is_none_or(|wanted| satisfies(&facts.version_string(), wanted)) => {
                kept.save();
                return Ok(facts);
            }
            // A pyenv shim for a version that is not switched on fails; an older system Python is refused.
            Ok(_) => {}
            Err(error) => refused.push(error),
        }
    }
    // Of one that was asked for by its version it is said why it is not taken.
    let is_wanted = |error: &Error| match (wanted, error) {
        (Some(wanted), Error::UnsupportedVersion { version, .. }) => satisfies(version, wanted),
        (Some(_), _) => false,
        (None, _) => true,
    };
    let wanted = || wanted.unwrap_or("3").to_owned();
    Err(refused.into_iter().find(is_wanted).unwrap_or_else(|| Error::VersionNotFound { wanted: wanted() }))
}

/// Whether `3.11.7` is a `3.11`.
pub(super) fn satisfies(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn candidates(wanted: Option<&str>) -> Vec<PathBuf> {
    let names: Vec<String> = match wanted {
        Some(wanted) => {
            let minor: Vec<_> = wanted.split('.').take(2).collect();
            vec![format!("python{}", minor.join(".")), "python3".to_owned(), "python".to_owned()]
        }
        None => vec!["python3".to_owned(), "python".to_owned()],
    };
    let on_path = names.iter().flat_map(on_path);
    let mut found: Vec<PathBuf> = on_path.map(|file| behind_shim(&file).unwrap_or(file)).collect();
    if let Some(wanted) = wanted {
        let home = env::var_os("HOME").map(PathBuf::from);
        let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".pyenv")));
        let uv = env::var_os("UV_PYTHON_INSTALL_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(".local/share/uv/python")));
        let version_of_pyenv = |name: &str| Some(name.to_owned());
        // cpython-3.11.9-linux-x86_64-gnu
        let version_of_uv = |name: &str| name.strip_prefix("cpython-")?.split('-').next().map(str::to_owned);
        found.extend(installed(pyenv.map(|root| root.join("versions")), wanted, version_of_pyenv));
        found.extend(installed(uv, wanted, version_of_uv));
    }
    found
}

/// pyenv's folder, where the file is one of its shims.
fn pyenv_of(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| folder.ends_with("shims"))?.parent()
}

/// The interpreter that a shim of pyenv's would start. pyenv asks half a dozen shell scripts for it, which takes longer
/// than an audit. Nothing where the file is no shim, or where pyenv would have to look for the version.
fn behind_shim(file: &Path) -> Option<PathBuf> {
    let root = pyenv_of(file)?;
    let set = env::var("PYENV_VERSION").ok().filter(|set| !set.is_empty());
    let versions = set.or_else(|| fs::read_to_string(root.join("version")).ok())?;
    let mut folders = versions.split([':', '\n', ' ']).filter(|name| !name.is_empty()).map(|name| {
        let folder = root.join("versions").join(name);
        folder.is_dir().then_some(folder)
    });
    // `system`, or a prefix of a version.
    let known = folders.by_ref().map_while(|folder| folder);
    known.map(|folder| folder.join("bin").join(file.file_name().unwrap_or_default())).find(|python| python.is_file())
}

/// Every executable of that name on PATH, in order.
pub fn on_path(name: impl AsRef<OsStr>) -> Vec<PathBuf> {
    let name = name.as_ref();
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}

/// The newest first.
fn installed(folder: Option<PathBuf>, wanted: &str, version: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let Some(entries) = folder.and_then(|folder| fs::read_dir(folder).ok()) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let version = version(entry.file_name().to_str()?)?;
            let numbers = version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
            satisfies(&version, wanted).then(|| (numbers, entry.path().join("bin").join("python3")))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, python)| python).filter(|python| python.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(satisfies("3.11.7", "3.11") && satisfies("3.11.7", "3.11.7") && satisfies("3.11.7", "3"));
        assert!(!satisfies("3.11.7", "3.1") && !satisfies("3.11.7", "3.11.70"));
    }

    #[test]
    fn a_shim_stands_for_the_first_version_that_has_the_program() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for (version, program) in [("3.11.7", "python3.11"), ("3.12.1", "python3.12")] {
            let bin = root.join("versions").join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join(program), "").unwrap();
        }
        let behind = |program: &str| behind_shim(&root.join("shims").join(program));
        fs::write(root.join("version"), "3.11.7\n3.12.1\n").unwrap();
        assert_eq!(behind("python3.12"), Some(root.join("versions/3.12.1/bin/python3.12")));
        assert_eq!(behind("python3.13"), None);
        fs::write(root.join("version"), "3.12\n3.12.1\n").unwrap();
        assert_eq!(behind("python3.12"), None, "pyenv looks for the newest 3.12");
        assert_eq!(behind_shim(Path::new("/usr/bin/python3")), None);
    }

    #[test]
    fn the_newest_installation_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["3.11.2", "3.11.10", "3.12.1", "pypy3.10"] {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("python3"), "").unwrap();
        }
        let found = installed(Some(folder.path().to_owned()), "3.11", |name| Some(name.to_owned()));
        let wanted: Vec<_> = ["3.11.10", "3.11.2"].map(|v| folder.path().join(v).join("bin/python3")).into();
        assert_eq!(found, wanted);
    }
}
