//! `[[crate]]`: extension modules that Cargo builds, from their manifest to a proved artifact and its bill of materials.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use serde_json::Value;

use crate::context::TestContext;
use crate::support::{finish, skipped};

/// With Cargo, which has its own folders in the home of whoever runs the tests.
fn command(context: &TestContext, arguments: &[&str]) -> Command {
    let mut command = context.command(arguments);
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(folder));
        command.envs(std::env::var_os(name).map(PathBuf::from).or(home).map(|path| (name, path)));
    }
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

fn has_cargo() -> bool {
    let there = Command::new("cargo").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        skipped("cargo");
    }
    there
}

#[test]
fn a_crate_is_packed_and_proved_and_listed() {
    if !has_cargo() {
        return;
    }
    let context = TestContext::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rust-extension");
    let folder = folder.to_str().unwrap();
    let built = command(&context, &["build", folder, "-o", "out/wordcount", "--sbom", "bill.json"]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    assert!(said(&built).contains("proof      PROVED"), "{}", said(&built));
    let mut artifact = Command::new(context.at("out/wordcount"));
    let output = finish(artifact.args(["a", "b", "a"]).env_clear().env("PACKPROOF_CACHE", context.at("cache")));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 a\n1 b\n", "{}", said(&output));

    let module = walkdir::WalkDir::new(context.at("cache"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|path| path.ends_with("fastwords.abi3.so"))
        .expect("the stable ABI is the crate's choice");
    let bytes = fs::read(module).unwrap();
    let home = std::env::var("HOME").unwrap();
    assert!(!contains(&bytes, env!("CARGO_MANIFEST_DIR")) && !contains(&bytes, &format!("{home}/")));
    assert!(contains(&bytes, "/cargo/registry/"), "the test would see no path at all");

    let bill: Value = serde_json::from_slice(&fs::read(context.at("bill.json")).unwrap()).unwrap();
    let components = bill["components"].as_array().unwrap();
    let find = |name: &str| {
        let found: Vec<_> = components.iter().filter(|it| it["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        found[0]
    };
    assert_eq!(find("fastwords-native")["purl"], "pkg:cargo/fastwords-native@0.3.0");
    assert_eq!(find("fastwords-native")["properties"][0]["value"], "fastwords");
    let pyo3 = find("pyo3");
    assert_eq!(pyo3["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(pyo3["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert!(!components.iter().any(|it| it["name"] == "pyo3-macros"), "it only runs in the compiler");
    let mut references: Vec<&str> = components.iter().map(|it| it["bom-ref"].as_str().unwrap()).collect();
    let all = references.len();
    references.sort_unstable();
    references.dedup();
    assert_eq!(references.len(), all, "libc may be the launcher's too");
    let needs = |from: &str| {
        let found = bill["dependencies"].as_array().unwrap().iter().find(|it| it["ref"] == from);
        found.unwrap_or_else(|| panic!("{from}"))["dependsOn"].to_string()
    };
    assert!(needs("application").contains("pkg:cargo/fastwords-native@0.3.0"));
    assert!(needs("pkg:cargo/fastwords-native@0.3.0").contains("pkg:cargo/pyo3@"));

    let run = |arguments: &[&str]| {
        let output = command(&context, arguments).arg(folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, graph) = run(&["graph"]);
    assert!(code == Some(0) && graph.contains("crate fastwords-native 0.3.0  the module `fastwords`\n"), "{graph}");
    let (code, why) = run(&["why", "libc"]);
    assert!(code == Some(0) && why.contains("fastwords-native 0.3.0 → pyo3 "), "{why}");
    let (code, licenses) = run(&["licenses", "--format", "json"]);
    let licenses: Value = serde_json::from_str(&licenses).unwrap();
    let crates = licenses["components"].as_array().unwrap().iter().filter(|it| it["kind"] == "crate");
    assert!(code == Some(0) && crates.count() > 3, "{licenses:#}");
}

/// CPython's C API as far as it takes to be a module.
const RAW: &str = r#"
#[repr(C)]
pub struct Definition { base: [usize; 5], name: *const u8, rest: [usize; 7] }
static mut DEFINITION: Definition =
    Definition { base: [1, 0, 0, 0, 0], name: c"raw".as_ptr().cast(), rest: [0; 7] };
extern "C" { fn PyModuleDef_Init(definition: *mut Definition) -> *mut u8; }
#[no_mangle]
pub extern "C" fn PyInit_raw() -> *mut u8 { unsafe { PyModuleDef_Init(&raw mut DEFINITION) } }
#[no_mangle]
pub extern "C" fn at(place: usize) -> u8 { helper::at(place) }
"#;

const HELPER: &str = "pub fn at(place: usize) -> u8 { assert!(place < 3, \"{place} is too far\"); place as u8 }\n";

fn raw_project(context: &TestContext, folder: &str) {
    let write = |name: &str, text: &str| context.write(&format!("{folder}/{name}"), text);
    write("main.py", "import raw\nprint(raw.__name__)\n");
    write("packproof.toml", "[runner]\nname = \"raw\"\nentry = \"main.py\"\n[[crate]]\npath = \"rust/raw\"\n");
    write("rust/Cargo.toml", "[workspace]\nmembers = [\"raw\", \"helper\"]\nresolver = \"2\"\n");
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    let library = "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nhelper = { path = \"../helper\" }\n";
    write("rust/raw/Cargo.toml", &(package("raw") + library));
    write("rust/raw/src/lib.rs", RAW);
    write("rust/helper/Cargo.toml", &package("helper"));
    write("rust/helper/src/lib.rs", HELPER);
}

fn venv(context: &TestContext) -> PathBuf {
    let venv = context.at("venv");
    crate::support::venv(&crate::support::python().executable, &venv);
    venv
}

fn build(context: &TestContext, venv: &Path, arguments: &[&str]) -> Output {
    let mut command = command(context, &["build", "--quiet"]);
    command.args(arguments).arg("--python").arg(venv).env("PACKPROOF_TOOL_CACHE", context.at("tool"));
    command.output().unwrap()
}

#[test]
fn the_same_crate_gives_the_same_bytes_elsewhere() {
    if !has_cargo() {
        return;
    }
    let context = TestContext::new();
    let venv = venv(&context);
    for (folder, cache) in [("here", "tool"), ("some/where/else", "other-tool")] {
        raw_project(&context, folder);
        let mut command = command(&context, &["build", "--no-proof", folder, "-o", &format!("{cache}.out/raw")]);
        command.arg("--python").arg(&venv).env("PACKPROOF_TOOL_CACHE", context.at(cache));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let artifact = |cache: &str| fs::read(context.at(&format!("{cache}.out/raw"))).unwrap();
    assert!(artifact("tool") == artifact("other-tool"));
    let output =
        finish(Command::new(context.at("tool.out/raw")).env_clear().env("PACKPROOF_CACHE", context.at("cache")));
    assert_eq!(said(&output), "raw\n");
}

#[test]
fn a_module_inside_a_package_and_what_can_be_wrong_with_a_crate() {
    if !has_cargo() {
        return;
    }
    let context = TestContext::new();
    let venv = venv(&context);
    raw_project(&context, "p");
    let configure = |more: &str| {
        let text = "[runner]\nname = \"raw\"\nentry = \"main.py\"\n[[crate]]\npath = \"rust/raw\"\n";
        context.write("p/packproof.toml", &format!("{text}{more}"));
    };
    let fails = |wanted: &str| {
        let output = build(&context, &venv, &["p", "-o", "out/raw"]);
        let text = said(&output);
        assert!(output.status.code() == Some(2) && text.contains(wanted), "{:?} {text}", output.status.code());
    };
    configure("module = \"shapes.raw\"\n");
    fails("no folder of the application has `shapes/__init__.py`");
    context.write("p/shapes/__init__.py", "from . import raw\n");
    context.write("p/main.py", "import shapes\nprint(shapes.raw.__name__)\n");
    let output = build(&context, &venv, &["p", "-o", "out/raw"]);
    assert!(output.status.success(), "{}", said(&output));
    let output = finish(Command::new(context.at("out/raw")).env_clear().env("PACKPROOF_CACHE", context.at("cache")));
    assert_eq!(said(&output), "shapes.raw\n");

    // A package comes before an extension module, as one for this very Python does before one for any.
    context.write("p/shapes/raw/__init__.py", "");
    fails("shapes/raw/__init__.py` for the module `shapes.raw`, and not `");
    fs::remove_dir_all(context.at("p/shapes/raw")).unwrap();

    configure("module = \"shapes.cooked\"\n");
    fails("the crate `raw` has no module `shapes.cooked`: its library has `PyInit_raw`");
    configure("");
    context.write("p/rust/raw/src/lib.rs", &RAW.replace("helper::at(place)", "helper::at(\"a\")"));
    fails("the crate `raw` does not compile; the compiler's last lines:\nerror[E0308]: mismatched types");
    context.write("p/rust/raw/Cargo.toml", "[package]\nname = \"raw\"\nversion = \"1.0.0\"\n");
    fails("because --locked was passed");
    fs::remove_file(context.at("p/rust/Cargo.lock")).unwrap();
    fails("add `crate-type = [\"cdylib\"]`");
    context.write("p/rust/raw/Cargo.toml", "[package]\nname = 3\n");
    fails("cargo cannot describe the crate in");
    context.write("p/packproof.toml", "[runner]\nname = \"raw\"\nentry = \"main.py\"\n[[crate]]\npath = \"rust\"\n");
    fails("cargo cannot describe the crate in");
    context.write("p/rust/raw/Cargo.toml", "[package]\nname = \"raw\"\nversion = \"1.0.0\"\n");
    fails("is a workspace and no package");
    context.write("p/packproof.toml", "[runner]\nname = \"raw\"\nentry = \"main.py\"\n[[crate]]\npath = \"shapes\"\n");
    fails("has no Cargo.toml");
    configure("");
    let output = command(&context, &["build", "p", "--python"])
        .arg(&venv)
        .env("CARGO", "/nonexistent/cargo")
        .env("PACKPROOF_TOOL_CACHE", context.at("tool"))
        .output()
        .unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("install Rust"), "{}", said(&output));
}
