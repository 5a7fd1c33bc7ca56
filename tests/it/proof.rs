//! The prover against artifacts that are made in [`crate::prover`].

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use packproof::progress::Silent;
use packproof::verify::{Kind, Limits, Proof, Pytest, Record, Start as Started, Verdict, expect, prove};

use crate::prover::{Fixture, difference, imports_alone, on_both_sides, text};
use crate::support::{is_isolated, without_namespaces, write};

#[test]
fn a_whole_artifact_is_proved() {
    let fixture = Fixture::new();
    let proof = fixture.prove();
    if !is_isolated(&proof) {
        return;
    }
    let expected = if std::env::var_os("PACKPROOF_TEST_PARTIAL").is_some() {
        assert!(text(&proof).starts_with("PROVED (partial isolation: "));
        Verdict::PartiallyIsolated
    } else {
        assert!(proof.isolation.hidden.contains(&fixture.path("venv")));
        assert_eq!((proof.isolation.network.as_str(), proof.isolation.notes.as_slice()), ("loopback alone", &[][..]));
        Verdict::Proved
    };
    assert_eq!(proof.verdict, expected, "{}", text(&proof));
    assert_eq!((proof.imports.checked, proof.imports.same, proof.imports.fail_alike), (7, 7, 1));
    assert_eq!(proof.start, Started::Passed);
    assert_eq!(proof.scripts.len(), 1);

    let path = Proof::path_for(&fixture.path("project/dist/app"));
    proof.write(&path).unwrap();
    assert_eq!(Proof::read(&path).unwrap(), proof);
}

/// The test binary again, as somebody else or somewhere else.
fn again(command: &mut Command, test: &str) {
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

/// As `nobody`, where the test runs as root.
fn again_as_nobody(test: &str) {
    if rustix::process::getuid().is_root() {
        again(Command::new("env").uid(65534).gid(65534).env_remove("PACKPROOF_TEST_PYTHON"), test);
    }
}

fn again_without_namespaces(test: &str) {
    if let Some(mut command) = without_namespaces() {
        again(command.env("PACKPROOF_TEST_PARTIAL", "1"), test);
    }
}

#[test]
fn an_ordinary_user_needs_no_privilege() {
    again_as_nobody("proof::a_whole_artifact_is_proved");
}

#[test]
fn without_namespaces_the_proof_says_so() {
    again_without_namespaces("proof::a_whole_artifact_is_proved");
}

/// Tries to get out, and leaves a process behind that has left its group and its session.
const INTRUDER: &str = r#"
import ctypes, os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    os.execvp("sleep", ["sleep", "@SECONDS@"])
if sys.prefix.endswith(".cache/packproof/app") and @FULL@:
    libc = ctypes.CDLL(None)
    hidden = @HIDDEN@
    for path in hidden:
        assert not os.path.exists(path), path
    system = [path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.lexists(path)]
    for python in system:
        # By way of a shell: that an application starts one itself is a difference, whether it succeeds or not.
        if subprocess.run(["sh", "-c", python + " -c 1"], stderr=subprocess.DEVNULL).returncode not in (126, 127):
            sys.exit(python + " runs")
    library = "/usr/lib/python%d.%d" % sys.version_info[:2]
    for path in [library, "/usr", "/", "/proc", "/tmp"]:
        assert libc.umount2(path.encode(), 2) == -1, path
    undo = "umount -l %s; ls %s" % (library, library)
    inner = subprocess.run(["unshare", "-Urm", "sh", "-c", undo], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert not inner.stdout, inner.stdout
    for path in ("/usr/x", "/etc/x"):
        try:
            open(path, "w")
        except OSError:
            continue
        sys.exit(path + " can be written")
    others = [name for name in os.listdir("/proc") if name.isdigit()]
    assert len(others) < 10, others
    import socket
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert os.listdir("/home") == [] and os.getuid() == @UID@
"#;

#[test]
fn nothing_gets_out_and_nothing_stays() {
    let fixture = Fixture::new();
    let seconds = format!("4242.{}", std::process::id());
    let script = INTRUDER
        .replace("@SECONDS@", &seconds)
        .replace("@FULL@", if std::env::var_os("PACKPROOF_TEST_PARTIAL").is_some() { "False" } else { "True" })
        .replace("@HIDDEN@", &format!("{:?}", [fixture.path("venv"), fixture.path("project")]))
        .replace("@UID@", &rustix::process::getuid().as_raw().to_string());
    write(&fixture.path("project/smoke.py"), &script);
    let proof = fixture.prove();
    if !is_isolated(&proof) {
        return;
    }
    assert!(proof.is_proved(), "{}", text(&proof));
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&seconds)
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn nothing_gets_out_as_an_ordinary_user() {
    again_as_nobody("proof::nothing_gets_out_and_nothing_stays");
}

#[test]
fn nothing_stays_without_namespaces() {
    again_without_namespaces("proof::nothing_gets_out_and_nothing_stays");
}

#[test]
fn a_module_that_is_missing_shows_on_both_sides() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.package("shapes/late.py")).unwrap();
    let proof = fixture.prove();
    let found = difference(&proof, Kind::Import, "shapes.late");
    assert_eq!(found.environment, "imports");
    assert_eq!(found.artifact, "ModuleNotFoundError: No module named 'shapes.late'");
    assert_eq!(found.because, ["main.py:9"]);
    difference(&proof, Kind::Script, "smoke.py");
    let start = difference(&proof, Kind::Start, "start");
    assert!(start.output.as_ref().unwrap().contains("No module named 'shapes.late'"), "{}", text(&proof));
    assert!(text(&proof).starts_with("NOT PROVED"));
}

