//! The prover's own test: a good layout, broken in every way that we could think of. Each one must give a red proof
//! that names the cause.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fs_err as fs;
use packproof::config::Overrides;
use packproof::format::ArchivePath;
use packproof::layout::{Entry, Layout, Origin, Source};
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Plan, Project};
use packproof::progress::Silent;
use packproof::verify::{self, Kind, Proof, Unpackaged, Verdict};

use crate::proof::text;
use crate::support::{python, run, write};

const MAIN: &str = r#"
import signal, sys
from importlib.metadata import entry_points

from shapes.late import Circle
from shapes.table import TABLE
import helper, stock

def plugins():
    found = entry_points()
    chosen = found.select(group="shop.plugins") if hasattr(found, "select") else found["shop.plugins"]
    return [point.load()() for point in chosen]

if __name__ == "__main__":
    stop = []
    signal.signal(signal.SIGTERM, lambda *args: stop.append(1))
    print("Ready", Circle().area(), TABLE["price"], plugins(), helper.X, stock.COUNT, flush=True)
    while not stop:
        signal.pause()
    sys.exit(0)
"#;

const LATE: &str = "import json.scanner\n\nclass Circle:\n    def area(self):\n        return 3\n";

const TABLE: &str = r#"
import json, os
with open(os.path.join(os.path.dirname(__file__), "table.json")) as file:
    TABLE = json.load(file)
try:
    with open(os.path.join(os.path.dirname(__file__), "colours.txt")) as file:
        HAS_COLOURS = bool(file.read())
except OSError:
    HAS_COLOURS = False
"#;

const NATIVE: &str = r#"
import ctypes, os
from shapes import _opcode
MARK = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libs", "libmark.so")).mark()
"#;

/// A project, its environment, what is right for it, and what its environment showed.
struct Shop {
    folder: tempfile::TempDir,
    project: Project,
    plan: Plan,
    unpackaged: Unpackaged,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let venv = root.join("venv");
        run(Command::new(&python().executable).args(["-m", "venv", "--without-pip"]).arg(&venv));
        let site = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path().join("site-packages");
        let native = native_module();
        distribution(
            &site,
            ("shapes", "1.0"),
            &[
                ("shapes/__init__.py", ""),
                ("shapes/late.py", LATE),
                ("shapes/table.py", TABLE),
                ("shapes/table.json", r#"{"price": 5}"#),
                ("shapes/colours.txt", "red green blue"),
                ("shapes/native.py", NATIVE),
            ],
            "",
        );
        fs::create_dir_all(site.join("shapes/libs")).unwrap();
        fs::copy(&native, site.join("shapes").join(native.file_name().unwrap())).unwrap();
        let libs = site.join("shapes/libs");
        compile(&libs.join("libinner.so"), "int inner(void) { return 3; }", &["-Wl,-soname,libinner.so"]);
        let inner = libs.join("libinner.so");
        let link = |out: &Path, code: &str, run_path: &str| {
            compile(out, code, &[inner.to_str().unwrap(), &format!("-Wl,-rpath,{run_path}")]);
        };
        link(&libs.join("libmark.so"), &mark(4), "$ORIGIN");
        // For later: the same with a run path to the environment, and one that gives something else.
        link(&root.join("libmark-elsewhere.so"), &mark(4), libs.to_str().unwrap());
        link(&root.join("libmark-other.so"), &mark(5), "$ORIGIN");
        distribution(
            &site,
            ("extras", "2.0"),
            &[("extras/__init__.py", ""), ("extras/plugin.py", "def register():\n    return 'extra'\n")],
            "[shop.plugins]\nextra = extras.plugin:register\n",
        );

        write(&root.join("project/main.py"), MAIN);
        write(&root.join("project/helper.py"), "import shapes.native\nX = shapes.native.MARK\n");
        write(&root.join("project/src/stock.py"), "COUNT = 2\n");
        write(&root.join("project/text/hello.txt"), "hello\n");
        let configuration = format!(
            "[runner]\nentry = \"main.py\"\npath = [\"src\"]\ninclude = [\"text/*\"]\n[environment]\npython = '{}'\n\
             [start]\nready = \"Ready\"\ntimeout = 60\n",
            venv.join("bin/python").display()
        );
        write(&root.join("project/packproof.toml"), &configuration);
        let mut project = Project::open(&root.join("project"), &Overrides::default(), &Silent).unwrap();
        let mut plan = project.plan().unwrap();
        slim(&mut plan.planned.layout);
        let wanted = verify_plan(&project, &plan, Path::new("/nonexistent"));
        let unpackaged = verify::expect(&wanted, &Silent).unwrap();
        Self { folder, project, plan, unpackaged }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn prove(&self, number: usize, mutation: &Mutation) -> Proof {
        let mut layout = self.plan.planned.layout.clone();
        let target = Target { layout: &mut layout, root: self.root() };
        (mutation.breaks)(target);
        let out = self.root().join(format!("out-{number}/main"));
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let spec =
            pipeline::pack_spec(&self.project, &self.plan, Choices { compression: Compression::Fast, threads: None })
                .unwrap();
        let artifact = pack::pack(&layout, &spec, &out, &Silent).unwrap().path;
        let mut wanted = verify_plan(&self.project, &self.plan, &artifact);
        if mutation.cause.0 != Kind::Start {
            // Half of the time, and nothing that the other tests do not do.
            wanted.starts.clear();
        }
        if mutation.is_slow {
            wanted.limits.import = Duration::from_secs(15);
            for probe in &mut wanted.starts {
                probe.settings.timeout = 10;
            }
        }
        let proof = verify::prove_against(&wanted, &self.unpackaged, &Silent).unwrap();
        fs::remove_dir_all(out.parent().unwrap()).unwrap();
        proof
    }
}

/// Always of the layout that is right: the prover does not learn from the broken one.
fn verify_plan(project: &Project, plan: &Plan, artifact: &Path) -> verify::Plan {
    pipeline::proof_plan(project, &plan.planned, artifact, Path::new(env!("CARGO_BIN_EXE_packproof")))
}

/// What a mutation works on.
struct Target<'a> {
    layout: &'a mut Layout,
    root: PathBuf,
}

