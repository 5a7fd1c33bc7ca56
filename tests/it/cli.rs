//! Arguments, help, and what is said when something is wrong: nothing here needs an environment with packages.

use crate::context::TestContext;

#[test]
fn help_of_every_command() {
    let context = TestContext::new();
    for command in ["", "build", "audit", "graph", "why", "verify", "inspect", "licenses", "explain"] {
        let arguments: Vec<&str> = [command, "--help"].into_iter().filter(|argument| !argument.is_empty()).collect();
        let name = if command.is_empty() { "help".to_owned() } else { format!("help-{command}") };
        insta::assert_snapshot!(name, context.run(&arguments));
    }
}

#[test]
fn a_code_is_explained() {
    let context = TestContext::new();
    let codes = context.run(&["explain"]);
    assert!(codes.starts_with("exit code: 0") && codes.contains("\nmodule-shadowed\n"), "{codes}");
    let page = context.run(&["explain", "module-shadowed"]);
    assert!(page.contains("# module-shadowed\n\n## What it says\n"), "{page}");
    insta::assert_snapshot!(context.run(&["explain", "no-such-code"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `no-such-code` is no finding's code; `packproof explain` lists them
    ");
}

#[test]
fn what_is_no_project() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.run(&["build", "nowhere"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `nowhere` cannot be opened
      caused by: failed to canonicalize path `nowhere`: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(context.run(&["build"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: nothing says what `[ROOT]` runs: name the script (`packproof build main.py`), a folder with `__main__.py`, a package (`--module PKG`), or set `[runner] entry` in packproof.toml
    ");
    context.write("main.py", "print(1)\n");
    insta::assert_snapshot!(context.run(&["audit", "main.py"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: no environment found: looked for [ROOT]/.venv; name one with `--python VENV/bin/python`, or set `[environment] lock` or `python` in packproof.toml
    ");
    insta::assert_snapshot!(context.run(&["audit", "main.py", "--python", "gone"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: no Python interpreter at `[ROOT]/gone`
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn a_configuration_that_is_wrong_is_told_by_line() {
    let context = TestContext::new();
    context.write("main.py", "print(1)\n");
    context.write("packproof.toml", "[runner]\nname = \"x\"\nentry = \"main.py\"\nincludes = []\n");
    insta::assert_snapshot!(context.run(&["build"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `[ROOT]/packproof.toml` is not valid: TOML parse error at line 4, column 1
      |
    4 | includes = []
      | ^^^^^^^^
    unknown field `includes`, expected one of `name`, `entry`, `path`, `include`, `exclude`, `prune`, `hidden-imports`, `hooks`, `interpreter`, `strip`
    ");
    context.write("packproof.toml", "[runner]\nentry = \"other.py\"\n");
    insta::assert_snapshot!(context.run(&["build"]), @r#"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `[ROOT]/packproof.toml`, line 2: there is no file `[ROOT]/other.py`
      | entry = "other.py"
    "#);
}

#[test]
fn a_lock_file_that_pins_nothing_is_refused() {
    let context = TestContext::new();
    context.write("main.py", "print(1)\n");
    context.write("packproof.toml", "[runner]\nentry = \"main.py\"\n[environment]\nlock = \"requirements.lock\"\n");
    context.write("requirements.lock", "# pinned\nsix==1.17.0\nrequests>=2\n");
    insta::assert_snapshot!(context.run(&["build"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: `[ROOT]/requirements.lock`, line 3: `requests>=2` is not pinned; a lock file names exact versions (`name==1.0`)
    ");
}

/// A disk that is full cuts the answer off, and whoever has asked for it must know.
#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let context = TestContext::new();
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = context.command(&["explain", "missing-module"]).stdout(full.into_file()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("cannot write to standard output"), "{said}");
}

#[test]
fn what_is_no_artifact() {
    let context = TestContext::new();
    context.write("other", "#!/bin/sh\n");
    for command in ["inspect", "verify"] {
        let said = context.run(&[command, "other"]);
        assert!(said.starts_with("exit code: 2") && said.contains(&format!("cannot {command} `other`")), "{said}");
        assert!(said.contains("no packproof payload"), "{said}");
    }
}
