//! `packproof audit --wheels`: real wheels of macOS, Windows and Linux, whole, and with one thing wrong with each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fs_err as fs;
use serde_json::Value;

use crate::context::TestContext;
use crate::installed;

/// Platform, and releases that have a wheel for it: with and without libraries of their own.
const HOUSES: &[(&str, &[&str])] = &[
    ("macosx_14_0_arm64", &["markupsafe==3.0.2", "pillow==11.0.0", "psycopg2-binary==2.9.10"]),
    ("win_amd64", &["markupsafe==3.0.2", "pillow==11.0.0", "ujson==5.10.0"]),
    ("manylinux2014_x86_64", &["markupsafe==3.0.2", "psycopg2-binary==2.9.10"]),
    ("musllinux_1_2_x86_64", &["markupsafe==3.0.2"]),
];

/// A folder for each platform, downloaded once for all runs.
fn houses() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheelhouses");
        for (platform, releases) in HOUSES {
            let house = folder.join(platform);
            if house.join("complete").exists() {
                continue;
            }
            let _ = fs::remove_dir_all(&house);
            let output = Command::new(&crate::support::python().executable)
                .args(["-m", "pip", "download", "-q", "--disable-pip-version-check", "--python-version", "3.11"])
                .args(["--only-binary", ":all:", "--no-deps", "--platform", platform, "-d"])
                .arg(&house)
                .args(*releases)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::write(house.join("complete"), "").unwrap();
        }
        folder
    })
}

fn triples<const N: usize>(wanted: [(&str, &str, &str); N]) -> BTreeSet<(String, String, String)> {
    wanted.into_iter().map(|(code, severity, subject)| (code.into(), severity.into(), subject.into())).collect()
}

fn pairs<const N: usize>(wanted: [(&str, &str); N]) -> BTreeSet<(String, String)> {
    wanted.into_iter().map(|(code, severity)| (code.into(), severity.into())).collect()
}

struct Found(Vec<Value>);

impl Found {
    fn at(folder: &Path, platform: &str) -> Self {
        let context = TestContext::new();
        let output = context
            .command(&["audit", "--platform", platform, "--format", "json", "--wheels"])
            .arg(folder)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let findings = report["findings"].as_array().unwrap().clone();
        let errors = findings.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(output.status.code(), Some(i32::from(errors)));
        Self(findings)
    }

    /// Code, severity and subject of everything that is more than information.
    fn told(&self) -> BTreeSet<(String, String, String)> {
        let field = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let all = self.0.iter().map(|it| (field(it, "code"), field(it, "severity"), field(it, "subject")));
        all.filter(|(_, severity, _)| severity != "info").collect()
    }
}

/// A copy of one wheel: Python code that changes its files, `files` by path, then the name that it gets.
fn changed(context: &TestContext, wheel: &Path, change: &str, name: &str) -> PathBuf {
    let folder = context.at("house");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let script = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1]) as wheel:\n    files = {name: wheel.read(name) for name in wheel.namelist()}\n\
        exec(sys.argv[3])\n\
        with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED) as wheel:\n\
        \x20   for name, data in files.items():\n        wheel.writestr(name, data)\n";
    let output = Command::new("python3").args(["-c", script]).arg(wheel).arg(folder.join(name)).arg(change).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn wheel(platform: &str, start: &str) -> PathBuf {
    let entries = fs::read_dir(houses().join(platform)).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = entries.collect();
    entries.retain(|path| path.file_name().unwrap().to_string_lossy().to_lowercase().starts_with(start));
    entries.pop().unwrap()
}

#[test]
fn wheels_of_each_system_are_right_for_it_and_for_no_other() {
    // C++ of Windows needs a library that neither Windows nor Python brings.
    let runtime = ("missing-library", "warning", "MSVCP140.dll");
    for (platform, releases) in HOUSES {
        let found = Found::at(&houses().join(platform), platform);
        let wanted = if *platform == "win_amd64" { triples([runtime]) } else { BTreeSet::new() };
        assert_eq!(found.told(), wanted, "{platform}: {:#?}", found.0);
        for (other, _) in HOUSES.iter().filter(|(other, _)| other != platform) {
            let found = Found::at(&houses().join(platform), other);
            let incompatible = found.told().into_iter().filter(|(code, ..)| code == "incompatible-wheel").count();
            assert_eq!(incompatible, releases.len(), "{platform} on {other}: {:#?}", found.0);
        }
    }
    // An older macOS takes what was built for it, and nothing else.
    let found = Found::at(&houses().join("macosx_14_0_arm64"), "macosx_12_0_arm64");
    assert_eq!(found.told(), triples([("incompatible-wheel", "error", "psycopg2-binary")]), "{:#?}", found.0);
}