#[test]
fn another_kind_of_module_and_another_version_differ() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.package("shapes/late")).unwrap();
    fs::rename(fixture.package("shapes/late.py"), fixture.package("shapes/late/__init__.py")).unwrap();
    write(&fixture.package("shapes-1.0.dist-info/METADATA"), "Metadata-Version: 2.1\nName: shapes\nVersion: 2.0\n");
    let proof = fixture.prove();
    let found = difference(&proof, Kind::Origin, "shapes.late");
    assert_eq!(found.environment, "file `shapes/late.py`");
    assert_eq!(found.artifact, "package `shapes/late/__init__.py`");
    assert_eq!(difference(&proof, Kind::Distribution, "shapes").artifact, "version 2.0");
}

#[test]
fn an_import_that_ends_the_process_or_forges_results_is_no_result() {
    let fixture = Fixture::new();
    let forged = "import os, sys\nfor i in range(9):\n    line = '{\"nonce\": \"\", \"kind\": \"outcome\", \"id\": %d}' % i\n    \
                  print(line, flush=True)\nprint('{\"kind\": \"done\"}', flush=True)\nos._exit(0)\n";
    write(&fixture.package("shapes/late.py"), forged);
    let proof = fixture.prove();
    let found = difference(&proof, Kind::NoResult, "shapes.late");
    assert_eq!((found.environment.as_str(), found.artifact.as_str()), ("imports", "did not come back: exit status 0"));
    assert!(found.output.as_ref().unwrap().contains("\"kind\": \"done\""));
    let others = proof.differences.iter().filter(|it| matches!(it.kind, Kind::Import | Kind::NoResult));
    let subjects: Vec<_> = others.flat_map(|it| std::iter::once(&it.subject).chain(&it.also)).collect();
    assert_eq!(subjects, ["shapes", "shapes.late"], "{}", text(&proof));
    // The script ends with 0 in the middle of its first import.
    let script = difference(&proof, Kind::Script, "smoke.py");
    assert_eq!(script.artifact, "exit status 0, before it came to its end");
}

#[test]
fn without_anything_to_import_the_artifact_is_started_all_the_same() {
    let fixture = Fixture::new();
    let mut plan = imports_alone(&fixture, "");
    plan.imports.clear();
    plan.distributions.clear();
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved() && proof.escape.modules > 0, "{}", text(&proof));
    plan.artifact = fixture.pack("kill -ILL $$");
    let found = prove(&plan, &Silent).unwrap();
    let found = difference(&found, Kind::NoResult, "what was loaded");
    assert!(found.artifact.contains("SIGILL"), "{}", found.artifact);
}

#[test]
fn a_module_that_raises_when_asked_hides_nothing() {
    let fixture = Fixture::new();
    let lazy = "import sys\n\nclass Lazy:\n    def __getattr__(self, name):\n        raise ImportError(name)\n\n\
                sys.modules['lazy'] = Lazy()\nclass Circle: pass\n";
    on_both_sides(&fixture, lazy);
    let mut plan = imports_alone(&fixture, "");
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved() && proof.escape.modules > 0, "{}", text(&proof));

    // What nothing can be done about, alike on both sides.
    on_both_sides(&fixture, &lazy.replace("raise ImportError(name)", "__import__('os')._exit(0)"));
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::NoResult, "what was loaded");
    assert_eq!(found.environment, "did not come back to tell: exit status 0");
    assert_eq!(found.artifact, found.environment);
}

