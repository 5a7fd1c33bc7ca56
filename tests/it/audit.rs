//! Environments made on purpose: each way of breaking is found, under its name; what works stays silent.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use packproof::audit::{self, Report};
use packproof::config;
use packproof::hooks::Hooks;
use packproof::report::findings;

use crate::site::{Asking, Site};

/// `severity code subject`, information left out.
pub(crate) fn told(report: &Report) -> Vec<String> {
    let told = report.findings.iter().filter(|finding| finding.severity != audit::Severity::Info);
    told.map(|finding| format!("{} {} {}", finding.severity, finding.code, finding.subject)).collect()
}

const FILE: &str = "class Segment: pass\n";

#[test]
fn a_package_that_shadows_a_file() {
    let site = Site::new().with("spool", "1.0", "", &[("spool.py", FILE)]).with(
        "spool-print",
        "2.0",
        "",
        &[("spool/__init__.py", "Job = 1\n")],
    );
    let report = site.audit(&[("app.py", "def late():\n    from spool import Segment\n")]);
    insta::assert_snapshot!(findings::text(&report, findings::Extent::Screen), @r"
    error[module-shadowed]: `spool` is two modules, and the one that is found first does not define `Segment`
      spool/__init__.py: spool-print 2.0 has it as the package `spool/`, which is found first
      spool.py: spool 1.0 has it as the file `spool.py`, which is shadowed
      app.py:2: imports `Segment`, which the package `spool/` does not define
      help: install only one of spool 1.0 and spool-print 2.0

    1 error, 1 piece of information (--all)
    ");
}

#[test]
fn a_package_that_makes_way_is_a_warning() {
    let probe = "\
import importlib.util, os, sys
for folder in sys.path:
    if os.path.isfile(os.path.join(folder, __name__ + '.py')):
        spec = importlib.util.spec_from_file_location(__name__, os.path.join(folder, __name__ + '.py'))
        sys.modules[__name__] = importlib.util.module_from_spec(spec)
";
    let site = Site::new().with("spool", "1.0", "", &[("spool.py", FILE)]).with(
        "spool-print",
        "2.0",
        "",
        &[("spool/__init__.py", probe)],
    );
    let report = site.audit(&[("app.py", "from spool import Segment\n")]);
    assert_eq!(told(&report), ["warning module-shadowed spool"]);
    assert_eq!(report.findings[0].evidence.last().unwrap().line, Some(2));
}

/// The file that the package would make way for is not installed: it stays a package, and lacks what the file had.
#[test]
fn a_package_that_makes_way_for_nothing_is_judged_as_it_is_written() {
    let probe = "\
import importlib.util, os, sys
for folder in sys.path:
    if os.path.isfile(os.path.join(folder, 'spool.py')):
        spec = importlib.util.spec_from_file_location('spool', os.path.join(folder, 'spool.py'))
        sys.modules['spool'] = importlib.util.module_from_spec(spec)
        break
else:
    from spool_print import Job
";
    let files = [("spool/__init__.py", probe), ("spool_print.py", "Job = 1\n")];
    let site = Site::new().with("spool-print", "2.0", "", &files);
    let app = [("app.py", "from spool import Job, Segment\n")];
    let report = site.audit(&app);
    assert_eq!(told(&report), ["error missing-name spool"]);
    assert_eq!(report.findings[0].message, "`spool` does not define `Segment`");
    let site = site.with("spool", "1.0", "", &[("spool.py", "class Segment: pass\n")]);
    assert_eq!(told(&site.audit(&app)), ["warning module-shadowed spool"]);
}

#[test]
fn two_owners_that_nothing_confuses_are_no_warning() {
    let site = Site::new().with("spool", "1.0", "", &[("spool.py", FILE)]).with(
        "spool-print",
        "2.0",
        "",
        &[("spool/__init__.py", "Job = 1\n")],
    );
    assert_eq!(told(&site.audit(&[("app.py", "from spool import Job\n")])), [""; 0]);
}

#[test]
fn the_application_shadows_a_distribution() {
    let site = Site::new().with("spool", "1.0", "", &[("spool.py", FILE)]);
    let report = site.audit(&[("app.py", "from spool import Segment\n"), ("spool.py", "x = 1\n")]);
    assert_eq!(told(&report), ["error module-shadowed spool"]);
    assert_eq!(report.findings[0].cure.as_deref(), Some("rename the application's `spool`"));
}

/// They stand in `sys.modules` before the first line of a script, which so never finds its own.
#[test]
fn what_python_has_started_with_is_not_shadowed() {
    let site = Site::new();
    let app = [
        ("app.py", "from encodings import aliases\nfrom stat import S_ISDIR\nfrom colorsys import rgb_to_hsv\n"),
        ("encodings.py", "x = 1\n"),
        ("stat.py", "x = 1\n"),
        ("colorsys.py", "x = 1\n"),
    ];
    assert_eq!(told(&site.audit(&app)), ["error module-shadowed colorsys"]);
    let run = Command::new(site.root.path().join("venv/bin/python"))
        .arg(site.root.path().join("application/app.py"))
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("line 3") && said.contains("'rgb_to_hsv' from 'colorsys'"), "{said}");
}

