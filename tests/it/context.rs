//! The tool run as a user runs it: arguments in; exit code, standard output and standard error out, as one text.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;

use crate::support::PATIENCE;

/// What an installer may need to reach a package index, and where interpreters are.
const PASSED: [&str; 9] =
    ["PATH", "LANG", "PIP_", "PYENV_ROOT", "REQUESTS_CA_BUNDLE", "SSL_CERT_", "TMPDIR", "UV_", "https_proxy"];

/// A temporary folder with a home, and the tool in it with a cleared environment.
pub(crate) struct TestContext {
    root: tempfile::TempDir,
    filters: Vec<(String, &'static str)>,
}

impl TestContext {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        let filters = [
            (regex(&root.path().canonicalize().unwrap()), "[ROOT]"),
            (regex(Path::new(env!("CARGO_MANIFEST_DIR"))), "[PACKPROOF]"),
            (r"\d+(\.\d+)? (bytes|kB|MB|GB)".to_owned(), "[SIZE]"),
            (r"\d+\.\d+ s\b".to_owned(), "[TIME]"),
            (r"[0-9a-f]{32,64}".to_owned(), "[DIGEST]"),
        ];
        Self { root, filters: filters.into() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A copy of one of the repository's fixtures, so that nothing is written into the repository.
    pub(crate) fn fixture(&self, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        let to = self.at(name);
        for entry in walkdir::WalkDir::new(&from).into_iter().filter_entry(|entry| entry.file_name() != "dist") {
            let entry = entry.unwrap();
            let place = to.join(entry.path().strip_prefix(&from).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir_all(place).unwrap();
            } else {
                fs::copy(entry.path(), place).unwrap();
            }
        }
        to
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_packproof"));
        command.args(arguments).env_clear().current_dir(self.root.path()).stdin(Stdio::null());
        command.envs(std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED.iter().any(|passed| name == *passed || passed.ends_with('_') && name.starts_with(passed))
        }));
        command.env("HOME", self.at("home")).env("PACKPROOF_TOOL_CACHE", tool_cache());
        command.env("PACKPROOF_TIMEOUT_MULTIPLIER", PATIENCE.to_string());
        command
    }

    /// Exit code, standard output and standard error, with what differs from run to run taken out.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = format!(
            "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
            output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string()),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        self.filters.iter().fold(text, |text, (pattern, name)| {
            regex::Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
        })
    }
}

/// Environments and bytecode are made once for all tests, and found again in the next run.
pub(crate) fn tool_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("tool-cache")
}

/// What the tool has made for the runner in `project`, with its `libs/toolbelt`. Another clone that shares the folder for what
/// is built has an environment of its own there.
pub(crate) fn environment_of(project: &Path) -> PathBuf {
    let names = |text: String| text.lines().any(|line| Path::new(line).starts_with(project));
    let names_it = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "pth") && fs::read_to_string(path).is_ok_and(names)
    };
    let is_its = |environment: &PathBuf| {
        let files = fs::read_dir(environment.join("lib/python3.11/site-packages"));
        files.is_ok_and(|files| files.flatten().any(|entry| names_it(&entry.path())))
    };
    let environments = fs::read_dir(tool_cache().join("environments")).unwrap();
    environments.map(|entry| entry.unwrap().path()).find(is_its).unwrap()
}

fn regex(path: &Path) -> String {
    regex::escape(&path.to_string_lossy())
}
