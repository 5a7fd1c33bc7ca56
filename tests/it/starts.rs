//! `[start]`: ways of being ready, failures, and whose fault they are.

use std::process::Command;

use packproof::config::Ready;
use packproof::progress::Silent;
use packproof::verify::{Kind, Limits, Start as Started, prove};

use crate::context::TestContext;
use crate::prover::{Fixture, difference, text};
use crate::support::{finish, python, skipped, venv, write};

const SERVER: &str = r#"
import os, signal, socket, sys
kind, place = sys.argv[1:3]
signal.signal(signal.SIGTERM, lambda *args: sys.exit(3))
if kind == "echo":
    print("read", sys.stdin.read().upper())
    sys.exit(0)
if kind == "regex":
    print("worker", os.getpid(), "is up", flush=True)
    signal.pause()
if kind == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.bind(place)
    server.listen()
else:
    server = socket.create_server(("127.0.0.1", int(place)))
first = kind == "http"
while True:
    peer = server.accept()[0]
    if kind == "http":
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 503 Wait\r\n\r\n" if first else b"HTTP/1.1 204 Good\r\n\r\n")
        first = False
    peer.close()
"#;

#[test]
fn starts_that_go_wrong() {
    // Whether it is the time limit that shows it.
    const AT_ONCE: bool = false;
    const IN_TIME: bool = true;
    let fixture = Fixture::new();
    let mains = [
        ("import sys; print('Ready, hello', flush=True)", "said `Ready, hello`, then ended", AT_ONCE),
        ("import sys; sys.exit(0)", "ended (exit status 0) before it said `Ready, hello`", AT_ONCE),
        (
            "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('Ready, hello', flush=True)\nsignal.pause()",
            "still running 30 s after SIGTERM",
            IN_TIME,
        ),
        (
            "import signal\nprint('Ready, hello', flush=True)\nsignal.pause()",
            "after SIGTERM: killed by SIGTERM",
            AT_ONCE,
        ),
        ("import time; time.sleep(99)", "did not say `Ready, hello` in 30 s", IN_TIME),
    ];
    for (main, expected, is_waited_for) in mains {
        write(&fixture.path("tree/app/main.py"), main);
        let mut plan = fixture.plan(fixture.pack(""));
        plan.imports.truncate(1);
        plan.scripts.clear();
        plan.starts[0].settings.timeout = 30;
        if is_waited_for {
            plan.limits = Limits::default();
        }
        let proof = prove(&plan, &Silent).unwrap();
        let found = difference(&proof, Kind::Start, "start");
        assert!(found.artifact.contains(expected), "{expected}: {}", text(&proof));
        assert_eq!(found.environment, "starts, gets ready and stops");
    }
}

#[test]
fn a_probe_that_fails_unpackaged_is_not_blamed_on_the_artifact() {
    let fixture = Fixture::new();
    write(&fixture.path("project/peer.py"), "import sys; sys.exit('no peer today')");
    let proof = fixture.prove();
    let found = difference(&proof, Kind::Start, "start");
    assert!(found.environment.contains("ended (exit status 1) before it wrote `{tmp}/port`"), "{}", text(&proof));
    assert_eq!(found.artifact, "not started");
    assert!(found.output.as_ref().unwrap().contains("no peer today"));
}

#[test]
fn every_way_of_being_ready() {
    let fixture = Fixture::new();
    for place in ["project/main.py", "tree/app/main.py"] {
        write(&fixture.path(place), SERVER);
    }
    let mut plan = fixture.plan(fixture.pack(""));
    plan.imports.truncate(1);
    plan.scripts.clear();
    let base = plan.starts.pop().unwrap();
    let probe = |kind: &str, place: &str, ready: Option<Ready>| {
        let mut probe = base.clone();
        probe.settings.name = kind.to_owned();
        probe.settings.args = vec![kind.to_owned(), place.to_owned()];
        (probe.settings.with, probe.settings.env) = (Vec::new(), Vec::new());
        (probe.settings.ready, probe.settings.exit_code) = (ready, 3);
        probe
    };
    let url = "http://127.0.0.1:{port}/health".to_owned();
    plan.starts = vec![
        probe("regex", "", Some(Ready::Regex(r"worker \d+ is up".into()))),
        probe("tcp", "{port}", Some(Ready::Tcp("127.0.0.1:{port}".into()))),
        probe("unix", "{tmp}/socket", Some(Ready::Unix("{tmp}/socket".into()))),
        probe("http", "{port}", Some(Ready::Http { url, status: 204 })),
        probe("echo", "", None),
    ];
    // No path to anywhere.
    plan.starts[1].settings.name = "/../tcp".into();
    plan.starts[4].settings.stdin = Some("hello".into());
    plan.starts[4].settings.output = Some("read HELLO".into());
    plan.starts[4].settings.exit_code = 0;
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved() && proof.start == Started::Passed, "{}", text(&proof));
    assert_eq!(proof.probes.len(), 5);
    assert_eq!(proof.run.artifact.as_ref().unwrap().processes, Some(1));

    plan.starts[4].settings.output = Some("read hello".into());
    plan.starts[4].settings.name = "second".into();
    let proof = prove(&plan, &Silent).unwrap();
    assert!(difference(&proof, Kind::Start, "second").environment.contains("does not match `read hello`"));
}

/// A lock that a script holds, and a folder, by which the sandbox could be left.
#[test]
fn what_the_tool_was_started_with_is_not_open_in_the_application() {
    let context = TestContext::new();
    context.write("p/packproof.toml", "[runner]\nname = \"main\"\nentry = \"main.py\"\n");
    context.write(
        "p/main.py",
        "import os\nfor number in range(3, 100):\n    try:\n        place = os.readlink(f'/proc/self/fd/{number}')\n    \
         except OSError:\n        continue\n    assert 'inherited' not in place, place\n",
    );
    venv(&python().executable, &context.at("venv"));
    let tool = context.command(&["build", "p", "--python", "venv"]);
    // Not below a folder for temporary files, whose names are not compared.
    let held = tempfile::Builder::new().prefix("inherited").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec 8<\"$0\" 9>\"$0/held\"; exec \"$@\""]).arg(held.path());
    command.arg(tool.get_program()).args(tool.get_args()).env_clear().current_dir(context.at("."));
    command.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = finish(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    if said.contains("partial isolation") {
        return skipped("namespaces");
    }
    assert!(said.contains("ends with exit status 0 in both"), "{said}");
}
