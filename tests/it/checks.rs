//! Checks of what is installed: requirements, RECORD, extension modules, metadata, hooks. Each is found, and what is
//! in order stays silent.

use fs_err as fs;
use packproof::audit::Severity;
use packproof::config;
use packproof::hooks::Hooks;

use crate::audit::told;
use crate::site::{Asking, Site};

/// `severity code subject` of everything that has `code`.
fn with_code(report: &packproof::audit::Report, code: &str) -> Vec<String> {
    let found = report.findings.iter().filter(|finding| finding.code == code);
    found.map(|finding| format!("{} {}", finding.severity, finding.subject)).collect()
}

#[test]
fn an_import_that_no_requirement_backs() {
    let site = Site::new()
        .with("eggs", "1.0", "Requires-Dist: ham", &[("eggs.py", "import ham, salt, pepper\nimport spam\n")])
        .with("ham", "1.0", "Requires-Dist: pepper\nProvides-Extra: x", &[("ham.py", "")])
        .with("pepper", "1.0", "", &[("pepper.py", "")])
        .with("salt", "1.0", "", &[("salt.py", "try:\n    import pepper\nexcept ImportError:\n    pass\n")])
        .with("spam", "1.0", "", &[("spam.py", "")]);
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(told(&report), ["warning undeclared-dependency eggs:salt", "warning undeclared-dependency eggs:spam"]);
    // What the application imports itself, a clean install brings.
    let report = site.audit(&[("app.py", "import eggs, salt, spam\n")]);
    assert_eq!(told(&report), [""; 0]);
    assert_eq!(with_code(&report, "undeclared-dependency").len(), 2);
    let declares = |declared: &str| config::Audit { declared: vec![declared.to_owned()], ..config::Audit::default() };
    let audit = |declared| site.audit_with(&[("app.py", "import ham\n")], &Hooks::default(), &declares(declared));
    assert_eq!(with_code(&audit("ham >= 1"), "undeclared-dependency"), [""; 0]);
    assert_eq!(with_code(&audit("salt"), "undeclared-dependency"), ["warning application:ham"]);
    let optional = config::Audit { optional: vec!["ham".to_owned()], ..declares("salt") };
    let extra = site.audit_with(&[("app.py", "import ham\n")], &Hooks::default(), &optional);
    assert_eq!(with_code(&extra, "undeclared-dependency"), [""; 0]);
    assert_eq!(with_code(&audit("ham; sys_platform == 'win32'"), "undeclared-dependency"), ["warning application:ham"]);
    let site = site.with("sauce", "1.0", "Requires-Dist: ham; extra == 'x'\nProvides-Extra: x", &[("sauce.py", "")]);
    let audit = |declared| site.audit_with(&[("app.py", "import ham\n")], &Hooks::default(), &declares(declared));
    assert_eq!(with_code(&audit("sauce[x]"), "undeclared-dependency"), [""; 0]);
    assert_eq!(with_code(&audit("sauce"), "undeclared-dependency"), ["warning application:ham"]);
}

/// torch's native code puts a function into `torch.multiprocessing`, whence Python code imports it.
#[test]
fn native_code_that_is_called_for_its_effect_may_bind_any_name() {
    let audit = |call: &str| {
        let site = Site::new().with(
            "eggs",
            "1.0",
            "",
            &[
                ("eggs/__init__.py", "from eggs import _C\n"),
                ("eggs/_C.abi3.so", ""),
                ("eggs/plain.py", ""),
                ("eggs/pool/__init__.py", &format!("{call}\nfrom . import spawn\n")),
                ("eggs/pool/spawn.py", "from . import _made\n"),
            ],
        );
        with_code(&site.audit(&[("app.py", "import eggs.pool\n")]), "missing-name")
    };
    for call in [
        "import eggs\neggs._C._init()",
        "from eggs import _C\n_C._init()",
        "from .. import _C\n_C.sub._init()",
        "from eggs._C import _init\n_init()",
        "import eggs._C\neggs._C._init(1)",
    ] {
        assert_eq!(audit(call), [""; 0], "{call}");
    }
    for call in ["import eggs.plain\neggs.plain.init()", "import eggs\nX = eggs._C.made()", "def f(): eggs._C._init()"]
    {
        assert_eq!(audit(call), ["error eggs.pool"], "{call}");
    }
}

/// The namespace itself is nobody's: google-cloud-storage and its like.
#[test]
fn an_import_from_a_namespace_that_no_requirement_backs() {
    let site = Site::new()
        .with("eggs", "1.0", "Requires-Dist: cloud-core", &[("eggs.py", "from cloud import core, store\n")])
        .with("cloud-core", "1.0", "", &[("cloud/core.py", "")])
        .with("cloud-store", "1.0", "", &[("cloud/store.py", "")]);
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(told(&report), ["warning undeclared-dependency eggs:cloud-store"]);
}