#[test]
fn each_fault_of_a_wheel_is_told() {
    let context = TestContext::new();
    let told = |from: &Path, change: &str, name: &str, platform: &str| {
        let found = Found::at(&changed(&context, from, change, name), platform);
        let told = found.told();
        told.into_iter().map(|(code, severity, _)| (code, severity)).collect::<BTreeSet<_>>()
    };
    let mac = wheel("macosx_14_0_arm64", "pillow");
    let name = mac.file_name().unwrap().to_str().unwrap().to_owned();
    let dropped = "files = {name: data for name, data in files.items() if 'libjpeg' not in name}";
    let wanted = pairs([("missing-library", "error"), ("record-mismatch", "error")]);
    assert_eq!(told(&mac, dropped, &name, "macosx_14_0_arm64"), wanted);
    let windows = wheel("win_amd64", "markupsafe");
    let lies = name.replace("pillow-11.0.0", "MarkupSafe-3.0.2");
    let wanted = pairs([("foreign-machine", "error"), ("incompatible-wheel", "warning")]);
    assert_eq!(told(&windows, "", &lies, "macosx_14_0_arm64"), wanted);

    let postgres = wheel("macosx_14_0_arm64", "psycopg2");
    let name = postgres.file_name().unwrap().to_str().unwrap().replace("macosx_14_0", "macosx_11_0");
    let wanted = |severity| pairs([("minimum-os", severity), ("incompatible-wheel", "warning")]);
    assert_eq!(told(&postgres, "", &name, "macosx_14_0_arm64"), wanted("warning"));
    assert_eq!(told(&postgres, "", &name, "macosx_12_0_arm64"), wanted("error"));

    let linux = wheel("manylinux2014_x86_64", "psycopg2");
    let name = linux.file_name().unwrap().to_str().unwrap().to_owned();
    let older = name.replace("manylinux_2_17_x86_64.manylinux2014_x86_64", "manylinux_2_5_x86_64");
    let wanted = pairs([("glibc-floor", "warning"), ("incompatible-wheel", "warning")]);
    assert_eq!(told(&linux, "", &older, "manylinux_2_28_x86_64"), wanted);
    let wanted = pairs([("glibc-floor", "error"), ("incompatible-wheel", "warning")]);
    assert_eq!(told(&linux, "", &older, "manylinux_2_5_x86_64"), wanted);
    let dropped = "files = {name: data for name, data in files.items() if 'libssl' not in name}";
    let wanted = pairs([("missing-library", "error"), ("record-mismatch", "error")]);
    assert_eq!(told(&linux, dropped, &name, "manylinux2014_x86_64"), wanted);

    let safe = wheel("manylinux2014_x86_64", "markupsafe");
    let name = safe.file_name().unwrap().to_str().unwrap().to_owned();
    let edited = "files['markupsafe/__init__.py'] += b'# more'";
    assert_eq!(told(&safe, edited, &name, "manylinux2014_x86_64"), pairs([("record-mismatch", "error")]));
    let added = "files['markupsafe/more.py'] = b''";
    assert_eq!(told(&safe, added, &name, "manylinux2014_x86_64"), pairs([("record-mismatch", "warning")]));
    let lost = "files = {name: data for name, data in files.items() if not name.endswith('RECORD')}";
    assert_eq!(told(&safe, lost, &name, "manylinux2014_x86_64"), pairs([("record-mismatch", "error")]));

    // What it has vendored has a RECORD and a WHEEL of its own, and tags may stand in one line.
    let vendored = "files['markupsafe/vendor/x-1.dist-info/RECORD'] = b'gone.py,,\\n'\n\
        files['markupsafe/vendor/x-1.dist-info/WHEEL'] = b'Tag: py3-none-any\\n'\n\
        wheel = 'MarkupSafe-3.0.2.dist-info/WHEEL'\n\
        files[wheel] = b'Tag: cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64\\n'\n\
        import base64, hashlib\n\
        digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')\n\
        record = 'MarkupSafe-3.0.2.dist-info/RECORD'\n\
        files[record] = b''.join(line for line in files[record].splitlines(True) if b'/WHEEL,' not in line)\n\
        files[record] += ''.join('%s,sha256=%s,%d\\n' % (name, digest(files[name]), len(files[name]))\n\
        \x20   for name in [*list(files)[-2:], wheel]).encode()\n";
    assert_eq!(told(&safe, vendored, &name, "manylinux2014_x86_64"), BTreeSet::new());

    // A second distribution with the same package.
    let house = changed(&context, &safe, "", &name);
    let other = name.replace("MarkupSafe", "saferthansafe");
    let again = TestContext::new();
    let second = changed(&again, &safe, "files['markupsafe/__init__.py'] += b'#'", &other);
    fs::copy(second.join(&other), house.join(&other)).unwrap();
    fs::write(house.join("broken-1.0-py3-none-any.whl"), "no zip").unwrap();
    let found = Found::at(&house, "manylinux2014_x86_64");
    let wanted = triples([
        ("distribution-overlap", "warning", "markupsafe,saferthansafe"),
        ("uninspectable", "error", "broken-1.0-py3-none-any.whl"),
    ]);
    assert!(found.told().is_superset(&wanted), "{:#?}", found.0);
}

