//! What an artifact does when it is started: as ordered, as wished, and under attack.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use packproof::format::Footer;
use packproof::layout::{Entry, Layout, Origin, Source};
use packproof::pack::{self, PackSpec};
use packproof::progress::Silent;
use serde_json::Value;

use crate::support::{Place, failure, finish, python, sample, spec, text};

fn facts(output: &std::process::Output) -> Value {
    serde_json::from_str(&text(output)).unwrap()
}

#[test]
fn it_starts_cold_and_warm() {
    let place = Place::new();
    for _ in 0..2 {
        assert_eq!(text(&place.run(&[])), "hello\n");
        assert_eq!(place.cached(), [format!("sample-{}", sample().payload)]);
    }
    let mode = fs::metadata(place.cache()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn python_finds_itself_in_the_tree() {
    let place = Place::new();
    let facts = facts(&place.run(&["facts", "", "--ä", "a b"]));
    let tree = place.tree().to_str().unwrap().to_owned();
    assert_eq!(facts["executable"], format!("{tree}/bin/sample"));
    for prefix in ["prefix", "base_prefix"] {
        assert_eq!(facts[prefix], tree);
    }
    assert_eq!(facts["file"], format!("{tree}/app/main.py"));
    assert_eq!(facts["path"][0], format!("{tree}/app"));
    assert!(facts["path"].as_array().unwrap().iter().all(|entry| entry.as_str().unwrap().starts_with(&tree)));
    assert_eq!(facts["argv"].as_array().unwrap()[1..], ["facts", "", "--ä", "a b"]);
    assert_eq!(facts["user_site"], 1);
    assert!(facts["json"].as_str().unwrap().starts_with(&tree));
}

/// The tree here has no start-up hook, so what the hook would read is still to be seen.
#[test]
fn variables_that_change_imports_are_handed_over() {
    let place = Place::new();
    let output = finish(place.command(&["facts"]).arg0("./given").envs([
        ("PYTHONHOME", "/nonexistent"),
        ("PYTHONPATH", "/nonexistent"),
        ("PYTHONPLATLIBDIR", "lib64"),
        ("PYTHONEXECUTABLE", "/nonexistent"),
        ("PYTHONUNBUFFERED", "1"),
        ("PACKPROOF_START", "forged"),
    ]));
    let facts = facts(&output);
    let environment = &facts["environment"];
    let (lease, rest) = environment["PACKPROOF_START"].as_str().unwrap().split_once('\u{1f}').unwrap();
    assert!(lease.split(',').all(|number| number.parse::<u32>().is_ok()), "{lease}");
    assert_eq!(rest, "./given\u{1f}PYTHONPATH=/nonexistent");
    assert_eq!(environment["PYTHONUNBUFFERED"], "1");
    for gone in ["PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE", "PACKPROOF"] {
        assert!(environment[gone].is_null(), "{gone}");
    }
    assert!(environment["PACKPROOF_CACHE"].is_string());
}

/// Descriptors, umask and signals are what a plain interpreter would have had, PID included.
#[test]
fn what_a_process_inherits_is_untouched() {
    let place = Place::new();
    let script = place.at("main.py");
    fs::write(&script, crate::support::MAIN).unwrap();
    let started = |program: &str, script: &str| {
        // A shell that ignores SIGHUP, blocks nothing, holds descriptor 7 and has a umask of its own.
        let order = format!("trap '' HUP USR1; umask 027; exec 7</dev/null; exec {program} {script} facts");
        let mut command = place.command(&[]);
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(order).env_clear().current_dir(place.root.path()).stdin(Stdio::null());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env_clear();
        let facts = facts(&finish(&mut shell));
        (facts["status"].clone(), facts["descriptors"].clone())
    };
    let artifact = place.artifact.to_str().unwrap();
    let plain = started(python().executable.to_str().unwrap(), script.to_str().unwrap());
    assert_eq!(plain.0["Umask"], "0027");
    assert_eq!(started(artifact, ""), plain, "cold");
    assert_eq!(started(artifact, ""), plain, "warm");
    let mode = |name: &str| fs::metadata(place.tree().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("app/main.py"), mode("app/twin.py"), mode("bin/sample"), mode("bin")),
        (0o644, 0o600, 0o755, 0o755)
    );
}

/// A service with `UMask=0177`: it can start, and so can whoever comes after it.
#[test]
fn a_umask_that_masks_the_owners_rights_is_the_applications_alone() {
    let place = Place::new();
    for mask in ["0177", "0777"] {
        let order = format!("umask {mask}; exec {} facts", place.artifact.display());
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(order).env_clear().env("HOME", place.at("home")).env("PACKPROOF_CACHE", place.at(mask));
        assert_eq!(facts(&finish(&mut shell))["status"]["Umask"], mask);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o700;
        let root = place.at(mask);
        let tree = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
        assert_eq!((mode(&root), mode(&tree)), (0o700, 0o700), "{mask}");
    }
}

/// As werkzeug's reloader does: `sys.argv` begins with the artifact, and Python is given that to run.
#[test]
fn a_program_can_start_itself_again_by_its_interpreter() {
    let place = Place::new();
    assert_eq!(place.run(&["restart"]).status.code(), Some(7));
}

#[test]
fn exit_codes_and_signals_are_pythons() {
    let place = Place::new();
    assert_eq!(place.run(&["exit", "37"]).status.code(), Some(37));
    let mut child = place.command(&["sleep"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 9];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(
        fs::read_link(format!("/proc/{}/exe", child.id())).unwrap(),
        place.tree().canonicalize().unwrap().join("bin/sample")
    );
    child.kill().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
}

#[test]
fn a_killed_first_start_leaves_nothing_that_stops_the_next() {
    let place = Place::new();
    // A probe of the folder goes when it is a minute old.
    let cached =
        || place.cached().into_iter().filter(|name| !name.starts_with(".packproof-probe-")).collect::<Vec<_>>();
    for round in 0..20 {
        let mut child = place.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 3_000));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(cached().len() <= 1, "{:?}", cached());
        if round % 5 == 4 {
            assert_eq!(text(&place.run(&[])), "hello\n", "after kill {round}");
            assert_eq!(cached(), [format!("sample-{}", sample().payload)]);
            fs::remove_dir_all(place.tree()).unwrap();
        }
    }
}

