//! The prover's own test: a good layout, broken in every way that we could think of. Each one must give a red proof
//! that names the cause.

use std::time::Duration;

use packproof::verify::{Kind, Limits, Proof, Verdict};

use crate::broken::{Cause, Target, Whole, missed};
use crate::prover::text;
use crate::shop::{LATE, MAIN, shop};
use crate::support::is_isolated;

struct Mutation {
    what: &'static str,
    breaks: fn(Target<'_>),
    cause: Cause,
    /// It hangs, so that time limits are short.
    is_slow: bool,
    /// It takes the daemon to see it.
    starts: bool,
}

impl Mutation {
    fn prove(&self, shop: &Whole, number: usize) -> Proof {
        shop.prove(number, self.breaks, |wanted| {
            if !self.starts {
                // Half of the time, and nothing that the other tests do not do.
                wanted.starts.clear();
            }
            if self.is_slow {
                wanted.limits = Limits { import: Duration::from_secs(30), ..Limits::default() };
                for probe in &mut wanted.starts {
                    probe.settings.timeout = 30;
                }
            }
        })
    }
}

const fn mutation(what: &'static str, breaks: fn(Target<'_>), cause: Cause) -> Mutation {
    Mutation { what, breaks, cause, is_slow: false, starts: matches!(cause.0, Kind::Start) }
}

const fn daemon(what: &'static str, breaks: fn(Target<'_>), cause: Cause) -> Mutation {
    Mutation { what, breaks, cause, is_slow: false, starts: true }
}

const fn slow(what: &'static str, breaks: fn(Target<'_>), cause: Cause) -> Mutation {
    Mutation { is_slow: true, ..mutation(what, breaks, cause) }
}

const FORGER: &str = r#"
import os, json
for number in range(256):
    for line in ({"kind": "done"}, {"kind": "outcome", "id": 0, "outcome": {"imported": {}}}):
        try:
            os.write(number, json.dumps({"nonce": "", **line}).encode() + b"\n")
        except OSError:
            pass
os._exit(0)
"#;

/// A folder of another module's goes first, once a start has been.
const SECOND_START: &str = r#"
seen = os.path.join(sys.prefix, ".seen")
if os.path.exists(seen):
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "other")
    import importlib.util
    class Other:
        @staticmethod
        def find_spec(name, path=None, target=None):
            file = os.path.join(folder, "helper.py")
            return importlib.util.spec_from_file_location(name, file) if name == "helper" else None
    sys.meta_path.insert(0, Other)
else:
    open(seen, "w").close()
"#;

const LEAVES_A_PROCESS: &str =
    "import subprocess\nleft = subprocess.Popen(['sleep', '600'], start_new_session=True)\nleft.returncode = 0";

