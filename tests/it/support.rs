//! A small real application, packed once for all tests.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fs_err as fs;
use packproof::format::{ArchivePath, Start, StartEntry};
use packproof::layout::{Entry, Layout, Origin, Source};
use packproof::pack::{self, Compression, PackSpec, Packed};
use packproof::progress::Silent;
use tempfile::TempDir;

/// Prints what it is asked for as JSON, so that one artifact serves every test.
pub(crate) const MAIN: &str = r#"
import json, os, sys

def status():
    with open("/proc/self/status") as lines:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines)
    # Signals 32 and 33 are the C library's own, which it handles from the first thread on.
    visible = ~(3 << 31)
    signals = {name: int(fields[name], 16) & visible for name in ("SigBlk", "SigIgn", "SigCgt")}
    return {"Umask": fields["Umask"], **signals}

def descriptors():
    # Less the lease of the artifact's tree.
    files = {int(name): "/proc/self/fd/" + name for name in os.listdir("/proc/self/fd")}
    return sorted(number for number, file in files.items()
                  if os.path.exists(file) and not os.readlink(file).endswith("/.packproof")
                  and not os.path.samefile(file, sys.prefix))

if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "hello"
    if asked == "hello":
        print("hello")
    elif asked == "exit":
        sys.exit(int(sys.argv[2]))
    elif asked == "restart":
        os.execv(sys.executable, [sys.executable, sys.argv[0], "exit", "7"])
    elif asked == "sleep":
        import time
        print("sleeping", flush=True)
        time.sleep(60)
    elif asked == "facts":
        json.dump({
            "argv": sys.argv, "orig_argv": getattr(sys, "orig_argv", None), "executable": sys.executable,
            "prefix": sys.prefix, "base_prefix": sys.base_prefix, "path": sys.path, "file": __file__,
            "environment": dict(os.environ), "user_site": sys.flags.no_user_site, "pid": os.getpid(),
            "json": json.__file__, "json_cached": json.__cached__, "status": status(), "descriptors": descriptors(),
        }, sys.stdout)
"#;

/// Folders of the standard library that no test needs.
const LEFT_OUT: [&str; 12] = [
    "__pycache__",
    "config-",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "pydoc_data",
];

pub(crate) struct Python {
    pub(crate) executable: PathBuf,
    pub(crate) version: String,
    stdlib: PathBuf,
    library: Option<PathBuf>,
}

/// The base interpreter of the `python3` on `PATH`.
pub(crate) fn python() -> &'static Python {
    static PYTHON: OnceLock<Python> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = "import os, platform, sys, sysconfig\n\
            exe = os.path.realpath(getattr(sys, '_base_executable', sys.executable))\n\
            library = sysconfig.get_config_var('INSTSONAME') or ''\n\
            library = os.path.join(sysconfig.get_config_var('LIBDIR') or '', library)\n\
            shared = sysconfig.get_config_var('Py_ENABLE_SHARED') and os.path.isfile(library)\n\
            print(exe, platform.python_version(), sysconfig.get_path('stdlib'), library if shared else '', sep='\\n')";
        let output =
            Command::new("python3").args(["-I", "-c", script]).output().expect("the tests need python3 on PATH");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        Python {
            executable: lines[0].into(),
            version: lines[1].to_owned(),
            stdlib: lines[2].into(),
            library: lines.get(3).filter(|library| !library.is_empty()).map(PathBuf::from),
        }
    })
}

impl Python {
    fn minor(&self) -> String {
        self.version.rsplit_once('.').unwrap().0.to_owned()
    }
}

pub(crate) fn path(text: impl Into<String>) -> ArchivePath {
    ArchivePath::new(text).unwrap()
}

/// An interpreter, most of its standard library, bytecode for some of it, and [`MAIN`].
pub(crate) fn layout() -> Layout {
    let python = python();
    let mut layout = Layout::default();
    let mut add = |at: String, source, mode, origin| {
        layout.entries.insert(path(at), Entry { source, mode, origin });
    };
    add("bin/sample".into(), Source::File(python.executable.clone()), 0o755, Origin::Interpreter);
    add("bin/python".into(), Source::Link("sample".into()), 0o777, Origin::Packproof);
    if let Some(library) = &python.library {
        let name = library.file_name().unwrap().to_str().unwrap();
        add(format!("lib/{name}"), Source::File(library.clone()), 0o755, Origin::Interpreter);
    }
    let lib = format!("lib/python{}", python.minor());
    let tag = format!("cpython-{}", python.minor().replace('.', ""));
    let walk = walkdir::WalkDir::new(&python.stdlib).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || !LEFT_OUT.iter().any(|left| name == *left || left.ends_with('-') && name.starts_with(left))
    }) {
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_file() {
            continue;
        }
        let relative = entry.path().strip_prefix(&python.stdlib).unwrap().to_str().unwrap().to_owned();
        let at = format!("{lib}/{relative}");
        add(at.clone(), Source::File(entry.path().to_owned()), 0o644, Origin::Stdlib);
        if let Some((folder, name)) = relative.rsplit_once('/')
            && let Some(stem) = name.strip_suffix(".py")
            && ["json", "collections", "encodings"].contains(&folder)
        {
            let cached = format!("{lib}/{folder}/__pycache__/{stem}.{tag}.pyc");
            add(cached, Source::Bytecode { of: path(at) }, 0o644, Origin::Stdlib);
        }
    }
    add(format!("{lib}/site-packages"), Source::EmptyFolder, 0o755, Origin::Packproof);
    add("app/main.py".into(), Source::Generated(MAIN.into()), 0o644, Origin::Application);
    add("app/empty.py".into(), Source::Generated(Vec::new()), 0o644, Origin::Application);
    add("app/twin.py".into(), Source::Generated(MAIN.into()), 0o600, Origin::Application);
    layout
}

