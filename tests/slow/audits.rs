//! Applications that work unpackaged, audited: no error, since nothing in them is wrong.
//!
//! Each lock holds a whole environment. Where a lock is brought up to date and an error shows, the test asks CPython
//! whether the import really fails, so that a false alarm and a broken release are told apart.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::environment::find;
use serde_json::Value;

use crate::installed;

/// Name, lock, and what the console script calls.
const APPLICATIONS: &[(&str, &str, &str)] = &[
    ("airflow", include_str!("locks/airflow.txt"), "airflow.__main__:main"),
    ("ansible", include_str!("locks/ansible.txt"), "ansible.cli.adhoc:main"),
    ("dask", include_str!("locks/dask.txt"), "dask.__main__:main"),
    ("homeassistant", include_str!("locks/homeassistant.txt"), "homeassistant.__main__:main"),
    ("jupyter", include_str!("locks/jupyter.txt"), "jupyterlab.labapp:main"),
    ("mlflow", include_str!("locks/mlflow.txt"), "mlflow.cli:cli"),
    ("poetry", include_str!("locks/poetry.txt"), "poetry.console.application:main"),
    ("scrapy", include_str!("locks/scrapy.txt"), "scrapy.cmdline:execute"),
    ("sphinx", include_str!("locks/sphinx.txt"), "sphinx.cmd.build:main"),
    ("streamlit", include_str!("locks/streamlit.txt"), "streamlit.web.cli:main"),
    // A Django site, made by `wagtail start`.
    ("wagtail", include_str!("locks/wagtail.txt"), "manage.py"),
];

#[test]
#[expect(clippy::print_stderr, reason = "the counts are what the sweep shows")]
fn applications_that_work_have_no_error() {
    if !super::turn("audits") {
        return;
    }
    let mut alarms = Vec::new();
    for (name, lock, entry) in APPLICATIONS {
        let python = environment(name, lock);
        let project = project(name, entry, &python);
        let output = Command::new(env!("CARGO_BIN_EXE_packproof"))
            .args(["audit", "-q", "--format", "json", "--python"])
            .arg(&python)
            .arg(&project)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
        let findings = report["findings"].as_array().unwrap();
        let count = |severity: &str| findings.iter().filter(|finding| finding["severity"] == severity).count();
        eprintln!("{name}: {} errors, {} warnings, {} infos", count("error"), count("warning"), count("info"));
        for finding in findings.iter().filter(|finding| finding["severity"] != "info") {
            eprintln!("  {} {}: {}", finding["severity"], finding["code"], finding["message"]);
        }
        for finding in findings.iter().filter(|finding| finding["severity"] == "error") {
            alarms.push(format!("{name}: {} ({})", finding["message"], verdict(&python, finding)));
        }
    }
    assert!(alarms.is_empty(), "{alarms:#?}");
}

/// What CPython says of the import that the finding is about.
fn verdict(python: &Path, finding: &Value) -> &'static str {
    let module = finding["subject"].as_str().unwrap_or_default();
    let message = finding["message"].as_str().unwrap_or_default();
    let name = message.split('`').nth(3).unwrap_or_default();
    let script = match finding["code"].as_str() {
        Some("missing-module") => format!("import {module}"),
        Some("missing-name") => format!("from {module} import {name}"),
        _ => return "to be looked into",
    };
    let status = Command::new(python).args(["-c", &script]).output().unwrap().status;
    if status.success() { "a false alarm" } else { "CPython fails too: the lock is broken" }
}

fn environment(name: &str, lock: &str) -> PathBuf {
    let version = lock.split(['\n', ';']).next().and_then(|first| first.strip_prefix("# python ")).unwrap();
    let base = find::interpreter(Some(version)).unwrap();
    // Two of the locks name a distribution that has no wheel.
    let arguments = ["--no-deps", "--prefer-binary"];
    installed::environment(name, &base.executable, lock, &arguments).unwrap()
}

fn project(name: &str, entry: &str, python: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("project-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut config = format!("[runner]\nname = \"{name}\"\nentry = \"{entry}\"\n");
    if name == "wagtail" {
        run(Command::new(python.with_file_name("wagtail")).args(["start", "site1", "."]).current_dir(&folder));
        config.push_str("hidden-imports = [\"site1.settings.dev\", \"site1.urls\", \"site1.wsgi\"]\n");
    }
    if name == "dask" {
        config.push_str("hidden-imports = [\"bokeh\", \"dask.dataframe\", \"dask.distributed\", \"xarray\"]\n");
    }
    fs::write(folder.join("packproof.toml"), config).unwrap();
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