/// ray asks so for google-cloud-storage, and tells how it is installed.
#[test]
fn what_a_function_lacks_in_a_namespace_is_a_module() {
    let tries =
        "try:\n        from cloud import store\n    except ImportError:\n        raise ImportError('install store')\n";
    let site = Site::new()
        .with("eggs", "1.0", "Requires-Dist: cloud-core", &[("eggs.py", &format!("def f():\n    {tries}"))])
        .with("cloud-core", "1.0", "", &[("cloud/core.py", "")]);
    assert_eq!(with_code(&site.audit(&[("app.py", "import eggs, cloud.core\n")]), "missing-name"), [""; 0]);
    let surely = site.audit(&[("app.py", "import eggs\nfrom cloud import core, store\n")]);
    assert_eq!(with_code(&surely, "missing-name"), ["error cloud"]);
}

/// Which of the two it wants is `module-shadowed`'s to tell.
#[test]
fn the_module_that_comes_first_is_not_what_was_wanted() {
    let site = Site::new()
        .with("eggs", "1.0", "Requires-Dist: spool", &[("eggs.py", "from spool import Segment\n")])
        .with("spool", "1.0", "", &[("spool.py", "class Segment: pass\n")])
        .with("spool-print", "1.0", "", &[("spool/__init__.py", "Job = 1\n")]);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs\n")])), ["error module-shadowed spool"]);
}

#[test]
fn a_declared_dependency_that_nothing_imports() {
    let site = Site::new()
        .with("ham", "1.0", "", &[("ham.py", "")])
        .with("pepper", "1.0", "", &[("pepper.py", "")])
        .with("types-salt", "1.0", "", &[("salt-stubs/__init__.pyi", "")]);
    let declared = ["ham", "pepper", "types-salt", "winonly; sys_platform == 'win32'"].map(str::to_owned).to_vec();
    let config = config::Audit { declared, ..config::Audit::default() };
    let report = site.audit_with(&[("app.py", "import ham\n")], &Hooks::default(), &config);
    assert_eq!(with_code(&report, "unused-dependency"), ["info pepper"]);
}

#[test]
fn files_that_are_not_as_installed() {
    let files = [("eggs/__init__.py", "a = 1\n"), ("eggs/core.py", "b = 1\n"), ("eggs/tests/x.py", "c = 1\n")];
    let site = Site::new().with("eggs", "1.0", "", &files);
    let audit = || site.audit(&[("app.py", "import eggs.core\n")]);
    assert_eq!(with_code(&audit(), "record-mismatch"), [""; 0]);
    fs::remove_file(site.site_packages().join("eggs/tests/x.py")).unwrap();
    assert_eq!(with_code(&audit(), "record-mismatch"), ["info eggs"]);
    // Of the same size.
    fs::write(site.site_packages().join("eggs/core.py"), "b = 2\n").unwrap();
    let report = audit();
    assert_eq!(with_code(&report, "record-mismatch"), ["warning eggs"]);
    let finding = report.findings.iter().find(|finding| finding.code == "record-mismatch").unwrap();
    let shown: Vec<_> = finding.evidence.iter().map(|evidence| evidence.text.as_str()).collect();
    assert_eq!(shown, ["is not what was installed", "is missing"]);
}

/// Debian's packages and rpm's are made so.
#[test]
fn extension_modules_that_a_distributor_has_stripped() {
    for (installer, wanted) in [("rpm\n", &[][..]), ("pip\n", &["warning eggs"])] {
        let files = [
            ("eggs/__init__.py", "a = 1\n"),
            ("eggs/_fast.so", "\x7fELF, with symbols"),
            ("eggs-1.0.dist-info/INSTALLER", installer),
        ];
        let site = Site::new().with("eggs", "1.0", "", &files);
        fs::write(site.site_packages().join("eggs/_fast.so"), "\x7fELF").unwrap();
        assert_eq!(with_code(&site.audit(&[("app.py", "import eggs\n")]), "record-mismatch"), wanted);
    }
}

