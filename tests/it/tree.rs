//! What becomes of native code and of everything that names the build machine, on made-up distributions.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::config::Overrides;
use packproof::environment::Facts;
use packproof::layout::Source;
use packproof::native::Why;
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Plan, Project};
use packproof::progress::Silent;
use serde_json::Value;

use crate::context::TestContext;
use crate::support::{finish, skipped, write_executable};

const MODULE: &str = "void *PyModuleDef_Init(void *); int PyInit_NAME(void) { return 0; }";

/// An environment, and a project that imports what is put into it.
struct World {
    context: TestContext,
    site: PathBuf,
}

impl World {
    fn new() -> Self {
        let context = TestContext::new();
        crate::support::venv(&crate::support::python().executable, &context.at("venv"));
        let site = Facts::ask(&context.at("venv/bin/python")).unwrap().purelib;
        Self { context, site }
    }

    fn cc(&self, to: &Path, code: &str, options: &[&str]) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let source = self.context.at("source.c");
        fs::write(&source, code).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-w", "-o"]).arg(to).arg(&source).arg("-Wl,--no-as-needed").args(options);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// An extension module in site-packages.
    fn module(&self, name: &str, options: &[&str]) {
        self.cc(&self.site.join(format!("{name}.so")), &MODULE.replace("NAME", name), options);
    }

    /// A library on the build machine, outside of everything.
    fn library(&self, path: &str, soname: &str, code: &str) -> PathBuf {
        let file = self.context.at(path);
        self.cc(&file, code, &[&format!("-Wl,-soname,{soname}")]);
        file
    }

    fn distribution(&self, name: &str, files: &[(&str, &str)]) {
        let info = format!("{name}-1.0.dist-info");
        let metadata = format!("Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n");
        let mut record = String::new();
        for (path, text) in files.iter().copied().chain([(&*format!("{info}/METADATA"), &*metadata)]) {
            let file = self.site.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            record.extend([path, ",,\n"]);
        }
        fs::write(self.site.join(&info).join("RECORD"), record).unwrap();
    }

    fn plan(&self, main: &str, configuration: &str) -> (Project, Plan) {
        self.context.write("project/main.py", main);
        self.context.write("project/packproof.toml", &format!("[runner]\nentry = \"main.py\"\n{configuration}"));
        let overrides = Overrides { python: Some(self.context.at("venv")), ..Overrides::default() };
        let mut project = Project::open(&self.context.at("project"), &overrides, &Silent).unwrap();
        let plan = project.plan().unwrap();
        (project, plan)
    }

