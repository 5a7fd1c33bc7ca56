//! What an artifact needs of the system: run where there is nothing but the C library.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::native::relocate::{Tag, set_run_path};
use serde_json::Value;

use crate::bare::{add_policy_libraries, bare_root, run_in, tkinter};
use crate::context::TestContext;
use crate::installed::{self, WHEELS};
use crate::relocatable::relocatable;
use crate::site::Site;
use crate::support::{finish, skipped};

/// Every module of the standard library that has a shared library behind it.
const MAIN: &str = include_str!("libraries.py");

fn venv(context: &TestContext, python: &str) -> PathBuf {
    let venv = context.at("venv");
    crate::support::venv(Path::new(python), &venv);
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

fn runs_on_glibc_alone(python: &str) {
    if !Path::new(python).exists() {
        return skipped(python);
    }
    let context = TestContext::new();
    let (artifact, said) = build(&context, python);
    assert!(said.contains("proof      PROVED"), "{said}");
    assert!(said.contains("packed, of the build machine:") && said.contains("libssl.so.3"), "{said}");
    assert!(said.contains("not packed (GPL-3.0-or-later;") && said.contains("libreadline.so.8"), "{said}");

    let root = context.at("root");
    bare_root(&root);
    let Some(output) = run_in(&root, &artifact, &[], &[]) else { return };
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

    // The certificates of a system that has them elsewhere than the build machine.
    assert_eq!((&found["roots"], &found["bundle"]), (&0.into(), &Value::Null), "{found:#}");
    let pip = packproof::environment::Facts::ask(&crate::support::python().executable).unwrap().purelib.join("pip");
    let bundle = root.join("etc/pki/tls/certs/ca-bundle.crt");
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::copy(pip.join("_vendor/certifi/cacert.pem"), &bundle).unwrap();
    let output = run_in(&root, &artifact, &[], &[]).unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["roots"].as_u64().unwrap() > 50, "{found:#}");
    assert_eq!(found["bundle"], "/etc/pki/tls/certs/ca-bundle.crt");

    // An older C library is told in one line, before anything is unpacked.
    for folder in ["lib64", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        let library = root.join(folder).join("libc.so.6");
        let Ok(mut bytes) = fs::read(&library) else { continue };
        let at = bytes.windows(16).position(|at| at == b"release version ").unwrap() + 16;
        bytes[at..at + 4].copy_from_slice(b"2.05");
        fs::write(&library, bytes).unwrap();
    }
    fs::remove_dir_all(root.join("tmp/cache")).unwrap();
    let output = run_in(&root, &artifact, &[], &[]).unwrap();
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

/// A display's libraries are the system's; Tcl and Tk come with their scripts.
#[test]
fn tkinter_starts_where_there_is_no_tcl() {
    let python = crate::support::python().executable.clone();
    if !tkinter(&python) {
        return skipped("a Python with tkinter");
    }
    let context = TestContext::new();
    context.write(
        "project/main.py",
        "import os, sys, tkinter\nif sys.argv[1:]:\n    tcl = tkinter.Tcl()\n    library = tcl.eval('info library')\n    \
         beside = os.path.dirname(library)\n    print(os.path.relpath(library, sys.prefix), tcl.eval('package require msgcat'),\n      \
         os.path.exists(f'{beside}/tk{tkinter.TkVersion}/tk.tcl'))\n",
    );
    let venv = venv(&context, python.to_str().unwrap());
    let mut command = context.command(&["build", "project/main.py", "-o", "out/main", "--python"]);
    let built = command.arg(venv.join("bin/python")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let root = context.at("root");
    bare_root(&root);
    add_policy_libraries(&root);
    let Some(output) = run_in(&root, &context.at("out/main"), &["tcl"], &[]) else { return };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = told.split_whitespace().collect();
    let [library, msgcat, tk] = words[..] else { panic!("{told}{}", String::from_utf8_lossy(&output.stderr)) };
    assert!(library.starts_with("lib/tcl") && msgcat.starts_with("1.") && tk == "True", "{told}");
}

/// A venv with distributions made of C files: name, source of `NAME/lib.so`, what the linker is told.
fn with_libraries(context: &TestContext, libraries: &[(&str, &str, &[&str])]) -> PathBuf {
    let python = &crate::support::python().executable;
    let venv = venv(context, python.to_str().unwrap());
    let site = packproof::environment::Facts::ask(&venv.join("bin/python")).unwrap().purelib;
    for (name, code, options) in libraries {
        let folder = site.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("__init__.py"), "").unwrap();
        let source = context.at(&format!("{name}.c"));
        fs::write(&source, code).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-w", "-o"]).arg(folder.join("lib.so")).arg(&source).args(*options);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let info = site.join(format!("{name}-1.0.dist-info"));
        fs::create_dir_all(&info).unwrap();
        let metadata = format!("Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n");
        fs::write(info.join("METADATA"), metadata).unwrap();
        let record = format!("{name}/__init__.py,,\n{name}/lib.so,,\n{name}-1.0.dist-info/METADATA,,\n");
        fs::write(info.join("RECORD"), record).unwrap();
    }
    venv
}

/// Code, severity and subject of every finding about native code and licences, sorted.
fn audit(context: &TestContext, venv: &Path, configuration: &str) -> Vec<(String, String, String)> {
    context.write("project/main.py", "import odd\n");
    context.write("project/packproof.toml", &format!("[runner]\nentry = \"main.py\"\n{configuration}"));
    let output = context
        .command(&["audit", "--format", "json", "project", "--python"])
        .arg(venv.join("bin/python"))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let field = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let mut found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (field(finding, "code"), field(finding, "severity"), field(finding, "subject")))
        .collect();
    found.sort();
    found
}

