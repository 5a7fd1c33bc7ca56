//! Every kind of interpreter, packed, proved, and run where there is nothing but the C library.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::bare::{add_policy_libraries, bare_root, run_in, tkinter};
use crate::context::TestContext;
use crate::relocatable::relocatable;
use crate::{support, turn};

const MAIN: &str = include_str!("../it/libraries.py");

/// In its stead where the interpreter has `tkinter`, which wants a display's libraries: `--tk` tries that one alone.
const WITH_TKINTER: &str = concat!(
    "def toolkit():\n    import tkinter\n    return tkinter.Tcl().eval('info patchlevel')\n\nimport sys\n",
    "if '--tk' in sys.argv:\n    print(toolkit())\n    sys.exit()\n",
    include_str!("../it/libraries.py")
);

/// Added where wheels can be installed.
const WHEELS: &str = "import native\nprint(json.dumps(native.work()))\n";

/// What the installed interpreter says of itself, and every trace of the build machine where code reads it.
const FACTS: &str = r#"
import json, os, site, sys, sysconfig
names = json.loads(sys.argv[1])
found = []
for folder, _, files in os.walk(sys.prefix):
    for file in files:
        path = os.path.join(folder, file)
        relevant = (file.startswith("_sysconfigdata") or file.endswith((".pth", ".cfg")) or file == "direct_url.json"
                    or os.path.basename(folder) == "bin" and file != os.path.basename(sys.executable))
        if relevant and os.path.isfile(path):
            with open(path, "rb") as opened:
                text = opened.read()
            found += [[path, name] for name in names if name.encode() in text]
paths = list(sysconfig.get_paths().values()) + site.getsitepackages()
paths += [sys.prefix, sys.base_prefix, sys.exec_prefix, sysconfig.get_config_var("prefix"), sys.executable]
print(json.dumps({
    "outside": [path for path in paths if not path.startswith(sys.prefix)],
    "variables": {k: v for k, v in sysconfig.get_config_vars().items()
                  if isinstance(v, str) and any(name in v for name in names)},
    "left": found,
    "virtual": sys.prefix != sys.base_prefix,
    "prefix": sys.prefix,
}))
"#;