const MUTATIONS: &[Mutation] = &[
    // Something is missing.
    mutation(
        "a module is missing",
        |mut it| it.drop("shapes/late.py"),
        (Kind::Import, "shapes.late", "No module named"),
    ),
    mutation("a package is missing", |mut it| it.drop("packages/shapes/"), (Kind::Import, "shapes", "No module named")),
    mutation(
        "one of the application's modules is missing",
        |mut it| it.drop("app/helper.py"),
        (Kind::Import, "helper", "No module named 'helper'"),
    ),
    mutation(
        "a module of the standard library is missing",
        |mut it| it.drop("/json/scanner.py"),
        (Kind::NoResult, "json", "cannot import name 'scanner'"),
    ),
    mutation(
        "a module of the standard library that nothing imports is missing",
        |mut it| it.drop("/wave.py"),
        (Kind::File, "/wave.py", "is missing"),
    ),
    mutation(
        "a module of the standard library that nothing imports is another one",
        |mut it| it.change("/wave.py", "def open(", "def open_("),
        (Kind::File, "/wave.py", ""),
    ),
    mutation(
        "a data file that is read at import is missing",
        |mut it| it.drop("shapes/table.json"),
        (Kind::Import, "shapes.table", "FileNotFoundError"),
    ),
    mutation(
        "a data file that may be missing is",
        |mut it| it.drop("shapes/colours.txt"),
        (Kind::Names, "shapes.table", "HAS_COLOURS=False"),
    ),
    mutation(
        "a dist-info is missing",
        |mut it| it.drop("shapes-1.0.dist-info/"),
        (Kind::Distribution, "shapes", "not installed"),
    ),
    mutation(
        "a distribution that no import leads to is missing",
        |mut it| {
            it.drop("packages/extras/");
            it.drop("extras-2.0.dist-info/");
        },
        (Kind::Distribution, "extras", "not installed"),
    ),
    mutation(
        "the entry points are missing",
        |mut it| it.drop("extras-2.0.dist-info/entry_points.txt"),
        (Kind::EntryPoints, "extras", "nothing"),
    ),
    mutation(
        "an extension module is missing",
        |mut it| it.drop("shapes/_opcode."),
        (Kind::Import, "shapes.native", "_opcode"),
    ),
    mutation(
        "a shared library is missing",
        |mut it| it.drop("libs/libmark.so"),
        (Kind::Import, "shapes.native", "libmark.so"),
    ),
    mutation(
        "a library that a library needs is missing",
        |mut it| it.drop("libs/libinner.so"),
        (Kind::Import, "shapes.native", "libinner.so"),
    ),
    mutation(
        "the start-up code is missing",
        |mut it| it.drop("00_packproof.pth"),
        (Kind::Start, "start", "before it said"),
    ),
    mutation(
        "the interpreter's own library is missing",
        |mut it| it.drop("lib/libpython"),
        (Kind::NoResult, "", "did not come back"),
    ),
    mutation(
        "a file that the application reads while it runs is missing",
        |mut it| it.drop("app/text/hello.txt"),
        (Kind::File, "app/text/hello.txt", "is missing"),
    ),
    mutation(
        "a distribution's file that nothing reads is missing",
        |mut it| it.drop("extras/plugin.py"),
        (Kind::Record, "extras", "extras/plugin.py is missing"),
    ),
    // Something is there that should be something else.
    mutation(
        "the entry script is another one",
        |mut it| it.replace("app/main.py", &format!("{MAIN}# x\n")),
        (Kind::File, "app/main.py", ""),
    ),
    mutation(
        "a digest in RECORD is another one",
        |mut it| {
            let record = it.find("shapes-1.0.dist-info/RECORD");
            let text = it.text(&record);
            let at = text.find("shapes/table.json,sha256=").unwrap() + "shapes/table.json,sha256=".len();
            let other = if text[at..].starts_with('A') { "B" } else { "A" };
            it.generate(record, format!("{}{other}{}", &text[..at], &text[at + 1..]).into_bytes());
        },
        (Kind::Record, "shapes", "shapes/table.json has another content"),
    ),
    mutation(
        "RECORD names a file that is not there",
        |mut it| {
            let record = it.find("shapes-1.0.dist-info/RECORD");
            let text = it.text(&record);
            it.generate(record, format!("shapes/gone.txt,,\n{text}").into_bytes());
        },
        (Kind::Record, "shapes", "shapes/gone.txt is missing"),
    ),
    mutation(
        "the second start loads another module",
        |mut it| {
            let place = it.find("app/helper.py");
            let other = it.text(&place).replace("MARK", "MARK + 0");
            it.beside("/_packproof.py", "other/helper.py", &other);
            it.start_up(SECOND_START);
        },
        (Kind::Code, "helper", ""),
    ),
    mutation(
        "a module is a package",
        |mut it| it.module_to_package("shapes/late.py"),
        (Kind::Origin, "shapes.late", "package `shapes/late/__init__.py`"),
    ),
    mutation(
        "a constant in a module is another one",
        |mut it| it.change("shapes/late.py", "3", "4"),
        (Kind::Code, "shapes.late", "digest"),
    ),
    mutation(
        "the bytecode is an older source's",
        |mut it| it.stale_bytecode("shapes/late.py", "2", "3"),
        (Kind::Code, "shapes.late", "digest"),
    ),
    mutation(
        "only a comment is another one",
        |mut it| it.replace("shapes/late.py", &format!("{LATE}# x\n")),
        (Kind::Source, "shapes.late", "digest"),
    ),
    mutation(
        "a data file has another content",
        |mut it| it.replace("shapes/table.json", r#"{"price": 6}"#),
        (Kind::Record, "shapes", "shapes/table.json has another content"),
    ),
    mutation(
        "a distribution is another version",
        |mut it| it.replace("shapes-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shapes\nVersion: 2.0\n"),
        (Kind::Distribution, "shapes", "version 2.0"),
    ),
    mutation(
        "an entry point leads elsewhere",
        |mut it| it.replace("entry_points.txt", "[shop.plugins]\nextra = shapes.late:Circle\n"),
        (Kind::EntryPoints, "extras", "shapes.late:Circle"),
    ),
    mutation(
        "a shared library is another build",
        |mut it| it.replace_by_file("libs/libmark.so", "libmark-other.so"),
        (Kind::Library, "libmark.so", "digest"),
    ),
    mutation(
        "an extension module is no library",
        |mut it| {
            let path = it.layout.entries.keys().find(|path| path.as_str().contains("shapes/_opcode.")).unwrap().clone();
            it.generate(path, b"not an ELF file".to_vec());
        },
        (Kind::Import, "", ""),
    ),
    mutation(
        "an optional part is switched off",
        |mut it| it.replace("shapes/colours.txt", ""),
        (Kind::Names, "shapes.table", "HAS_COLOURS=False"),
    ),
    mutation(
        "a module warns",
        |mut it| it.append("shapes/late.py", LATE, "import warnings\nwarnings.warn('packed')"),
        (Kind::Warning, "shapes.late", "UserWarning: packed"),
    ),
    // Something leads out of the artifact.
    mutation(
        "a run path leads to the environment",
        |mut it| it.replace_by_file("libs/libmark.so", "libmark-elsewhere.so"),
        (Kind::Import, "shapes.native", "libinner.so"),
    ),
    mutation(
        "the environment is on sys.path",
        |mut it| {
            let text = format!("{}\n", it.venv.join("lib").display());
            it.path_file(&text);
        },
        (Kind::Escape, "venv/lib", "outside the artifact's tree"),
    ),
    mutation(
        "a folder of the system is on sys.path",
        |mut it| it.path_file("/usr/share\n"),
        (Kind::Escape, "/usr/share", "outside the artifact's tree"),
    ),
    mutation(
        "a file of the environment is opened",
        |mut it| {
            let code = format!("try:\n    open('{}')\nexcept OSError:\n    pass", it.venv.join("pyvenv.cfg").display());
            it.append("shapes/late.py", LATE, &code);
        },
        (Kind::Opened, "pyvenv.cfg", "not the artifact's"),
    ),
    mutation(
        "the environment's interpreter is started",
        |mut it| {
            let code = format!(
                "import subprocess\ntry:\n    subprocess.run(['{}', '-c', ''])\nexcept OSError:\n    pass",
                it.venv.join("bin/python").display()
            );
            it.append("shapes/late.py", LATE, &code);
        },
        (Kind::Started, "venv/bin/python", "not the artifact's"),
    ),
    mutation(
        "children see a variable",
        |mut it| it.start_up("os.environ['LD_LIBRARY_PATH'] = '/nowhere'\n"),
        (Kind::ChildEnvironment, "LD_LIBRARY_PATH", "/nowhere"),
    ),
    mutation(
        "a module needs the network",
        |mut it| {
            it.append(
                "shapes/late.py",
                LATE,
                "import socket\ntry:\n    socket.create_connection(('203.0.113.1', 80), 2)\nexcept OSError:\n    pass",
            );
        },
        (Kind::Network, "203.0.113.1", "there is no network"),
    ),
    mutation(
        "a module sends a datagram into the network",
        |mut it| {
            it.append(
                "shapes/late.py",
                LATE,
                "import socket\ntry:\n    \
                 socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.2', 9))\nexcept OSError:\n    pass",
            );
        },
        (Kind::Network, "203.0.113.2", "there is no network"),
    ),
    mutation(
        "a module writes beside itself",
        |mut it| it.append("shapes/late.py", LATE, "open(__file__ + '.cache', 'w').close()"),
        (Kind::Tree, "shapes/late.py.cache", "was written"),
    ),
    mutation(
        "a module changes another one's file",
        |mut it| {
            it.append(
                "shapes/late.py",
                LATE,
                "import os\nopen(os.path.join(os.path.dirname(__file__), 'table.json'), 'a').write(' ')",
            );
        },
        (Kind::Tree, "shapes/table.json", "was changed"),
    ),
    mutation(
        "a module leaves a file in the home folder",
        |mut it| it.append("shapes/late.py", LATE, "import os\nopen(os.path.expanduser('~/.shapes'), 'w').close()"),
        (Kind::Leftover, "<home>/.shapes", "left behind"),
    ),
    mutation(
        "a module leaves a temporary file",
        |mut it| it.append("shapes/late.py", LATE, "import tempfile\ntempfile.mkstemp()"),
        (Kind::Leftover, "<tmp>/tmp…", "left behind"),
    ),
    mutation(
        "a module leaves a process running",
        |mut it| it.append("shapes/late.py", LATE, LEAVES_A_PROCESS),
        (Kind::Leftover, "a running process", "left behind"),
    ),
    mutation(
        "a module fails until it has left something behind",
        |mut it| {
            let code = "import os\nseen = os.path.expanduser('~/.shapes')\nif not os.path.exists(seen):\n    \
                        open(seen, 'w').close()\n    raise RuntimeError('the first time')";
            it.append("shapes/late.py", LATE, code);
        },
        (Kind::Import, "shapes.late", "RuntimeError: the first time"),
    ),
    // The process does not come back.
    mutation(
        "a module ends the process",
        |mut it| it.append("shapes/late.py", LATE, "import os\nos._exit(0)"),
        (Kind::NoResult, "shapes.late", "exit status 0"),
    ),
    mutation(
        "a module forges results on every descriptor",
        |mut it| it.append("shapes/late.py", LATE, FORGER),
        (Kind::NoResult, "shapes.late", "exit status 0"),
    ),
    mutation(
        "a module ends the process a moment later",
        |mut it| {
            it.append(
                "shapes/late.py",
                LATE,
                "import os, threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), os.kill(os.getpid(), 9)), \
                 daemon=True).start()",
            );
        },
        (Kind::NoResult, "", "SIGKILL"),
    ),
    mutation(
        "a module crashes",
        |mut it| it.append("shapes/late.py", LATE, "import os\nos.kill(os.getpid(), 11)"),
        (Kind::NoResult, "shapes.late", "SIGSEGV"),
    ),
    slow(
        "a module hangs",
        |mut it| it.append("shapes/late.py", LATE, "import time\ntime.sleep(3600)"),
        (Kind::NoResult, "shapes.late", "still running"),
    ),
    // The daemon.
    mutation(
        "the daemon ends early, with 0",
        |mut it| it.main("sys.exit(0)\n"),
        (Kind::Start, "start", "ended (exit status 0) before it said"),
    ),
    slow(
        "the daemon does not get ready",
        |mut it| it.main("import time\ntime.sleep(3600)\n"),
        (Kind::Start, "start", "did not say `Ready`"),
    ),
    slow(
        "the daemon ignores SIGTERM",
        |mut it| it.main("signal.signal(15, signal.SIG_IGN)\nprint('Ready', flush=True)\nwhile True: signal.pause()\n"),
        (Kind::Start, "start", "after SIGTERM"),
    ),
    mutation(
        "the daemon crashes on SIGTERM",
        |mut it| {
            it.main(
                "import os\nsignal.signal(15, lambda *args: os.abort())\nprint('Ready', flush=True)\nsignal.pause()\n",
            );
        },
        (Kind::Start, "start", "SIGABRT"),
    ),
    mutation(
        "the daemon says that it is ready, and dies",
        |mut it| it.main("print('Ready', flush=True)\nsys.exit(0)\n"),
        (Kind::Start, "start", "said `Ready`, then ended"),
    ),
    mutation(
        "the daemon ends with another code",
        |mut it| it.main("signal.signal(15, lambda *args: sys.exit(3))\nprint('Ready', flush=True)\nsignal.pause()\n"),
        (Kind::Start, "start", "exit status 3"),
    ),
    daemon(
        "the daemon leaves a process running",
        |mut it| {
            let stops = "signal.signal(15, lambda *args: sys.exit(0))\nprint('Ready', flush=True)\nsignal.pause()\n";
            it.main(&format!("{LEAVES_A_PROCESS}\n{stops}"));
        },
        (Kind::Leftover, "a running process", "left behind"),
    ),
];

#[test]
#[expect(clippy::print_stderr, reason = "the score is for whoever reads the log")]
fn every_way_of_breaking_an_artifact_is_caught() {
    let shop = shop();
    let whole = mutation("nothing", |_| {}, (Kind::Start, "", "")).prove(&shop, MUTATIONS.len());
    if !is_isolated(&whole) {
        return;
    }
    assert_eq!(whole.verdict, Verdict::Proved, "{}", text(&whole));

    let missed = missed(MUTATIONS, |it, number| it.prove(&shop, number), |it| (it.what, it.cause));
    eprintln!("the prover caught {} of {} mutations", MUTATIONS.len() - missed.len(), MUTATIONS.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
