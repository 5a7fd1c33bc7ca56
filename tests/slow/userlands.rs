//! Artifacts in the user land of other Debian releases: a newer one starts them, an older one is told which glibc it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::bare::run_in;
use crate::context::TestContext;
use crate::{support, turn};

const MIRROR: &str = "http://deb.debian.org/debian";

/// The release's minimal system with these packages, made once; nothing where it cannot be.
pub(crate) fn userland(release: &str, packages: &[&str]) -> Option<PathBuf> {
    let name = [&[release], packages].concat().join("-");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("userlands").join(name);
    if root.join("complete").exists() {
        return Some(root);
    }
    if !rustix::process::geteuid().is_root() || Command::new("debootstrap").arg("--version").output().is_err() {
        support::skipped("root and debootstrap");
        return None;
    }
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let mut command = Command::new("debootstrap");
    command.arg("--variant=minbase");
    if !packages.is_empty() {
        command.arg(format!("--include={}", packages.join(",")));
    }
    let made = command.arg(release).arg(&root).arg(MIRROR).output().unwrap();
    if !made.status.success() {
        support::skipped("a mirror of Debian's");
        return None;
    }
    fs::write(root.join("complete"), "").unwrap();
    Some(root)
}

fn glibc(root: &Path) -> String {
    let output = Command::new("chroot").arg(root).args(["ldd", "--version"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[test]
#[expect(clippy::print_stderr, reason = "the table is the result")]
fn artifacts_in_other_releases() {
    if !turn("userlands") {
        return;
    }
    let pythons = ["3.11", "3.13"].map(|version| packproof::environment::find::interpreter(Some(version)).ok());
    let debian = packproof::environment::Facts::ask(Path::new("/usr/bin/python3")).ok();
    for facts in pythons.into_iter().chain([debian]).flatten() {
        let python = facts.base_executable.clone();
        let context = TestContext::new();
        context.write("project/main.py", include_str!("../it/libraries.py"));
        let made =
            Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(context.at("venv")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let built = context
            .command(&["build", "project/main.py", "-o", "out/main", "--python"])
            .arg(context.at("venv"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{said}");
        let floor = said.lines().find_map(|line| line.trim().strip_prefix("needs      glibc ")).unwrap();
        let floor = floor.split(' ').next().unwrap().to_owned();
        let number = |version: &str| version.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
        for release in ["trixie", "bullseye"] {
            let Some(root) = userland(release, &[]) else { return };
            let has = glibc(&root);
            let _ = fs::remove_dir_all(root.join("tmp/cache"));
            let Some(output) = run_in(&root, &context.at("out/main"), &[], &[]) else { return };
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            if number(&has) >= number(&floor) {
                assert!(output.status.success() && output.stdout.starts_with(b"{\"tls\": \"OpenSSL 3"), "{error}");
                eprintln!("{} on {release} (glibc {has}): runs; it needs {floor}", python.display());
            } else {
                assert_eq!(output.status.code(), Some(125), "{error}");
                assert!(error.lines().count() == 1 && error.contains(&floor) && error.contains(&has), "{error}");
                assert!(!root.join("tmp/cache").exists(), "nothing is unpacked in vain");
                eprintln!("{} on {release} (glibc {has}): {}", python.display(), error.trim_end());
            }
        }
    }
}
