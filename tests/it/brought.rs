//! A real pytest with a plugin, brought along from the environment for the run and not packed; and artifacts that refuse to
//! be an interpreter.

use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use packproof::verify::{Proof, Start};

use crate::context::TestContext;
use crate::installed;
use crate::support::{python, skipped};

/// pytest and a plugin that is found by its entry point.
const LOCK: &str = "pytest==8.3.4\npytest-asyncio==0.25.0\npluggy==1.5.0\niniconfig==2.0.0\npackaging==24.2\n";

fn environment() -> Option<PathBuf> {
    installed::environment("pytest", &python().executable, LOCK, &["--only-binary", ":all:"]).ok()
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
    assert_eq!(
        (proof.scripts[0].name.as_str(), proof.scripts[0].artifact.as_str()),
        ("pytest", "exit status 0, 1 passed")
    );
    assert_eq!(proof.start, if proof.isolation.partial.is_some() { Start::NotConfigured } else { Start::AsItIs });
    assert_eq!(proof.imports.starts, 2);

    context.write("project/tests/test_double.py", &(TESTS.to_owned() + "    assert '_packproof' not in sys.modules\n"));
    let failed = context.run(&["build", &folder]);
    assert!(failed.starts_with("exit code: 1"), "{failed}");
    assert!(failed.contains("environment: exit status 0") && failed.contains("artifact:    exit status 1"), "{failed}");
    assert!(failed.contains("assert '_packproof' not in"), "{failed}");

    // Skipped where the project is not to be seen.
    let skipping = format!(
        "{TESTS}\n@pytest.mark.skipif(not __import__('os').path.exists({folder:?}), reason='no data')\ndef test_data(): pass\n"
    );
    context.write("project/tests/test_double.py", &skipping);
    let failed = context.run(&["build", &folder]);
    assert!(failed.starts_with("exit code: 1"), "{failed}");
    assert!(failed.contains("exit status 0, 2 passed") && failed.contains("exit status 0, 1 passed"), "{failed}");
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
