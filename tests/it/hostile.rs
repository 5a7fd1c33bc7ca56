//! Environments with files that no installer writes: a finding or a clear error, never a panic or a hang.

use std::os::unix::fs::symlink;

use fs_err as fs;
use packproof::hooks::Hooks;

use crate::audit::told;
use crate::site::{Asking, Site};

const APP: &[(&str, &str)] = &[("app.py", "import eggs\n")];

fn site() -> Site {
    Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", "")])
}

/// The file of that name in the dist-info of eggs holds `bytes`.
fn with_info(name: &str, bytes: &[u8]) -> Vec<String> {
    let site = site();
    fs::write(site.site_packages().join("eggs-1.0.dist-info").join(name), bytes).unwrap();
    told(&site.audit(APP))
}

#[test]
fn metadata_that_is_none() {
    for bytes in
        [&b""[..], b"\0\0\0", b"\xff\xfe\xfd", b"Name: eggs", b"Version: 1\n\nName: eggs\n", &vec![b'a'; 1 << 20]]
    {
        assert_eq!(with_info("METADATA", bytes), ["warning metadata-missing eggs-1.0.dist-info"]);
    }
    let odd = "Name: eggs\nVersion: not a version\nRequires-Dist: ]][[\nRequires-Dist: ham @ \nRequires-Dist: x; (((\n";
    assert_eq!(with_info("METADATA", odd.as_bytes()), [""; 0]);
}

#[test]
fn records_that_are_none() {
    let long = [b"eggs/__init__.py,".as_slice(), &vec![b'x'; 10 << 20]].concat();
    for bytes in [
        &b"\"eggs/__init__.py"[..],
        b"\0,\0,\0\n",
        b"eggs/__init__.py,sha256=,99999999999999999999\n",
        b"../../../../../../../../etc/passwd,sha256=x,1\n/etc/passwd,sha256=x,1\n",
        b",,\n,,\n",
        &long,
    ] {
        let told = with_info("RECORD", bytes);
        // A record that lists the file with another hash is told as such; nothing else is wrong.
        assert!(told.iter().all(|told| told == "warning record-mismatch eggs"), "{told:?}");
    }
    assert_eq!(with_info("RECORD", b"eggs/\xff\xfe.py,,\n"), [""; 0]);
}

#[test]
fn entry_points_and_urls_that_are_none() {
    for bytes in [&b"[[[\n]=\n=\n[a]\n=x\nb=\nc=:::\nd=ham:\xff\n"[..], b"\0", &vec![b'['; 1 << 20]] {
        assert_eq!(with_info("entry_points.txt", bytes), [""; 0]);
    }
    for bytes in [&b"{"[..], b"[]", br#"{"dir_info": {"editable": true}, "url": 1}"#, b"\xff"] {
        assert_eq!(with_info("direct_url.json", bytes), [""; 0]);
    }
}

#[test]
fn folders_and_links_where_files_are_wanted() {
    let site = site();
    let packages = site.site_packages();
    symlink("loop", packages.join("loop")).unwrap();
    symlink(".", packages.join("eggs/eggs")).unwrap();
    symlink("/nowhere", packages.join("dangling.py")).unwrap();
    fs::create_dir(packages.join("folder.py")).unwrap();
    fs::create_dir_all(packages.join("odd/__init__.py")).unwrap();
    fs::write(packages.join("loop.pth"), "loop\n../../../../..\n/proc/self/root\n\0\n").unwrap();
    let app = "import loop, dangling, folder, odd\nimport eggs.eggs.eggs.eggs\n";
    let (_, graph) = site.graph(Asking::Static, &[("app.py", app)], &Hooks::default());
    // As CPython: a folder without a file `__init__` is a namespace package, and links to a folder may go round.
    assert!(graph.find("odd").is_some() && graph.find("eggs.eggs.eggs.eggs").is_some());
    for missing in ["loop", "dangling", "folder"] {
        assert!(graph.find(missing).is_none(), "{missing}");
    }
}

#[test]
fn sources_that_are_none() {
    let deep = format!("x = {}1{}\n", "(".repeat(10_000), ")".repeat(10_000));
    let long = format!("x = '{}'\n", "a".repeat(10 << 20));
    let chain =
        format!("try:\n    import eggs{0}\nexcept ImportError:\n    import absent{0}\n", ".eggs".repeat(100_000));
    let site = site();
    let packages = site.site_packages();
    for (name, bytes) in [
        ("nul", &b"a = 1\nb = '\0'\n"[..]),
        ("latin", b"s = '\xe4'\n"),
        ("unknown", b"# coding: klingon\ns = '\xe4'\n"),
        ("deep", deep.as_bytes()),
        ("long", long.as_bytes()),
        ("chain", chain.as_bytes()),
        ("cut", b"def f(:\n    '''"),
        ("empty", b""),
    ] {
        fs::write(packages.join(format!("{name}.py")), bytes).unwrap();
    }
    let report = site.audit(&[("app.py", "import nul, latin, unknown, deep, long, chain, cut, empty\n")]);
    let uninspectable = |name: &str| {
        let found = report.findings.iter().find(|found| found.code == "uninspectable" && found.subject == name);
        found.and_then(|found| found.evidence[0].line)
    };
    assert_eq!(["nul", "latin", "unknown", "cut"].map(uninspectable), [Some(2), Some(1), Some(2), Some(1)]);
    assert_eq!(["long", "chain", "empty"].map(uninspectable), [None; 3]);
}
