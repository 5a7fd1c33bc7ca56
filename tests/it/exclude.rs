//! `[runner] exclude`: distributions and modules that are left out, and the proof over what is left.

use std::process::Command;

use fs_err as fs;
use packproof::verify::Proof;

use crate::context::TestContext;
use crate::site::Site;
use crate::support::python;

/// Says what it was able to import, in its names as well.
const MAIN: &str = "\
import shared
from eggs import HAS_HAM, HAS_SLOW
try:
    import tiny
except ImportError:
    tiny = None
from importlib.metadata import distributions
NAMES = sorted({dist.metadata['Name'] for dist in distributions()} & {'eggs', 'ham', 'tiny'})
if __name__ == '__main__':
    print(HAS_HAM, HAS_SLOW, tiny is None, NAMES)
";
const EGGS: &str = "\
try:
    import ham
    HAS_HAM = True
except ModuleNotFoundError as error:
    HAS_HAM = str(error)
import importlib.util
HAS_SLOW = importlib.util.find_spec('eggs.slow') is not None
";

fn project(context: &TestContext, exclude: &str) -> String {
    let venv = context.at("venv");
    if !venv.exists() {
        crate::support::venv(&python().executable, &venv);
        let site = packproof::environment::Facts::ask(&venv.join("bin/python")).unwrap().purelib;
        Site::install(
            &site,
            "eggs",
            "1.0",
            "",
            &[("eggs/__init__.py", EGGS), ("eggs/slow/__init__.py", "import ham\n")],
        );
        let ham = [("ham/__init__.py", ""), ("ham/data.txt", "x"), ("shared/ham.py", ""), ("tiny.py", "a = 1\n")];
        Site::install(&site, "ham", "1.0", "", &ham);
        Site::install(&site, "tiny", "1.0", "", &[("shared/__init__.py", ""), ("tiny/__init__.py", "b = 2\n")]);
    }
    context.write("project/main.py", MAIN);
    let configuration = format!(
        "[runner]\nname = \"app\"\nentry = \"main.py\"\nexclude = {exclude}\n[environment]\npython = '{}'\n",
        venv.display()
    );
    context.write("project/packproof.toml", &configuration);
    context.at("project").display().to_string()
}

#[test]
fn what_is_left_out_is_not_there_and_the_rest_is_proved() {
    let context = TestContext::new();
    let folder = project(&context, r#"["distribution:ham", "module:eggs.slow", "module:tkinter"]"#);
    let built = context.run(&["build", &folder]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    assert!(built.contains("left out   ham: `[runner] exclude` names it"), "{built}");
    let artifact = context.at("project/dist/app");
    let proof = Proof::read(&Proof::path_for(&artifact)).unwrap();
    assert!(proof.is_proved() && proof.imports.same == proof.imports.checked, "{built}");
    let run = Command::new(&artifact).env("PACKPROOF_CACHE", context.at("cache")).output().unwrap();
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        "No module named 'ham' False False ['eggs', 'tiny']\n",
        "the file tiny.py was ham's, the package is not"
    );
    let listed = Command::new(&artifact)
        .args(["-c", "import os, sys\nfor folder, _, files in os.walk(sys.prefix):\n    for file in files: print(folder + '/' + file)"])
        .env("PACKPROOF", "python")
        .env("PACKPROOF_CACHE", context.at("cache"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for gone in ["/ham/", "/ham-1.0.dist-info/", "/shared/ham.py", "/tiny.py", "/eggs/slow/", "/tkinter/"] {
        assert!(!listed.contains(gone), "{gone}");
    }
    for kept in ["/shared/__init__.py", "/tiny/__init__.py", "/eggs/__init__.py"] {
        assert!(listed.contains(kept), "{kept}");
    }
}

#[test]
fn what_is_needed_cannot_be_left_out_unseen() {
    let context = TestContext::new();
    let folder = project(&context, r#"["module:eggs"]"#);
    let audit = context.run(&["audit", &folder]);
    assert!(audit.starts_with("exit code: 1"), "{audit}");
    assert!(
        audit.contains("error[missing-module]: `eggs` is imported, and `[runner] exclude` leaves it out"),
        "{audit}"
    );
    for (exclude, told) in [
        (r#"["distribution:spam"]"#, "names the distribution `spam`, which is not installed"),
        (r#"["module:eggs.absent"]"#, "names the module `eggs.absent`, which no entry of `sys.path` has"),
        (r#"["module:sys"]"#, "names the module `sys`, which is a part of the interpreter"),
        (r#"["module:a-b"]"#, "line 4"),
    ] {
        let folder = project(&context, exclude);
        let audit = context.run(&["audit", &folder]);
        assert!(audit.starts_with("exit code: 2") && audit.contains(told), "{audit}");
    }
    fs::remove_dir_all(context.at("project")).unwrap();
}