#[test]
fn missing_modules_and_names() {
    let site = Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", "a = 1\n")]);
    let report = site.audit(&[(
        "app.py",
        "import absent.inner\nimport eggs.absent\nfrom eggs import a, b\ndef f():\n    import late\nfrom .. import x\n",
    )]);
    assert_eq!(
        told(&report),
        [
            "error missing-name eggs",
            "error missing-module ",
            "error missing-module absent",
            "error missing-module eggs.absent",
            "error missing-module late",
        ]
    );
}

/// Bytecode alone stands for whatever has no source; one of them takes its interpreter down, one prints.
#[test]
fn names_without_source_are_asked_for() {
    let files = [
        ("deadly.py", "import os\nos.abort()\n"),
        ("noisy.py", "import sys\nprint('{}')\nprint('x', file=sys.stderr)\na = 1\n"),
        ("raising.py", "a = 1\nraise RuntimeError\n"),
        ("zealous.py", "def __getattr__(name): return 1\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    let compiled = Command::new(site.root.path().join("venv/bin/python"))
        .args(["-m", "compileall", "-b", "-q"])
        .arg(site.site_packages())
        .status()
        .unwrap();
    assert!(compiled.success());
    for (name, _) in files {
        fs::remove_file(site.site_packages().join(name)).unwrap();
    }
    let app = "from deadly import a\nfrom noisy import a, b\nfrom raising import c\nfrom zealous import d\nfrom math import pi, e2\n";
    let hooks = Hooks::default();
    let report = |asking| site.audit_asking(asking, &[("app.py", app)], &hooks, &config::Audit::default());
    let asked = report(Asking::Child);
    // That the sources are gone is another matter.
    let names =
        |report: &Report| told(report).into_iter().filter(|told| told.contains("missing-name")).collect::<Vec<_>>();
    assert_eq!(names(&asked), ["error missing-name math", "error missing-name noisy"]);
    assert_eq!(asked.findings[0].message, "`math` does not define `e2`");
    assert_eq!(names(&report(Asking::Static)), [""; 0]);
}

/// The tool itself, in a folder that has nothing to say of an application.
fn tool(site: &Site, arguments: &[&str]) -> (i32, String) {
    let home = site.root.path().join("home");
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_packproof"));
    command.arg("audit").args(arguments).arg("--python").arg(site.root.path().join("venv"));
    command.env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin").current_dir(&home);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn a_function_for_another_platform_is_not_called_on_this_one() {
    let eggs = "def peek():\n    from ctypes import byref, windll\n";
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", eggs)]);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs\n")])), [""; 0]);
    let report = site.audit(&[("app.py", "from ctypes import windll\n")]);
    assert_eq!(told(&report), ["error missing-name ctypes"]);
    // The application's own are as good as called, but for what no other system has.
    let report = site.audit(&[("app.py", "def peek():\n    import winreg\n    from ctypes import windll\n")]);
    assert_eq!(told(&report), [""; 0]);
    assert_eq!(told(&site.audit(&[("app.py", "import winreg\n")])), ["error missing-module winreg"]);
}

