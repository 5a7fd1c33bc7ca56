//! The repository's own fixtures, from their lock file to a proved executable.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::config::Overrides;
use packproof::format::ArchivePath;
use packproof::layout::Source;
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Project};
use packproof::progress::Silent;
use packproof::verify::{Kind, Proof, Start, Verdict, prove};
use serde::Deserialize;
use serde_json::Value;

use crate::context::TestContext;
use crate::support::{python, run};

/// `expected.toml` of a fixture.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Expected {
    exit_code: i32,
    finding: Vec<ExpectedFinding>,
}

#[derive(Deserialize)]
struct ExpectedFinding {
    code: String,
    severity: String,
    subject: String,
    names: Vec<String>,
}

fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Where it stands in the repository: its editable project is part of the environment's key.
fn audit_as_expected(context: &TestContext, name: &str) -> Value {
    let folder = in_repository(name);
    let output = context.command(&["audit", "--format", "json"]).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected: Expected = toml::from_str(&fs::read_to_string(folder.join("expected.toml")).unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(expected.exit_code), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for wanted in &expected.finding {
        let fits = |found: &&Value| {
            found["code"] == *wanted.code
                && found["severity"] == *wanted.severity
                && found["subject"] == *wanted.subject
                && wanted.names.iter().all(|name| found["message"].as_str().unwrap().contains(name))
        };
        assert!(report["findings"].as_array().unwrap().iter().any(|found| fits(&found)), "{report:#}");
    }
    let errors = |finding: &&Value| finding["severity"] == "error";
    let wanted = expected.finding.iter().filter(|finding| finding.severity == "error").count();
    assert_eq!(report["findings"].as_array().unwrap().iter().filter(errors).count(), wanted, "{report:#}");
    report
}

fn proof_of(artifact: &Path) -> Proof {
    Proof::read(&Proof::path_for(artifact)).unwrap()
}

/// Plain where the machine has namespaces, and said to be partial where it has none.
fn assert_proved(proof: &Proof) {
    let wanted = if proof.isolation.partial.is_some() { Verdict::PartiallyIsolated } else { Verdict::Proved };
    assert_eq!(proof.verdict, wanted, "{}", packproof::report::proof::render(proof));
}

#[test]
fn a_lock_without_hashes_is_told_line_by_line() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let unhashed = |folder: &Path| {
        let output = context.command(&["audit", "-q", "--format", "json"]).arg(folder).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "unhashed-lock");
        found.map(|finding| finding["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(unhashed(&folder), [""; 0]);
    let lock = fs::read_to_string(folder.join("requirements.lock")).unwrap();
    let hash = lock.lines().find(|line| line.contains("--hash")).unwrap();
    fs::write(folder.join("requirements.lock"), lock.replacen(&format!(" \\\n{hash}"), "", 1)).unwrap();
    assert_eq!(unhashed(&folder), ["bookkeeping==1.2.0"]);
}

/// PEP 751. The wheels lie beside it, and nothing in the configuration says where.
#[test]
fn a_standard_lock_file_makes_the_same_environment() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let distributions = |of: &Path| {
        let output = context.command(&["licenses", "-q", "--format", "json"]).arg(of).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let by_requirements = distributions(&folder);

    let lock = fs::read_to_string(folder.join("requirements.lock")).unwrap().replace(" \\\n", "");
    let package = |line: &str| {
        let (pin, hash) = line.split_once("--hash=sha256:").unwrap();
        let (name, version) = pin.trim().split_once("==").unwrap();
        let wheel = format!("wheels/{}-{version}-py3-none-any.whl", name.replace('-', "_"));
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n\
             wheels = [{{ path = \"{wheel}\", hashes = {{ sha256 = \"{hash}\" }} }}]\n"
        )
    };
    let mut standard = "lock-version = \"1.0\"\nrequires-python = \">=3.11\"\n".to_owned();
    standard.extend(lock.lines().map(package));
    standard += "[[packages]]\nname = \"elsewhere\"\nversion = \"1\"\nmarker = \"sys_platform == 'win32'\"\n\
                 wheels = [{ url = \"https://example.org/elsewhere-1-py3-none-any.whl\", hashes = { sha256 = \"00\" } }]\n";
    fs::write(folder.join("pylock.toml"), &standard).unwrap();
    let configuration = fs::read_to_string(folder.join("packproof.toml")).unwrap();
    let configuration =
        configuration.replace("requirements.lock", "pylock.toml").replace("find-links = [\"wheels\"]\n", "");
    fs::write(folder.join("packproof.toml"), configuration).unwrap();
    assert_eq!(distributions(&folder), by_requirements);

    // A wheel that is not the one that was locked.
    let other = standard.replacen("sha256 = \"8", "sha256 = \"9", 1);
    assert_ne!(other, standard);
    fs::write(folder.join("pylock.toml"), other).unwrap();
    let refused = context.command(&["audit"]).arg(&folder).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).to_lowercase().contains("hash"), "{refused:?}");

    fs::write(folder.join("pylock.toml"), standard.replace(">=3.11", "<3.11")).unwrap();
    let refused = context.run(&["audit", folder.to_str().unwrap()]);
    assert!(
        refused.starts_with("exit code: 2") && refused.contains("line 2: the lock file is for Python <3.11"),
        "{refused}"
    );
}

/// Its modules are imported out of it in both worlds.
#[test]
fn a_zip_file_on_the_path_is_packed() {
    let context = TestContext::new();
    crate::support::venv(&python().executable, &context.at("venv"));
    let archive = context.at("lib.zip");
    let write = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as file:\n    \
                 file.writestr('zipped/__init__.py', 'from .inner import A\\n')\n    \
                 file.writestr('zipped/inner.py', 'A = 1\\n')\n";
    run(Command::new(&python().executable).args(["-c", write]).arg(&archive));
    let site = packproof::environment::Facts::ask(&context.at("venv/bin/python")).unwrap().purelib;
    fs::write(site.join("zip.pth"), format!("{}\n", archive.display())).unwrap();
    context.write("p/main.py", "from zipped import A\nimport zipped\nprint(A, 'lib.zip/zipped' in zipped.__file__)\n");
    let built = context.run(&["build", "p/main.py", "--python", "venv", "-o", "out/main"]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    fs::remove_file(archive).unwrap();
    let started = Command::new(context.at("out/main")).env("PACKPROOF_CACHE", context.at("cache")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&started.stdout), "1 True\n", "{started:?}");
}

/// crcmod has a C module, and was never released as a wheel.
#[test]
fn what_has_no_wheel_is_built_where_that_is_allowed() {
    let context = TestContext::new();
    context.write("p/requirements.lock", "crcmod==1.7\n");
    context.write("p/main.py", "import crcmod._crcfunext\nprint(crcmod.mkCrcFun(0x104C11DB7, rev=True)(b'1'))\n");
    let configuration = "[runner]\nentry = \"main.py\"\n[environment]\nlock = \"requirements.lock\"\n";
    context.write("p/packproof.toml", configuration);
    let refused = context.run(&["build", "p"]);
    assert!(refused.starts_with("exit code: 2"), "{refused}");
    assert!(refused.contains("`[environment] allow-sdist = [\"crcmod\"]`"), "{refused}");

    context.write("p/packproof.toml", &format!("{configuration}allow-sdist = [\"crcmod\"]\n"));
    let built = context.run(&["build", "p"]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let artifact = context.at("p/dist/main");
    let run = Command::new(&artifact).env("PACKPROOF_CACHE", context.at("cache")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "2082672712\n", "{run:?}");
    let modules = walkdir::WalkDir::new(context.at("cache")).into_iter().flatten();
    let module =
        modules.into_iter().find(|entry| entry.file_name().to_string_lossy().starts_with("_crcfunext")).unwrap();
    let bytes = fs::read(module.path()).unwrap();
    // Where pip unpacks and builds.
    assert!(!bytes.windows(4).any(|window| window == b"pip-"), "names the folder that it was built in");
}

/// Adds to the first module of a wheel, whose name and version stay.
const REBUILD: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as old:
    files = [(name, old.read(name)) for name in old.namelist()]
changed = next(name for name, _ in files if name.endswith('.py'))
with zipfile.ZipFile(sys.argv[1], 'w') as new:
    for name, text in files:
        new.writestr(name, text + b'\\nimport gone_since\\n' if name == changed else text)
";

/// One's own wheels are built again under the same version, and without a hash nothing else tells.
#[test]
fn a_wheel_that_was_built_again_makes_another_environment() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let lock = fs::read_to_string(folder.join("requirements.lock")).unwrap();
    let pins: Vec<_> = lock.lines().filter_map(|line| line.strip_suffix(" \\")).collect();
    assert_eq!(pins.len(), 3);
    fs::write(folder.join("requirements.lock"), pins.join("\n")).unwrap();
    let audit = || context.command(&["audit", "-q"]).arg(&folder).output().unwrap();
    let first = audit();
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let wheel = folder.join("wheels/bookkeeping-1.2.0-py3-none-any.whl");
    run(Command::new(&python().executable).args(["-c", REBUILD]).arg(&wheel));
    let second = audit();
    let said = String::from_utf8([second.stdout, second.stderr].concat()).unwrap();
    assert!(second.status.code() == Some(1) && said.contains("no module named `gone_since`"), "{said}");
}

#[test]
fn a_shadowed_name_that_nothing_rescues_is_not_built() {
    let context = TestContext::new();
    audit_as_expected(&context, "shadowed");
    let folder = context.fixture("shadowed");
    let said = context.run(&["build", "--quiet", folder.to_str().unwrap()]);
    // How much there is to say of native code depends on the interpreter.
    let said = regex::Regex::new(r"\d+ pieces? of information").unwrap().replace(&said, "[INFORMATION]");
    insta::assert_snapshot!(said, @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error[module-shadowed]: `spool` is two modules, and the one that is found first does not define `Segment`
      spool/__init__.py: spool-printing 2.4.0 has it as the package `spool/`, which is found first
      spool.py: spool 1.0.0 has it as the file `spool.py`, which is shadowed
      recorder.py:5: imports `Segment`, which the package `spool/` does not define
      help: install only one of spool 1.0.0 and spool-printing 2.4.0

    1 error, [INFORMATION] (--all)
    not built: mend what the errors name, or take them as they are with `--allow CODE:SUBJECT`
    ");
    assert!(!folder.join("dist").exists());
    let allowed = context.run(&["build", "--quiet", "--allow", "module-shadowed:spool", folder.to_str().unwrap()]);
    assert!(allowed.starts_with("exit code: 0") && folder.join("dist/shadowed").exists(), "{allowed}");
    let reasonless = context.run(&["build", "--allow", "module-shadowed", folder.to_str().unwrap()]);
    assert!(reasonless.starts_with("exit code: 2"), "{reasonless}");
}

#[test]
fn a_rescued_name_is_a_warning_and_works_in_the_artifact() {
    let context = TestContext::new();
    audit_as_expected(&context, "rescued");
    let folder = context.fixture("rescued");
    let artifact = folder.join("dist/rescued");
    let built = context.run(&["build", folder.to_str().unwrap()]);
    assert!(built.starts_with("exit code: 0\n----- stdout -----\n[ROOT]/rescued/dist/rescued\n"), "{built}");
    assert_proved(&proof_of(&artifact));

    let verified = context.run(&["verify", artifact.to_str().unwrap(), folder.to_str().unwrap()]);
    assert!(verified.starts_with("exit code: 0"), "{verified}");
    let inspected = context.run(&["inspect", artifact.to_str().unwrap()]);
    assert!(inspected.contains("runs      app/app.py\n") && inspected.contains(" app/app.py\n"), "{inspected}");
}

/// The audit cannot tell, since the package looks for the file when it runs; the proof can.
#[test]
fn a_name_that_ends_up_as_something_else_than_its_hook_asserts_is_not_proved() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let hook = fs::read_to_string(folder.join("hooks/ledger.toml")).unwrap();
    context.write("rescued/hooks/ledger.toml", &hook.replace("single-file", "package"));
    let failed = context.run(&["build", "--quiet", folder.to_str().unwrap()]);
    assert!(failed.starts_with("exit code: 1\n----- stdout -----\n----- stderr -----\nNOT PROVED"), "{failed}");
    let both = "file `ledger.py`, not a package";
    assert!(failed.contains("`ledger` is not what a hook asserts"), "{failed}");
    assert_eq!(failed.matches(both).count(), 2, "{failed}");
}

#[test]
fn without_a_proof_the_artifact_is_not_called_proved() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let artifact = folder.join("dist/rescued");
    let path = folder.to_str().unwrap();
    assert!(context.run(&["build", "--quiet", path]).starts_with("exit code: 0"));
    assert!(Proof::path_for(&artifact).exists());
    let unproved = context.run(&["build", "--no-proof", path]);
    assert!(unproved.starts_with("exit code: 0") && unproved.contains("NOT PROVED"), "{unproved}");
    assert!(!Proof::path_for(&artifact).exists(), "the earlier proof is about an earlier artifact");
}

#[test]
fn an_artifact_that_fails_its_proof_does_not_replace_the_last_good_one() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let artifact = folder.join("dist/rescued");
    let path = folder.to_str().unwrap();
    assert!(context.run(&["build", "--quiet", path]).starts_with("exit code: 0"));
    let good = fs::read(&artifact).unwrap();
    let proof = proof_of(&artifact);
    context.write("rescued/smoke.py", "import sys\nsys.exit('_packproof' in sys.modules)\n");
    let configuration = fs::read_to_string(folder.join("packproof.toml")).unwrap();
    context.write("rescued/packproof.toml", &(configuration + "scripts = [\"smoke.py\"]\n"));
    let failed = context.run(&["build", "--quiet", path]);
    assert!(failed.starts_with("exit code: 1\n----- stdout -----\n----- stderr -----\nNOT PROVED"), "{failed}");
    assert!(failed.contains("environment: exit status 0") && failed.contains("artifact:    exit status 1"), "{failed}");
    assert_eq!(fs::read(&artifact).unwrap(), good);
    assert_eq!(proof_of(&artifact), proof);
    let left: Vec<_> = fs::read_dir(folder.join("dist")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(folder.join("dist/rescued.unproved").exists());
}

/// The real runner, with the real dependency set.
#[test]
fn the_agent_runner_is_built_and_proved() {
    let context = TestContext::new();
    let folder = in_repository("agent-runner");
    let report = audit_as_expected(&context, "agent-runner");
    let first = &report["findings"][0];
    assert_eq!((first["code"].as_str(), first["severity"].as_str()), (Some("module-shadowed"), Some("warning")));

    let artifact = context.at("agent-runner");
    let arguments = ["build", folder.to_str().unwrap(), "-o", artifact.to_str().unwrap()];
    let built = context.run(&arguments);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let proof = proof_of(&artifact);
    assert_proved(&proof);
    assert_eq!(proof.start, Start::Passed);
    assert_eq!(proof.scripts.len(), 3);
    assert!(proof.imports.checked > 80);
    if proof.isolation.partial.is_none() {
        assert!(proof.isolation.hidden.contains(&folder), "{:?}", proof.isolation.hidden);
    }

    let listed = context.run(&["inspect", artifact.to_str().unwrap()]);
    for packed in ["app/main.py", "app/worker/prompts/plan.md", "app/agentapis/v1/task_pb2.py", "toolbelt/redaction.py"]
    {
        assert!(listed.contains(packed), "{packed}");
    }
    for never in ["app/.env", "test_agent_task.py", "frontend.py", "requirements.lock"] {
        assert!(!listed.contains(never), "{never}");
    }
    left_out(&context, &folder);
}

/// The defect that packproof exists for, made on purpose: the file that the package makes way for stays behind.
fn left_out(context: &TestContext, folder: &Path) {
    // The same environment as the tool's own run: nothing is installed twice.
    let python = context.command(&["audit", "--format", "json"]).arg(folder).output().unwrap();
    assert!(python.status.success());
    let environment = crate::context::environment_of(folder);
    let overrides = Overrides { python: Some(environment), ..Overrides::default() };
    let mut project = Project::open(folder, &overrides, &Silent).unwrap();
    let mut plan = project.plan().unwrap();
    let before = plan.planned.layout.entries.len();
    let is_left_out = |path: &ArchivePath| path.as_str().ends_with("/site-packages/multipart.py");
    plan.planned.layout.entries.retain(|path, entry| match &entry.source {
        Source::Bytecode { of } => !is_left_out(of),
        _ => !is_left_out(path),
    });
    assert_eq!(plan.planned.layout.entries.len(), before - 2);
    let choices = Choices { compression: Compression::Fast, threads: None };
    let spec = pipeline::pack_spec(&project, &plan, choices).unwrap();
    let broken = context.at("broken");
    pack::pack(&plan.planned.layout, &spec, &broken, &Silent).unwrap();
    let tool = Path::new(env!("CARGO_BIN_EXE_packproof"));
    let mut wanted = pipeline::proof_plan(&project, &plan.planned, &broken, tool);
    wanted.starts.clear();
    wanted.scripts.truncate(1);
    let proof = prove(&wanted, &Silent).unwrap();
    let text = packproof::report::proof::render(&proof);
    assert_eq!(proof.verdict, Verdict::NotProved);
    let found = |kind, subject: &str| {
        proof
            .differences
            .iter()
            .find(|found| found.kind == kind && found.subject == subject)
            .unwrap_or_else(|| panic!("{text}"))
    };
    let module = found(Kind::Import, "multipart");
    assert_eq!(module.environment, "imports");
    assert!(module.artifact.contains("without `MultipartSegment`"), "{text}");
    let daytona = found(Kind::Import, "daytona._async.filesystem");
    assert!(daytona.artifact.contains("cannot import name 'MultipartSegment' from 'multipart'"), "{text}");
    found(Kind::Script, "test_multipart_import.py");
}
