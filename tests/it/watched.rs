//! What the proof does beside the imports: starts without `[start]`, later starts of the artifact, processes that end for
//! what several imports do together, and everything that scripts and starts reach.

use fs_err as fs;
use packproof::progress::Silent;
use packproof::verify::{Kind, Plan, Start as Started, StartProbe, expect, prove, prove_against};

use crate::prover::{Fixture, difference, imports_alone, on_both_sides, text};
use crate::support::write;

#[test]
fn without_start_the_application_is_started_as_it_is() {
    let fixture = Fixture::new();
    let main = "import sys\nprint('usage')\nsys.exit(2)\n";
    for place in ["project/main.py", "tree/app/main.py"] {
        write(&fixture.path(place), main);
    }
    let mut plan = imports_alone(&fixture, "");
    plan.imports.truncate(1);
    let unpackaged = vec![fixture.path("project/main.py").display().to_string()];
    plan.as_it_is = Some(StartProbe::as_it_is(unpackaged));
    let proof = prove(&plan, &Silent).unwrap();
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(proof.is_proved() && proof.start == Started::AsItIs, "{}", text(&proof));
    assert!(text(&proof).contains("as it is, since there is no [start]: ends with exit status 2 in both"));

    write(&fixture.path("tree/app/main.py"), "import gone\n");
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Start, "the application, started as it is");
    let both = (found.environment.as_str(), found.artifact.as_str());
    assert_eq!(both, ("ends with exit status 2", "ends with exit status 1, for ModuleNotFoundError"));
    assert!(found.output.as_ref().unwrap().contains("No module named 'gone'"), "{}", text(&proof));

    // The status alone would be the same.
    write(&fixture.path("project/main.py"), "import os\nos.environ['CONFIGURATION']\n");
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Start, "the application, started as it is");
    assert_eq!(found.environment, "ends with exit status 1, for KeyError");
}

/// Flask answers with an error's page where its templates are not, and the application ends as well as ever.
#[test]
fn what_an_application_prints_as_it_is_is_compared() {
    let fixture = Fixture::new();
    let at = |unpackaged: &str, packed: &str| {
        write(&fixture.path("project/main.py"), unpackaged);
        write(&fixture.path("tree/app/main.py"), packed);
        let mut plan = imports_alone(&fixture, "");
        plan.imports.truncate(1);
        plan.as_it_is = Some(StartProbe::as_it_is(vec![fixture.path("project/main.py").display().to_string()]));
        prove(&plan, &Silent).unwrap()
    };
    // What differs in each run or each world: time, place, name, order.
    let varied = "import os, random, sys, time\nprint(time.time(), os.path.dirname(__file__), sys.executable, os.getcwd())\n\
                  print('usage:', os.path.basename(sys.argv[0]))\nprint(*random.sample(['a', 'b', 'c'], 3))\n";
    let proof = at(varied, varied);
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(proof.is_proved(), "{}", text(&proof));
    let random = "import random\nprint(random.choice('abcdefghijklmnopqrstuvwxyz') * 9)\n";
    assert!(at(&random.repeat(9), "print('never')\n").is_proved());

    let proof = at("print('<h1>hi</h1>')\n", "print('<h1>internal error</h1>')\n");
    let found = difference(&proof, Kind::Start, "the application, started as it is");
    let both = (found.environment.as_str(), found.artifact.as_str());
    assert_eq!(both, ("prints <h#>hi</h#>", "prints <h#>internal error</h#>"));
}

