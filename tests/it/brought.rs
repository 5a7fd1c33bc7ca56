//! A real pytest with a plugin, brought along from the environment for the run and not packed; and artifacts that refuse to
//! be an interpreter.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::verify::{Proof, Start};

use crate::context::TestContext;
use crate::support::{python, run, skipped};

/// Made once: an environment with pytest and a plugin that is found by its entry point.
fn environment() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pytest-{}", python().version));
    let interpreter = folder.join("bin/python");
    let done = folder.join("done");
    if !done.exists() {
        run(Command::new(&python().executable).args(["-m", "venv", "--clear"]).arg(&folder));
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
        pip.args(["pytest==8.3.4", "pytest-asyncio==0.25.0", "pluggy==1.5.0", "iniconfig==2.0.0", "packaging==24.2"]);
        if !pip.status().unwrap().success() {
            return None;
        }
        fs::write(done, "").unwrap();
    }
    Some(interpreter)
}

const TESTS: &str = r#"
import asyncio, sys
import pytest
import pytest_asyncio
from main import double

@pytest_asyncio.fixture
async def number():
    await asyncio.sleep(0)
    return 21

@pytest.mark.asyncio
async def test_double(number, tmp_path):
    (tmp_path / "x").write_text("x")
    assert double(number) == 42
    assert not [name for name in sys.modules if name.startswith("xdist")]
"#;

fn proof_of(context: &TestContext) -> Proof {
    let name = if context.at("project/dist/app").exists() { "app" } else { "app.unproved" };
    Proof::read(&Proof::path_for(&context.at(&format!("project/dist/{name}")))).unwrap()
}

#[test]
fn a_real_pytest_runs_in_both_worlds() {
    let Some(environment) = environment() else { return skipped("a package index") };
    let context = TestContext::new();
    context.write(
        "project/main.py",
        "def double(x):\n    return 2 * x\n\nif __name__ == '__main__':\n    print(double(2))\n",
    );
    let configuration = format!(
        "[runner]\nname = \"app\"\nentry = \"main.py\"\n[environment]\npython = '{}'\n[smoke]\npytest = [\"tests\"]\n",
        environment.display()
    );
    context.write("project/packproof.toml", &configuration);
    context.write("project/tests/test_double.py", TESTS);
    let folder = context.at("project").display().to_string();
    // Its own distribution alone is packed: nothing of pytest's is imported by the application.
    let built = context.run(&["build", &folder]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let proof = proof_of(&context);
    assert_eq!((proof.scripts[0].name.as_str(), proof.scripts[0].artifact.as_str()), ("pytest", "exit status 0"));
    assert_eq!(proof.start, if proof.isolation.partial.is_some() { Start::NotConfigured } else { Start::AsItIs });
    assert_eq!(proof.imports.starts, 2);

    context.write("project/tests/test_double.py", &(TESTS.to_owned() + "    assert '_packproof' not in sys.modules\n"));
    let failed = context.run(&["build", &folder]);
    assert!(failed.starts_with("exit code: 1"), "{failed}");
    assert!(failed.contains("environment: exit status 0") && failed.contains("artifact:    exit status 1"), "{failed}");
    assert!(failed.contains("assert '_packproof' not in"), "{failed}");
}

#[test]
fn an_artifact_that_is_nobodys_interpreter_is_proved_all_the_same() {
    let context = TestContext::new();
    let folder = context.fixture("rescued");
    let configuration = fs::read_to_string(folder.join("packproof.toml")).unwrap();
    let configuration = configuration.replacen("[runner]\n", "[runner]\ninterpreter = false\n", 1);
    context.write("rescued/packproof.toml", &(configuration + "scripts = [\"smoke.py\"]\n"));
    context.write("rescued/smoke.py", "import sys\nprint(sys.prefix)\n");
    let built = context.run(&["build", folder.to_str().unwrap()]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let artifact = folder.join("dist/rescued");
    let proof = Proof::read(&Proof::path_for(&artifact)).unwrap();
    assert!(proof.is_proved() && proof.imports.same == proof.imports.checked && proof.imports.starts == 2);
    let refused = Command::new(&artifact)
        .args(["-c", "print(1)"])
        .env("PACKPROOF", "python")
        .env("PACKPROOF_CACHE", context.at("cache"))
        .output()
        .unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());

    let copy = context.at("alone");
    fs::copy(&artifact, &copy).unwrap();
    let alone = context.run(&["verify", copy.to_str().unwrap()]);
    assert!(alone.starts_with("exit code: 0"), "{alone}");
}