/// A name, and what makes an environment in a folder. Gives its interpreter, and names that must be gone.
type Kind = (&'static str, fn(&TestContext) -> Option<PathBuf>);

/// Nothing is installed into an interpreter that is not the test's own.
const OTHERS: &str = "pyenv 3.12, no environment";

const KINDS: &[Kind] = &[
    ("pyenv 3.9", |context| venv(context, &pyenv("3.9")?, &[])),
    ("pyenv 3.10", |context| venv(context, &pyenv("3.10")?, &[])),
    ("pyenv 3.11", |context| venv(context, &pyenv("3.11")?, &[])),
    ("pyenv 3.12", |context| venv(context, &pyenv("3.12")?, &[])),
    ("pyenv 3.13", |context| venv(context, &pyenv("3.13")?, &[])),
    (OTHERS, |_| pyenv("3.12")),
    ("Debian", |context| venv(context, &debian()?, &[])),
    ("Debian, copies", |context| venv(context, &debian()?, &["--copies"])),
    ("Debian, system's packages", |context| venv(context, &debian()?, &["--system-site-packages"])),
    ("pyenv, copies", |context| venv(context, &pyenv("3.11")?, &["--copies"])),
    ("pyenv, symlinks", |context| venv(context, &pyenv("3.11")?, &["--symlinks"])),
    ("pyenv, system's packages", |context| venv(context, &pyenv("3.10")?, &["--system-site-packages"])),
    ("virtualenv", |context| by_tool(context, "virtualenv==21.15.11", &["-m", "virtualenv", "-q"])),
    ("uv", |context| by_tool(context, "uv==0.13.9", &["-m", "uv", "venv", "-q"])),
    ("relocatable", |context| venv(context, &relocatable_python(context, "python")?, &[])),
    ("relocatable, no environment", |context| relocatable_python(context, "python")),
    ("conda-like", |context| conda_like(context)),
];

fn pyenv(version: &str) -> Option<PathBuf> {
    let found = packproof::environment::find::interpreter(Some(version)).ok().map(|facts| facts.base_executable);
    if found.is_none() {
        support::skipped(&format!("Python {version}"));
    }
    found
}

fn debian() -> Option<PathBuf> {
    let python = PathBuf::from("/usr/bin/python3");
    if python.exists() {
        return Some(python);
    }
    support::skipped("Debian's python3");
    None
}

#[expect(clippy::unnecessary_wraps, reason = "as the other kinds, which may be absent")]
fn venv(context: &TestContext, python: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let folder = context.at("venv");
    run(Command::new(python).args(["-m", "venv", "--without-pip"]).args(arguments).arg(&folder));
    Some(folder.join("bin/python"))
}

fn by_tool(context: &TestContext, tool: &str, arguments: &[&str]) -> Option<PathBuf> {
    let python = pyenv("3.11")?;
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(tool);
    if !tools.join("bin/python").exists() {
        run(Command::new(&python).args(["-m", "venv"]).arg(&tools));
        run(Command::new(tools.join("bin/python")).args(["-m", "pip", "install", "-q", tool]));
    }
    let folder = context.at("venv");
    run(Command::new(tools.join("bin/python")).args(arguments).arg("--python").arg(&python).arg(&folder));
    Some(folder.join("bin/python"))
}

fn relocatable_python(context: &TestContext, name: &str) -> Option<PathBuf> {
    Some(relocatable(&pyenv("3.12")?, &context.at(name)))
}

/// A prefix that brings its own libraries, and is no virtual environment.
fn conda_like(context: &TestContext) -> Option<PathBuf> {
    let python = relocatable_python(context, "env")?;
    let lib = context.at("env/lib");
    let loader = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap();
    for name in ["libssl.so.3", "libcrypto.so.3", "libffi.so.8", "libsqlite3.so.0"] {
        fs::copy(loader.with_file_name(name), lib.join(name)).unwrap();
    }
    fs::create_dir_all(context.at("env/conda-meta")).unwrap();
    fs::write(context.at("env/conda-meta/history"), "").unwrap();
    Some(python)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Puts the wheels into the environment; each version of Python fetches its own once.
fn install_wheels(python: &Path) {
    let facts = packproof::environment::Facts::ask(python).unwrap();
    let installer = packproof::environment::find::interpreter(Some("3.11")).unwrap().base_executable;
    let wheels = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native-wheels").join(facts.python_name());
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow/locks/native.txt");
    let pip = |arguments: &[&str]| {
        let mut command = Command::new(&installer);
        command.args(["-m", "pip", "--disable-pip-version-check", "--python"]).arg(python).args(arguments).arg(&wheels);
        run(command.args(["-q", "--only-binary", ":all:", "--no-deps", "-r"]).arg(&lock));
    };
    if !wheels.join("complete").exists() {
        pip(&["download", "-d"]);
        fs::write(wheels.join("complete"), "").unwrap();
    }
    pip(&["install", "--no-index", "--no-compile", "--find-links"]);
}

fn check(context: &TestContext, python: &Path, wheels: bool) -> Result<(), String> {
    let main = if tkinter(python) { WITH_TKINTER } else { MAIN };
    context.write("project/main.py", &format!("{main}{}", if wheels { WHEELS } else { "" }));
    context.write("project/native.py", include_str!("native.py"));
    if wheels {
        install_wheels(python);
    }
    let built =
        context.command(&["build", "project/main.py", "-o", "out/main", "--python"]).arg(python).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    if !built.status.success() {
        return Err(format!("not built: {said}{}", String::from_utf8_lossy(&built.stdout)));
    }
    let root = context.at("root");
    bare_root(&root);
    let artifact = context.at("out/main");
    let Some(output) = run_in(&root, &artifact, &[], &[]) else { return Ok(()) };
    if !output.status.success() {
        return Err(format!("does not run: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if wheels {
        let worked: Value = serde_json::from_str(told.lines().last().unwrap_or_default()).map_err(|_| told.clone())?;
        let wanted = serde_json::json!({
            "numpy": 0.25, "lxml": "<b>2</b>", "psycopg2": true, "cryptography": "plain", "grpcio": "hello",
            "pillow": [
                { "JPEG": [32, 32], "PNG": [32, 32], "WEBP": [32, 32], "TIFF": [32, 32], "JPEG2000": [32, 32] }, true,
            ],
        });
        if worked != wanted {
            return Err(format!("{worked:#}"));
        }
    }
    if tkinter(python) {
        add_policy_libraries(&root);
        let Some(output) = run_in(&root, &artifact, &["--tk"], &[]) else { return Ok(()) };
        if !output.status.success() || !output.stdout.starts_with(b"8.") {
            return Err(format!("tkinter: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    fs::write(root.join("facts.py"), FACTS).unwrap();
    let facts = packproof::environment::Facts::ask(python).unwrap();
    let mut names = vec![context.at("").display().to_string()];
    names.extend([&facts.prefix, &facts.base_prefix].map(|prefix| prefix.display().to_string()));
    names.retain(|name| name != "/usr");
    let names = serde_json::to_string(&names).unwrap();
    let Some(output) = run_in(&root, &artifact, &["/facts.py", &names], &[("PACKPROOF", "python")]) else {
        return Ok(());
    };
    if !output.status.success() {
        return Err(format!("does not say what it is: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let empty = |key: &str| facts[key].as_array().map_or(facts[key] == serde_json::json!({}), Vec::is_empty);
    if ["outside", "variables", "left"].iter().all(|key| empty(key)) && facts["virtual"] == false {
        Ok(())
    } else {
        Err(format!("{facts:#}"))
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the table is the result")]
fn every_kind_of_interpreter() {
    if !turn("interpreters") {
        return;
    }
    let only = std::env::var("PACKPROOF_KIND").ok();
    let mut failed = Vec::new();
    for (name, make) in KINDS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str()))) {
        let context = TestContext::new();
        let Some(python) = make(&context) else { continue };
        let wheels = *name != OTHERS;
        match check(&context, &python, wheels) {
            Ok(()) => {
                let with = [(wheels, "wheels"), (tkinter(&python), "tkinter")];
                let with: Vec<_> = with.into_iter().filter(|(has, _)| *has).map(|(_, what)| what).collect();
                eprintln!("{name:30} proved, and runs on glibc alone; with {}", with.join(", "));
            }
            Err(error) => {
                eprintln!("{name:30} FAILED\n{error}");
                failed.push(*name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