#[test]
fn simultaneous_first_starts_make_one_tree() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..32).map(|_| scope.spawn(|| text(&place.run(&["hello"])))).collect();
        for start in starts {
            assert_eq!(start.join().unwrap(), "hello\n");
        }
    });
    assert_eq!(place.cached(), [format!("sample-{}", sample().payload)]);
}

/// One bit in each part of the file, and every cut: an error of its own, and no tree.
#[test]
fn damage_is_noticed_and_runs_nothing() {
    let bytes = fs::read(&sample().path).unwrap();
    let footer = Footer::decode(&bytes[bytes.len() - Footer::LENGTH..]).unwrap();
    let launcher = footer.launcher as usize;
    let places = [
        ("first block", launcher + 100),
        ("middle", usize::midpoint(launcher, bytes.len())),
        ("index", footer.index.offset as usize + footer.index.length as usize / 2),
        ("manifest", footer.manifest.offset as usize + 20),
        ("footer", bytes.len() - 100),
    ];
    for (what, at) in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let place = Place::with_bytes(&damaged);
        let (code, message) = failure(&place.run(&[]));
        assert_eq!(code, 121, "{what}: {message}");
        assert!(message.contains("damaged"), "{what}: {message}");
        assert!(place.cached().is_empty(), "{what}: {:?}", place.cached());
    }
    for cut in [1, 300, bytes.len() / 2, bytes.len() - launcher] {
        let place = Place::with_bytes(&bytes[..bytes.len() - cut]);
        let (code, message) = failure(&place.run(&[]));
        assert_eq!(code, 121, "cut by {cut}: {message}");
        assert!(place.cached().is_empty());
    }
}

#[test]
fn a_cache_that_others_could_write_to_is_passed_over() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(text(&place.run(&[])), "hello\n");
    assert!(place.cached().is_empty());
    let home = place.at("home/.cache/packproof");
    assert!(home.join(place.tree().file_name().unwrap()).is_dir());

    // A link to a good folder is refused as well: whoever planted it chose the folder.
    let other = Place::new();
    fs::create_dir(other.at("elsewhere")).unwrap();
    symlink(other.at("elsewhere"), other.cache()).unwrap();
    assert_eq!(text(&other.run(&[])), "hello\n");
    assert!(other.cached().is_empty());
}