#[test]
fn a_second_run_does_not_find_what_the_first_has_left() {
    let fixture = Fixture::new();
    let module = "import os\nseen = os.path.expanduser('~/.shapes')\nif not os.path.exists(seen):\n    \
                  open(seen, 'w').close()\n    open(os.path.join(os.path.dirname(__file__), 'table.txt')).close()\n\
                  class Circle: pass\n";
    on_both_sides(&fixture, module);
    write(&fixture.path(&format!("venv/lib/python{}/site-packages/shapes/table.txt", fixture.version)), "");
    let mut plan = imports_alone(&fixture, "");
    // It imports the other one.
    plan.imports.retain(|it| it.module != "shapes");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Import, "shapes.late");
    assert!(found.artifact.starts_with("FileNotFoundError"), "{}", text(&proof));
    assert_eq!(found.environment, "imports");
}

#[test]
fn a_module_of_the_applications_that_only_the_environment_loads_is_missed() {
    let fixture = Fixture::new();
    let helper =
        "import importlib\ntry:\n    importlib.import_module('plug' + 'in')\nexcept ImportError:\n    pass\nX = 1\n";
    for place in ["project/helper.py", "tree/app/helper.py"] {
        write(&fixture.path(place), helper);
    }
    write(&fixture.path("project/plugin.py"), "");
    let mut plan = imports_alone(&fixture, "");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Import, "plugin");
    assert_eq!((found.environment.as_str(), found.artifact.as_str()), ("is loaded", "is not loaded"));

    write(&fixture.path("tree/app/plugin.py"), "");
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
}

#[test]
fn a_record_holds_scripts_of_one_name_and_nothing_of_a_start_with_helpers_but_its_name() {
    let fixture = Fixture::new();
    let mut plan = fixture.plan(fixture.pack(""));
    let second = fixture.path("project/more/smoke.py");
    write(&second, "import helper\n");
    plan.scripts.push(second);
    plan.imports.clear();
    plan.starts[0].settings.env.push(("TOKEN".into(), "hunter2".into()));
    let record = Record::of(&plan, &expect(&plan, &Silent).unwrap().expected).unwrap();
    let entries = record.entries().unwrap();
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["expected.json.zst", "smoke/000-smoke.py", "smoke/001-smoke.py"]);
    let json = String::from_utf8(zstd::decode_all(entries[0].1.as_slice()).unwrap()).unwrap();
    assert!(json.contains("\"start\"") && !json.contains("hunter2") && !json.contains("peer.py"), "{json}");
}

#[test]
fn two_runs_at_the_same_time_do_not_meet() {
    let fixture = Fixture::new();
    let module = "import os, tempfile\ntry:\n    os.mkdir(os.path.expanduser('~/.shapes'))\n    \
                  os.mkdir(tempfile.gettempdir() + '/shapes')\n    FIRST = True\nexcept FileExistsError:\n    \
                  FIRST = False\nclass Circle: pass\n";
    on_both_sides(&fixture, module);
    let proof = prove(&imports_alone(&fixture, ""), &Silent).unwrap();
    assert!(proof.is_proved() && proof.imports.unstable.is_empty(), "{}", text(&proof));
}

/// One run has what another would like to have, and one script leaves what another would find.
#[test]
fn nothing_that_runs_meets_what_another_listens_to_or_leaves_in_the_systems_folders() {
    let fixture = Fixture::new();
    let module = "import os, socket\nserver = socket.socket()\nserver.bind(('127.0.0.1', 4711))\nserver.listen()\n\
                  os.mkdir('/tmp/shapes-lock')\nclass Circle:\n    def area(self):\n        return 3\n";
    on_both_sides(&fixture, module);
    let mut plan = fixture.plan(fixture.pack(""));
    plan.starts.clear();
    plan.imports.retain(|it| it.module.starts_with("shapes"));
    let script = fixture.path("project/smoke.py");
    write(&script, "import shapes.late\n");
    plan.scripts = vec![script.clone(), script.clone(), script];
    let proof = prove(&plan, &Silent).unwrap();
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(proof.is_proved() && proof.imports.unstable.is_empty(), "{}", text(&proof));
    assert_eq!((proof.scripts.len(), proof.imports.fail_alike), (3, 0), "{}", text(&proof));
}

#[test]
fn what_writes_beside_its_code_does_so_in_both_worlds_and_leaves_no_trace() {
    let fixture = Fixture::new();
    let module = "import os\nwith open(os.path.join(os.path.dirname(__file__), 'used.log'), 'a') as log:\n    \
                  log.write('x')\nclass Circle:\n    def area(self):\n        return 3\n";
    on_both_sides(&fixture, module);
    let mut plan = fixture.plan(fixture.pack(""));
    plan.starts.clear();
    let proof = prove(&plan, &Silent).unwrap();
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(proof.is_proved() && proof.imports.fail_alike == 1, "{}", text(&proof));
    let log = fixture.path(&format!("venv/lib/python{}/site-packages/shapes/used.log", fixture.version));
    assert!(!log.exists());
}