#[test]
fn more_time_is_given_to_a_start_as_it_is_as_well() {
    let fixture = Fixture::new();
    for place in ["project/main.py", "tree/app/main.py"] {
        write(&fixture.path(place), "import sys, time\ntime.sleep(10)\nsys.exit(2)\n");
    }
    let mut plan = imports_alone(&fixture, "");
    plan.imports.truncate(1);
    plan.as_it_is = Some(StartProbe::as_it_is(vec![fixture.path("project/main.py").display().to_string()]));
    let proof = prove(&plan, &Silent).unwrap();
    if proof.isolation.partial.is_some() {
        return crate::support::skipped("namespaces");
    }
    assert!(plan.limits.multiplier > 2 && proof.is_proved(), "{}", text(&proof));
    assert_eq!(proof.probes[0].environment, "ends with exit status 2", "{}", text(&proof));
}

#[test]
fn imports_that_end_their_process_together_are_a_difference() {
    let fixture = Fixture::new();
    let late = "import os, sys\nclass Circle: pass\nsys.shapes_is_loaded = True\n";
    let helper = "import os, sys\nX = 1\nif hasattr(sys, 'shapes_is_loaded'):\n    os._exit(7)\n";
    on_both_sides(&fixture, late);
    write(&fixture.path("tree/app/helper.py"), helper);
    let proof = prove(&imports_alone(&fixture, ""), &Silent).unwrap();
    let found = difference(&proof, Kind::NoResult, "helper");
    assert_eq!(found.artifact, "ended its process after other imports, not alone: exit status 7", "{}", text(&proof));
    assert_eq!(found.environment, "imports");

    // The same in both worlds is no difference.
    write(&fixture.path("project/helper.py"), helper);
    let proof = prove(&imports_alone(&fixture, ""), &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
}

#[test]
fn an_import_that_ends_the_process_in_both_worlds_is_listed() {
    let fixture = Fixture::new();
    on_both_sides(&fixture, "import os\nos._exit(4)\n");
    let mut plan = imports_alone(&fixture, "");
    plan.imports.retain(|it| it.module != "shapes");
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
    let [ended] = proof.imports.ended.as_slice() else { panic!("{:?}", proof.imports) };
    assert_eq!(ended.module, "shapes.late");
    assert_eq!(ended.reason, "did not come back: exit status 4, in both");
}

#[test]
fn an_import_that_differs_among_others_alone_is_said_to_depend_on_the_order() {
    let fixture = Fixture::new();
    on_both_sides(&fixture, "import sys\nclass Circle: pass\nsys.shapes_is_loaded = True\n");
    write(&fixture.path("tree/app/helper.py"), "import sys\nX = 1\nif hasattr(sys, 'shapes_is_loaded'): import gone\n");
    let proof = prove(&imports_alone(&fixture, ""), &Silent).unwrap();
    let found = difference(&proof, Kind::Import, "helper");
    assert_eq!(found.artifact, "ModuleNotFoundError: No module named 'gone'");
    assert_eq!(found.output.as_deref(), Some("in a process of its own: imports; so the order of imports matters"));
}

/// jupyterlab says so in a message, beside `sys.path`, whose archive lies below the base interpreter's prefix.
#[test]
fn the_kind_of_environment_may_be_told_by_what_fails_in_both() {
    let fixture = Fixture::new();
    let message = "import sys\nkind = 'virtual' if sys.prefix != sys.base_prefix else 'Python'\n";
    on_both_sides(
        &fixture,
        &format!("{message}raise ImportError(f'not in this {{kind}} environment: {{sys.path}}')\n"),
    );
    let mut plan = imports_alone(&fixture, "");
    plan.imports.retain(|it| it.module != "shapes");
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
    assert_eq!(proof.imports.unstable, ["import: shapes.late (unless in a virtual environment)"]);

    // Away from the environment, by what was seen of it.
    let seen = expect(&plan, &Silent).unwrap();
    let away = Plan { world: None, ..plan.clone() };
    let proof = prove_against(&away, &seen, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
    assert_eq!(proof.imports.unstable, ["import: shapes.late (unless in a virtual environment)"]);

    write(&fixture.package("shapes/late.py"), "raise ImportError('not in this Python, either')\n");
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    assert_eq!(difference(&proof, Kind::Import, "shapes.late").artifact, "ImportError: not in this Python, either");
}

/// Qt opens OpenSSL by its name, and gets the system's where nothing has loaded the artifact's.
#[test]
fn a_library_that_native_code_opens_by_name_is_the_systems() {
    let fixture = Fixture::new();
    on_both_sides(&fixture, "import ctypes\nctypes.CDLL('libbz2.so.1.0')\nclass Circle: pass\n");
    let mut plan = imports_alone(&fixture, "");
    plan.libraries.packed.extend(["libbz2.so.1.0".to_owned(), "libbz2.so.1.0.4".to_owned()]);
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved(), "{}", text(&proof));
    let loaded = &proof.escape.system_libraries;
    let Some(library) = loaded.iter().find(|file| file.contains("libbz2.so.1.0")) else {
        return crate::support::skipped("libbz2.so.1.0 of the system's");
    };
    // What Python code names is packed to be found.
    let name = library.rsplit('/').next().unwrap();
    plan.libraries.packed.insert(name.to_owned());
    plan.libraries.opened.insert(name.to_owned());
    let proof = prove(&plan, &Silent).unwrap();
    assert!(difference(&proof, Kind::Escape, name).artifact.contains("in place of"), "{}", text(&proof));
}

/// What a second start shows that loads something else stands in `mutations`.
#[test]
fn there_is_a_second_start_where_no_script_makes_one() {
    let fixture = Fixture::new();
    let mut plan = imports_alone(&fixture, "");
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved() && proof.imports.starts == 2, "{}", text(&proof));
    plan.scripts = vec![fixture.path("project/smoke.py")];
    let proof = prove(&plan, &Silent).unwrap();
    assert!(proof.is_proved() && proof.imports.starts == 2, "{}", text(&proof));
}