    /// Packs it, and says what it prints.
    fn run(&self, project: &Project, plan: &Plan) -> String {
        let choices = Choices { compression: Compression::Fast, threads: None };
        let spec = pipeline::pack_spec(project, plan, choices).unwrap();
        let artifact = self.context.at("main");
        pack::pack(&plan.planned.layout, &spec, &artifact, &Silent).unwrap();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree-cache");
        let output = finish(Command::new(&artifact).env_clear().env("PACKPROOF_CACHE", cache));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn link(folder: &Path) -> [String; 2] {
    [format!("-L{}", folder.display()), format!("-Wl,-rpath,{}", folder.display())]
}

fn findings(project: &mut Project, plan: &Plan, code: &str) -> Vec<packproof::audit::Finding> {
    let report = project.audit(Some(plan));
    report.findings.into_iter().filter(|finding| finding.code == code).collect()
}

#[test]
fn the_cxx_library_is_the_systems_where_a_driver_or_max_glibc_wants_it() {
    let world = World::new();
    world.module("plain", &["-lstdc++"]);
    let main = "import plain\n";
    let (_, plan) = world.plan(main, "");
    assert!(plan.planned.native.closure.packed.contains_key("libstdc++.so.6"));

    let (_, plan) = world.plan(main, "[audit]\nmax-glibc = \"2.10\"\n");
    let closure = &plan.planned.native.closure;
    assert_eq!(closure.from_system["libstdc++.so.6"].why, Why::Floor, "{:?}", closure.from_system);
    assert!(!closure.packed.contains_key("libstdc++.so.6"));

    // A made-up driver; X11 alone is none.
    for (soname, is_driver) in [("libX11.so.6", false), ("libGL.so.1", true)] {
        let driver = world.library(&format!("{soname}/{soname}"), soname, "int driver;");
        let [_, run_path] = link(driver.parent().unwrap());
        world.module("drawing", &[driver.to_str().unwrap(), &run_path]);
        let (_, plan) = world.plan("import plain, drawing\n", "");
        let closure = &plan.planned.native.closure;
        assert!(closure.from_system.contains_key(soname) && !closure.packed.contains_key(soname));
        assert_eq!(closure.packed.contains_key("libstdc++.so.6"), !is_driver, "{soname}");
        let why = closure.from_system.get("libstdc++.so.6").map(|left| &left.why);
        assert_eq!(why, is_driver.then_some(&Why::Drivers));
        // A build machine without the driver makes the same artifact.
        fs::remove_file(driver).unwrap();
        let (_, without) = world.plan("import plain, drawing\n", "");
        assert_eq!(without.planned.native.closure.from_system[soname].why, closure.from_system[soname].why);
        assert_eq!(without.planned.native.closure.packed.contains_key("libstdc++.so.6"), !is_driver, "{soname}");
    }
}

/// Where in the tree a file of site-packages lies.
fn in_site(plan: &Plan, file: &str) -> Option<String> {
    let ends = ["site-packages", "dist-packages"].map(|site| format!("/{site}/{file}"));
    let mut paths = plan.planned.layout.entries.keys().map(ToString::to_string);
    paths.find(|path| ends.iter().any(|end| path.ends_with(end)))
}

/// As an egg that is a folder, or what cmeel's wheels put below one of their own.
#[test]
fn a_folder_of_site_packages_that_a_path_file_names_stays_where_it_lies() {
    let world = World::new();
    let files = [("eggs.prefix/lib/inner.py", "WHO = 'inner'\n"), ("eggs.pth", "eggs.prefix/lib\n")];
    world.distribution("eggs", &files);
    fs::create_dir(world.site.join("eggs.prefix/empty")).unwrap();
    let (project, plan) = world.plan("import inner\nprint(inner.WHO)\n", "");
    assert!(in_site(&plan, "eggs.prefix/lib/inner.py").is_some() && in_site(&plan, "eggs.prefix/empty").is_some());
    assert!(!plan.planned.layout.entries.keys().any(|path| path.as_str().starts_with("path/")));
    assert_eq!(world.run(&project, &plan), "inner\n");
}

/// A virtual environment reads them twice, and looks for a `sitecustomize` in every folder.
#[test]
fn path_files_are_read_once_and_a_customization_is_found() {
    let main = "import site, sys\nprint(sys.times, getattr(sys, 'customized', None), 'sitecustomize' in sys.modules,\n\
        \x20     site.addsitepackages.__module__, site.execsitecustomize.__module__)\n";
    let finder = "import importlib.machinery, sys\n\
        class Finder:\n\
        \x20   def find_spec(self, name, path=None, target=None):\n\
        \x20       return importlib.machinery.ModuleSpec(name, self) if name == 'sitecustomize' else None\n\
        \x20   def create_module(self, spec): return None\n\
        \x20   def exec_module(self, module): sys.customized = 'by a finder'\n\
        sys.meta_path.append(Finder())\n";
    let world = World::new();
    let counter = ("counter.pth", "import sys; sys.times = getattr(sys, 'times', 0) + 1\n");
    for (name, files, told) in [
        ("counter", &[counter, ("counter.py", "")][..], "1 None False site site\n"),
        ("finder", &[("finder.pth", "import finder\n"), ("finder.py", finder)], "1 by a finder True site site\n"),
        (
            "module",
            &[("sitecustomize.py", "import sys; sys.customized = 'by a module'\n")],
            "1 by a module True site site\n",
        ),
    ] {
        world.distribution(name, files);
        let (project, plan) = world.plan(main, "");
        assert_eq!(world.run(&project, &plan), told, "{name}");
    }
}

#[test]
fn setuptools_is_packed_where_its_distutils_is_imported() {
    let finder = "class DistutilsMetaFinder:\n    def find_spec(self, name, path=None, target=None): ...\n";
    let line = "import sys, _distutils_hack; sys.meta_path.insert(0, _distutils_hack.DistutilsMetaFinder())\n";
    let world = World::new();
    let files =
        [("_distutils_hack/__init__.py", finder), ("distutils-precedence.pth", line), ("setuptools/__init__.py", "")];
    world.distribution("setuptools", &files);
    for (main, is_packed) in [("import json\n", false), ("from distutils.version import LooseVersion\n", true)] {
        let (_, plan) = world.plan(main, "");
        assert_eq!(in_site(&plan, "setuptools/__init__.py").is_some(), is_packed, "{main}");
    }
}

#[test]
fn a_copyleft_library_is_packed_where_its_licence_is_allowed() {
    let world = World::new();
    let (_, plan) = world.plan("import readline\n", "");
    let closure = &plan.planned.native.closure;
    let Some(left) = closure.from_system.get("libreadline.so.8") else { return skipped("a python3 with readline") };
    assert_eq!(left.why, Why::License("GPL-3.0-or-later".to_owned()));
    let allowed = "[licenses]\nallow = [\"GPL-3.0-or-later\", \"MIT\"]\n";
    let (mut project, plan) = world.plan("import readline\n", allowed);
    assert!(plan.planned.native.closure.packed.contains_key("libreadline.so.8"));
    let denied = findings(&mut project, &plan, "license-denied");
    assert!(!denied.iter().any(|finding| finding.subject.contains("readline")), "{denied:#?}");
}

#[test]
fn libraries_of_wheels_stay_and_links_and_conflicts_are_kept() {
    let world = World::new();
    // A wheel's own library, of a name that the standard library wants of the system.
    let own = world.site.join("first.libs/libz.so.1");
    world.cc(&own, "int own;", &["-Wl,-soname,libz.so.1"]);
    world.module("first", &[own.to_str().unwrap(), "-Wl,-rpath,$ORIGIN/first.libs"]);
    // A chain of links.
    let chain = world.library("chain/libchain.so.1.2.3", "libchain.so.1", "int chain;");
    for (name, target) in [("libchain.so.1.2", "libchain.so.1.2.3"), ("libchain.so.1", "libchain.so.1.2")] {
        fs_err::os::unix::fs::symlink(target, chain.with_file_name(name)).unwrap();
    }
    let [_, run_path] = link(chain.parent().unwrap());
    world.module("chained", &[chain.to_str().unwrap(), &run_path]);
    // Two run paths to two libraries of one name.
    for (module, folder) in [("left", "one"), ("right", "two")] {
        let library = world.library(&format!("{folder}/libtwo.so.2"), "libtwo.so.2", &format!("int {module};"));
        let [_, run_path] = link(library.parent().unwrap());
        world.module(module, &[library.to_str().unwrap(), &run_path]);
    }
    let (mut project, plan) = world.plan("import first, chained, left, right, zlib\n", "");
    let planned = &plan.planned;
    let entry = |path: &str| {
        let found = planned.layout.entries.iter().find(|(place, _)| place.as_str().ends_with(path));
        found.map_or_else(|| panic!("{path}"), |(_, entry)| &entry.source)
    };
    assert_eq!(entry("first.libs/libz.so.1"), &Source::File(own));
    let edges = planned.native.closure.edges.iter().find(|(place, _)| place.ends_with("/first.so")).unwrap().1;
    assert!(edges.iter().any(|place| place.ends_with("first.libs/libz.so.1")), "{edges:?}");
    assert!(!edges.contains("lib/libz.so.1.2.13"));

    assert_eq!(entry("lib/libchain.so.1"), &Source::Link("libchain.so.1.2".to_owned()));
    assert_eq!(entry("lib/libchain.so.1.2"), &Source::Link("libchain.so.1.2.3".to_owned()));
    assert_eq!(entry("lib/libchain.so.1.2.3"), &Source::File(chain));

    let conflicts = findings(&mut project, &plan, "soname-conflict");
    assert_eq!(
        conflicts.iter().map(|it| it.subject.as_str()).collect::<Vec<_>>(),
        ["libtwo.so.2", "libz.so.1"],
        "{conflicts:#?}"
    );
    let evidence: Vec<_> = conflicts[0].evidence.iter().filter_map(|it| it.file.as_deref()).collect();
    assert!(evidence[0].ends_with("/left.so") && evidence[1].ends_with("/right.so"), "{evidence:?}");
}

#[test]
fn libraries_that_code_opens_are_packed_or_told() {
    let world = World::new();
    // Every Debian has these two, and no Python wants them.
    let folder = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap().parent().unwrap().to_owned();
    if !["libzstd.so.1", "liblz4.so.1"].iter().all(|name| folder.join(name).exists()) {
        return skipped("libzstd and liblz4");
    }
    let code = "import ctypes, ctypes.util\n\
        def spoken():\n    return ctypes.CDLL('libzstd.so.1').ZSTD_versionNumber()\n\
        def absent():\n    return ctypes.CDLL('libabsent.so.9')\n\
        def magic():\n    return ctypes.CDLL(ctypes.util.find_library('magic'))\n";
    world.distribution("speaker", &[("speaker.py", code)]);
    let (mut project, plan) = world.plan("import speaker\nprint(speaker.spoken())\nprint([line for line in open('/proc/self/maps') if 'zstd' in line])\n", "");
    let closure = &plan.planned.native.closure;
    let speaker = |places: &std::collections::BTreeSet<String>| places.iter().any(|it| it.ends_with("/speaker.py"));
    assert!(speaker(&closure.packed["libzstd.so.1"].needed_by), "{:?}", closure.packed["libzstd.so.1"]);
    assert!(speaker(&closure.missing["libabsent.so.9"]));
    // And that is the one that is loaded, although this machine has the other.
    let choices = Choices { compression: Compression::Fast, threads: None };
    let spec = pipeline::pack_spec(&project, &plan, choices).unwrap();
    let artifact = world.context.at("main");
    pack::pack(&plan.planned.layout, &spec, &artifact, &Silent).unwrap();
    let mut run = Command::new(&artifact);
    let output = finish(run.env_clear().env("PACKPROOF_CACHE", world.context.at("cache")));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (version, mapped) = said.split_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    assert!(version.parse::<u32>().unwrap() > 10000 && mapped.contains("/lib/libzstd.so.1"), "{said}");
    assert!(mapped.contains(world.context.at("cache").to_str().unwrap()), "{said}");
    let missing = findings(&mut project, &plan, "missing-library");
    assert_eq!((missing.len(), missing[0].severity), (1, packproof::audit::Severity::Info), "{missing:#?}");
    let opened = findings(&mut project, &plan, "opened-library");
    assert_eq!((opened.len(), opened[0].subject.as_str()), (1, "speaker 1.0"), "{opened:#?}");
    assert!(opened[0].evidence[0].text.contains("magic") && opened[0].evidence[0].line == Some(7));

    world.context.write(
        "project/hooks/speaker.toml",
        "distribution = \"speaker\"\nreason = \"it asks for it\"\nlibraries = [\"liblz4.so.1\"]\n",
    );
    let (mut project, plan) = world.plan("import speaker\n", "hooks = [\"hooks\"]\n");
    let needed_by = &plan.planned.native.closure.packed["liblz4.so.1"].needed_by;
    assert!(needed_by.iter().any(|place| place.ends_with("speaker-1.0.dist-info/METADATA")), "{needed_by:?}");
    assert!(findings(&mut project, &plan, "opened-library").is_empty());
    let why = |name: &str| {
        let output =
            world.context.command(&["why", name, "project", "--python"]).arg(world.context.at("venv")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(why("libzstd.so.1").contains("speaker.py needs libzstd.so.1"), "{}", why("libzstd.so.1"));
    assert!(why("liblz4.so.1").contains("METADATA needs liblz4.so.1"), "{}", why("liblz4.so.1"));
}

#[test]
fn a_foreign_extension_module_is_told_once() {
    let world = World::new();
    world.module("alien", &[]);
    let file = world.site.join("alien.so");
    let mut bytes = fs::read(&file).unwrap();
    bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let (mut project, plan) = world.plan("import alien\n", "");
    assert_eq!(findings(&mut project, &plan, "wrong-abi").len(), 1);
    assert!(findings(&mut project, &plan, "foreign-machine").is_empty());
}

const FACTS: &str = r#"
import json, os, site, sys, sysconfig
found = []
for folder, _, files in os.walk(sys.prefix):
    for file in files:
        path = os.path.join(folder, file)
        if os.path.islink(path) or file.endswith((".pyc", ".so")) or os.path.samefile(path, sys.executable):
            continue
        with open(path, "rb") as opened:
            text = opened.read()
        found += [[path, name] for name in sys.argv[1:] if name.encode() in text and not text.startswith(b"\x7fELF")]
paths = list(sysconfig.get_paths().values()) + site.getsitepackages()
paths += [sys.prefix, sys.base_prefix, sys.exec_prefix, sysconfig.get_config_var("prefix"), sys.executable]
print(json.dumps({
    "left": found,
    "outside": [path for path in paths if not path.startswith(sys.prefix)],
    "variables": sorted(k for k, v in sysconfig.get_config_vars().items()
                        if isinstance(v, str) and any(name in v for name in sys.argv[1:])),
    "neighbour": __import__("neighbour").WHO,
}))
"#;

/// The environment and the interpreter leave no trace, the index says what was changed, and nothing else was.
#[test]
fn no_path_of_the_build_machine_is_left_and_what_is_unchanged_is_the_same() {
    let world = World::new();
    let venv = world.context.at("venv");
    let direct = format!("{{\"url\": \"file://{}\", \"dir_info\": {{}}}}", world.context.at("tool").display());
    let files = [
        ("tool.py", "def main():\n    print('tool')\n"),
        ("tool-1.0.dist-info/direct_url.json", &*direct),
        // What uv notes of a project: when its files were changed.
        ("tool-1.0.dist-info/uv_cache.json", r#"{"timestamp": {"secs_since_epoch": 1700000000}}"#),
        // A file of its own that is only called so.
        ("tool_data/uv_cache.json", "{}"),
    ];
    world.distribution("tool", &files);
    world.context.write("neighbours/neighbour.py", "WHO = 'next door'\n");
    let line = format!("{}\n", world.context.at("neighbours").display());
    fs::write(world.site.join("neighbours.pth"), line).unwrap();
    let script = format!("#!{}\nimport tool\ntool.main()\n", venv.join("bin/python").display());
    write_executable(&venv.join("bin/tool"), script.as_bytes());
    let record = world.site.join("tool-1.0.dist-info/RECORD");
    let listed = fs::read_to_string(&record).unwrap();
    let sbom = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"type": "library", "name": "libfoo", "version": "3.2", "purl": "pkg:generic/libfoo@3.2",
         "components": [{"type": "library", "name": "inner"}]}, {"name": "no type"}]}"#;
    fs::create_dir_all(world.site.join("tool-1.0.dist-info/sboms")).unwrap();
    fs::write(world.site.join("tool-1.0.dist-info/sboms/auditwheel.cdx.json"), sbom).unwrap();
    let more = "../../../bin/tool,,\ntool-1.0.dist-info/sboms/auditwheel.cdx.json,,\n";
    fs::write(&record, listed + more).unwrap();

    let (project, plan) = world.plan("import tool, ssl, neighbour\ntool.main()\n", "");
    let choices = Choices { compression: Compression::Fast, threads: None };
    let spec = pipeline::pack_spec(&project, &plan, choices).unwrap();

    // PEP 770: what the wheel's own bill lists, below its distribution.
    let bill: Value = serde_json::from_slice(spec.sbom.as_ref().unwrap()).unwrap();
    let tool = bill["components"].as_array().unwrap().iter().find(|it| it["name"] == "tool").unwrap();
    let nested: Vec<&str> =
        tool["components"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(nested, ["libfoo", "inner"]);
    assert_eq!(tool["components"][0]["purl"], "pkg:generic/libfoo@3.2");

    let artifact = world.context.at("main");
    pack::pack(&plan.planned.layout, &spec, &artifact, &Silent).unwrap();
    let tree = world.context.at("tree");
    assert!(finish(Command::new(&artifact).arg(&tree).env("PACKPROOF", "extract")).status.success());
    let inspected = world.context.command(&["inspect", "--format", "json"]).arg(&artifact).output().unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let mut changed = Vec::new();
    for file in inspected["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let entry = &plan.planned.layout.entries[&packproof::format::ArchivePath::new(path).unwrap()];
        let (Source::File(source) | Source::Patched { path: source, .. } | Source::Relocated { path: source, .. }) =
            &entry.source
        else {
            continue;
        };
        let is_same = fs::read(source).unwrap() == fs::read(tree.join(path)).unwrap();
        assert_eq!(file["changed"], !is_same, "{path}");
        if !is_same {
            changed.push(path.to_owned());
        }
    }
    let is_changed = |end: &str| changed.iter().any(|path| path.ends_with(end));
    assert!(is_changed("bin/main") && is_changed("bin/tool") && is_changed("neighbours.pth"), "{changed:#?}");
    assert!(!is_changed("/tool.py") && !is_changed("/json/__init__.py") && !is_changed("lib/libcrypto.so.3"));

    let facts = Facts::ask(&venv.join("bin/python")).unwrap();
    let mut names = vec![world.context.at("").display().to_string(), facts.base_prefix.display().to_string()];
    names.retain(|name| name != "/usr");
    world.context.write("facts.py", FACTS);
    let mut python = Command::new(&artifact);
    python.arg(world.context.at("facts.py")).args(&names).env_clear();
    python.env("PACKPROOF", "python");
    python.env("PACKPROOF_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree-cache"));
    let output = finish(&mut python);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    for key in ["left", "outside", "variables"] {
        assert_eq!(told[key], serde_json::json!([]), "{told:#}");
    }
    assert_eq!(told["neighbour"], "next door");
    assert!(
        !tree.join("pyvenv.cfg").exists() || !fs::read_to_string(tree.join("pyvenv.cfg")).unwrap().contains("home")
    );
    let count = |name: &str| {
        let files = walkdir::WalkDir::new(&tree).into_iter().map(Result::unwrap);
        files.filter(|entry| entry.file_name() == name).count()
    };
    assert_eq!((count("direct_url.json"), count("uv_cache.json")), (0, 1));
    let output = finish(Command::new(tree.join("bin/tool")).env_clear().env("PATH", "/usr/bin:/bin"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tool\n", "{}", String::from_utf8_lossy(&output.stderr));
}