#[test]
fn without_any_cache_the_error_names_each_candidate_and_the_cure() {
    // Of its own, as what lies in the last candidate would be found by every other test's artifact.
    let mut layout = Layout::default();
    for (at, source) in
        [("bin/sample", Source::File("/bin/true".into())), ("app/main.py", Source::Generated(Vec::new()))]
    {
        layout.entries.insert(crate::support::path(at), Entry { source, mode: 0o755, origin: Origin::Interpreter });
    }
    let mut place = Place::new();
    place.artifact = place.at("cacheless");
    pack::pack(&layout, &PackSpec { name: "cacheless".to_owned(), ..spec() }, &place.artifact, &Silent).unwrap();
    fs::write(place.cache(), "a file").unwrap();
    fs::write(place.at("home/.cache"), "another").unwrap();
    // The last candidate is everybody's, so a test can only look at the message where it is unfit as well.
    let output = finish(place.command(&[]).env("XDG_CACHE_HOME", "relative"));
    if output.status.success() {
        assert!(place.at("relative").symlink_metadata().is_err());
        // Not left in /var/tmp.
        text(&place.special("clean", &[]));
    } else {
        let (code, message) = failure(&output);
        assert_eq!(code, 122);
        assert!(message.contains("PACKPROOF_CACHE") && message.contains("not an absolute path"), "{message}");
    }
}

#[test]
fn a_tree_that_lost_its_mark_or_its_interpreter_is_made_again() {
    let place = Place::new();
    text(&place.run(&[]));
    for lost in [".packproof", ".packproof-unread", "bin/sample", "app/main.py"] {
        fs::remove_file(place.tree().join(lost)).unwrap();
        assert_eq!(text(&place.run(&[])), "hello\n", "{lost}");
        assert_eq!(place.cached().len(), 1);
    }
    fs::write(place.tree().join(".packproof"), "another payload\n").unwrap();
    assert_eq!(text(&place.run(&[])), "hello\n");
}

type Damage = dyn Fn(&std::path::Path);

#[test]
fn check_finds_and_mends() {
    let place = Place::new();
    assert!(text(&place.special("check", &[])).contains("unpacked"));
    assert!(text(&place.special("check", &[])).contains(": whole, "));
    let damages: [(&str, &Damage); 4] = [
        ("app/main.py: other bytes", &|tree| {
            let path = tree.join("app/main.py");
            let changed = fs::read_to_string(&path).unwrap().replace("hello", "evil!");
            fs::write(&path, changed).unwrap();
        }),
        ("app/empty.py: missing", &|tree| fs::remove_file(tree.join("app/empty.py")).unwrap()),
        ("app/twin.py: mode 777 instead of 600", &|tree| {
            let mode = std::fs::Permissions::from_mode(0o777);
            fs::set_permissions(tree.join("app/twin.py"), mode).unwrap();
        }),
        ("bin/python: not the link that it was", &|tree| fs::remove_file(tree.join("bin/python")).unwrap()),
    ];
    for (wanted, damage) in damages {
        damage(&place.tree());
        let said = text(&place.special("check", &[]));
        assert!(said.contains(wanted) && said.contains("1 entries were damaged"), "{said}");
        assert!(text(&place.special("check", &[])).contains(": whole, "));
    }
    assert_eq!(place.cached().len(), 1);
}

#[test]
fn clean_spares_what_runs_and_what_is_not_ours() {
    let place = Place::new();
    let mut child = place.command(&["sleep"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 9];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    let old = place.cache().join("sample-00000000000000000000000000000000");
    let other = place.cache().join("sample-two-00000000000000000000000000000000");
    for folder in [&old, &other] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
    }
    let said = text(&place.special("clean", &[]));
    assert!(said.contains("in use, left alone") && said.contains("removed"), "{said}");
    assert!(place.tree().is_dir() && !old.exists() && other.is_dir());
    child.kill().unwrap();
    child.wait().unwrap();
    text(&place.special("clean", &[]));
    assert_eq!(place.cached(), ["sample-two-00000000000000000000000000000000"]);
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 1, "locks are gone too");
    assert_eq!(text(&place.run(&[])), "hello\n");
}

