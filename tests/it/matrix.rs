//! Each way of breaking by itself: an environment that is broken so is found, named rightly and refused, and the same
//! environment in order stays silent. Every code is in the table or has tests of its own, which a test counts.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use packproof::audit::CODES;
use rayon::prelude::*;
use serde_json::Value;

use crate::context::TestContext;
use crate::site::Site;

/// Name, what METADATA holds beside, files.
type Distribution = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What is installed, what the project holds, and what happens afterwards.
#[derive(Clone, Copy)]
struct World {
    installed: &'static [Distribution],
    project: &'static [(&'static str, &'static str)],
    afterwards: fn(&Site),
}

struct Way {
    what: &'static str,
    code: &'static str,
    severity: &'static str,
    subject: &'static str,
    bad: World,
    good: World,
}

const fn world(
    installed: &'static [Distribution],
    project: &'static [(&'static str, &'static str)],
    afterwards: fn(&Site),
) -> World {
    World { installed, project, afterwards }
}

fn nothing(_: &Site) {}

const HAM: Distribution = ("ham", "", &[("ham.py", "a = 1\n")]);
const SPOOL: Distribution = ("spool", "", &[("spool.py", "class Segment: pass\n")]);
const PRINT: Distribution = ("spool-print", "", &[("spool/__init__.py", "Job = 1\n")]);
const PROBE: &str = "\
import importlib.util, os, sys
for folder in sys.path:
    if os.path.isfile(os.path.join(folder, 'other.py')):
        spec = importlib.util.spec_from_file_location('other', os.path.join(folder, 'other.py'))
        sys.modules['other'] = importlib.util.module_from_spec(spec)
";
const WANTS_FAST: Distribution = ("eggs", "", &[("eggs/__init__.py", "from eggs import _fast\n")]);
const GUARDED_FAST: Distribution =
    ("eggs", "", &[("eggs/__init__.py", "try:\n    from eggs import _fast\nexcept ImportError:\n    _fast = None\n")]);