#[test]
fn a_whole_environment_without_an_application() {
    let site = Site::new()
        .with("spool", "1.0", "", &[("spool.py", FILE)])
        .with("spool-print", "2.0", "", &[("spool/__init__.py", "Job = 1\n")])
        .with(
            "eggs",
            "1.0",
            "Requires-Dist: ham",
            &[("eggs.py", "from spool import Segment\n"), ("tests/__init__.py", "import absent\n")],
        )
        .with("plugin", "1.0", "", &[("plugin.py", "import host\n")])
        .with(
            "fast",
            "1.0",
            "",
            &[
                // That nothing imports them is no reason to say nothing.
                ("fast/__init__.py", ""),
                ("fast/deep/_a.cpython-39-x86_64-linux-gnu.so", "\x7fELF"),
                ("fast/deep/_b.cpython-311-x86_64-linux-gnu.so", "cut off"),
                ("fast/deep/_c.cpython-39-x86_64-linux-gnu.so", "\x7fELF"),
                ("fast/deep/_c.py", ""),
                ("fast.libs/libz.so", "a linker script"),
            ],
        );
    let (code, said) = tool(&site, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("_a.cpython-39-x86_64-linux-gnu.so: is for another Python or platform"), "{said}");
    assert!(said.contains("_b.cpython-311-x86_64-linux-gnu.so: is no ELF file"), "{said}");
    let codes: Vec<_> = said.lines().filter_map(|line| line.split_once("]: ").map(|(code, _)| code)).collect();
    assert_eq!(
        codes,
        ["error[module-shadowed", "warning[missing-module", "warning[unmet-requirement", "warning[wrong-abi"],
        "{said}"
    );
}

#[test]
fn what_is_denied_and_what_is_known_from_a_baseline() {
    let site = Site::new().with("eggs", "1.0", "Requires-Dist: ham", &[("eggs.py", "")]);
    assert_eq!(tool(&site, &[]).0, 0);
    assert_eq!(tool(&site, &["--deny", "warnings"]).0, 1);
    assert_eq!(tool(&site, &["--deny", "unmet-requirement"]).0, 1);
    assert_eq!(tool(&site, &["--deny", "missing-module"]).0, 0);
    assert_eq!(tool(&site, &["--deny", "odd"]).0, 2);
    let (code, saved) = tool(&site, &["-q", "--format", "json"]);
    assert_eq!(code, 0);
    let baseline = site.root.path().join("baseline.json");
    fs::write(&baseline, saved).unwrap();
    let baseline = baseline.to_str().unwrap();
    let (code, said) = tool(&site, &["-q", "--deny", "warnings", "--baseline", baseline]);
    assert_eq!((code, said.lines().next()), (0, Some("2 known from the baseline")), "{said}");
    // An update brings a second owner of a name, and mends the requirement.
    let site = site
        .with("ham", "1.0", "", &[("ham.py", "from spool import Segment\n")])
        .with("spool", "1.0", "", &[("spool.py", FILE)])
        .with("spool-print", "2.0", "", &[("spool/__init__.py", "Job = 1\n")]);
    let (code, said) = tool(&site, &["-q", "--baseline", baseline]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("gone since the baseline: [unmet-requirement] ham: "), "{said}");
    assert_eq!(said.matches("error[").count(), 1, "{said}");
    fs::write(baseline, "{}").unwrap();
    let (code, said) = tool(&site, &["-q", "--baseline", baseline]);
    assert!(code == 2 && said.contains("is no audit that was saved"), "{said}");
    for format in ["sarif", "github"] {
        let (code, said) = tool(&site, &["-q", "--format", format]);
        assert!(code == 1 && said.contains("module-shadowed"), "{said}");
    }
}

#[test]
fn what_an_application_does_without_is_silent() {
    let site = Site::new().with(
        "eggs",
        "1.0",
        "",
        &[
            (
                "eggs/__init__.py",
                "try:\n    from . import fast\nexcept ImportError:\n    fast = None\ndef f():\n    import late\n",
            ),
            ("eggs/fast.py", "import absent\nfrom json import no_such_name\n"),
        ],
    );
    let report = site.audit(&[(
        "app.py",
        "import eggs\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import stubs\ntry:\n    import orjson\nexcept ImportError:\n    import json as orjson\n",
    )]);
    assert_eq!(told(&report), [""; 0]);
}