#[test]
fn what_cannot_be_audited_is_said() {
    let context = TestContext::new();
    fs::create_dir_all(context.at("empty")).unwrap();
    let run = |arguments: &[&str]| {
        let output = context.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&["audit", "--wheels", "empty", "--platform", "win_amd64"]).contains("holds no wheels"));
    assert!(run(&["audit", "--wheels", "empty", "--platform", "amiga"]).contains("is no platform tag"));
    assert!(run(&["audit", "--wheels", "none", "--platform", "win_amd64"]).contains("cannot read the folder"));
    assert!(run(&["audit", "--wheels", "empty"]).contains("--platform <TAG>"));
}

/// What two readers in Python, made by others, say of every native file in the wheels of a folder.
const READERS: &str = r#"
import io, json, sys, zipfile
import macholib.MachO, macholib.mach_o as kinds, pefile
from macholib.ptypes import sizeof

MACHINES = {16777228: "arm64", 16777223: "x86_64", 7: "i386"}

def text(data):
    return data.rstrip(b"\0").decode()

def mach(data, scratch):
    with open(scratch, "wb") as file:
        file.write(data)
    slices = []
    for header in macholib.MachO.MachO(scratch).headers:
        it = {"machine": MACHINES[header.header.cputype], "install_name": None, "libraries": [], "rpaths": [], "minimum_os": None}
        for load, command, rest in header.commands:
            kind = load.cmd
            if kind == kinds.LC_ID_DYLIB:
                it["install_name"] = text(rest[command.name - sizeof(type(load)) - sizeof(type(command)):])
            elif kind in (kinds.LC_LOAD_DYLIB, kinds.LC_LOAD_WEAK_DYLIB, kinds.LC_REEXPORT_DYLIB, kinds.LC_LOAD_UPWARD_DYLIB):
                it["libraries"].append(text(rest[command.name - sizeof(type(load)) - sizeof(type(command)):]))
            elif kind == kinds.LC_RPATH:
                it["rpaths"].append(text(rest[command.path - sizeof(type(load)) - sizeof(type(command)):]))
            elif kind == kinds.LC_BUILD_VERSION:
                it["minimum_os"] = [command.minos >> 16, command.minos >> 8 & 255]
            elif kind == kinds.LC_VERSION_MIN_MACOSX:
                it["minimum_os"] = [command.version >> 16, command.version >> 8 & 255]
        slices.append(it)
    return slices

def pe(data):
    file = pefile.PE(data=data)
    machine = {0x8664: "amd64", 0xaa64: "arm64", 0x14c: "x86"}[file.FILE_HEADER.Machine]
    return {"machine": machine, "imports": sorted({entry.dll.decode() for entry in getattr(file, "DIRECTORY_ENTRY_IMPORT", [])})}

found = {}
for name in sys.argv[2:]:
    with zipfile.ZipFile(name) as wheel:
        for path in wheel.namelist():
            data = wheel.read(path)
            if data[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe"):
                found[path] = mach(data, sys.argv[1])
            elif data[:2] == b"MZ":
                found[path] = pe(data)
print(json.dumps(found))
"#;

#[test]
fn facts_are_what_other_readers_say() {
    use packproof::wheels::{NativeFile, read};
    let context = TestContext::new();
    let readers = "macholib==1.16.3\naltgraph==0.17.4\npefile==2024.8.26\n";
    let base = &crate::support::python().executable;
    let python = installed::environment("readers", base, readers, &["--no-deps"]).unwrap();
    for (platform, least) in [("macosx_14_0_arm64", 15), ("win_amd64", 5)] {
        let house = houses().join(platform);
        let (wheels, broken) = read::read(&house).unwrap();
        assert!(broken.is_empty());
        let mut ours = serde_json::Map::new();
        for (path, file) in wheels.iter().flat_map(|wheel| &wheel.native) {
            let value = match file {
                NativeFile::Mach(file) => file
                    .slices
                    .iter()
                    .map(|slice| {
                        serde_json::json!({
                            "machine": slice.machine, "install_name": slice.install_name, "libraries": slice.libraries,
                            "rpaths": slice.rpaths, "minimum_os": slice.minimum_os,
                        })
                    })
                    .collect(),
                NativeFile::Pe(file) => serde_json::json!({ "machine": file.machine, "imports": file.imports }),
                NativeFile::Elf(_) => panic!("{path}"),
            };
            ours.insert(path.clone(), value);
        }
        let mut command = Command::new(&python);
        command.args(["-c", READERS]).arg(context.at("scratch"));
        let output = command.args(wheels.iter().map(|wheel| house.join(&wheel.file_name))).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(ours.len() >= least, "{}", ours.len());
        assert_eq!(Value::Object(ours), theirs);
    }
}