/// As pytensor does it with the machine's compiler.
#[test]
fn what_compiles_when_it_runs_finds_the_headers_where_a_hook_asks_for_them() {
    const MAIN: &str = "import pathlib, subprocess, sys, sysconfig\n\
        include = pathlib.Path(sysconfig.get_path('include'))\n\
        print(include.is_relative_to(sys.prefix), (include / 'Python.h').exists())\n\
        if (include / 'Python.h').exists():\n    \
            source = '#include <Python.h>\\nint main(void) { return PY_MAJOR_VERSION; }'\n    \
            command = ['cc', '-fsyntax-only', f'-I{include}', '-xc', '-']\n    \
            print(subprocess.run(command, input=source, text=True, env={'PATH': '/usr/bin:/bin'}).returncode)\n";
    let python = &crate::support::python().executable;
    if !python.ancestors().nth(2).unwrap().join("include").is_dir() {
        return skipped("an interpreter with its headers");
    }
    let context = TestContext::new();
    let venv = venv(&context, python.to_str().unwrap());
    let site = packproof::environment::Facts::ask(&venv.join("bin/python")).unwrap().purelib;
    Site::install(&site, "eggs", "1.0", "", &[("eggs.py", "")]);
    context.write("p/main.py", MAIN);
    context.write("p/hooks/eggs.toml", "distribution = \"eggs\"\nreason = \"it compiles\"\nheaders = true\n");
    let runs = |hooks: &str| {
        context.write("p/packproof.toml", &format!("[runner]\nentry = \"main.py\"\n{hooks}\n"));
        let built = context.command(&["build", "p", "--no-proof", "--python", "venv"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let mut command = Command::new(context.at("p/dist/main"));
        let output = finish(command.env("PACKPROOF_CACHE", context.at("cache")));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(runs(""), "True False\n");
    assert_eq!(runs("hooks = [\"hooks\"]"), "True True\n0\n");
}

#[test]
fn each_fault_of_native_code_has_its_code() {
    let context = TestContext::new();
    let shared = "int shared(void) { return 1; }";
    let venv = with_libraries(
        &context,
        &[
            ("plain", shared, &["-fPIC", "-Wl,-z,relro"]),
            ("stack", shared, &["-fPIC", "-Wl,-z,execstack"]),
            (
                "stuck",
                "extern int there; int *text(void) { return &there; } int there;",
                &["-mcmodel=large", "-fno-pic", "-Wl,-z,notext"],
            ),
            ("folder", shared, &["-fPIC", "-Wl,-rpath,/nonexistent/build/lib"]),
            ("newer", shared, &["-fPIC", "-Wl,-z,x86-64-v3"]),
            ("soft", shared, &["-fPIC", "-Wl,-z,norelro"]),
            ("first", shared, &["-fPIC", "-Wl,-soname,libtwice.so.1"]),
            ("second", "int shared(void) { return 2; }", &["-fPIC", "-Wl,-soname,libtwice.so.1"]),
            ("third", shared, &["-fPIC", "-Wl,-soname,libmoved.so.1", "-Wl,-rpath,$ORIGIN/a/folder"]),
            ("fourth", shared, &["-fPIC", "-Wl,-soname,libmoved.so.1"]),
            ("fifth", shared, &["-fPIC", "-Wl,-soname,libprogram.so.1"]),
            ("sixth", "int shared(void) { return 2; }", &["-fPIC", "-Wl,-soname,libprogram.so.1"]),
            ("foreign", shared, &["-fPIC"]),
        ],
    );
    let site = packproof::environment::Facts::ask(&venv.join("bin/python")).unwrap().purelib;
    // Links the soname that two bring, and one that nobody has.
    let user = context.at("user.c");
    fs::write(&user, "int shared(void); int user(void) { return shared(); }").unwrap();
    let absent = context.at("libabsent.so");
    let link = |arguments: &[&std::ffi::OsStr]| {
        let output = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    link(&[absent.as_os_str(), context.at("plain.c").as_os_str(), "-Wl,-soname,libabsent.so.1".as_ref()]);
    let odd = site.join("odd.so");
    let module = context.at("odd.c");
    fs::write(&module, "int shared(void); void *PyModuleDef_Init(void *); int PyInit_odd(void) { return shared(); }")
        .unwrap();
    link(&[odd.as_os_str(), module.as_os_str(), "-Wl,--no-as-needed".as_ref(), absent.as_os_str()]);
    link(&[site.join("user.so").as_os_str(), user.as_os_str(), site.join("first/lib.so").as_os_str()]);
    // One library with two run paths, as two wheels bring it.
    let moved = [site.join("third/lib.so"), site.join("fourth/lib.so")];
    let mut bytes = fs::read(&moved[0]).unwrap();
    set_run_path(&mut bytes, &["$ORIGIN".to_owned()], Tag::Keep).unwrap();
    fs::write(&moved[1], bytes).unwrap();
    link(&[site.join("mover.so").as_os_str(), user.as_os_str(), moved[0].as_os_str()]);
    // A program with a library of its own.
    let own = site.join("sixth/libprogram.so.1");
    fs::rename(site.join("sixth/lib.so"), &own).unwrap();
    let main = context.at("main.c");
    fs::write(&main, "int shared(void); int main(void) { return shared(); }").unwrap();
    let mut program = Command::new("cc");
    program.arg("-o").arg(site.join("sixth/program")).args([&main, &own]).arg("-Wl,-rpath,$ORIGIN");
    assert!(program.status().unwrap().success());
    // For another machine.
    let foreign = site.join("foreign/lib.so");
    let mut bytes = fs::read(&foreign).unwrap();
    bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
    fs::write(&foreign, bytes).unwrap();

    let found = audit(&context, &venv, "[audit]\nmax-glibc = \"2.2\"\n");
    let has = |code: &str, severity: &str, subject: &str| {
        assert!(found.contains(&(code.into(), severity.into(), subject.into())), "{code} {subject}: {found:#?}");
    };
    has("missing-library", "error", "libabsent.so.1");
    has("glibc-floor", "error", "glibc");
    has("executable-stack", "warning", "stack 1.0");
    has("text-relocations", "warning", "stuck 1.0");
    has("absolute-run-path", "info", "folder 1.0");
    has("cpu-features", "warning", "newer 1.0");
    has("foreign-machine", "info", "foreign 1.0");
    has("unhardened", "info", "soft 1.0");
    has("soname-conflict", "warning", "libtwice.so.1");
    assert!(!found.iter().any(|(_, _, subject)| subject == "libmoved.so.1"), "{found:#?}");
    assert!(!found.iter().any(|(_, _, subject)| subject == "libprogram.so.1"), "no process loads both: {found:#?}");
    assert!(!found.iter().any(|(_, _, subject)| subject == "plain 1.0"), "{found:#?}");

    let found = audit(
        &context,
        &venv,
        "[licenses]\nallow = [\"Apache-2.0\"]\nclarify = [{ name = \"soft\", expression = \"Apache-2.0\" }]\n",
    );
    let denied = |subject: &str| found.contains(&("license-denied".into(), "error".into(), subject.into()));
    assert!(denied("plain") && denied("CPython") && !denied("soft") && !denied("libssl.so.3"), "{found:#?}");
}

/// "Ask binutils": the floor is what `objdump -T` finds over the unpacked tree.
#[test]
fn the_floor_is_what_objdump_finds() {
    if Command::new("objdump").arg("--version").output().is_err() {
        return skipped("objdump");
    }
    let context = TestContext::new();
    let (artifact, said) = build(&context, crate::support::python().executable.to_str().unwrap());
    let tree = context.at("tree");
    let output = finish(Command::new(&artifact).arg(&tree).env("PACKPROOF", "extract"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut highest = Vec::new();
    for entry in walkdir::WalkDir::new(&tree) {
        let entry = entry.unwrap();
        // The launcher is static.
        if !entry.file_type().is_file() || !fs::read(entry.path()).unwrap().starts_with(b"\x7fELF") {
            continue;
        }
        let output = Command::new("objdump").arg("-T").arg(entry.path()).output().unwrap();
        for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("*UND*")) {
            let version = line.split("GLIBC_").nth(1).and_then(|rest| rest.split([')', ' ']).next());
            let numbers = version.and_then(|version| version.split('.').map(|part| part.parse().ok()).collect());
            highest = highest.max(numbers.unwrap_or_else(Vec::<u32>::new));
        }
    }
    let floor = highest.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    // The higher of the two where there are two.
    let told: Vec<&str> = said.lines().filter(|line| line.contains("needs      glibc")).collect();
    assert!(told.last().unwrap().contains(&format!("glibc {floor} ")), "{floor}: {told:#?}");
    assert!(highest.len() >= 2, "{highest:?}");
}

const VALIDATOR: &str = r"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
with open(sys.argv[1]) as file:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read())
sys.exit(str(error) if error else 0)
";

/// An artifact that holds the validator of the CycloneDX project, with its official schemas, judges its own bill.
#[test]
fn the_bill_of_materials_is_valid_and_whole() {
    let context = TestContext::new();
    let lock = include_str!("locks/validator.txt");
    let python = installed::environment("cyclonedx", &crate::support::python().executable, lock, WHEELS).unwrap();
    context.write("project/main.py", VALIDATOR);
    let build = |out: &str| {
        let bill = format!("{out}.cdx.json");
        let output = context
            .command(&["build", "--no-proof", "project/main.py", "-o", out, "--sbom", &bill, "--python"])
            .arg(&python)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(context.at(&bill)).unwrap()
    };
    let bill = build("out/main");
    let validated = finish(
        Command::new(context.at("out/main"))
            .arg(context.at("out/main.cdx.json"))
            .env("PACKPROOF_CACHE", context.at("cache")),
    );
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));
    fs::write(context.at("broken.json"), String::from_utf8(bill.clone()).unwrap().replace("\"library\"", "\"book\""))
        .unwrap();
    let refused = finish(
        Command::new(context.at("out/main")).arg(context.at("broken.json")).env("PACKPROOF_CACHE", context.at("cache")),
    );
    assert!(!refused.status.success());
    assert!(build("other/main") == bill, "two builds, two bills");

    let inside = Command::new("python3")
        .args([
            "-c",
            "import sys, zipfile; sys.stdout.write(zipfile.ZipFile(sys.argv[1]).read('sbom.cdx.json').decode())",
        ])
        .arg(context.at("out/main"))
        .output()
        .unwrap();
    assert_eq!(inside.stdout, bill);
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| components.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(find("cyclonedx-python-lib")["purl"], "pkg:pypi/cyclonedx-python-lib@11.12.0");
    assert_eq!(find("cyclonedx-python-lib")["licenses"][0]["expression"], "Apache-2.0");
    assert_eq!(find("libssl.so.3")["licenses"][0]["expression"], "Apache-2.0");
    assert!(find("zstd-sys")["purl"].as_str().unwrap().starts_with("pkg:cargo/zstd-sys@"));
    let edges = |from: &str| {
        let found = bill["dependencies"].as_array().unwrap().iter().find(|it| it["ref"] == from);
        found.unwrap_or_else(|| panic!("{from}"))["dependsOn"].to_string()
    };
    assert!(edges("application").contains("pkg:pypi/cyclonedx-python-lib"));
    assert!(edges("pkg:pypi/cyclonedx-python-lib").contains("pkg:pypi/sortedcontainers"));
    assert!(
        edges("interpreter").contains("lib/libssl.so.3") && edges("lib/libssl.so.3").contains("lib/libcrypto.so.3")
    );
}

/// The environment is made with an interpreter that comes as an archive, and the artifact holds that one.
#[test]
fn a_python_that_comes_as_an_archive_or_a_folder() {
    let python = &crate::support::python().executable;
    if !packproof::environment::Facts::ask(python).unwrap().base_prefix.join("lib/pkgconfig").exists() {
        return skipped("a python3 on PATH with an installation of its own");
    }
    let context = TestContext::new();
    let installed = relocatable(python, &context.at("unpacked/python"));
    let packed = Command::new("tar")
        .arg("-cf")
        .arg(context.at("python.tar"))
        .arg("-C")
        .arg(context.at("unpacked"))
        .arg("python")
        .status();
    assert!(packed.unwrap().success());
    let project = context.fixture("rescued");
    let configuration = fs::read_to_string(project.join("packproof.toml")).unwrap();
    let configure = |place: &str| {
        let text = format!("{configuration}\n[python]\ndistribution = \"{place}\"\n");
        fs::write(project.join("packproof.toml"), text).unwrap();
    };
    configure("../python.tar");
    fs::write(
        project.join("app.py"),
        "import bookkeeping, sys, sysconfig\nprint(sysconfig.get_config_var('LIBDIR'), sys.prefix)\n",
    )
    .unwrap();
    fs::remove_dir_all(context.at("unpacked")).unwrap();
    let cache = context.at("tools");
    let output =
        context.command(&["build", "rescued", "-o", "out/app"]).env("PACKPROOF_TOOL_CACHE", &cache).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    // Neither where it was made nor where it was unpacked is needed.
    assert!(!installed.exists());
    fs::remove_dir_all(&cache).unwrap();
    let output = finish(Command::new(context.at("out/app")).env_clear().env("PACKPROOF_CACHE", context.at("cache")));
    let told = String::from_utf8(output.stdout).unwrap();
    let (lib, prefix) =
        told.trim().split_once(' ').unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(lib, format!("{prefix}/lib"));
    assert!(prefix.starts_with(context.at("cache").to_str().unwrap()), "{prefix}");

    fs::create_dir(context.at("folder")).unwrap();
    let unpacked =
        Command::new("tar").arg("-xf").arg(context.at("python.tar")).arg("-C").arg(context.at("folder")).status();
    assert!(unpacked.unwrap().success());
    configure("../folder/python");
    let output =
        context.command(&["build", "rescued", "-o", "out/app"]).env("PACKPROOF_TOOL_CACHE", &cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(context.at("folder")).unwrap();
    let output = finish(Command::new(context.at("out/app")).env_clear().env("PACKPROOF_CACHE", context.at("cache")));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with(context.at("cache").to_str().unwrap()), "{told}");
}

/// Each packed library in turn is taken out of the layout: the audit says so, and the proof fails although this machine
/// has a library of the same name.
#[test]
fn a_library_that_is_left_out_is_missed() {
    use packproof::config::Overrides;
    use packproof::pack::{self, Compression};
    use packproof::pipeline::{self, Choices, Project};
    use packproof::progress::Silent;
    use packproof::verify::{Kind, Verdict, prove};

    let context = TestContext::new();
    context.write("project/main.py", "import ssl\n");
    let venv = venv(&context, crate::support::python().executable.to_str().unwrap());
    let overrides = Overrides { python: Some(venv.join("bin/python")), ..Overrides::default() };
    let mut project = Project::open(&context.at("project/main.py"), &overrides, &Silent).unwrap();
    let mut plan = project.plan().unwrap();
    let packed: Vec<String> = plan.planned.native.closure.packed.keys().cloned().collect();
    assert!(packed.len() > 5, "{packed:?}");
    let whole = plan.planned.layout.clone();
    let missing = |project: &mut Project, plan: &pipeline::Plan| {
        let report = project.audit(Some(plan));
        let found = report.findings.into_iter().filter(|finding| finding.code == "missing-library");
        found.map(|finding| finding.subject).collect::<Vec<_>>()
    };
    assert_eq!(missing(&mut project, &plan), Vec::<String>::new());
    for name in &packed {
        plan.planned.layout.entries.retain(|path, _| path.as_str() != format!("lib/{name}"));
        assert_eq!(missing(&mut project, &plan), std::slice::from_ref(name));
        plan.planned.layout = whole.clone();
    }

    plan.planned.layout.entries.retain(|path, _| !path.as_str().starts_with("lib/libssl."));
    let choices = Choices { compression: Compression::Fast, threads: None };
    let spec = pipeline::pack_spec(&project, &plan, choices).unwrap();
    let artifact = context.at("main");
    pack::pack(&plan.planned.layout, &spec, &artifact, &Silent).unwrap();
    let tool = Path::new(env!("CARGO_BIN_EXE_packproof"));
    let proof = prove(&pipeline::proof_plan(&project, &plan.planned, &artifact, tool), &Silent).unwrap();
    assert_eq!(proof.verdict, Verdict::NotProved);
    let text = packproof::report::proof::render(&proof);
    assert!(proof.differences.iter().any(|it| it.kind == Kind::Escape && it.subject == "libssl.so.3"), "{text}");
    assert!(text.contains("stated     `libreadline.so.8` is not packed, being GPL-3.0-or-later: readline."), "{text}");
}
