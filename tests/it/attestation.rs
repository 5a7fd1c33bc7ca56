//! What CI and other machines see of a proof: the statement, JUnit, Markdown, and the record inside the artifact.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fs_err as fs;
use packproof::verify::{Proof, Verdict};
use serde_json::Value;

use crate::context::TestContext;
use crate::support::without_namespaces;

/// The fixture `rescued` with a smoke script and a start, built.
fn built(context: &TestContext) -> (std::path::PathBuf, String) {
    let folder = context.fixture("rescued");
    let configuration = fs::read_to_string(folder.join("packproof.toml")).unwrap();
    let more = "scripts = [\"smoke.py\"]\n[[start]]\nname = \"run\"\noutput = \".\"\n";
    context.write("rescued/packproof.toml", &(configuration + more));
    context.write("rescued/smoke.py", "print('smoke')\n");
    let junit = context.at("proof.xml");
    let summary = context.at("summary.md");
    let arguments =
        ["build", folder.to_str().unwrap(), "--junit", junit.to_str().unwrap(), "--summary", summary.to_str().unwrap()];
    let said = context.run(&arguments);
    (folder.join("dist/rescued"), said)
}

#[test]
fn a_proof_is_told_to_ci_and_travels_with_the_artifact() {
    let context = TestContext::new();
    let (artifact, said) = built(&context);
    assert!(said.starts_with("exit code: 0"), "{said}");
    let path = Proof::path_for(&artifact);

    // in-toto's own words.
    let statement: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://packproof.dev/proof/v1");
    let sum = Command::new("sha256sum").arg(&artifact).output().unwrap();
    let digest = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], *digest);
    assert_eq!(statement["predicate"]["inputs"]["packproof.toml"].as_str().unwrap().len(), 64);

    let xml = fs::read_to_string(context.at("proof.xml")).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let root = document.root_element();
    assert_eq!((root.attribute("tests"), root.attribute("failures")), (Some("5"), Some("0")));
    assert_eq!(cases.len(), 5);
    let summary = fs::read_to_string(context.at("summary.md")).unwrap();
    assert!(
        summary.starts_with("## `rescued`: PROVED") && summary.contains("| `smoke.py` | unpackaged: exit status 0;")
    );

    // Another machine has the artifact alone.
    let elsewhere = context.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let copy = elsewhere.join("rescued");
    fs::copy(&artifact, &copy).unwrap();
    fs::remove_dir_all(artifact.parent().unwrap().parent().unwrap()).unwrap();
    fs::copy(elsewhere.join("rescued"), context.at("first")).unwrap();
    let alone = context.run(&["verify", copy.to_str().unwrap()]);
    assert!(alone.starts_with("exit code: 0"), "{alone}");
    let proof = Proof::read(&Proof::path_for(&copy)).unwrap();
    assert!(proof.imports.checked > 0 && proof.imports.same == proof.imports.checked);
    assert_eq!(
        (proof.scripts[0].environment.as_str(), proof.scripts[0].artifact.as_str()),
        ("not run here", "exit status 0")
    );
    assert_eq!(proof.probes[0].artifact, "starts, gets ready and stops");

    // Nor need it have come with its permissions.
    fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644)).unwrap();
    let alone = context.run(&["verify", copy.to_str().unwrap()]);
    assert!(alone.starts_with("exit code: 0"), "{alone}");

    let (copy, file) = (copy.to_str().unwrap(), Proof::path_for(&copy));
    let file = file.to_str().unwrap();
    assert!(context.run(&["verify", "--proof", file, copy]).starts_with("exit code: 0"));
    let mut bytes = fs::read(copy).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(copy, bytes).unwrap();
    let other = context.run(&["verify", "--proof", file, copy]);
    assert!(other.starts_with("exit code: 1") && other.contains("is about another artifact"), "{other}");
}

