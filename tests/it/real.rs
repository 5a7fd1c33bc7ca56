//! The prover against artifacts that packproof itself has packed, whole and with a file left out.

use std::path::{Path, PathBuf};

use fs_err as fs;
use packproof::config::Overrides;
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Plan, Project};
use packproof::progress::Silent;
use packproof::verify::{Kind, Proof, Verdict, prove};

use crate::prover::text;
use crate::support::{is_isolated, python, write};

const MAIN: &str = r#"
def late():
    from shapes.late import Circle
    return Circle()

if __name__ == "__main__":
    print(late().area())
"#;

struct Application {
    folder: tempfile::TempDir,
    project: Project,
    plan: Plan,
}

impl Application {
    fn new() -> Self {
        Self::of(MAIN, None)
    }

    /// With a `program` in its distribution, `shapes/tool`.
    fn of(main: &str, program: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let venv = root.join("venv");
        crate::support::venv(&python().executable, &venv);
        let [major, minor, _] = python().version.split('.').collect::<Vec<_>>().try_into().unwrap();
        let site = venv.join(format!("lib/python{major}.{minor}/site-packages"));
        let info = site.join("shapes-1.0.dist-info");
        write(&site.join("shapes/__init__.py"), "");
        write(&site.join("shapes/late.py"), "class Circle:\n    def area(self):\n        return 3\n");
        write(&info.join("METADATA"), "Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n");
        let mut record =
            "shapes/__init__.py,,\nshapes/late.py,,\nshapes-1.0.dist-info/METADATA,,\nshapes-1.0.dist-info/RECORD,,\n"
                .to_owned();
        if let Some(program) = program {
            fs::copy(program, site.join("shapes/tool")).unwrap();
            record.push_str("shapes/tool,,\n");
        }
        write(&info.join("RECORD"), &record);
        write(&root.join("project/main.py"), main);
        let overrides = Overrides { python: Some(venv.join("bin/python")), ..Overrides::default() };
        let mut project = Project::open(&root.join("project/main.py"), &overrides, &Silent).unwrap();
        let plan = project.plan().unwrap();
        Self { folder, project, plan }
    }

    fn pack(&self) -> PathBuf {
        let out = self.folder.path().canonicalize().unwrap().join("out/main");
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let choices = Choices { compression: Compression::Fast, threads: None };
        let spec = pipeline::pack_spec(&self.project, &self.plan, choices).unwrap();
        pack::pack(&self.plan.planned.layout, &spec, &out, &Silent).unwrap().path
    }

    fn prove(&self) -> Proof {
        let tool = Path::new(env!("CARGO_BIN_EXE_packproof"));
        prove(&pipeline::proof_plan(&self.project, &self.plan.planned, &self.pack(), tool), &Silent).unwrap()
    }
}

#[test]
fn a_packed_application_is_proved() {
    let proof = Application::new().prove();
    if !is_isolated(&proof) {
        return;
    }
    assert_eq!(proof.verdict, Verdict::Proved, "{}", text(&proof));
    assert!(proof.imports.checked > 0 && proof.imports.same == proof.imports.checked);
}

/// Qt opens OpenSSL by its name, and `_ssl` then gets the system's: a loader takes the first of a name.
#[test]
fn a_library_of_the_systems_that_was_opened_first_may_serve_the_artifacts_files() {
    let main = r#"
import ctypes, os, time
for folder in ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64"):
    path = os.path.join(folder, "libbz2.so.1.0")
    if os.path.exists(path):
        ctypes.CDLL(path)
        break
import bz2
time.sleep(2)
print(len(bz2.compress(b"x")))
"#;
    let application = Application::of(main, None);
    let proof = application.prove();
    if !is_isolated(&proof) {
        return;
    }
    assert_eq!(proof.verdict, Verdict::Proved, "{}", text(&proof));
    if !proof.run.in_use.values().any(|seen| seen.mapped.iter().any(|file| file.contains("/libbz2.so.1.0"))) {
        crate::support::skipped("libbz2.so.1.0 of the system's");
    }
}

/// cmake, node and clang-format come in wheels, and need the system's libstdc++ whatever the artifact brings.
#[test]
fn a_program_in_the_tree_takes_its_libraries_from_the_system() {
    let program = Path::new("/usr/bin/bzip2");
    if !fs::read(program).is_ok_and(|bytes| bytes.windows(9).any(|part| part == b"libbz2.so")) {
        return crate::support::skipped("bzip2 with a shared library");
    }
    let main = r#"
import bz2, os, shapes, subprocess, time
tool = subprocess.Popen([os.path.join(os.path.dirname(shapes.__file__), "tool")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
time.sleep(2)
print(bz2.decompress(tool.communicate(b"x")[0]))
"#;
    let application = Application::of(main, Some(program));
    let packed = &application.plan.planned.native.closure.packed;
    assert!(packed.keys().any(|name| name.starts_with("libbz2")), "Python's own needs it");
    let proof = application.prove();
    if is_isolated(&proof) {
        assert_eq!(proof.verdict, Verdict::Proved, "{}", text(&proof));
    }
}

#[test]
fn a_layout_without_a_module_is_not_proved() {
    let mut application = Application::new();
    let before = application.plan.planned.layout.entries.len();
    application
        .plan
        .planned
        .layout
        .entries
        .retain(|path, _| !path.as_str().contains("shapes/late.") && !path.as_str().contains("/late.cpython"));
    assert!(application.plan.planned.layout.entries.len() < before);
    let proof = application.prove();
    assert_eq!(proof.verdict, Verdict::NotProved);
    let difference = &proof.differences[0];
    assert_eq!((difference.kind, difference.subject.as_str()), (Kind::Import, "shapes.late"));
    assert_eq!(difference.environment, "imports");
    assert_eq!(difference.artifact, "ModuleNotFoundError: No module named 'shapes.late'");
    let record = proof.differences.iter().find(|found| found.kind == Kind::Record);
    assert_eq!(record.map(|found| found.artifact.as_str()), Some("shapes/late.py is missing"));
}

#[test]
fn what_the_environment_showed_is_not_kept_when_a_file_appears_that_it_looked_for() {
    let application = Application::new();
    let root = application.folder.path().canonicalize().unwrap();
    let tool = Path::new(env!("CARGO_BIN_EXE_packproof"));
    let key = |artifact: &str| {
        let artifact = root.join(artifact);
        pipeline::proof_plan(&application.project, &application.plan.planned, &artifact, tool).kept.unwrap().1
    };
    let before = key("project/.packproof-staging-x/main");
    for built in ["project/main", "project/main.proof.json", "project/dist/main", "project/.git/index"] {
        write(&root.join(built), "");
    }
    assert_eq!(key("project/main"), before, "a build's own results");
    // It is not packed: nothing but the unpackaged application's run has anything to do with it.
    write(&root.join("project/table.txt"), "");
    assert_ne!(key("project/main"), before);
}