/// What a package binds is not looked for among its submodules, even where that is what a guard has left of one.
#[test]
fn a_name_that_the_package_has_is_no_submodule() {
    let init = "try:\n    from . import plotting\nexcept ImportError:\n    plotting = None\nfrom . import table\nversion = '1'\n";
    let files = [
        ("eggs/__init__.py", init),
        ("eggs/plotting.py", "import absent\n"),
        ("eggs/version.py", "import absent_too\n"),
        ("eggs/table.py", "import missing\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    let report = site.audit(&[("app.py", "from eggs import plotting, version, table\n")]);
    assert_eq!(told(&report), ["error missing-module missing"]);
}

#[test]
fn requirements_that_are_not_met() {
    let requires = "Requires-Dist: ham>=2\nRequires-Dist: absent\nRequires-Dist: gone; extra == 'x'\nRequires-Dist: win; sys_platform == 'win32'";
    let eggs = "def f():\n    import absent\n";
    let site =
        Site::new().with("eggs", "1.0", requires, &[("eggs.py", eggs)]).with("ham", "1.9", "", &[("ham.py", "")]);
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(told(&report), ["error unmet-requirement absent", "warning unmet-requirement ham"]);
    assert_eq!(told(&site.audit(&[("app.py", "import json\n")])), [""; 0], "not reached");
}

#[test]
fn one_path_of_two_distributions() {
    let site = Site::new().with("eggs", "1.0", "", &[("shared/x.py", "a = 1\n")]).with(
        "ham",
        "1.0",
        "",
        &[("shared/x.py", "a = 22\n")],
    );
    let report = site.audit(&[("app.py", "import shared.x\n")]);
    assert_eq!(told(&report), ["warning distribution-overlap eggs,ham"]);
    assert_eq!(report.findings[0].evidence[0].text, "on the disk: that of ham");
}

/// dbt's adapters each bring the `__init__.py` of `dbt`.
#[test]
fn two_distributions_of_one_namespace() {
    let init = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
    let typed = format!("{init}# for type checkers\n");
    let eggs = [("shared/__init__.py", init), ("shared/eggs.py", ""), ("shared/both.py", "a = 1\n")];
    let ham = [("shared/__init__.py", &*typed), ("shared/ham.py", "")];
    let app = [("app.py", "import shared.eggs, shared.ham\n")];
    let site = Site::new().with("eggs", "1.0", "", &eggs).with("ham", "1.0", "", &ham);
    let report = site.audit(&app);
    assert_eq!(told(&report), [""; 0]);
    assert!(report.findings.iter().any(|finding| finding.subject == "eggs,ham"), "it is told with `--all`");
    let site = site.with("both", "1.0", "", &[("shared/both.py", "a = 22\n")]);
    assert_eq!(told(&site.audit(&app)), ["warning distribution-overlap both,eggs"]);
}

#[test]
fn sources_that_cannot_be_read() {
    let site =
        Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", "import eggs.bad\n"), ("eggs/bad.py", "def :\n")]);
    let report = site.audit(&[("app.py", "import eggs\n")]);
    assert_eq!(told(&report), ["error uninspectable eggs.bad"]);
    assert_eq!(report.findings[0].evidence[0].line, Some(1));
}

#[test]
fn a_hook_asserts_what_a_name_is() {
    let hooks = tempfile::tempdir().unwrap();
    let text = "distribution = 'eggs'\nreason = 'it must be a file'\n[[assert]]\nname = 'eggs'\nkind = 'single-file'\n";
    fs::write(hooks.path().join("eggs.toml"), text).unwrap();
    let hooks = Hooks::load(&[hooks.path().to_owned()]).unwrap();
    let package = Site::new().with("eggs", "1.0", "", &[("eggs/__init__.py", "")]);
    let report = package.audit_with(&[("app.py", "import eggs\n")], &hooks, &config::Audit::default());
    assert_eq!(told(&report), ["error wrong-kind eggs"]);
    let file = Site::new().with("eggs", "1.0", "", &[("eggs.py", "")]);
    assert_eq!(told(&file.audit_with(&[("app.py", "import eggs\n")], &hooks, &config::Audit::default())), [""; 0]);
}

#[test]
fn allowances_are_used_or_told() {
    let allow = |subject: &str| config::Allowance {
        code: "missing-module".to_owned(),
        subject: subject.to_owned(),
        reason: "known".to_owned(),
    };
    let config = config::Audit { allow: vec![allow("absent"), allow("other")], ..config::Audit::default() };
    let report = Site::new().audit_with(&[("app.py", "import absent\n")], &Hooks::default(), &config);
    assert_eq!(told(&report), [""; 0]);
    assert_eq!(report.allowed[0].reason, "known");
    assert_eq!(report.unused_allowances[0].subject, "other");
}

/// What saves one project is found by what it does, not by its name.
#[test]
fn no_code_and_no_built_in_data_names_the_one_distribution() {
    let name = ["multi", "part"].concat();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "hooks"].into_iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder)));
    let mut read = 0;
    for entry in files.map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains(&name), "{}", entry.path().display());
        read += 1;
    }
    assert!(read > 30);
}