#[test]
fn what_cannot_be_verified_is_said() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    assert!(context.run(&["build", "--quiet", "--no-proof", folder.to_str().unwrap()]).starts_with("exit code: 0"));
    let alone = context.run(&["verify", folder.join("dist/rescued").to_str().unwrap()]);
    assert!(alone.starts_with("exit code: 2") && alone.contains("holds no record"), "{alone}");
    let foreign = context.run(&["verify", "/bin/sh"]);
    assert!(foreign.starts_with("exit code: 2") && foreign.contains("cannot verify `/bin/sh`"), "{foreign}");
}

/// A red proof is red in the XML too, and everything in it is text.
#[test]
fn a_failed_proof_is_read_back_from_the_xml() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let configuration = fs::read_to_string(folder.join("packproof.toml")).unwrap();
    context.write("rescued/packproof.toml", &(configuration + "scripts = [\"smoke.py\"]\n"));
    context.write("rescued/smoke.py", "import sys\nprint('<&\\x1b[31m\"]]>')\nsys.exit('_packproof' in sys.modules)\n");
    let junit = context.at("proof.xml");
    let said = context.run(&["build", "--quiet", folder.to_str().unwrap(), "--junit", junit.to_str().unwrap()]);
    assert!(said.starts_with("exit code: 1"), "{said}");
    let xml = fs::read_to_string(&junit).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let failures: Vec<_> = document.descendants().filter(|node| node.has_tag_name("failure")).collect();
    let [failure] = failures.as_slice() else { panic!("{xml}") };
    assert_eq!(failure.attribute("type"), Some("script"));
    assert!(failure.text().unwrap().contains("<&\u{fffd}[31m\"]]>"), "{xml}");
    assert_eq!(document.root_element().attribute("failures"), Some("1"));
}

#[test]
fn partial_isolation_can_be_refused() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    assert!(context.run(&["build", "--quiet", folder.to_str().unwrap()]).starts_with("exit code: 0"));
    let artifact = folder.join("dist/rescued");
    if without_namespaces().is_none() {
        return;
    }
    let verify = |options: &[&str]| {
        let inner = context.command(&[]);
        let mut command = without_namespaces().unwrap();
        command.arg(env!("CARGO_BIN_EXE_packproof")).arg("verify");
        command.args(options).arg(&artifact).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().unwrap()
    };
    let partial = verify(&[]);
    assert_eq!(partial.status.code(), Some(0), "{}", String::from_utf8_lossy(&partial.stderr));
    let proof = Proof::read(&Proof::path_for(&artifact)).unwrap();
    assert_eq!(proof.verdict, Verdict::PartiallyIsolated);
    let refused = verify(&["--require-isolation"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("`isolation` is not what was asked for"), "{said}");
}

#[test]
fn where_no_program_may_be_run_another_folder_is_taken_or_asked_for() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    assert!(context.run(&["build", "--quiet", folder.to_str().unwrap()]).starts_with("exit code: 0"));
    let closed = context.at("closed");
    fs::create_dir(&closed).unwrap();
    let verify = |folders: &str, cache: &str| {
        let inner = context.command(&[]);
        let mount =
            "for folder in $FOLDERS; do mount -t tmpfs -o noexec,mode=1777 tmpfs $folder || exit 77; done; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", mount, "sh", env!("CARGO_BIN_EXE_packproof"), "verify"]);
        command.arg(folder.join("dist/rescued")).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("FOLDERS", folders).env("TMPDIR", &closed).env("PACKPROOF_TOOL_CACHE", cache);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (closed, open) = (closed.display().to_string(), context.at("open/cache").display().to_string());
    let (code, said) = verify(&closed, &open);
    if code == Some(77) || said.contains("unshare") {
        return crate::support::skipped("root, to mount a file system");
    }
    assert_eq!(code, Some(0), "{said}");
    // `/var/tmp` as well, and then the cache's own folder too.
    let both = format!("{closed} /var/tmp");
    assert_eq!(verify(&both, &open).0, Some(0));
    let (code, said) = verify(&both, &format!("{closed}/cache"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("programs may not be run in `{closed}`")) && said.contains("set TMPDIR"), "{said}");
}
