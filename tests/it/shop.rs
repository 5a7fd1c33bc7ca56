//! What the mutations work on: a small shop with two distributions, native code and a daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::broken::Whole;
use crate::support::{python, run, write};

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

/// What no test imports: packing is most of a test's time.
const UNNEEDED: &[&str] =
    &["/idlelib/", "/lib2to3/", "/ensurepip/", "/turtledemo/", "/lib-dynload/_codecs_", "/lib-dynload/_test"];

pub(crate) fn shop() -> Whole {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let venv = root.join("venv");
    crate::support::venv(&python().executable, &venv);
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
    Whole::open(folder, &root.join("project"), &venv, UNNEEDED)
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
