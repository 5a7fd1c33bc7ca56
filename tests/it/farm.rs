//! The runner's environment without one distribution: does the audit find what would fail?
//!
//! CPython is asked first, in the same environment: the audit has to have an error where an import of the application's own
//! fails that did not fail before, and none where none does.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::environment::{Distribution, Environment};
use serde_json::Value;

use crate::context::{TestContext, environment_of};

/// Imports each line of its input, and prints the lines that fail.
const TRY: &str = "
import os, sys
out = os.fdopen(os.dup(1), 'w')
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
for line in sys.stdin.read().splitlines():
    try:
        exec(line, {})
    except ImportError:
        out.write(line + chr(10))
out.flush()
os._exit(0)
";

/// A copy of the runner's environment, of links, from which distributions are taken away and brought back.
pub(crate) struct Farm {
    context: TestContext,
    pub(crate) environment: Environment,
    /// What the application's own modules import, as statements.
    statements: Vec<String>,
    known: BTreeSet<String>,
}

/// What came of one removal.
#[derive(Debug)]
pub(crate) struct Removed {
    /// Statements of the application's that fail then, and did not before.
    pub(crate) fails: Vec<String>,
    /// Errors of the audit.
    pub(crate) errors: Vec<String>,
    /// A warning says that it is missing: what native code imports, no graph shows.
    pub(crate) is_named: bool,
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agent-runner")
}

impl Farm {
    pub(crate) fn new() -> Self {
        let context = TestContext::new();
        // Makes the environment where it is not made.
        let made = context.command(&["audit", "-q"]).arg(fixture()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let original = environment_of(&fixture());
        let farm = context.at("farm");
        fs::create_dir_all(farm.join("bin")).unwrap();
        fs::copy(original.join("pyvenv.cfg"), farm.join("pyvenv.cfg")).unwrap();
        symlink(fs::canonicalize(original.join("bin/python")).unwrap(), farm.join("bin/python")).unwrap();
        let environment = Environment::read(&original.join("bin/python")).unwrap();
        let mut farm = Self { context, environment, statements: Vec::new(), known: BTreeSet::new() };
        farm.link(None);
        farm.statements = farm.statements();
        assert!(farm.statements.len() > 80, "{:?}", farm.statements);
        farm.known = farm.failing();
        farm
    }

    fn python(&self) -> PathBuf {
        self.context.at("farm/bin/python")
    }

    /// site-packages anew, without the files of one distribution.
    fn link(&self, without: Option<&Distribution>) {
        let site = self.context.at("farm/lib/python3.11/site-packages");
        let _ = fs::remove_dir_all(&site);
        let gone: BTreeSet<PathBuf> =
            without.into_iter().flat_map(|dist| dist.files.iter().map(|file| dist.site.join(&file.path))).collect();
        link_folder(&self.environment.facts.purelib, &site, &gone);
    }

    /// Of every module of the application's, whenever they are carried out, and those of `[smoke] imports`.
    fn statements(&self) -> Vec<String> {
        let output = self.tool("graph", &["--format", "json"]);
        let graph: Value = serde_json::from_slice(&output).unwrap();
        let modules = graph["modules"].as_array().unwrap();
        let mut statements = BTreeSet::new();
        for import in graph["imports"].as_array().unwrap() {
            let importer = &modules[usize::try_from(import["importer"].as_u64().unwrap()).unwrap()];
            let kind = import["kind"].as_str().unwrap();
            if importer["origin"] != "application" || !matches!(kind, "unconditional" | "deferred") {
                continue;
            }
            let module = import["module"].as_str().unwrap();
            let names = import["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<_> = names.collect();
            statements.insert(match names[..] {
                [] => format!("import {module}"),
                _ => format!("from {module} import {}", names.join(", ")),
            });
        }
        statements.into_iter().collect()
    }

    fn failing(&self) -> BTreeSet<String> {
        let asked = self.context.at("asked");
        fs::write(&asked, self.statements.join("\n")).unwrap();
        let mut command = Command::new(self.python());
        command.args(["-W", "ignore", "-c", TRY]).current_dir(fixture()).env_clear();
        command.env("HOME", self.context.at("home")).env("PYTHONDONTWRITEBYTECODE", "1").env("MODE", "local");
        let output = command.stdin(fs::File::open(asked).unwrap().into_file()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn tool(&self, command: &str, arguments: &[&str]) -> Vec<u8> {
        let mut command = self.context.command(&[command, "-q", "--python"]);
        command.arg(self.python()).args(arguments).arg(fixture()).output().unwrap().stdout
    }

    /// Exit code and report of an audit, with one distribution taken away or with all.
    pub(crate) fn audit(&self, without: Option<&str>, arguments: &[&str]) -> (Option<i32>, Vec<u8>) {
        self.link(without.map(|name| self.environment.distribution(name).unwrap()));
        let mut command = self.context.command(&["audit", "-q", "--python"]);
        let output = command.arg(self.python()).args(arguments).arg(fixture()).output().unwrap();
        (output.status.code(), output.stdout)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.context.at(name)
    }

    pub(crate) fn without(&self, name: &str) -> Removed {
        self.link(Some(self.environment.distribution(name).unwrap()));
        let report: Value = serde_json::from_slice(&self.tool("audit", &["--format", "json"])).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let is_named = findings.clone().any(|it| it["code"] == "unmet-requirement" && it["subject"] == name);
        let errors = findings.filter(|finding| finding["severity"] == "error");
        Removed {
            is_named,
            errors: errors.map(|finding| format!("{}: {}", finding["code"], finding["message"])).collect(),
            fails: self.failing().difference(&self.known).cloned().collect(),
        }
    }
}

/// Links where nothing below is gone, folders where something is.
fn link_folder(from: &Path, to: &Path, gone: &BTreeSet<PathBuf>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if gone.contains(&path) || entry.file_name() == "__pycache__" {
            continue;
        }
        let place = to.join(entry.file_name());
        let touched = gone.range(path.clone()..).next().is_some_and(|next| next.starts_with(&path));
        if !touched || !path.is_dir() {
            symlink(&path, place).unwrap();
            continue;
        }
        link_folder(&path, &place, gone);
        // An installer removes a folder with its last file.
        if fs::read_dir(&place).unwrap().next().is_none() {
            fs::remove_dir(place).unwrap();
        }
    }
}
