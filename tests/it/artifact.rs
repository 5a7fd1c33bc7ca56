//! What is written: the container, its determinism, the launcher inside.

use std::process::Command;

use fs_err as fs;
use packproof::format::{Artifact, Error, Filter};
use packproof::layout::{Entry, Origin, Source};
use packproof::pack::{self, Compression, LAUNCHER, LAUNCHER_CRATES, PackSpec};
use packproof::progress::Silent;

use crate::support::{layout, path, python, sample, spec, write_executable};

/// Python's own reader, strict about where it finds things.
#[test]
fn python_reads_the_container() {
    let script = r#"
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as container:
    assert container.testzip() is None
    # Offsets need no correction for the launcher in front.
    assert container.start_dir > container.infolist()[-1].header_offset > 0
    names = container.namelist()
    for info in container.infolist():
        method = zipfile.ZIP_DEFLATED if info.filename == "sbom.cdx.json" else zipfile.ZIP_STORED
        assert info.compress_type == method and info.date_time == (1980, 1, 1, 0, 0, 0), info
        with open(sys.argv[1], "rb") as raw:
            raw.seek(info.header_offset)
            assert raw.read(4) == b"PK\x03\x04", info
    blocks = [name for name in names if name.startswith("blocks/")]
    assert names == sorted(blocks) + ["index.zst", "sbom.cdx.json", "further.txt", "__main__.py", "manifest.json"], names
    manifest = json.loads(container.read("manifest.json"))
    assert manifest["blocks"] == len(blocks) > 1
    assert container.comment.startswith(b"packproof artifact, format 0003\n")
    print(manifest["name"], manifest["python"], manifest["start"]["entry"]["script"])
"#;
    let output = Command::new(&python().executable).args(["-I", "-c", script]).arg(&sample().path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("sample {} app/main.py\n", python().version));
}

#[test]
fn every_file_can_be_read_back() {
    let artifact = Artifact::open(&sample().path).unwrap();
    let index = artifact.index().unwrap();
    let layout = layout();
    assert_eq!(artifact.manifest.files, index.files.len() as u64);
    assert_eq!(artifact.manifest.unpacked, index.unpacked());
    for name in ["app/main.py", "app/twin.py", "app/empty.py", "bin/sample"] {
        let bytes = match &layout.entries[&path(name)].source {
            Source::Generated(bytes) => bytes.clone(),
            Source::File(path) => fs::read(path).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(artifact.read(&index, index.file(name).unwrap()).unwrap(), bytes, "{name}");
    }
    let [main, twin] = ["app/main.py", "app/twin.py"].map(|name| index.file(name).unwrap());
    assert_eq!((main.block, main.offset), (twin.block, twin.offset), "identical content is stored once");
    assert_eq!((main.mode, twin.mode), (0o644, 0o600));
    let in_layout =
        layout.entries.values().filter(|entry| !matches!(entry.source, Source::Link(_) | Source::EmptyFolder));
    assert_eq!(index.files.len(), in_layout.count() - sample().uncompiled.len());
}

/// By a reader that was written from the documentation.
#[test]
fn python_undoes_the_filter_of_shared_libraries() {
    use std::os::unix::fs::FileExt as _;
    let artifact = Artifact::open(&sample().path).unwrap();
    let file = fs::File::open(&sample().path).unwrap();
    let index = artifact.index().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [packed, read] = ["packed", "read"].map(|name| folder.path().join(name));
    let mut filtered = 0;
    for (number, block) in index.blocks.iter().enumerate().filter(|(_, block)| block.filter != Filter::None) {
        let mut bytes = vec![0; block.packed as usize];
        file.file().read_exact_at(&mut bytes, block.offset).unwrap();
        fs::write(&packed, zstd::bulk::decompress(&bytes, block.unpacked as usize).unwrap()).unwrap();
        let mut python = Command::new(&python().executable);
        python.args(["-I", "-c", include_str!("unfilter.py")]).args([&packed, &read]);
        let output = python.args(index.starts(number).iter().map(u64::to_string)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read(&read).unwrap() == artifact.block(&index, number).unwrap(), "block {number}");
        filtered += String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().unwrap();
    }
    assert!(filtered > 100 || cfg!(not(target_arch = "x86_64")), "{filtered} sections");
}

#[test]
fn the_same_layout_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let build = |name: &str, threads, cache: bool| {
        let mut spec = spec();
        spec.threads = Some(threads);
        spec.cache = cache.then(|| folder.path().join("cache"));
        pack::pack(&layout(), &spec, &folder.path().join(name), &Silent).unwrap().sha256
    };
    let first = build("a", 1, true);
    assert_eq!(build("b/c", 2, true), first, "with what the first one kept");
    assert_eq!(build("a", 2, false), first, "with nothing kept");
    assert_eq!(sample().sha256, first);
}

#[test]
fn levels_change_the_size_and_not_the_payload() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec();
    spec.level = Compression::Balanced;
    let balanced = pack::pack(&layout(), &spec, &folder.path().join("balanced"), &Silent).unwrap();
    assert!(balanced.size < sample().size);
    assert_eq!(balanced.payload, sample().payload);
}

