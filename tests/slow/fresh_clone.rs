//! The README's first commands where nothing was built before, with no network once the crates are there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use fs_err as fs;

use crate::turn;

struct Clone {
    folder: tempfile::TempDir,
}

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = env!("CARGO_MANIFEST_DIR");
        run(Command::new("git")
            .args(["clone", "--quiet", "--depth", "1"])
            .arg(format!("file://{source}"))
            .arg(folder.path().join("clone")));
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(self.at("clone")).env("CARGO_TARGET_DIR", self.at("target"));
        // What a test's own Cargo sets for it is not what a user's shell has.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*text)
                || text == "RUSTFLAGS"
            {
                command.env_remove(&name);
            }
        }
        command
    }

    /// When the launcher of the build with the debug profile was made.
    fn launcher_made(&self) -> SystemTime {
        let made = walkdir::WalkDir::new(self.at("target/debug/build"))
            .into_iter()
            .flatten()
            .filter(|entry| {
                entry.path().ends_with("launcher-target/x86_64-unknown-linux-gnu/launcher/packproof-launcher")
            })
            .map(|entry| entry.metadata().unwrap().modified().unwrap());
        made.max().expect("the launcher was built")
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_fresh_clone_builds_runs_and_installs_offline() {
    if !turn("fresh-clone") {
        return;
    }
    let clone = Clone::new();
    run(&mut clone.cargo(&["fetch", "--locked"]));
    let offline = |arguments: &[&str]| {
        let mut command = clone.cargo(arguments);
        command.env("CARGO_NET_OFFLINE", "true");
        command
    };
    run(&mut offline(&["build", "--locked"]));
    let made = clone.launcher_made();

    // A change of the tool alone builds the tool alone.
    let main = clone.at("clone/src/bin/packproof.rs");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, text + "\n// changed\n").unwrap();
    let version = run(&mut offline(&["run", "--quiet", "--locked", "--", "--version"]));
    assert!(version.starts_with("packproof "), "{version}");
    run(&mut offline(&["test", "--locked", "--no-run"]));
    assert_eq!(clone.launcher_made(), made, "the launcher was built again");

    let root = clone.at("installed");
    let arguments = ["install", "--quiet", "--locked", "--debug", "--path", ".", "--root", root.to_str().unwrap()];
    run(&mut offline(&arguments));
    assert_eq!(names(&root.join("bin")), ["packproof"], "the launcher is inside, not beside");
    packs_alone(&clone, &root.join("bin/packproof"));
}

/// The installed binary is all that is needed.
fn packs_alone(clone: &Clone, packproof: &Path) {
    fs::remove_dir_all(clone.at("clone")).unwrap();
    fs::remove_dir_all(clone.at("target")).unwrap();
    let work = clone.at("work");
    fs::create_dir(&work).unwrap();
    run(Command::new("python3").args(["-m", "venv", "--without-pip", "venv"]).current_dir(&work));
    fs::write(work.join("hello.py"), "print('hello')\n").unwrap();
    run(Command::new(packproof).args(["build", "hello.py", "--python", "venv"]).current_dir(&work).env("HOME", &work));
    assert_eq!(run(Command::new(work.join("dist/hello")).env("HOME", &work)), "hello\n");
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