pub(crate) fn spec() -> PackSpec {
    PackSpec {
        name: "sample".into(),
        python_version: python().version.clone(),
        python: python().executable.clone(),
        start: Start {
            interpreter: path("bin/sample"),
            options: vec!["-s".into()],
            entry: StartEntry::Script(path("app/main.py")),
        },
        glibc_floor: Some("2.17".into()),
        sbom: Some(b"{\"bomFormat\": \"CycloneDX\"}".to_vec()),
        stored: vec![("further.txt".into(), b"further".to_vec())],
        level: Compression::Fast,
        strip: packproof::config::Strip::None,
        built: std::collections::BTreeSet::new(),
        interpreter_mode: true,
        cache: None,
        threads: None,
    }
}

/// [`layout`] packed, once for all tests.
pub(crate) fn sample() -> &'static Packed {
    static SAMPLE: OnceLock<Packed> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample");
        pack::pack(&layout(), &spec(), &out, &Silent).unwrap()
    })
}

/// A folder with a home and a cache, and artifacts run with nothing else in the environment.
pub(crate) struct Place {
    pub(crate) root: TempDir,
    pub(crate) artifact: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root, artifact: sample().path.clone() }
    }

    /// With a copy of the artifact that may be damaged.
    pub(crate) fn with_bytes(bytes: &[u8]) -> Self {
        let mut place = Self::new();
        place.artifact = place.at("artifact");
        write_executable(&place.artifact, bytes);
        place
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.at("cache")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.artifact);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.at("home"))
            .env("PACKPROOF_CACHE", self.cache())
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        finish(&mut self.command(arguments))
    }

    pub(crate) fn special(&self, what: &str, arguments: &[&str]) -> Output {
        finish(self.command(arguments).env("PACKPROOF", what))
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.cache().join(format!("sample-{}", sample().payload))
    }

    /// Names in the cache, sorted; locks left out.
    pub(crate) fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache()) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }
}

/// Written by a child process: another test's `fork` could hold a descriptor that was opened for writing here, and
/// nobody can execute a file while somebody does.
pub(crate) fn write_executable(path: &Path, bytes: &[u8]) {
    let aside = path.with_extension("aside");
    fs::write(&aside, bytes).unwrap();
    let copied = Command::new("install").args(["-m", "755"]).arg(&aside).arg(path).status().unwrap();
    assert!(copied.success());
    fs::remove_file(aside).unwrap();
}

/// How many times as long as a user's everything may take: no test asserts a time, and its machine may be a slow one.
pub(crate) const PATIENCE: u32 = 10;

/// Runs to the end, within ten minutes.
pub(crate) fn finish(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let drain = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    let out = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    // Nothing here takes long: what does not end by then hangs, on a slow machine too.
    let deadline = Instant::now() + Duration::from_mins(10);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: out.join().unwrap().unwrap(), stderr: drain.join().unwrap().unwrap() }
}

#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit code, and stderr.
#[track_caller]
pub(crate) fn failure(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr.clone()).unwrap())
}

/// Says why a test did not take place.
#[expect(clippy::print_stderr, reason = "whoever reads the log is to know what was not tried")]
pub(crate) fn skipped(needs: &str) {
    eprintln!("skipped: needs {needs}");
}

/// With the folders that it takes.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// To the end, which must be a good one.
/// A new virtual environment at `place`, with nothing in it.
pub(crate) fn venv(python: &Path, place: &Path) {
    run(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(place));
}

pub(crate) fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Whether the prover had namespaces; says so where it had none. A run that is to be without them, by way of
/// `PACKPROOF_TEST_PARTIAL`, is none that lacks them.
pub(crate) fn is_isolated(proof: &packproof::verify::Proof) -> bool {
    let is_isolated = proof.isolation.partial.is_none() || std::env::var_os("PACKPROOF_TEST_PARTIAL").is_some();
    if !is_isolated {
        skipped("namespaces (user, mount, PID), as root or by way of unprivileged user namespaces");
    }
    is_isolated
}

/// `command` where no namespace can be made; nothing where the kernel does not even allow to forbid them.
pub(crate) fn without_namespaces() -> Option<Command> {
    let allowed = Command::new("unshare").args(["-Ur", "true"]).output().is_ok_and(|tried| tried.status.success());
    if !allowed {
        skipped("unprivileged user namespaces");
        return None;
    }
    let script = "for space in user mnt pid ipc; do echo 0 > /proc/sys/user/max_${space}_namespaces; done; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", script, "sh"]);
    Some(command)
}