#[test]
fn a_source_that_does_not_compile_is_named_and_has_no_bytecode() {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let entry = |source| Entry { source, mode: 0o644, origin: Origin::Application };
    layout.entries.insert(path("app/bad.py"), entry(Source::Generated(b"print 'x'".to_vec())));
    layout.entries.insert(path("app/bad.pyc"), entry(Source::Bytecode { of: path("app/bad.py") }));
    let packed = pack::pack(&layout, &spec(), &folder.path().join("out"), &Silent).unwrap();
    assert_eq!(packed.uncompiled, [path("app/bad.py")]);
    let index = Artifact::open(&packed.path).unwrap().index().unwrap();
    assert!(index.file("app/bad.py").is_some() && index.file("app/bad.pyc").is_none());
}

/// Answers whether it works at all, and dies at the first source, as one does that needs too much memory.
const DYING: &str = "import sys
asked, answers = sys.stdin.buffer, sys.stdout.buffer
length = sum(int.from_bytes(asked.read(4), 'little') for _ in 'ns')
asked.read(length)
answers.write(bytes(4))
answers.flush()
asked.read(8)
";

/// The next interpreter is asked again: what one process cannot says nothing of the source.
#[test]
fn a_compiler_that_dies_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("dying.py"), DYING).unwrap();
    let real = spec().python;
    let script = format!(
        "#!/bin/sh\nif mkdir {} 2>/dev/null; then exec {real} {}; fi\nexec {real} \"$@\"\n",
        at("died").display(),
        at("dying.py").display(),
        real = real.display(),
    );
    write_executable(&at("python"), script.as_bytes());
    let spec = PackSpec { python: at("python"), cache: Some(at("cache")), threads: Some(1), ..spec() };
    for name in ["first", "kept"] {
        let packed = pack::pack(&layout(), &spec, &at(name), &Silent).unwrap();
        assert!(at("died").exists());
        assert_eq!(
            (packed.uncompiled, packed.sha256),
            (sample().uncompiled.clone(), sample().sha256.clone()),
            "{name}"
        );
    }
}

#[test]
fn layouts_that_cannot_be_unpacked_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::write(&out, "the earlier artifact").unwrap();
    let refused = |name: &str, source| {
        let mut layout = layout();
        layout.entries.insert(path(name), Entry { source, mode: 0o644, origin: Origin::Application });
        pack::pack(&layout, &spec(), &out, &Silent).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refused("app/main.py/x", Source::Generated(Vec::new())), @"`app/main.py` is both a file and a folder in the layout");
    assert!(refused(".packproof-unread", Source::Generated(Vec::new())).contains("a name that packproof needs"));
    insta::assert_snapshot!(refused(".packproof", Source::Generated(Vec::new())), @"`.packproof` is a name that packproof needs for itself in the root of the tree");
    insta::assert_snapshot!(refused("app/link", Source::Link("../../x".into())), @"the link `app/link` to `../../x` leaves the tree");
    let mut nameless = spec();
    nameless.name = "../evil".into();
    assert!(matches!(pack::pack(&layout(), &nameless, &out, &Silent), Err(pack::Error::Name(_))));
    let mut startless = spec();
    startless.start.interpreter = path("bin/none");
    assert!(matches!(pack::pack(&layout(), &startless, &out, &Silent), Err(pack::Error::NoStart(_))));
    assert_eq!(fs::read_to_string(&out).unwrap(), "the earlier artifact");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn other_files_are_no_artifacts() {
    for other in [python().executable.clone(), "/dev/null".into()] {
        assert!(matches!(Artifact::open(&other), Err(Error::NoFooter)), "{}", other.display());
    }
}

#[test]
fn the_launcher_names_no_path_of_the_build_machine() {
    let home = std::env::var("HOME").unwrap_or_default();
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    for secret in [cargo.as_str(), env!("CARGO_MANIFEST_DIR")] {
        assert!(secret.len() > 3);
        assert!(!LAUNCHER.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn the_launcher_is_static_and_small() {
    let elf = goblin::elf::Elf::parse(LAUNCHER).unwrap();
    assert!(elf.libraries.is_empty() && elf.interpreter.is_none());
    // The budget that CONTRIBUTING names.
    assert!(LAUNCHER.len() < 2 << 20, "{} bytes", LAUNCHER.len());
}

#[test]
fn the_launchers_crates_are_known() {
    let crates: Vec<serde_json::Value> = serde_json::from_str(LAUNCHER_CRATES).unwrap();
    let names: Vec<&str> = crates.iter().map(|krate| krate["name"].as_str().unwrap()).collect();
    for linked in ["blake3", "packproof", "rustix", "serde_json", "zstd", "zstd-sys"] {
        assert!(names.contains(&linked), "{linked} in {names:?}");
    }
    for other in ["clap", "cc", "serde_derive", "zip", "insta"] {
        assert!(!names.contains(&other), "{other} in {names:?}");
    }
    for krate in &crates {
        assert!(krate["license"].is_string(), "{krate}");
        assert_eq!(krate["checksum"].is_string(), krate["name"] != "packproof", "{krate}");
    }
}