impl Target<'_> {
    fn find(&self, end: &str) -> ArchivePath {
        let mut found = self.layout.entries.keys().filter(|path| path.as_str().ends_with(end));
        found.next().unwrap_or_else(|| panic!("nothing ends with {end}")).clone()
    }

    fn text(&self, path: &ArchivePath) -> String {
        match &self.layout.entries[path].source {
            Source::File(file) => fs::read_to_string(file).unwrap(),
            Source::Patched { bytes, .. } | Source::Generated(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// With its bytecode.
    fn drop(&mut self, what: &str) {
        let before = self.layout.entries.len();
        self.layout.entries.retain(|path, entry| match &entry.source {
            Source::Bytecode { of } => !of.as_str().contains(what),
            _ => !path.as_str().contains(what),
        });
        assert!(self.layout.entries.len() < before, "{what}");
    }

    fn generate(&mut self, path: ArchivePath, bytes: Vec<u8>) {
        let entry = Entry { source: Source::Generated(bytes), mode: 0o644, origin: Origin::Unowned };
        self.layout.entries.insert(path, entry);
    }

    fn replace(&mut self, end: &str, text: &str) {
        self.generate(self.find(end), text.as_bytes().to_vec());
    }

    fn replace_by_file(&mut self, end: &str, file: &str) {
        let bytes = fs::read(self.root.join(file)).unwrap();
        self.generate(self.find(end), bytes);
    }

    /// More code at a module's end.
    fn append(&mut self, end: &str, base: &str, code: &str) {
        self.replace(end, &format!("{base}\n{code}"));
    }

    fn beside(&mut self, end: &str, name: &str, text: &str) {
        let path = self.find(end).parent().unwrap().join(name).unwrap();
        self.generate(path, text.as_bytes().to_vec());
    }
}

struct Mutation {
    what: &'static str,
    breaks: fn(Target<'_>),
    /// What must be among the differences, and a part of its subject and of what is said of the artifact.
    cause: (Kind, &'static str, &'static str),
    /// It hangs, so that time limits are short.
    is_slow: bool,
}

const fn mutation(what: &'static str, breaks: fn(Target<'_>), cause: (Kind, &'static str, &'static str)) -> Mutation {
    Mutation { what, breaks, cause, is_slow: false }
}

const fn slow(what: &'static str, breaks: fn(Target<'_>), cause: (Kind, &'static str, &'static str)) -> Mutation {
    Mutation { what, breaks, cause, is_slow: true }
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
            it.beside("00_packproof.pth", "other/helper.py", &other);
            it.start_up(SECOND_START);
        },
        (Kind::Code, "helper", ""),
    ),
    mutation(
        "a module is a package",
        |mut it| {
            it.drop("shapes/late.py");
            it.beside("shapes/table.py", "late/__init__.py", LATE);
        },
        (Kind::Origin, "shapes.late", "package `shapes/late/__init__.py`"),
    ),
    mutation(
        "a constant in a module is another one",
        |mut it| it.replace("shapes/late.py", &LATE.replace('3', "4")),
        (Kind::Code, "shapes.late", "digest"),
    ),
    mutation("the bytecode is an older source's", |mut it| it.stale_bytecode(), (Kind::Code, "shapes.late", "digest")),
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
            let text = format!("{}\n", it.root.join("venv/lib").display());
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
            let code =
                format!("try:\n    open('{}')\nexcept OSError:\n    pass", it.root.join("venv/pyvenv.cfg").display());
            it.append("shapes/late.py", LATE, &code);
        },
        (Kind::Opened, "pyvenv.cfg", "not the artifact's"),
    ),
    mutation(
        "the environment's interpreter is started",
        |mut it| {
            let code = format!(
                "import subprocess\ntry:\n    subprocess.run(['{}', '-c', ''])\nexcept OSError:\n    pass",
                it.root.join("venv/bin/python").display()
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
];

impl Target<'_> {
    fn main(&mut self, code: &str) {
        self.replace("app/main.py", &format!("import signal, sys\nif __name__ == '__main__':\n{}", indented(code)));
    }

    fn path_file(&mut self, text: &str) {
        self.beside("00_packproof.pth", "outside.pth", text);
    }

    fn start_up(&mut self, code: &str) {
        let path = self.find("/_packproof.py");
        let Source::Generated(bytes) = &self.layout.entries[&path].source else { panic!("it is generated") };
        let text = format!("{}\n{code}", String::from_utf8(bytes.clone()).unwrap());
        self.generate(path, text.into_bytes());
    }

    fn stale_bytecode(&mut self) {
        let source = self.root.join("older.py");
        write(&source, &LATE.replace('3', "2"));
        let code = "import py_compile, sys\npy_compile.compile(sys.argv[1], sys.argv[2], \
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
        let compiled = self.root.join("older.pyc");
        run(Command::new(&python().executable).args(["-c", code]).arg(&source).arg(&compiled));
        let late = self.find("shapes/late.py");
        let is_its = |entry: &Entry| matches!(&entry.source, Source::Bytecode { of } if *of == late);
        let path = self.layout.entries.iter().find(|(_, entry)| is_its(entry)).unwrap().0.clone();
        self.generate(path, fs::read(compiled).unwrap());
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the score is for whoever reads the log")]
fn every_way_of_breaking_an_artifact_is_caught() {
    let shop = Shop::new();
    let whole = shop.prove(MUTATIONS.len(), &mutation("nothing", |_| {}, (Kind::Start, "", "")));
    assert_eq!(whole.verdict, Verdict::Proved, "{}", text(&whole));

    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((number, mutation)) =
                    MUTATIONS.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                {
                    let proof = shop.prove(number, mutation);
                    if let Some(how) = missed_by(&proof, mutation) {
                        missed.lock().unwrap().push(format!("{}: {how}\n{}", mutation.what, text(&proof)));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    eprintln!("the prover caught {} of {} mutations", MUTATIONS.len() - missed.len(), MUTATIONS.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn missed_by(proof: &Proof, mutation: &Mutation) -> Option<String> {
    if proof.verdict != Verdict::NotProved {
        return Some("the proof is green".to_owned());
    }
    let (kind, subject, said) = mutation.cause;
    let names_it = proof.differences.iter().any(|difference| {
        let subjects = std::iter::once(&difference.subject).chain(&difference.also);
        difference.kind == kind
            && subjects.into_iter().any(|it| it.contains(subject))
            && (difference.artifact.contains(said) || difference.output.iter().any(|output| output.contains(said)))
    });
    (!names_it).then(|| format!("the proof does not name the cause, {kind:?} `{subject}` {said}"))
}

/// Without what no test imports: packing is most of a test's time.
fn slim(layout: &mut Layout) {
    const UNNEEDED: [&str; 6] =
        ["/idlelib/", "/lib2to3/", "/ensurepip/", "/turtledemo/", "/lib-dynload/_codecs_", "/lib-dynload/_test"];
    layout.entries.retain(|path, _| !UNNEEDED.iter().any(|part| path.as_str().contains(part)));
}

/// One that is a file of its own in every build of CPython, and needs nothing.
fn native_module() -> PathBuf {
    let code = "import _opcode; print(_opcode.__file__)";
    let output = Command::new(&python().executable).args(["-c", code]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn mark(more: i32) -> String {
    format!("extern int inner(void); int mark(void) {{ return inner() + {more}; }}")
}

fn compile(out: &Path, code: &str, arguments: &[&str]) {
    let source = out.with_extension("c");
    write(&source, code);
    run(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(out).arg(&source).args(arguments));
    fs::remove_file(source).unwrap();
}

/// As an installer leaves it, with digests in RECORD.
fn distribution(site: &Path, (name, version): (&str, &str), files: &[(&str, &str)], entry_points: &str) {
    let info = format!("{name}-{version}.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let (at_metadata, at_points) = (format!("{info}/METADATA"), format!("{info}/entry_points.txt"));
    let mut all = files.to_vec();
    all.push((&at_metadata, &metadata));
    if !entry_points.is_empty() {
        all.push((&at_points, entry_points));
    }
    for (path, text) in &all {
        write(&site.join(path), text);
    }
    let code = "import base64, hashlib, sys\nfor path in sys.argv[2:]:\n    \
                digest = hashlib.sha256(open(sys.argv[1] + '/' + path, 'rb').read()).digest()\n    \
                print('%s,sha256=%s,' % (path, base64.urlsafe_b64encode(digest).decode().rstrip('=')))";
    let mut command = Command::new(&python().executable);
    command.args(["-c", code]).arg(site).args(all.iter().map(|(path, _)| path));
    let record = String::from_utf8(command.output().unwrap().stdout).unwrap();
    write(&site.join(&info).join("RECORD"), &format!("{record}{info}/RECORD,,\n"));
}

fn indented(code: &str) -> String {
    code.lines().fold(String::new(), |text, line| format!("{text}    {line}\n"))
}