fn put(site: &Site, path: &str, bytes: &[u8]) {
    let path = site.site_packages().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The beginning of an ELF file for `machine` (`e_machine`).
fn elf(machine: u16) -> Vec<u8> {
    let mut header = fs::read(std::env::current_exe().unwrap()).unwrap()[..64].to_vec();
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header
}

const WAYS: &[Way] = &[
    Way {
        what: "a package before a file of its name",
        code: "module-shadowed",
        severity: "error",
        subject: "spool",
        bad: world(&[SPOOL, PRINT], &[("app.py", "from spool import Segment\n")], nothing),
        good: world(&[SPOOL], &[("app.py", "from spool import Segment\n")], nothing),
    },
    Way {
        what: "a file of the application's before a distribution's",
        code: "module-shadowed",
        severity: "error",
        subject: "spool",
        bad: world(&[SPOOL], &[("app.py", "from spool import Segment\n"), ("spool.py", "x = 1\n")], nothing),
        good: world(&[SPOOL], &[("app.py", "from spool import Segment\n"), ("reel.py", "x = 1\n")], nothing),
    },
    Way {
        what: "a module that nothing brings",
        code: "missing-module",
        severity: "error",
        subject: "absent",
        bad: world(&[], &[("app.py", "import absent\n")], nothing),
        good: world(&[], &[("app.py", "try:\n    import absent\nexcept ImportError:\n    absent = None\n")], nothing),
    },
    Way {
        what: "a submodule that another version had",
        code: "missing-module",
        severity: "error",
        subject: "eggs.old",
        bad: world(
            &[("eggs", "", &[("eggs/__init__.py", "")])],
            &[("app.py", "def late():\n    import eggs.old\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "", &[("eggs/__init__.py", ""), ("eggs/old.py", "")])],
            &[("app.py", "def late():\n    import eggs.old\n")],
            nothing,
        ),
    },
    Way {
        what: "a relative import that leaves its package",
        code: "missing-module",
        severity: "error",
        subject: "",
        bad: world(
            &[("eggs", "", &[("eggs/__init__.py", "from .. import x\n")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "", &[("eggs/__init__.py", "from . import x\n"), ("eggs/x.py", "")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "a file of a distribution that is gone",
        code: "missing-module",
        severity: "error",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "import ham\n")], |site| {
            fs::remove_file(site.site_packages().join("ham.py")).unwrap();
        }),
        good: world(&[HAM], &[("app.py", "import ham\n")], nothing),
    },
    Way {
        what: "a name that another version had",
        code: "missing-name",
        severity: "error",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "from ham import a, b\n")], nothing),
        good: world(&[HAM], &[("app.py", "from ham import a\n")], nothing),
    },
    Way {
        what: "a requirement that is not installed, and imported",
        code: "unmet-requirement",
        severity: "error",
        subject: "ham",
        bad: world(
            &[("eggs", "Requires-Dist: ham", &[("eggs.py", "def f():\n    import ham\n")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "Requires-Dist: ham", &[("eggs.py", "def f():\n    import ham\n")]), HAM],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "a requirement in a version that it does not take",
        code: "unmet-requirement",
        severity: "warning",
        subject: "ham",
        bad: world(
            &[("eggs", "Requires-Dist: ham>=2", &[("eggs.py", "")]), HAM],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "Requires-Dist: ham<2", &[("eggs.py", "")]), HAM],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "an extension module for another Python",
        code: "wrong-abi",
        severity: "error",
        subject: "eggs._fast",
        bad: world(&[WANTS_FAST], &[("app.py", "import eggs\n")], |site| {
            let record = site.site_packages().join("eggs-1.0.dist-info/RECORD");
            let listed = fs::read_to_string(&record).unwrap() + "eggs/_fast.cpython-39-x86_64-linux-gnu.so,,\n";
            fs::write(record, listed).unwrap();
            put(site, "eggs/_fast.cpython-39-x86_64-linux-gnu.so", &elf(62));
        }),
        good: world(&[("eggs", "", &[("eggs/__init__.py", "import math\n")])], &[("app.py", "import eggs\n")], nothing),
    },
    Way {
        what: "an extension module for another machine",
        code: "wrong-abi",
        severity: "error",
        subject: "eggs._fast",
        // EM_S390, which no one runs these tests on.
        bad: world(&[WANTS_FAST], &[("app.py", "import eggs\n")], |site| put(site, "eggs/_fast.so", &elf(22))),
        good: world(&[GUARDED_FAST], &[("app.py", "import eggs\n")], nothing),
    },
    Way {
        what: "an extension module that is no ELF file",
        code: "wrong-abi",
        severity: "error",
        subject: "eggs._fast",
        bad: world(&[WANTS_FAST], &[("app.py", "import eggs\n")], |site| put(site, "eggs/_fast.so", b"MZ\x90")),
        good: world(&[GUARDED_FAST], &[("app.py", "import eggs\n")], nothing),
    },
    Way {
        what: "source that does not parse",
        code: "uninspectable",
        severity: "error",
        subject: "eggs.bad",
        bad: world(
            &[("eggs", "", &[("eggs/__init__.py", "import eggs.bad\n"), ("eggs/bad.py", "def :\n")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "", &[("eggs/__init__.py", ""), ("eggs/bad.py", "def :\n")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "a name that is not what a hook wants it to be",
        code: "wrong-kind",
        severity: "error",
        subject: "eggs",
        bad: world(
            &[("eggs", "", &[("eggs/__init__.py", "")])],
            &[("app.py", "import eggs\n"), ("hooks/eggs.toml", ASSERTS_A_FILE)],
            nothing,
        ),
        good: world(
            &[("eggs", "", &[("eggs.py", "")])],
            &[("app.py", "import eggs\n"), ("hooks/eggs.toml", ASSERTS_A_FILE)],
            nothing,
        ),
    },
    Way {
        what: "a module that the configuration leaves out",
        code: "missing-module",
        severity: "error",
        subject: "ham",
        bad: world(
            &[HAM],
            &[("app.py", "import ham\n"), ("packproof.toml", "exclude = [\"distribution:ham\"]\n")],
            nothing,
        ),
        good: world(&[HAM], &[("app.py", ""), ("packproof.toml", "exclude = [\"distribution:ham\"]\n")], nothing),
    },
    Way {
        what: "one path of two distributions, with two contents",
        code: "distribution-overlap",
        severity: "warning",
        subject: "eggs,ham",
        bad: world(
            &[("eggs", "", &[("shared/x.py", "a = 1\n")]), ("ham", "", &[("shared/x.py", "a = 22\n")])],
            &[("app.py", "import shared.x\n")],
            nothing,
        ),
        good: world(
            &[("eggs", "", &[("shared/x.py", "a = 1\n")]), ("ham", "", &[("shared/x.py", "a = 1\n")])],
            &[("app.py", "import shared.x\n")],
            nothing,
        ),
    },
    Way {
        what: "a file that was changed after it was installed",
        code: "record-mismatch",
        severity: "warning",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "import ham\n")], |site| put(site, "ham.py", b"a = 2\n")),
        good: world(&[HAM], &[("app.py", "import ham\n")], nothing),
    },
    Way {
        what: "a dist-info without METADATA",
        code: "metadata-missing",
        severity: "warning",
        subject: "ham-1.0.dist-info",
        bad: world(&[HAM], &[("app.py", "import ham\n")], |site| {
            fs::remove_file(site.site_packages().join("ham-1.0.dist-info/METADATA")).unwrap();
        }),
        good: world(&[HAM], &[("app.py", "import ham\n")], nothing),
    },
    Way {
        what: "an editable installation whose project is gone",
        code: "editable-install",
        severity: "warning",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "")], |site| {
            let url = br#"{"url": "file:///nowhere/ham", "dir_info": {"editable": true}}"#;
            put(site, "ham-1.0.dist-info/direct_url.json", url);
        }),
        good: world(&[HAM], &[("app.py", "")], nothing),
    },
    Way {
        what: "an import that no requirement backs",
        code: "undeclared-dependency",
        severity: "warning",
        subject: "eggs:ham",
        bad: world(&[("eggs", "", &[("eggs.py", "import ham\n")]), HAM], &[("app.py", "import eggs\n")], nothing),
        good: world(
            &[("eggs", "Requires-Dist: ham", &[("eggs.py", "import ham\n")]), HAM],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "an entry point that names what is not there",
        code: "broken-entry-point",
        severity: "warning",
        subject: "plugins:x",
        bad: world(&[HAM], &[("app.py", "import ham\n")], |site| {
            put(site, "ham-1.0.dist-info/entry_points.txt", b"[plugins]\nx = ham:absent\n");
        }),
        good: world(&[HAM], &[("app.py", "import ham\n")], |site| {
            put(site, "ham-1.0.dist-info/entry_points.txt", b"[plugins]\nx = ham:a\n");
        }),
    },
    Way {
        what: "a script's entry point in a submodule that is not there",
        code: "broken-entry-point",
        severity: "warning",
        subject: "console_scripts:x",
        bad: world(&[("eggs", "", &[("eggs/__init__.py", "")])], &[("app.py", "import eggs\n")], |site| {
            put(site, "eggs-1.0.dist-info/entry_points.txt", b"[console_scripts]\nx = eggs:cli.main\n");
        }),
        good: world(
            &[("eggs", "", &[("eggs/__init__.py", ""), ("eggs/cli.py", "def main(): ...\n")])],
            &[("app.py", "import eggs\n")],
            |site| put(site, "eggs-1.0.dist-info/entry_points.txt", b"[console_scripts]\nx = eggs:cli.main\n"),
        ),
    },
    Way {
        what: "a file that is opened at import and is not there",
        code: "missing-data",
        severity: "warning",
        subject: "eggs/table.json",
        bad: world(&[("eggs", "", &[("eggs/__init__.py", OPENS)])], &[("app.py", "import eggs\n")], nothing),
        good: world(
            &[("eggs", "", &[("eggs/__init__.py", OPENS), ("eggs/table.json", "{}")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "a module that searches the path itself",
        code: "runtime-path-probe",
        severity: "info",
        subject: "eggs",
        bad: world(&[("eggs", "", &[("eggs.py", PROBE)])], &[("app.py", "import eggs\n")], nothing),
        good: world(
            &[("eggs", "", &[("eggs.py", "import sys\nprint(len(sys.path))\n")])],
            &[("app.py", "import eggs\n")],
            nothing,
        ),
    },
    Way {
        what: "a top-level name that is a file",
        code: "single-file-module",
        severity: "info",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "import ham\n")], nothing),
        good: world(&[("eggs", "", &[("eggs/__init__.py", "")])], &[("app.py", "import eggs\n")], nothing),
    },
    Way {
        what: "a declared dependency that nothing imports",
        code: "unused-dependency",
        severity: "info",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", ""), ("pyproject.toml", DECLARES)], nothing),
        good: world(&[HAM], &[("app.py", "import ham\n"), ("pyproject.toml", DECLARES)], nothing),
    },
    Way {
        what: "a distribution without a licence",
        code: "license-unknown",
        severity: "info",
        subject: "ham",
        bad: world(&[HAM], &[("app.py", "import ham\n")], nothing),
        good: world(&[("ham", "License: MIT", &[("ham.py", "a = 1\n")])], &[("app.py", "import ham\n")], nothing),
    },
    Way {
        what: "a hook that matches nothing",
        code: "unused-hook",
        severity: "info",
        subject: "eggs.toml",
        bad: world(&[HAM], &[("app.py", ""), ("hooks/eggs.toml", ASSERTS_A_FILE)], nothing),
        good: world(
            &[("eggs", "", &[("eggs.py", "")])],
            &[("app.py", ""), ("hooks/eggs.toml", ASSERTS_A_FILE)],
            nothing,
        ),
    },
    Way {
        what: "another packer's hook",
        code: "foreign-hook",
        severity: "info",
        subject: "hook-ham.py",
        bad: world(&[HAM], &[("app.py", ""), ("hooks/hook-ham.py", "hiddenimports = ['ham']\n")], nothing),
        good: world(&[HAM], &[("app.py", ""), ("hooks/notes.py", "hiddenimports = ['ham']\n")], nothing),
    },
];

const ASSERTS_A_FILE: &str =
    "distribution = 'eggs'\nreason = 'it must be a file'\n[[assert]]\nname = 'eggs'\nkind = 'single-file'\n";
const OPENS: &str = "import os\nTABLE = open(os.path.join(os.path.dirname(__file__), 'table.json')).read()\n";
const DECLARES: &str = "[project]\nname = 'app'\nversion = '1'\ndependencies = ['ham']\n";

/// Exit code with the code denied, and `severity code subject` of what has the code.
fn audit(context: &TestContext, at: usize, way: &Way, world: &World) -> (Option<i32>, Vec<String>) {
    let mut site = Site::new();
    for (name, metadata, files) in world.installed {
        site = site.with(name, "1.0", metadata, files);
    }
    (world.afterwards)(&site);
    let project = site.root.path().join("project");
    let mut configuration = "[runner]\nname = 'app'\nentry = 'app.py'\n".to_owned();
    if world.project.iter().any(|(path, _)| path.starts_with("hooks/")) {
        configuration.push_str("hooks = ['hooks']\n");
    }
    for (path, text) in world.project {
        match *path {
            "packproof.toml" => configuration.push_str(text),
            path => Site::write(&project.join(path), text),
        }
    }
    Site::write(&project.join("packproof.toml"), &configuration);
    let mut command = context.command(&["audit", "-q", "--format", "json", "--deny", way.code, "--python"]);
    let output = command.arg(site.root.path().join("venv")).arg(&project).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{at} {}: {}", way.what, String::from_utf8_lossy(&output.stderr)));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == way.code);
    let found = found.map(|it| format!("{} {} {}", text(it, "severity"), way.code, text(it, "subject")));
    (output.status.code(), found.collect())
}

#[test]
fn every_way_of_breaking_is_found_and_its_cure_is_silent() {
    let context = TestContext::new();
    let wrong: Vec<String> = WAYS
        .par_iter()
        .enumerate()
        .flat_map(|(at, way)| {
            let mut wrong = Vec::new();
            let wanted = format!("{} {} {}", way.severity, way.code, way.subject);
            let bad = audit(&context, at, way, &way.bad);
            // What the build machine's own libraries have is not this environment's.
            let is_own = |found: &String| found.ends_with(&format!(" {}", way.subject));
            if bad.0 != Some(1) || bad.1.iter().filter(|found| is_own(found)).ne([&wanted]) {
                wrong.push(format!("{}: wanted `{wanted}` and 1, had {bad:?}", way.what));
            }
            let (_, good) = audit(&context, at, way, &way.good);
            if good.iter().any(is_own) {
                wrong.push(format!("{}, mended: {good:?}", way.what));
            }
            wrong
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What native code, licences, locks and wheels can have wrong is made in those tests.
#[test]
fn every_code_has_a_fixture() {
    let here: BTreeSet<&str> = WAYS.iter().map(|way| way.code).collect();
    assert!(WAYS.iter().filter(|way| way.severity == "error").count() >= 12);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let others: String = [
        "fixtures.rs",
        "native.rs",
        "wheels.rs",
        "cli.rs",
        "audit.rs",
        "checks.rs",
        "real.rs",
        "proof.rs",
        "tree.rs",
        "libraries.rs",
    ]
    .iter()
    .filter_map(|file| fs::read_to_string(tests.join(file)).ok())
    .collect();
    let src: String = walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .filter_map(|text| text.split_once("mod tests").map(|(_, tests)| tests.to_owned()))
        .collect();
    let without: Vec<_> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !here.contains(code) && !others.contains(code) && !src.contains(code))
        .collect();
    assert!(without.is_empty(), "{without:?}");
}