#[test]
fn what_a_message_and_a_files_name_say_of_the_moment_is_no_difference() {
    let fixture = Fixture::new();
    let module = "import datetime, os, time\n\
                  open(os.path.join(os.path.dirname(__file__), 'run-%d.log' % time.time_ns()), 'w').close()\n\
                  raise RuntimeError('pid %d at %s, %f' % (os.getpid(), datetime.datetime.now(), time.time()))\n";
    on_both_sides(&fixture, module);
    let mut plan = imports_alone(&fixture, "");
    plan.imports.retain(|it| it.module.starts_with("shapes"));
    let proof = prove(&plan, &Silent).unwrap();
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(proof.is_proved(), "{}", text(&proof));
    assert!(!proof.imports.unstable.iter().any(|it| it.starts_with("import")), "{}", text(&proof));
    assert_eq!(proof.imports.fail_alike, proof.imports.checked);
}

#[test]
fn an_ordinary_user_writes_beside_the_code_as_well() {
    again_as_nobody("proof::what_writes_beside_its_code_does_so_in_both_worlds_and_leaves_no_trace");
}

#[test]
fn an_import_that_hangs_is_ended() {
    let fixture = Fixture::new();
    write(&fixture.package("shapes/late.py"), "import time\ntime.sleep(3600)\n");
    let mut plan = fixture.plan(fixture.pack(""));
    plan.limits = Limits { import: Duration::from_secs(15), ..Limits::default() }.times(2);
    plan.imports.retain(|it| it.module != "shapes");
    plan.starts.clear();
    plan.scripts.clear();
    let proof = prove(&plan, &Silent).unwrap();
    assert_eq!(
        difference(&proof, Kind::NoResult, "shapes.late").artifact,
        "did not come back: still running after 30 s"
    );
    assert_eq!(proof.imports.same, proof.imports.checked - 1);
}

#[test]
fn a_path_outside_and_a_variable_for_children_are_found() {
    let fixture = Fixture::new();
    write(&fixture.package("outside.pth"), "/usr/share\n");
    let mut plan = fixture.plan(fixture.pack("export LD_LIBRARY_PATH=/nowhere"));
    plan.starts.clear();
    plan.scripts.clear();
    let proof = prove(&plan, &Silent).unwrap();
    difference(&proof, Kind::Escape, "/usr/share");
    let found = difference(&proof, Kind::ChildEnvironment, "LD_LIBRARY_PATH");
    assert_eq!((found.environment.as_str(), found.artifact.as_str()), ("not set", "/nowhere"));
}

/// Stands for pytest: what matters here is where it is found, and that it is not the artifact's.
const PYTEST: &str = "import runpy\n\ndef main(arguments, plugins):\n    for path in arguments:\n        if path.endswith('.py'):\n            \
                      runpy.run_path(path)\n    return 0\n";

#[test]
fn tests_run_in_both_worlds_with_a_pytest_that_is_not_packed() {
    let fixture = Fixture::new();
    write(&fixture.path("brought/pytest.py"), PYTEST);
    write(&fixture.path("project/test_circle.py"), "from shapes.late import Circle\nassert Circle().area() == 3\n");
    let mut plan = fixture.plan(fixture.pack(""));
    plan.starts.clear();
    plan.scripts.clear();
    plan.pytest = Some(Pytest {
        paths: vec![fixture.path("project/test_circle.py")],
        files: vec![(fixture.path("brought/pytest.py"), "pytest.py".into())],
    });
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
    assert_eq!((proof.scripts[0].name.as_str(), proof.scripts[0].artifact.as_str()), ("pytest", "exit status 0"));

    // Two of one name.
    let second = fixture.path("project/more/test_circle.py");
    write(&second, "raise SystemExit('the second one ran')\n");
    let alone = plan.pytest.clone();
    plan.pytest.as_mut().unwrap().paths.push(second);
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Script, "pytest");
    assert!(found.output.as_ref().unwrap().contains("the second one ran"), "{}", text(&proof));
    plan.pytest = alone;

    write(&fixture.package("shapes/late.py"), "class Circle:\n    def area(self):\n        return 4\n");
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Script, "pytest");
    assert_eq!((found.environment.as_str(), found.artifact.as_str()), ("exit status 0", "exit status 1"));
}
