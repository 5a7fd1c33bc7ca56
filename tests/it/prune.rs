//! `[runner] prune`: distributions that nothing leads to stay behind, and what is left is proved against the whole environment.

use std::collections::BTreeSet;
use std::process::Command;

use crate::context::TestContext;
use crate::site::Site;
use crate::support::python;

/// The distributions that the artifact has.
const LISTED: &str =
    "import importlib.metadata\nprint(*sorted(d.metadata['Name'] for d in importlib.metadata.distributions()))\n";

fn environment(context: &TestContext) {
    crate::support::venv(&python().executable, &context.at("venv"));
    let site = packproof::environment::Facts::ask(&context.at("venv/bin/python")).unwrap().purelib;
    let install =
        |name: &str, metadata: &str, files: &[(&str, &str)]| Site::install(&site, name, "1.0", metadata, files);
    install(
        "reached",
        "Provides-Extra: more\nRequires-Dist: required\nRequires-Dist: extra; extra == 'more'",
        &[("reached.py", "")],
    );
    install("required", "", &[("required_data/x.txt", "")]);
    install("extra", "", &[("extra.py", "")]);
    install("guarded", "", &[("guarded.py", "")]);
    install("starter", "", &[("starter.pth", "import starter\n"), ("starter.py", "")]);
    let points = "[some.group]\nx = plugin\n";
    install("plugin", "", &[("plugin.py", ""), ("plugin-1.0.dist-info/entry_points.txt", points)]);
    install(
        "unneeded",
        "Requires-Dist: also-unneeded",
        &[("unneeded.py", &format!("X = '{}'\n", "x".repeat(2_000_000)))],
    );
    install("also-unneeded", "", &[("also_unneeded.py", "")]);
}

fn build(context: &TestContext, main: &str, prune: bool) -> String {
    context.write("project/main.py", main);
    let flags: &[&str] = if prune { &["--prune"] } else { &[] };
    let arguments = ["build", "project/main.py", "--python", "venv", "-o", "out/main"];
    context.run(&[&arguments, flags].concat())
}

fn listed(context: &TestContext) -> BTreeSet<String> {
    let mut command = Command::new(context.at("out/main"));
    command.args(["-c", LISTED]).env("PACKPROOF", "python").env("PACKPROOF_CACHE", context.at("cache"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_nothing_leads_to_stays_behind() {
    let context = TestContext::new();
    environment(&context);
    let main = "import reached\ntry:\n    import guarded\nexcept ImportError:\n    pass\nprint('up')\n";
    let built = build(&context, main, false);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let all = "also-unneeded extra guarded plugin reached required starter unneeded";
    assert_eq!(listed(&context), names(all));
    let told =
        "unneeded   also-unneeded, extra, plugin and 1 more ([SIZE]): nothing imports or requires them; `--prune`";
    assert!(built.contains(told), "{built}");

    let built = build(&context, main, true);
    assert!(built.starts_with("exit code: 0") && built.contains("proof      PROVED"), "{built}");
    assert_eq!(listed(&context), names("guarded reached required starter"));
    assert!(built.contains("left out   also-unneeded: nothing imports or requires it (prune)"), "{built}");
    assert!(!built.contains("--prune"), "{built}");
}

/// By the project's own pyproject.toml; of an extra it is not gone into which.
#[test]
fn what_the_project_requires_stays() {
    let context = TestContext::new();
    environment(&context);
    let project = "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"reached[more]>=1\", \"unneeded; sys_platform == 'linux'\"]\n\
                   [tool.packproof.runner]\nname = \"main\"\nentry = \"main.py\"\nprune = true\n\
                   [tool.packproof.environment]\npython = \"../venv\"\n";
    context.write("project/pyproject.toml", project);
    context.write("project/main.py", "import reached\n");
    let built = context.run(&["build", "project", "-o", "out/main"]);
    assert!(built.starts_with("exit code: 0"), "{built}");
    assert_eq!(listed(&context), names("also-unneeded extra reached required starter unneeded"));
}

/// All of them might be asked for.
#[test]
fn plugins_stay_where_a_group_is_computed() {
    let context = TestContext::new();
    environment(&context);
    let main = "import importlib.metadata, sys\nimport reached\n\
                print(len(list(importlib.metadata.entry_points(group=sys.argv[0] and 'some.' + 'group'))) if sys.version_info >= (3, 10) else 1)\n";
    let built = build(&context, main, true);
    assert!(built.starts_with("exit code: 0"), "{built}");
    assert_eq!(listed(&context), names("plugin reached required starter"));
}

#[test]
fn what_only_the_run_asks_for_is_missed_in_the_proof() {
    let context = TestContext::new();
    environment(&context);
    let main = "import reached\nname = ''.join(['un', 'needed'])\nprint(len(__import__(name).X))\n";
    let built = build(&context, main, false);
    assert!(built.starts_with("exit code: 0"), "{built}");
    let built = build(&context, main, true);
    assert!(built.starts_with("exit code: 1") && built.contains("NOT PROVED"), "{built}");
    assert!(built.contains("No module named 'unneeded'"), "{built}");
}