#[test]
fn extension_modules_for_another_python_or_machine() {
    let init = "from eggs import _fast\n";
    let other = "eggs/_fast.cpython-39-x86_64-linux-gnu.so";
    let site = Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", init), (other, "\x7fELF")]);
    let report =
        site.audit_asking(Asking::Static, &[("app.py", "import eggs\n")], &Hooks::default(), &config::Audit::default());
    assert_eq!(told(&report), ["error wrong-abi eggs._fast"]);

    let text =
        Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", init), ("eggs/_fast.so", "no library at all\n")]);
    assert_eq!(told(&text.audit(&[("app.py", "import eggs\n")])), ["error wrong-abi eggs._fast"]);

    let mut header = fs::read(std::env::current_exe().unwrap()).unwrap()[..64].to_vec();
    // EM_S390, which no one runs these tests on.
    header[18..20].copy_from_slice(&[22, 0]);
    fs::write(text.site_packages().join("eggs/_fast.so"), header).unwrap();
    let report = text.audit(&[("app.py", "import eggs\n")]);
    let finding = report.findings.iter().find(|finding| finding.code == "wrong-abi").unwrap();
    assert_eq!(finding.message, "the extension module `eggs._fast` was built for another machine");

    // A fallback in Python makes it harmless.
    let guarded = "try:\n    from eggs._fast import a\nexcept ImportError:\n    a = None\n";
    let site = Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", guarded), (other, "\x7fELF")]);
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(with_code(&report, "wrong-abi"), ["info eggs._fast"]);
    assert_eq!(with_code(&site.audit(&[("app.py", "import json, math, _socket\n")]), "wrong-abi"), [""; 0]);
}

#[test]
fn distributions_without_metadata() {
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", "")]);
    assert_eq!(with_code(&site.audit(&[("app.py", "import eggs\n")]), "metadata-missing"), [""; 0]);
    fs::remove_file(site.site_packages().join("eggs-1.0.dist-info/METADATA")).unwrap();
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(with_code(&report, "metadata-missing"), ["warning eggs-1.0.dist-info"]);
}

#[test]
fn editable_projects() {
    let site = Site::new().with("eggs", "1.0", "", &[]).with("ham", "1.0", "", &[("ham.py", "")]);
    let project = site.root.path().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("eggs.py"), "a = 1\n").unwrap();
    let url = format!("{{\"url\": \"file://{}\", \"dir_info\": {{\"editable\": true}}}}", project.display());
    fs::write(site.site_packages().join("eggs-1.0.dist-info/direct_url.json"), url).unwrap();
    fs::write(site.site_packages().join("eggs.pth"), format!("{}\n", project.display())).unwrap();
    let report = site.audit(&[("app.py", "import eggs, ham\n")]);
    assert_eq!(with_code(&report, "editable-install"), ["info eggs"]);
    assert_eq!(report.count(Severity::Warning), 0);
    fs::remove_dir_all(project).unwrap();
    let report = site.audit(&[("app.py", "import ham\n")]);
    assert_eq!(with_code(&report, "editable-install"), ["warning eggs"]);
}

#[test]
fn hooks_that_do_nothing_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("eggs.toml"), "distribution = 'eggs'\nversions = '<1'\nreason = 'an old fault'\n")
        .unwrap();
    fs::write(folder.path().join("ham.toml"), "distribution = 'ham'\nreason = 'it matters'\n").unwrap();
    fs::write(folder.path().join("hook-spam_core.py"), "hiddenimports = ['spam.x']\n").unwrap();
    let hooks = Hooks::load(&[folder.path().to_owned()]).unwrap();
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", "")]).with("ham", "1.0", "", &[("ham.py", "")]);
    let report = site.audit_with(&[("app.py", "import eggs, ham\n")], &hooks, &config::Audit::default());
    assert_eq!(with_code(&report, "unused-hook"), ["info eggs.toml"]);
    assert_eq!(with_code(&report, "foreign-hook"), ["info hook-spam_core.py"]);
    let foreign = report.findings.iter().find(|finding| finding.code == "foreign-hook").unwrap();
    let cure = foreign.cure.as_deref().unwrap();
    assert!(cure.contains("`distribution = \"spam-core\"`") && cure.contains("[\"spam.x\"]"), "{cure}");
}

/// As in virtual environments where extension modules go to `lib64`, which is a link to `lib` there.
#[test]
fn a_folder_that_stands_twice_on_the_path_is_one() {
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", "")]);
    Site::write(&site.site_packages().join("twice.pth"), "../../../lib64/python3.11/site-packages\n");
    let link = site.root.path().join("venv/lib64");
    assert!(link.is_symlink() || std::os::unix::fs::symlink("lib", &link).is_ok());
    assert_eq!(told(&site.audit(&[("app.py", "import eggs\n")])), [""; 0]);
    let (environment, _) = site.graph(Asking::Static, &[("app.py", "")], &Hooks::default());
    assert_eq!(environment.distributions.iter().filter(|it| it.name.as_str() == "eggs").count(), 1);
    let is_site = |path: &&std::path::PathBuf| path.ends_with("site-packages");
    assert_eq!(environment.facts.path.iter().filter(is_site).collect::<Vec<_>>(), [&site.site_packages()]);
}