#[test]
fn what_scripts_reach_is_watched() {
    let fixture = Fixture::new();
    let outside = fixture.path("venv/pyvenv.cfg").display().to_string();
    let late = "class Circle:\n    def area(self):\n        try:\n            open('@').close()\n        except OSError:\n            \
                pass\n        return 3\n";
    write(&fixture.package("shapes/late.py"), &late.replace('@', &outside));
    let mut plan = fixture.plan(fixture.pack(""));
    plan.starts.clear();
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Opened, &outside);
    assert_eq!(found.because, ["`shapes.late`"], "{}", text(&proof));
    assert_eq!(proof.scripts[0].artifact, "exit status 0");

    let leaves = "class Circle:\n    def area(self):\n        import os\n        open(os.path.expanduser('~/.left'), 'w').close()\n        return 3\n";
    write(&fixture.package("shapes/late.py"), leaves);
    plan.artifact = fixture.pack("");
    let proof = prove(&plan, &Silent).unwrap();
    assert_eq!(difference(&proof, Kind::Leftover, "<home>/.left").because, ["smoke.py"]);
}

#[test]
fn what_a_start_holds_open_is_watched() {
    let fixture = Fixture::new();
    let main = fs::read_to_string(fixture.path("tree/app/main.py")).unwrap();
    let other = fs::read_dir("/usr/lib").unwrap().flatten().map(|it| it.path());
    let Some(hidden) = other.into_iter().find(|it| it.to_string_lossy().starts_with("/usr/lib/python3")) else {
        return crate::support::skipped("a Python of the system's");
    };
    let hidden = hidden.display().to_string();
    let more = format!("import os\nkept = os.open({hidden:?}, os.O_RDONLY)\n");
    write(&fixture.path("tree/app/main.py"), &(more + &main));
    let mut plan = fixture.plan(fixture.pack(""));
    plan.imports.truncate(1);
    plan.scripts.clear();
    let proof = prove(&plan, &Silent).unwrap();
    let found = difference(&proof, Kind::Opened, &hidden);
    assert_eq!(found.because, ["`[start] start`"], "{}", text(&proof));
}
