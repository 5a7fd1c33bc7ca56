//! Interpreters that are newer than this machine's: those of Debian's next release (`testing`), in a root of their own, where the tool
//! itself runs as well.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::context::TestContext;
use crate::support::{run, skipped, text, write_executable};
use crate::userlands::userland;
use crate::{marshalled, turn};

const VERSIONS: [&str; 2] = ["3.14", "3.15"];

/// In a mount namespace of its own. A root that is no mount point would leave the proof without isolation.
const INSIDE: &str = r#"
set -e
root=$1; tool=$2; folder=$3; script=$4
mount --rbind "$root" "$root"
mount --make-rprivate "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
touch "$root/usr/local/bin/packproof"
mount --bind "$tool" "$root/usr/local/bin/packproof"
exec chroot "$root" /bin/sh -ec "cd '$folder'; $script"
"#;

fn inside(root: &Path, context: &TestContext, script: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", INSIDE, "sh"]).arg(root).arg(env!("CARGO_BIN_EXE_packproof"));
    command.arg(context.at("")).arg(script).env_clear();
    command
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", context.at("home"))
        .output()
        .unwrap()
}

fn download_wheels(version: &str, to: &Path) {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow/locks/newest.txt");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps", "--only-binary", ":all:"]);
    pip.args(["--python-version", version, "--implementation", "cp", "--abi", "abi3", "--abi", "none", "--abi"]);
    pip.arg(format!("cp{}", version.replace('.', ""))).arg("-r").arg(lock).arg("-d").arg(to);
    for platform in ["manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64"]
    {
        pip.args(["--platform", platform]);
    }
    run(&mut pip);
}

fn check(root: &Path, version: &str) {
    let context = TestContext::new();
    context.write("app/main.py", include_str!("newest.py"));
    context.write("app/latest.py", include_str!("latest.py"));
    for name in ["asked", "listed"] {
        context.write(&format!("app/{name}.py"), "VALUE = 1\n");
    }
    let site = format!("venv/lib/python{version}/site-packages");
    download_wheels(version, &context.at("wheels"));
    let made = inside(
        root,
        &context,
        &format!(
            "python{version} -m venv venv; venv/bin/pip install -q --no-index --find-links wheels wheels/*; rm -r wheels"
        ),
    );
    assert!(made.status.success(), "{}", text(&made));
    context.write(
        &format!("{site}/boot.py"),
        "CALLED = {}\ndef go(): CALLED['go'] = True\ndef old(): CALLED['old'] = True\n",
    );
    // PEP 829: where the first is understood, the second is not run.
    context.write(&format!("{site}/boot.start"), "boot:go\n");
    context.write(&format!("{site}/boot.pth"), "import boot; boot.old()\n");

    let unpackaged = inside(root, &context, "venv/bin/python app/main.py");
    assert!(unpackaged.status.success(), "{}", text(&unpackaged));
    let built = inside(root, &context, "packproof build app/main.py --python venv -o out/main");
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success() && said.contains("proof      PROVED ("), "{said}");
    assert!(!said.contains("partial") && !said.contains("error["), "{said}");

    // Nothing of what it was built from is there.
    let hide = format!(
        "for it in app venv home /usr/lib/python3*; do mount -t tmpfs tmpfs $it; done; rm /tmp/* -rf; \
                        ! python{version} -c pass 2>/dev/null; PACKPROOF_CACHE=/tmp/cache out/main"
    );
    let packed = inside(root, &context, &hide);
    assert!(packed.status.success(), "{}", text(&packed));
    assert_eq!(packed.stdout, unpackaged.stdout, "{}", text(&packed));
    let told: Value = serde_json::from_slice(&packed.stdout).unwrap();
    assert_eq!(told["pool"], json!(["forkserver", [9], 16]));
    if version == "3.15" {
        assert_eq!(told["booted"], json!(["go"]));
        assert_eq!(told["latest"]["before"], json!([]), "lazy imports are lazy");
        assert_eq!(told["latest"]["after"], json!(["asked", "listed"]));
    } else {
        assert_eq!(told["booted"], json!(["old"]));
    }

    let python = context.at("python");
    let chroot = format!("#!/bin/sh\nexec chroot {} /usr/bin/python{version} \"$@\"\n", root.display());
    write_executable(&python, chroot.as_bytes());
    let (files, _) = marshalled::check(&python, 1);
    assert!(files > 500, "{files}");
}

#[test]
#[expect(clippy::print_stderr, reason = "the table is the result")]
fn interpreters_of_the_next_release() {
    if !turn("newest") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skipped("root");
        return;
    }
    let Some(root) = userland("testing", &["python3.14-venv", "python3.15-venv"]) else { return };
    for version in VERSIONS {
        check(&root, version);
        eprintln!("{version}: proved, and runs where there is no Python");
    }
}
