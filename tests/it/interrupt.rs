//! A build that is broken off: the earlier artifact is whole, and nothing half-written lies in its place.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;

use crate::context::TestContext;
use crate::support::python;

#[test]
fn a_build_that_is_interrupted_leaves_the_earlier_artifact() {
    let context = TestContext::new();
    context.write("project/main.py", "print('first')\n");
    let build = || {
        let mut command = context.command(&["build", "--quiet", "--no-proof", "--python"]);
        command.arg(&python().executable).arg("project/main.py");
        command
    };
    let artifact = context.at("project/dist/main");
    let output = build().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // With what the first one kept, as those that are interrupted.
    let begun = Instant::now();
    assert!(build().status().unwrap().success());
    let whole = begun.elapsed();
    let first = fs::read(&artifact).unwrap();
    let beside = || {
        let names = fs::read_dir(context.at("project/dist")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "main");
        names
    };
    assert_eq!(beside(), [""; 0]);

    context.write("project/main.py", "print('second')\n");
    assert!(build().status().unwrap().success());
    let second = fs::read(&artifact).unwrap();
    assert!(second != first);
    fs::write(&artifact, &first).unwrap();
    for signal in ["INT", "TERM", "KILL"] {
        for part in 1..5 {
            let mut child = build().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(whole * part / 5);
            let sent = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
            let ended = child.wait().unwrap();
            assert!(sent.unwrap().success() && ended.code().is_none_or(|code| code == 0), "{signal}: {ended}");
            // It may have been quicker this time, and ended, or have had nothing left to do but that.
            let found = fs::read(&artifact).unwrap();
            assert!(found == second || !ended.success() && found == first, "SIG{signal} after {part}/5 of {whole:?}");
            if found == second {
                fs::write(&artifact, &first).unwrap();
            }
            if signal != "KILL" {
                assert_eq!(beside(), [""; 0], "SIG{signal} after {part}/5 of {whole:?}");
            }
        }
    }
    // What SIGKILL left goes with the next build, once it is clear that nobody is at work there.
    for name in beside() {
        let old = SystemTime::now() - Duration::from_mins(10);
        fs::File::open(context.at("project/dist").join(name)).unwrap().set_modified(old).unwrap();
    }
    assert!(build().status().unwrap().success());
    assert_eq!(beside(), [""; 0]);
    assert!(fs::read(&artifact).unwrap() == second);
}
