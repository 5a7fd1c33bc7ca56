//! What an artifact needs of the system: run where there is nothing but the C library.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use serde_json::Value;

use crate::context::TestContext;
use crate::support::{finish, skipped, write_executable};

/// Every module of the standard library that has a shared library behind it.
const MAIN: &str = r#"
import bz2, ctypes, curses, hashlib, json, lzma, sqlite3, ssl, sys, uuid, zlib
import _curses_panel, xml.parsers.expat
if sys.version_info < (3, 13):
    import warnings
    warnings.simplefilter("ignore")
    import crypt, nis
try:
    import readline
except ImportError as error:
    readline = str(error)

with open("/proc/self/maps") as maps:
    mapped = sorted({line.split()[-1] for line in maps if ".so" in line})
print(json.dumps({
    "tls": ssl.OPENSSL_VERSION,
    "context": ssl.create_default_context().check_hostname,
    "sql": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0],
    "callback": ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)(),
    "packed": [bz2.decompress(bz2.compress(b"a")).decode(), lzma.decompress(lzma.compress(b"b")).decode()],
    "digest": hashlib.new("sha3_256", b"x").hexdigest()[:8],
    "uuid": uuid.uuid1().version,
    "curses": curses.ncurses_version[0] if hasattr(curses, "ncurses_version") else None,
    "readline": readline if isinstance(readline, str) else None,
    "prefix": sys.prefix,
    "mapped": mapped,
}))
"#;

fn venv(context: &TestContext, python: &str) -> PathBuf {
    let venv = context.at("venv");
    let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&venv).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    venv
}

/// The path of the proved artifact, and what the build said.
fn build(context: &TestContext, python: &str) -> (PathBuf, String) {
    context.write("project/main.py", MAIN);
    let venv = venv(context, python);
    let output = context
        .command(&["build", "project/main.py", "-o", "out/main", "--python"])
        .arg(venv.join("bin/python"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    (PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end()), said)
}

/// A root file system with the files of the C library, and nothing else.
fn bare_root(context: &TestContext) -> PathBuf {
    let root = context.at("root");
    for folder in ["lib64", "lib", "proc", "tmp", "dev", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let loader = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap();
    let folder = loader.parent().unwrap();
    let names =
        ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2"];
    // Where the loader's built-in folders are on every distribution.
    for name in names {
        fs::copy(folder.join(name), root.join("lib64").join(name)).unwrap();
    }
    fs::create_dir_all(root.join(folder.strip_prefix("/").unwrap())).unwrap();
    for name in names {
        fs::copy(folder.join(name), root.join(folder.strip_prefix("/").unwrap()).join(name)).unwrap();
    }
    fs::copy(&loader, root.join("lib64/ld-linux-x86-64.so.2")).unwrap();
    root
}

/// Runs `artifact` with `root` as its root; nothing where the kernel allows no namespaces.
fn run_in(root: &Path, artifact: &Path) -> Option<Output> {
    let allowed = Command::new("unshare").args(["-Urm", "true"]).output().is_ok_and(|tried| tried.status.success());
    if !allowed {
        skipped("user and mount namespaces");
        return None;
    }
    write_executable(&root.join("main"), &fs::read(artifact).unwrap());
    let script = "mount --rbind /proc \"$1/proc\" && exec chroot \"$1\" /main";
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", script, "sh"]).arg(root).env_clear().env("PACKPROOF_CACHE", "/tmp/cache");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(finish(&mut command))
}

fn runs_on_glibc_alone(python: &str) {
    if !Path::new(python).exists() {
        return skipped(python);
    }
    let context = TestContext::new();
    let (artifact, said) = build(&context, python);
    assert!(said.contains("proof      PROVED"), "{said}");
    assert!(said.contains("packed, of the build machine:") && said.contains("libssl.so.3"), "{said}");
    assert!(said.contains("not packed (GPL-3.0-or-later;") && said.contains("libreadline.so.8"), "{said}");

    let root = bare_root(&context);
    let Some(output) = run_in(&root, &artifact) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["sql"], &found["callback"], &found["uuid"]), (&42.into(), &7.into(), &1.into()), "{found:#}");
    let prefix = found["prefix"].as_str().unwrap();
    // What is stated: the module is there, and says itself what is missing.
    assert!(found["readline"].as_str().unwrap().contains("libreadline.so.8"), "{found:#}");
    let foreign = found["mapped"].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
    let foreign: Vec<_> = foreign.filter(|path| !path.starts_with(prefix)).collect();
    let policy = packproof::native::Policy::built_in();
    assert!(foreign.iter().all(|path| policy.is_c_library(path.rsplit('/').next().unwrap())), "{foreign:?}");

    // An older C library is told in one line, before anything is unpacked.
    for folder in ["lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        let library = root.join(folder).join("libc.so.6");
        let Ok(mut bytes) = fs::read(&library) else { continue };
        let at = bytes.windows(16).position(|at| at == b"release version ").unwrap() + 16;
        bytes[at..at + 4].copy_from_slice(b"2.05");
        fs::write(&library, bytes).unwrap();
    }
    fs::remove_dir_all(root.join("tmp/cache")).unwrap();
    let output = run_in(&root, &artifact).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{error}");
    assert!(error.contains("or newer, and this system has 2.05:") && error.lines().count() == 1, "{error}");
    assert!(!root.join("tmp/cache").exists());
}

/// The interpreter has no run path, and gets one.
#[test]
fn debians_python_runs_where_there_is_only_glibc() {
    runs_on_glibc_alone("/usr/bin/python3");
}

/// Every module has a RUNPATH that names the build machine.
#[test]
fn a_shared_python_runs_where_there_is_only_glibc() {
    let python = crate::support::python();
    runs_on_glibc_alone(python.executable.to_str().unwrap());
}