#[test]
fn info_is_the_manifest() {
    let place = Place::new();
    let manifest: Value = serde_json::from_str(&text(&place.special("info", &[]))).unwrap();
    assert_eq!(manifest["name"], "sample");
    assert_eq!(manifest["payload"], sample().payload.to_string());
    assert!(place.cached().is_empty(), "nothing is unpacked for it");
}

#[test]
fn python_mode_is_the_interpreter() {
    let place = Place::new();
    let script = "import json, os, sys; print(json.dumps([sys.argv, sys.executable, os.environ.get('PACKPROOF')]))";
    let said = text(&place.special("python", &["-c", script, "x"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said[0], serde_json::json!(["-c", "x"]));
    assert_eq!(said[1], place.tree().join("bin/sample").to_str().unwrap());
    assert!(said[2].is_null());
}

#[test]
fn an_extracted_tree_starts_without_a_cache() {
    let place = Place::new();
    let folder = place.at("opt/app");
    fs::create_dir_all(&folder).unwrap();
    // As completion in a shell writes it.
    let said = text(&place.special("extract", &[&format!("{}/", folder.display())]));
    let starter = folder.join("sample");
    assert_eq!(said.trim_end(), starter.to_str().unwrap());
    fs::rename(&folder, place.at("opt/moved")).unwrap();
    let starter = place.at("opt/moved/sample");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&starter);
        finish(command.args(arguments).env_clear())
    };
    let facts = facts(&run(&["facts"]));
    assert_eq!(facts["prefix"], place.at("opt/moved").canonicalize().unwrap().to_str().unwrap());
    assert!(place.cached().is_empty());
    // Through a link, as an image would have it on PATH.
    symlink(&starter, place.at("link")).unwrap();
    assert_eq!(text(&finish(std::process::Command::new(place.at("link")).env_clear())), "hello\n");

    let (code, message) = failure(&place.special("extract", &[place.at("opt/moved").to_str().unwrap()]));
    assert_eq!(code, 124, "{message}");
    for lost in ["opt/moved/.packproof-unread", "opt/moved/.packproof"] {
        let kept = fs::read(place.at(lost)).unwrap();
        fs::remove_file(place.at(lost)).unwrap();
        let (code, message) = failure(&run(&[]));
        assert!(code == 121 && message.contains("extract it again"), "{message}");
        fs::write(place.at(lost), kept).unwrap();
        assert_eq!(text(&run(&[])), "hello\n");
    }
}

#[test]
fn unknown_commands_and_arguments_are_refused() {
    let place = Place::new();
    let (code, message) = failure(&place.special("shell", &[]));
    assert_eq!(code, 124);
    insta::assert_snapshot!(message, @r"
    packproof: PACKPROOF=shell is not known
    wanted: python, extract, info, check or clean
    ");
    for (command, arguments) in [("extract", &[][..]), ("extract", &["a", "b"]), ("info", &["x"]), ("clean", &["x"])] {
        assert_eq!(failure(&place.special(command, arguments)).0, 124, "{command}");
    }
}

#[test]
fn it_starts_renamed_linked_and_through_the_path() {
    let place = Place::new();
    fs::create_dir(place.at("bin")).unwrap();
    symlink(&place.artifact, place.at("bin/renamed")).unwrap();
    let mut command = std::process::Command::new("/bin/sh");
    let output = finish(
        command
            .args(["-c", "renamed facts"])
            .env_clear()
            .env("PATH", place.at("bin"))
            .env("PACKPROOF_CACHE", place.cache()),
    );
    let start = facts(&output)["environment"]["PACKPROOF_START"].clone();
    // As a script would have it.
    let called = format!("\u{1f}{}", place.at("bin/renamed").display());
    assert!(start.as_str().unwrap().ends_with(&called), "{start}");
}

/// Rights that the caller did not have: a set-user-ID copy, which only root can make for another user.
#[test]
fn a_privileged_start_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return crate::support::skipped("root, to give a file to another user");
    }
    let place = Place::with_bytes(&fs::read(&sample().path).unwrap());
    std::os::unix::fs::chown(&place.artifact, Some(65534), None).unwrap();
    fs::set_permissions(&place.artifact, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let (code, message) = failure(&place.run(&[]));
    assert!(code == 123 && message.contains("AmbientCapabilities"), "{code}: {message}");
    assert!(!place.cache().exists());
}
