//! What an interpreter says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, child};

pub(super) const SCRIPT: &str = include_str!("facts.py");

/// A moment, but on a machine that does nothing for minutes.
const ANSWERING: Duration = Duration::from_mins(10);

/// The answers of `facts.py`, taken in the environment's own interpreter after `site` has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub implementation: String,
    /// Major, minor, micro.
    pub version: [u32; 3],
    pub cache_tag: String,
    /// `sys.executable`: in a virtual environment, its own `bin/python`.
    pub executable: PathBuf,
    /// The interpreter that the environment is built on, links followed.
    pub base_executable: PathBuf,
    pub prefix: PathBuf,
    pub exec_prefix: PathBuf,
    pub base_prefix: PathBuf,
    pub base_exec_prefix: PathBuf,
    /// `sys.path` without the script's folder, in order.
    pub path: Vec<PathBuf>,
    pub stdlib: PathBuf,
    pub platstdlib: PathBuf,
    pub purelib: PathBuf,
    pub platlib: PathBuf,
    pub scripts: PathBuf,
    pub site_packages: Vec<PathBuf>,
    /// Relative to the prefix: where an ordinary installation of this interpreter looks for distributions.
    pub base_site_packages: Vec<PathBuf>,
    /// The user's site-packages where the environment has them on `sys.path`.
    pub user_site: Option<PathBuf>,
    /// In the order in which the path finder tries them, e.g. `.cpython-311-x86_64-linux-gnu.so`, `.abi3.so`, `.so`.
    pub extension_suffixes: Vec<String>,
    pub source_suffixes: Vec<String>,
    pub bytecode_suffixes: Vec<String>,
    pub builtin_names: Vec<String>,
    pub frozen_names: Vec<String>,
    /// `sys.stdlib_module_names`; empty before Python 3.10.
    pub stdlib_names: Vec<String>,
    /// Modules that start-up has made, as lines of `.pth` files do, and that no finder finds: name → the names in it.
    pub made: BTreeMap<String, Vec<String>>,
    /// Entries of `sys.meta_path` beside CPython's own three.
    pub finders: Vec<Finder>,
    /// PEP 508 marker variables.
    pub markers: BTreeMap<String, String>,
    /// `sysconfig.get_platform()`, e.g. `linux-x86_64`.
    pub platform: String,
    /// The soname of a shared libpython, e.g. `libpython3.11.so.1.0`; nothing for a static one.
    pub shared_library: Option<String>,
    pub library_folder: Option<PathBuf>,
    pub maxsize: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finder {
    /// Module and qualified name of the finder's class.
    pub class: String,
    /// setuptools' editable finder: import package → folder or file.
    pub mapping: BTreeMap<String, PathBuf>,
    /// setuptools' editable finder: namespace package → portions.
    pub namespaces: BTreeMap<String, Vec<PathBuf>>,
}

impl Facts {
    /// Runs `python` once, apart from the user's home and variables; in their midst where it does not start without, as
    /// pyenv's shims do not.
    pub fn ask(python: &Path) -> Result<Self, Error> {
        let home = tempfile::tempdir()?;
        let mut command = child::apart(python, home.path());
        if let Some(base) = user_base() {
            command.env("PYTHONUSERBASE", base);
        }
        match Self::told(python, command) {
            Err(Error::FactsFailed { .. } | Error::FactsUnreadable { .. }) => {
                let mut command = Command::new(python);
                for (name, _) in std::env::vars_os() {
                    if name.to_string_lossy().starts_with("PYTHON") {
                        command.env_remove(name);
                    }
                }
                Self::told(python, command)
            }
            told => told,
        }
    }

    fn told(python: &Path, command: Command) -> Result<Self, Error> {
        Self::told_within(python, command, ANSWERING)
    }

    fn told_within(python: &Path, mut command: Command, limit: Duration) -> Result<Self, Error> {
        let script = [child::CUT_OFF, SCRIPT].concat();
        command.args(["-S", "-c", &script]).current_dir("/").stdin(Stdio::null());
        let output = child::output(command, limit)
            .map_err(|source| Error::NoInterpreter { path: python.to_owned(), source })?
            .ok_or_else(|| Error::FactsFailed {
                path: python.to_owned(),
                status: format!("no answer in {} s", limit.as_secs()),
                stderr: "what it runs as it starts, e.g. a `.pth` file or `sitecustomize`, does not end".to_owned(),
            })?;
        if !output.status.success() {
            return Err(Error::FactsFailed {
                path: python.to_owned(),
                status: output.status.to_string(),
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        // A `.pth` file may print; the facts are the last line.
        let last = output.stdout.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let facts: Self = serde_json::from_slice(last)
            .map_err(|source| Error::FactsUnreadable { path: python.to_owned(), source })?;
        facts.check(python)?;
        Ok(facts)
    }

    fn check(&self, python: &Path) -> Result<(), Error> {
        if self.implementation != "cpython" {
            return Err(Error::UnsupportedImplementation {
                path: python.to_owned(),
                implementation: self.implementation.clone(),
            });
        }
        let [major, minor, _] = self.version;
        if major != 3 || !(9..=15).contains(&minor) {
            return Err(Error::UnsupportedVersion { path: python.to_owned(), version: self.version_string() });
        }
        Ok(())
    }

    /// `3.11.7`
    pub fn version_string(&self) -> String {
        let [major, minor, micro] = self.version;
        format!("{major}.{minor}.{micro}")
    }

    /// `python3.11`, the name of the library folder and of the executable.
    pub fn python_name(&self) -> String {
        format!("python{}.{}", self.version[0], self.version[1])
    }

    pub fn is_virtual(&self) -> bool {
        self.prefix != self.base_prefix
    }
}

/// Where `site` looks for the user's site-packages, the home that it is shown being another one.
fn user_base() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PYTHONUSERBASE").or_else(|| Some(set("HOME")?.join(".local")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_that_does_not_answer_is_no_interpreter() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 600"]);
        let error = Facts::told_within(Path::new("python"), command, Duration::from_secs(1)).unwrap_err().to_string();
        assert!(error.contains("did not say what it is (no answer in 1 s)"), "{error}");
    }
}
