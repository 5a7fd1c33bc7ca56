//! What the mutations work on: a small shop with two distributions, native code and a daemon, and its layout.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::config::Overrides;
use packproof::format::ArchivePath;
use packproof::layout::{Entry, Layout, Origin, Source};
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Plan, Project};
use packproof::progress::Silent;
use packproof::verify::{self, Proof, Unpackaged};

use crate::support::{PATIENCE, python, run, write};

pub(crate) const MAIN: &str = r#"
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

pub(crate) const LATE: &str = "import json.scanner\n\nclass Circle:\n    def area(self):\n        return 3\n";

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
pub(crate) struct Shop {
    folder: tempfile::TempDir,
    project: Project,
    plan: Plan,
    unpackaged: Unpackaged,
}

impl Shop {
    pub(crate) fn new() -> Self {
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

    /// Broken, packed under a number of its own, and proved; `adapt` changes what is tried.
    pub(crate) fn prove(&self, number: usize, breaks: fn(Target<'_>), adapt: impl Fn(&mut verify::Plan)) -> Proof {
        let mut layout = self.plan.planned.layout.clone();
        breaks(Target { layout: &mut layout, root: self.root() });
        let out = self.root().join(format!("out-{number}/main"));
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let spec =
            pipeline::pack_spec(&self.project, &self.plan, Choices { compression: Compression::Fast, threads: None })
                .unwrap();
        let artifact = pack::pack(&layout, &spec, &out, &Silent).unwrap().path;
        let mut wanted = verify_plan(&self.project, &self.plan, &artifact);
        adapt(&mut wanted);
        let proof = verify::prove_against(&wanted, &self.unpackaged, &Silent).unwrap();
        fs::remove_dir_all(out.parent().unwrap()).unwrap();
        proof
    }
}

/// Always of the layout that is right: the prover does not learn from the broken one.
fn verify_plan(project: &Project, plan: &Plan, artifact: &Path) -> verify::Plan {
    let mut wanted = pipeline::proof_plan(project, &plan.planned, artifact, Path::new(env!("CARGO_BIN_EXE_packproof")));
    wanted.limits = wanted.limits.times(PATIENCE);
    wanted
}

/// What a mutation works on.
pub(crate) struct Target<'a> {
    pub(crate) layout: &'a mut Layout,
    pub(crate) root: PathBuf,
}

impl Target<'_> {
    pub(crate) fn find(&self, end: &str) -> ArchivePath {
        let mut found = self.layout.entries.keys().filter(|path| path.as_str().ends_with(end));
        found.next().unwrap_or_else(|| panic!("nothing ends with {end}")).clone()
    }

    pub(crate) fn text(&self, path: &ArchivePath) -> String {
        match &self.layout.entries[path].source {
            Source::File(file) => fs::read_to_string(file).unwrap(),
            Source::Patched { bytes, .. } | Source::Generated(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// With its bytecode.
    pub(crate) fn drop(&mut self, what: &str) {
        let before = self.layout.entries.len();
        self.layout.entries.retain(|path, entry| match &entry.source {
            Source::Bytecode { of } => !of.as_str().contains(what),
            _ => !path.as_str().contains(what),
        });
        assert!(self.layout.entries.len() < before, "{what}");
    }

    pub(crate) fn generate(&mut self, path: ArchivePath, bytes: Vec<u8>) {
        let entry = Entry { source: Source::Generated(bytes), mode: 0o644, origin: Origin::Unowned };
        self.layout.entries.insert(path, entry);
    }

    pub(crate) fn replace(&mut self, end: &str, text: &str) {
        self.generate(self.find(end), text.as_bytes().to_vec());
    }

    pub(crate) fn replace_by_file(&mut self, end: &str, file: &str) {
        let bytes = fs::read(self.root.join(file)).unwrap();
        self.generate(self.find(end), bytes);
    }

    /// More code at a module's end.
    pub(crate) fn append(&mut self, end: &str, base: &str, code: &str) {
        self.replace(end, &format!("{base}\n{code}"));
    }

    pub(crate) fn beside(&mut self, end: &str, name: &str, text: &str) {
        let path = self.find(end).parent().unwrap().join(name).unwrap();
        self.generate(path, text.as_bytes().to_vec());
    }
}

impl Target<'_> {
    pub(crate) fn main(&mut self, code: &str) {
        self.replace("app/main.py", &format!("import signal, sys\nif __name__ == '__main__':\n{}", indented(code)));
    }

    pub(crate) fn path_file(&mut self, text: &str) {
        self.beside("00_packproof.pth", "outside.pth", text);
    }

    pub(crate) fn start_up(&mut self, code: &str) {
        let path = self.find("/_packproof.py");
        let Source::Generated(bytes) = &self.layout.entries[&path].source else { panic!("it is generated") };
        let text = format!("{}\n{code}", String::from_utf8(bytes.clone()).unwrap());
        self.generate(path, text.into_bytes());
    }

    pub(crate) fn stale_bytecode(&mut self) {
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
