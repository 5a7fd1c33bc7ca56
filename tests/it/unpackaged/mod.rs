//! An artifact behaves as its application does unpackaged: the same program under plain Python in its environment and
//! packed, with the same arguments and surroundings, must print the same facts and end in the same way.

mod world;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use crate::support::{finish, skipped};
use world::{Form, world};

const NONE: fn(&mut Command) = |_| {};

#[test]
fn a_script_starts_the_same() {
    let said = world().same(Form::Script, &["start", "", "--ä", "a b", "--help"], NONE);
    assert!(
        said.contains(r#""user": false"#) && said.contains(r#""pth": "pth", "site": "sitecustomize", "user": null"#),
        "{said}"
    );
    world().same(Form::Script, &[OsStr::new("start"), OsStr::from_bytes(b"\xff\xfe"), OsStr::new("日本")], NONE);
    world().same(Form::Script, &["modules"], NONE);
}

#[test]
fn a_module_and_a_function_start_the_same() {
    world().same(Form::Module, &["a", ""], NONE);
    let said = world().same(Form::Function, &["a", ""], NONE);
    assert!(said.starts_with("exit status: 5"), "{said}");
}

/// In place of the script's path: what a user calls it by, and what `ps` shows as its program.
#[test]
fn the_program_has_the_artifacts_name() {
    for form in [Form::Script, Form::Module, Form::Function] {
        let output = finish(world().packed(form).arg0("./given/name").arg("name"));
        assert_eq!(crate::support::text(&output), "./given/name\n", "{form:?}");
    }
}

#[test]
fn children_of_the_interpreter_are_the_same() {
    world().same(Form::Script, &["children"], NONE);
}

#[test]
fn other_programs_see_the_same_environment() {
    let said = world().same(Form::Script, &["environment"], NONE);
    assert!(!said.contains("PACKPROOF_START"), "{said}");
    let said = world().same(Form::Script, &["environment"], |command| {
        command.envs([
            ("PYTHONPATH", "/nonexistent/a:/nonexistent/b"),
            ("PYTHONUSERBASE", "/nonexistent"),
            ("PYTHONSTARTUP", "/nonexistent/startup.py"),
            ("PYTHONCASEOK", "1"),
            ("PYTHONUNBUFFERED", "1"),
            ("LD_LIBRARY_PATH", "/nonexistent"),
            ("EMPTY", ""),
            ("LINES", "a\nb"),
        ]);
        command.env(OsString::from("BYTES"), OsStr::from_bytes(b"\xff\xfe"));
    });
    assert!(said.contains("PYTHONPATH=/nonexistent/a:/nonexistent/b") && said.contains("PYTHONUSERBASE"), "{said}");
}

#[test]
fn the_process_is_the_same() {
    world().same(Form::Script, &["process"], NONE);
    let limited = |program: &mut Command| {
        // A shell that holds descriptors 5 and 9, ignores two signals, and lowers a limit.
        let order =
            "trap '' HUP USR1; umask 027; ulimit -n 64; ulimit -c 0; exec 5</dev/null 9</dev/null; exec \"$0\" \"$@\"";
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(order).arg(program.get_program()).args(program.get_args()).env_clear().stdin(Stdio::null());
        shell.current_dir(&world().project).arg("process");
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        world().normal(&finish(&mut shell))
    };
    let plain = limited(&mut world().plain(Form::Script));
    let facts: serde_json::Value = serde_json::from_str(plain.lines().nth(1).unwrap()).unwrap();
    assert_eq!(facts["umask"], "0027", "{plain}");
    assert!([5, 9].iter().all(|held| facts["files"].as_array().unwrap().contains(&(*held).into())), "{plain}");
    assert_eq!(limited(&mut world().packed(Form::Script)), plain);
}

#[test]
fn the_process_keeps_its_number_and_has_no_other() {
    let child = world().packed(Form::Script).args(["process", "pid"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["pid"], pid);
    assert_eq!((&facts["threads"], &facts["lease"]), (&"1".into(), &false.into()));
}

#[test]
fn streams_and_locales_are_the_same() {
    let surroundings: [&[(&str, &str)]; 7] = [
        &[],
        &[("LANG", "C")],
        &[("LC_ALL", "POSIX")],
        &[("LANG", "de_DE.ISO-8859-1"), ("LC_ALL", "")],
        &[("PYTHONIOENCODING", "latin-1:replace")],
        &[("LANG", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0")],
        &[("PYTHONUTF8", "1"), ("LC_ALL", "C")],
    ];
    for variables in surroundings {
        world().same(Form::Script, &["streams"], |command| {
            command.envs(variables.iter().copied());
        });
    }
    let piped = |mut command: Command| {
        let child =
            command.args(["streams", "read"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all("süß\n".as_bytes()).unwrap();
        world().normal(&child.wait_with_output().unwrap())
    };
    assert_eq!(piped(world().packed(Form::Script)), piped(world().plain(Form::Script)));
    for closed in ["<&-", ">&-", "2>&-", "<&- 2>&-"] {
        let run = |program: Command| {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(format!("\"$0\" \"$@\" {closed}")).arg(program.get_program()).args(program.get_args());
            shell.arg("streams").env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            world().normal(&finish(&mut shell))
        };
        assert_eq!(run(world().packed(Form::Script)), run(world().plain(Form::Script)), "{closed}");
    }
}

#[test]
fn switches_of_the_environment_work() {
    let switches = [
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONFAULTHANDLER", "1"),
        ("PYTHONWARNINGS", "error::DeprecationWarning"),
        ("PYTHONASYNCIODEBUG", "1"),
        ("PYTHONHASHSEED", "42"),
        ("PYTHONUTF8", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONOPTIMIZE", "1"),
        ("PYTHONDEVMODE", "1"),
        ("PYTHONTRACEMALLOC", "1"),
        ("PYTHONVERBOSE", ""),
    ];
    for switch in switches {
        world().same(Form::Script, &["switches"], |command| {
            command.env(switch.0, switch.1);
        });
    }
}

/// In plain Python these change what is imported, or break it. The artifact is as it is without them.
#[test]
fn what_would_change_imports_does_not() {
    let quiet = world().same(Form::Script, &["start"], NONE);
    let evil = world().root.join("home/empty");
    for name in ["json.py", "encodings.py", "sitecustomize.py"] {
        fs_err::write(evil.join(name), "import sys\nsys.site_mark = 'evil'\n").unwrap();
    }
    let evil = evil.to_str().unwrap();
    let variables = [
        ("PYTHONPATH", evil),
        ("PYTHONHOME", evil),
        ("PYTHONPLATLIBDIR", "lib64"),
        ("PYTHONEXECUTABLE", "/nonexistent/python"),
        ("PYTHONUSERBASE", evil),
        ("PYTHONPYCACHEPREFIX", evil),
        ("PYTHONSAFEPATH", "1"),
        ("__PYVENV_LAUNCHER__", "/nonexistent/python"),
        ("PACKPROOF_START", "1\u{1f}forged\u{1f}PYTHONHOME=/nonexistent"),
    ];
    let output = finish(world().packed(Form::Script).arg("start").envs(variables));
    assert_eq!(world().normal(&output), quiet);
}

#[test]
fn imports_metadata_and_resources_are_the_same() {
    let said = world().same(Form::Script, &["imports"], NONE);
    assert!(said.contains(r#""double", "shared.left:double", 42"#), "{said}");
}

#[test]
fn libraries_of_the_system_are_found_in_the_same_way() {
    world().same(Form::Script, &["system"], NONE);
}

#[test]
fn processes_of_the_program_are_the_same() {
    world().same(Form::Script, &["multiprocessing"], NONE);
    world().same(Form::Script, &["asyncio"], NONE);
    if world().has_joblib {
        world().same(Form::Script, &["loky"], NONE);
    } else {
        skipped("pip and the package index, for joblib");
    }
}

#[test]
fn it_ends_in_the_same_way() {
    for how in ["code", "text", "raise", "abort", "closed", "atexit", "thread"] {
        world().same(Form::Script, &["exit", how], |command| {
            command.env("PYTHONFAULTHANDLER", "0");
        });
    }
}

#[test]
fn signals_are_the_same() {
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "PIPE", "ALRM"] {
        let run = |mut command: Command| {
            let mut child = command
                .arg("wait")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            let mut handlers = String::new();
            reader.read_line(&mut handlers).unwrap();
            // Not while it still prints.
            while state(child.id()) != 'S' {
                std::thread::yield_now();
            }
            // As SIGPIPE is, and what the tests themselves were started with, e.g. in the background: the program goes on,
            // to the end of its input.
            let is_ignored = ignores(child.id(), signal);
            kill(child.id(), signal);
            let _input = child.stdin.take().filter(|_| !is_ignored);
            let status = child.wait().unwrap();
            let (mut out, mut err) = (String::new(), String::new());
            reader.read_to_string(&mut out).unwrap();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            (handlers, status.code(), status.signal(), out, world().normal_text(&err))
        };
        assert_eq!(run(world().packed(Form::Script)), run(world().plain(Form::Script)), "SIG{signal}");
    }
}

fn ignores(pid: u32, signal: &str) -> bool {
    let number = ["HUP", "INT", "QUIT", "USR1", "PIPE", "ALRM", "TERM"].iter().zip([1, 2, 3, 10, 13, 14, 15]);
    let bit = number.into_iter().find(|(name, _)| **name == signal).map(|(_, number)| number - 1).unwrap();
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() >> bit & 1 == 1
}

#[test]
fn it_stops_and_continues() {
    let mut child =
        world().packed(Form::Script).arg("wait").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    kill(child.id(), "STOP");
    while state(child.id()) != 'T' {
        std::thread::yield_now();
    }
    kill(child.id(), "CONT");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && said.contains("went on"), "{said}");
}

/// As the first process of a container.
#[test]
fn it_is_the_first_process_of_a_namespace() {
    let run = |program: Command| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(program.get_program());
        command.args(program.get_args()).args(["process", "pid"]).env_clear().stdin(Stdio::null());
        command.current_dir(&world().project);
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        finish(&mut command)
    };
    let plain = run(world().plain(Form::Script));
    if !plain.status.success() {
        return skipped("the right to make a PID namespace");
    }
    let plain = world().normal(&plain);
    assert!(plain.contains(r#""pid": 1,"#), "{plain}");
    assert_eq!(world().normal(&run(world().packed(Form::Script))), plain);
}

/// As `ps` shows it: `S` for asleep, `T` for stopped.
fn state(pid: u32) -> char {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

/// `[startup] gc = "relaxed"`: raised while modules are imported, as ever once they are, and the application's own choice
/// stands.
#[test]
fn a_relaxed_collector_is_the_usual_one_once_the_program_is_up() {
    let startup = include_str!("../../../src/layout/startup/collector.py");
    let script = r"
import gc, sys, weakref
usual, frozen = gc.get_threshold(), gc.get_freeze_count()
callback = lambda phase, info: None
exec(compile(sys.stdin.read(), 'startup', 'exec'))
raised = gc.get_threshold()
assert raised[0] > 10_000 and len(gc.callbacks) == 1, raised
before = sum(generation['collections'] for generation in gc.get_stats())
import asyncio, concurrent.futures, decimal, email.message, http.client, json, logging.config, unittest, xml.dom.minidom
assert sum(generation['collections'] for generation in gc.get_stats()) - before < 5

# What a turn leaves: garbage as well, until somebody asks, or the program is up.
class Node: pass
def turn():
    sys.modules.update((f'module{len(sys.modules)}-{number}', sys) for number in range(20))
    return [[] for _ in range(raised[0] * 2)]
node = Node()
node.itself, node = node, weakref.ref(node)
kept = turn()
assert gc.get_freeze_count() == frozen
# Python 3.12 begins with frozen objects of its own, and is left to look at what is new.
assert (node() is None) == (frozen > 0), gc.get_stats()
gc.collect()
assert node() is None
if sys.argv[1] == 'frozen':
    gc.freeze()
    kept = turn()
    assert gc.get_freeze_count() > 1000

if sys.argv[1] == 'own':
    gc.set_threshold(500, 5, 5)
if sys.argv[1] == 'callback':
    gc.callbacks.append(callback)
kept = [[] for _ in range(raised[0] * 3)]
wanted = (500, 5, 5) if sys.argv[1] == 'own' else usual
assert gc.get_threshold() == wanted, gc.get_threshold()
assert gc.isenabled() and (gc.get_freeze_count() > frozen) == (sys.argv[1] == 'frozen')
assert (callback in gc.callbacks) == (sys.argv[1] == 'callback'), gc.callbacks
print('up')
";
    for how in ["plain", "own", "callback", "frozen"] {
        let mut command = Command::new(&crate::support::python().executable);
        command.args(["-S", "-c", script, how]).env_clear();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(startup.as_bytes()).unwrap();
        assert_eq!(crate::support::text(&child.wait_with_output().unwrap()), "up\n", "{how}");
    }
}

fn kill(pid: u32, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
}

/// Where `site` is left out, nobody reads what the launcher hands over, so it hands nothing over.
#[test]
fn an_interpreter_without_site_has_nothing_of_ours() {
    let code = "import os; print(sorted(name for name in os.environ if name.startswith(('PACKPROOF_START', 'PYTHON'))), \
                sum(os.path.realpath('/proc/self/fd/' + fd).endswith('/.packproof') for fd in os.listdir('/proc/self/fd')))";
    for options in [&["-S", "-c"][..], &["-bS", "-c"], &["-X", "dev", "-S", "-c"], &["-c"]] {
        let mut command = world().packed(Form::Script);
        command.env("PACKPROOF", "python").env("PYTHONPATH", "/nonexistent").args(options).arg(code);
        let said = crate::support::text(&finish(&mut command));
        let wanted = if options.len() > 1 { "[] 0\n" } else { "['PYTHONPATH'] 1\n" };
        assert_eq!(said, wanted, "{options:?}");
    }
}
