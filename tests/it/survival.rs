//! What an artifact lives through: crashes, cleaners, full disks, odd mounts, planted links, damage anywhere.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use packproof::format::{Artifact, Footer};

use crate::support::{Place, failure, finish, sample, skipped, text};

/// A start that waits until it is killed.
fn sleeping(place: &Place) -> Child {
    let mut child = place.command(&["sleep"]).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 9]).unwrap();
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whether somebody holds the tree's lease.
fn is_leased(place: &Place) -> bool {
    fs::File::open(place.tree().join(".packproof")).unwrap().file().try_lock().is_err()
}

/// One bit in the middle of every part of the file behind the launcher.
#[test]
fn damage_in_any_part_runs_nothing_foreign() {
    let bytes = fs::read(&sample().path).unwrap();
    let artifact = Artifact::open(&sample().path).unwrap();
    let index = artifact.index().unwrap();
    let footer = artifact.footer;
    let mut read: Vec<(String, u64, u64)> = index
        .blocks
        .iter()
        .enumerate()
        .map(|(number, block)| (format!("block {number}"), block.offset, block.packed))
        .collect();
    for (name, part) in [("index", footer.index), ("manifest", footer.manifest)] {
        read.push((name.to_owned(), part.offset, part.length));
    }
    read.push(("footer".to_owned(), (bytes.len() - Footer::LENGTH) as u64, Footer::LENGTH as u64));
    for (name, offset, length) in read {
        let mut damaged = bytes.clone();
        damaged[(offset + length / 2) as usize] ^= 0x04;
        let place = Place::with_bytes(&damaged);
        let (code, message) = failure(&place.run(&[]));
        assert_eq!(code, 121, "{name}: {message}");
        assert!(place.cached().is_empty(), "{name}: {:?}", place.cached());
    }
    // The ZIP's own headers are for other readers: the launcher never looks at them.
    let directory = footer.manifest.offset + footer.manifest.length;
    for at in [footer.launcher + 5, directory + 8, directory + 60] {
        let mut damaged = bytes.clone();
        damaged[at as usize] ^= 0x04;
        assert_eq!(text(&Place::with_bytes(&damaged).run(&["hello"])), "hello\n");
    }
}

#[test]
fn what_is_loaded_goes_on_when_a_cleaner_takes_the_tree() {
    let place = Place::new();
    let child = sleeping(&place);
    fs::remove_dir_all(place.tree()).unwrap();
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    end(child);
    // Cleaners take files one by one, oldest first.
    fs::remove_file(place.tree().join("bin/sample")).unwrap();
    fs::remove_file(place.tree().join("app/empty.py")).unwrap();
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert!(place.tree().join("app/empty.py").exists());
}

#[test]
fn a_running_program_holds_its_tree() {
    let place = Place::new();
    text(&place.run(&["hello"]));
    assert!(!is_leased(&place));
    let child = sleeping(&place);
    assert!(is_leased(&place));
    let said = text(&place.special("clean", &[]));
    assert!(said.contains("in use, left alone"), "{said}");
    end(child);
    assert!(!is_leased(&place));
    assert!(text(&place.special("clean", &[])).contains("removed"));
    assert!(place.cached().is_empty());
}

/// systemd-tmpfiles takes file by file what has not been used for long, where no lock is held on a folder.
#[test]
fn a_cleaner_spares_the_tree_of_a_running_program() {
    let place = Place::new();
    text(&place.run(&["hello"]));
    let files = || {
        walkdir::WalkDir::new(place.tree()).into_iter().flatten().filter(|entry| entry.file_type().is_file()).count()
    };
    let (child, all) = (sleeping(&place), files());
    let folder = fs::File::open(place.tree()).unwrap();
    assert!(folder.file().try_lock().is_err());

    let cleans = |root: &Path| {
        // As old as a file can be that is there: its change of status is now.
        std::thread::sleep(Duration::from_secs(2));
        fs::write(place.at("clean.conf"), format!("d {} 0700 - - 1s\n", root.display())).unwrap();
        Command::new("systemd-tmpfiles")
            .arg("--clean")
            .arg(place.at("clean.conf"))
            .status()
            .is_ok_and(|status| status.success())
    };
    if !cleans(&place.cache()) {
        end(child);
        return skipped("systemd-tmpfiles");
    }
    assert_eq!(files(), all);
    end(child);
    assert!(cleans(&place.cache()));
    assert!(files() < all, "nothing was cleaned");
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
}

/// Whoever can read a mark can lock it.
#[test]
fn a_mark_that_is_locked_for_no_reason_stops_no_start() {
    let place = Place::new();
    text(&place.run(&["hello"]));
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(place.tree()).unwrap());
    let before = inode();
    let mark = fs::File::open(place.tree().join(".packproof")).unwrap();
    mark.file().try_lock().unwrap();
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert_eq!(inode(), before, "not made again");
    assert!(text(&place.special("clean", &[])).contains("in use, left alone"));
}

/// Others could not settle it after a reboot, and would compare it at each start.
#[test]
fn a_tree_for_other_users_is_settled_at_once() {
    if !rustix::process::geteuid().is_root() {
        return skipped("root, whose cache folder others may use");
    }
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o755)).unwrap();
    text(&place.run(&["hello"]));
    assert!(fs::read_to_string(place.tree().join(".packproof")).unwrap().contains("\nsettled "));
}

/// Others start from the tree that root made, whatever root masks, and whoever holds a lock on its mark.
#[test]
fn a_tree_of_roots_serves_other_users() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return skipped("root, whose cache folder others may use");
    }
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    for folder in [place.root.path().to_owned(), place.cache()] {
        fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut masked = Command::new("/bin/sh");
    masked.args(["-c", "umask 077; exec \"$0\" hello"]).arg(&place.artifact).env_clear();
    assert_eq!(text(&finish(masked.env("PACKPROOF_CACHE", place.cache()))), "hello\n");
    let as_nobody = || {
        let mut command = place.command(&["-c", "import email, sys; print(sys.prefix)"]);
        command.env_remove("HOME").env("PACKPROOF", "python").uid(NOBODY).gid(NOBODY).current_dir("/");
        PathBuf::from(text(&finish(&mut command)).trim_end())
    };
    assert_eq!(as_nobody(), place.tree());
    let mark = fs::File::open(place.tree().join(".packproof")).unwrap();
    mark.file().try_lock().unwrap();
    assert_eq!(as_nobody(), place.tree(), "not made again elsewhere");
    drop(mark);
    assert_eq!(place.cached().len(), 1);
}

/// What it will import comes from the new tree, though the kernel names the old one.
#[test]
fn a_program_holds_the_tree_that_took_the_place_of_its_own() {
    let place = Place::new();
    let child = sleeping(&place);
    fs::remove_file(place.tree().join("app/empty.py")).unwrap();
    assert!(text(&place.special("check", &[])).contains("unpacked again"));
    assert!(!is_leased(&place));
    let said = text(&place.special("clean", &[]));
    assert!(said.contains("in use, left alone") && place.tree().is_dir(), "{said}");
    end(child);
    assert!(text(&place.special("clean", &[])).contains("removed"));
}

/// Who names a cache may do so because something cleans the others.
#[test]
fn the_cache_that_is_asked_for_is_used_whatever_lies_in_others() {
    let place = Place::new();
    let prefix = |command: &mut Command| {
        command.env("PACKPROOF", "python").args(["-c", "import sys; print(sys.prefix)"]);
        PathBuf::from(text(&finish(command)).trim_end())
    };
    let at_home = prefix(place.command(&[]).env_remove("PACKPROOF_CACHE"));
    assert!(at_home.starts_with(place.at("home/.cache/packproof")));
    assert!(prefix(&mut place.command(&[])).starts_with(place.cache()));
    // No folder can be made there: what is at hand will do.
    fs::write(place.at("file"), "").unwrap();
    assert_eq!(prefix(place.command(&[]).env("PACKPROOF_CACHE", place.at("file/cache"))), at_home);
}

/// `PACKPROOF_CACHE` may be a folder where the user keeps other things.
#[test]
fn only_what_starts_left_behind_is_swept() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let at = |name: &str| place.cache().join(name);
    let (precious, ours) =
        (["thesis.work", "my-old.trash", ".probe-kit"], "other-00000000000000000000000000000001.work");
    for name in precious.into_iter().chain([ours]) {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("chapter"), "one").unwrap();
    }
    fs::write(at("notes.trash"), "kept").unwrap();
    text(&place.run(&["hello"]));
    assert!(!at(ours).exists());
    text(&place.special("clean", &[]));
    assert!(precious.iter().all(|name| at(name).join("chapter").exists()) && at("notes.trash").exists());
}

/// Trees of earlier builds: a new one is made, two others stay, and what is held or was just used.
#[test]
fn old_trees_go_by_themselves() {
    let place = Place::new();
    let hours = |hours: u64| SystemTime::now() - Duration::from_hours(hours);
    let old = |number: u32, used: SystemTime| {
        let folder = place.cache().join(format!("sample-{number:032x}"));
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join(".packproof"), "whatever\n").unwrap();
        fs::File::open(folder.join(".packproof")).unwrap().set_modified(used).unwrap();
        folder
    };
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let trees: Vec<_> = [2, 3, 4, 5, 24 * 60].into_iter().zip(1..).map(|(age, at)| old(at, hours(age))).collect();
    let recent: Vec<_> = (10..13).map(|at| old(at, hours(0))).collect();
    let held = fs::File::open(trees[3].join(".packproof")).unwrap();
    held.file().try_lock_shared().unwrap();
    let other = place.cache().join("sample-two-00000000000000000000000000000001");
    fs::create_dir(&other).unwrap();

    text(&place.run(&["hello"]));
    let left: Vec<bool> = trees.iter().map(|tree| tree.exists()).collect();
    assert_eq!(left, [false, false, false, true, false]);
    assert!(recent.iter().all(|tree| tree.exists()) && other.exists() && place.tree().exists());
    // A warm start removes nothing.
    drop(held);
    text(&place.run(&["hello"]));
    assert!(trees[3].exists());
}

/// A crash of the machine can leave a tree whose files have their names, and not their content.
#[test]
fn a_tree_of_another_boot_is_compared_before_it_is_trusted() {
    let mark = |place: &Place| place.tree().join(".packproof");
    let of_another_boot = |place: &Place| {
        let text = fs::read_to_string(mark(place)).unwrap();
        let (payload, boot) = text.split_once('\n').unwrap();
        assert_eq!(boot.len(), 37, "{boot}");
        fs::write(mark(place), format!("{payload}\n00000000-1111-2222-3333-444444444444\n")).unwrap();
    };
    let place = Place::new();
    text(&place.run(&["hello"]));
    if fs::read_to_string(mark(&place)).unwrap().contains("settled") {
        return skipped("a machine that names its boots");
    }
    of_another_boot(&place);
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert!(fs::read_to_string(mark(&place)).unwrap().contains("settled"), "compared once");

    let lost = place.tree().join("app/empty.py");
    for damage in ["", "import nothing\n"] {
        fs::remove_dir_all(place.tree()).unwrap();
        text(&place.run(&["hello"]));
        let victim = if damage.is_empty() { place.tree().join("app/main.py") } else { lost.clone() };
        fs::write(&victim, damage).unwrap();
        of_another_boot(&place);
        assert_eq!(text(&place.run(&["hello"])), "hello\n");
        let mended = fs::read_to_string(&victim).unwrap();
        assert!(mended != damage && !fs::read_to_string(mark(&place)).unwrap().contains("1111"), "{mended}");
    }
    assert_eq!(place.cached().len(), 1);
}

#[test]
fn planted_links_are_not_followed() {
    let place = Place::new();
    let elsewhere = place.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("precious"), "kept").unwrap();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let name = place.tree().file_name().unwrap().to_str().unwrap().to_owned();
    for suffix in ["", ".work", ".trash"] {
        symlink(&elsewhere, place.cache().join(format!("{name}{suffix}"))).unwrap();
    }
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert!(fs::symlink_metadata(place.tree()).unwrap().is_dir());
    assert_eq!(place.cached(), std::slice::from_ref(&name));
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    fs::remove_dir_all(place.tree()).unwrap();
    fs::remove_file(place.cache().join(format!("{name}.lock"))).unwrap();
    symlink(elsewhere.join("precious"), place.cache().join(format!("{name}.lock"))).unwrap();
    let (code, message) = failure(&place.run(&["hello"]));
    assert!(code == 122 && message.contains("PACKPROOF_CACHE"), "{message}");
    assert_eq!(fs::read_to_string(elsewhere.join("precious")).unwrap(), "kept");
    // A file where the folder should be.
    let other = Place::new();
    fs::create_dir(other.cache()).unwrap();
    fs::set_permissions(other.cache(), std::fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(other.tree(), "a file").unwrap();
    fs::write(other.cache().join(format!("{name}.work")), "another").unwrap();
    assert_eq!(text(&other.run(&["hello"])), "hello\n");
}

#[test]
fn it_starts_moved_linked_and_from_a_folder_that_is_gone() {
    let place = Place::with_bytes(&fs::read(&sample().path).unwrap());
    let at = |name: &str| place.at(name);
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    fs::hard_link(&place.artifact, at("linked")).unwrap();
    fs::create_dir(at("moved to")).unwrap();
    fs::rename(&place.artifact, at("moved to/ärtifact")).unwrap();
    symlink("moved to/ärtifact", at("relative link")).unwrap();
    let shell = |order: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(order).env_clear().env("PACKPROOF_CACHE", place.cache()).env("PATH", "/usr/bin:/bin");
        text(&finish(shell.current_dir(place.root.path())))
    };
    assert_eq!(shell("./linked && './moved to/ärtifact' && './relative link'"), "hello\nhello\nhello\n");
    assert_eq!(shell("mkdir gone && cd gone && rmdir ../gone && ../linked"), "hello\n");
    // While it runs, its file may be replaced or removed.
    assert_eq!(
        shell("PATH=.:$PATH linked && rm linked 'moved to/ärtifact' && ls"),
        "hello\ncache\nhome\nmoved to\nrelative link\n"
    );
    assert_eq!(place.cached().len(), 1);
}

#[test]
fn a_path_that_is_too_long_is_passed_over() {
    let place = Place::new();
    let long = format!("/tmp/{}", "long/".repeat(500));
    let output = finish(place.command(&["hello"]).env("PACKPROOF_CACHE", long));
    assert_eq!(text(&output), "hello\n");
    assert!(place.at("home/.cache/packproof").is_dir() && !Path::new("/tmp/long").exists());
}

#[test]
fn a_cache_of_another_user_is_passed_over() {
    if !rustix::process::geteuid().is_root() {
        return skipped("root, to give a folder to another user");
    }
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(place.cache(), Some(65534), None).unwrap();
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert!(place.cached().is_empty() && place.at("home/.cache/packproof").is_dir());
}

/// In a mount namespace of its own. `$A` is the artifact, `$C` an empty folder.
fn mounted(place: &Place, order: &str) -> Option<std::process::Output> {
    fs::create_dir_all(place.at("mount")).unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "/bin/sh", "-ec", order]).env_clear();
    shell.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("A", &place.artifact).env("C", place.at("mount"));
    shell.env("HOME", place.at("home")).current_dir(place.root.path()).stdin(Stdio::null());
    let allowed = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    allowed.then(|| finish(&mut shell))
}

#[test]
fn odd_mounts_are_passed_over_or_named() {
    let orders = [
        // Too small, by bytes and by files; the second shows only while unpacking.
        "mount -t tmpfs -o size=4m,mode=700 none $C; PACKPROOF_CACHE=$C $A hello; ls -A $C",
        "mount -t tmpfs -o size=900m,nr_inodes=90,mode=700 none $C; PACKPROOF_CACHE=$C $A hello; ls -A $C | grep -v lock || true",
        "mount -t tmpfs -o noexec,mode=700 none $C; PACKPROOF_CACHE=$C $A hello; ls -A $C",
        "mount -t tmpfs -o ro,mode=700 none $C; PACKPROOF_CACHE=$C $A hello; ls -A $C",
        // A tree is there, and nothing can be executed any more.
        "mount -t tmpfs -o mode=700 none $C; PACKPROOF_CACHE=$C $A hello >before; mount -o remount,noexec $C; \
         PACKPROOF_CACHE=$C $A hello",
    ];
    for order in orders {
        let place = Place::new();
        let Some(output) = mounted(&place, order) else { return skipped("the right to mount") };
        assert_eq!(text(&output), "hello\n", "{order}");
        assert!(place.at("home/.cache/packproof").is_dir(), "{order}");
    }
    // Nothing else will do: the message names each, and the cure.
    let place = Place::new();
    let order = "mount -t tmpfs -o noexec none /var/tmp; mount -t tmpfs -o ro none $HOME; exec $A hello";
    let (code, message) = failure(&mounted(&place, order).unwrap());
    assert_eq!(code, 122, "{message}");
    for wanted in ["noexec", "read-only", "set PACKPROOF_CACHE"] {
        assert!(message.to_lowercase().contains(wanted) || message.contains(wanted), "{wanted}: {message}");
    }
}

/// A write that fails in the middle, as on a full disk or over a quota. Where the signal is not ignored it ends the start.
#[test]
fn a_write_that_fails_leaves_nothing() {
    let place = Place::new();
    // What other tests left in the last candidate would be found.
    let limited = |order: &str| mounted(&place, &format!("mount -t tmpfs none /var/tmp; {order}"));
    let order = "trap '' XFSZ; ulimit -f 200; exec $A hello";
    let Some(output) = limited(order) else { return skipped("the right to mount") };
    let (code, message) = failure(&output);
    assert!(code == 122 && message.contains("File too large"), "{code}: {message}");
    let left = || {
        walkdir::WalkDir::new(place.at("home"))
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file())
            .count()
    };
    assert_eq!(left(), 1, "the lock");
    let ended = limited("ulimit -f 200; exec $A hello").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(25), "SIGXFSZ");
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    assert_eq!(place.cached().len(), 1);
}

/// Root with a user's `HOME`, as `sudo -E` leaves it: the user could exchange what root executes there.
#[test]
fn a_home_of_another_user_is_passed_over_or_named() {
    if !rustix::process::geteuid().is_root() {
        return skipped("root, to give a folder to another user");
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.at("home"), Some(65534), None).unwrap();
    let order = "mount -t tmpfs none /var/tmp; $A hello; test -d /var/tmp/packproof-0";
    let Some(output) = mounted(&place, order) else { return skipped("the right to mount") };
    assert_eq!(text(&output), "hello\n");
    assert_eq!(fs::read_dir(place.at("home")).unwrap().count(), 0);
    let order = "mount -t tmpfs -o noexec none /var/tmp; exec $A hello";
    let (code, message) = failure(&mounted(&place, order).unwrap());
    assert!(code == 122 && message.contains("home belongs to user 65534, not to 0"), "{code}: {message}");
}

/// A mount inside stands for whatever cannot be removed: another user's file, one that a network file system keeps.
#[test]
fn a_tree_that_cannot_be_removed_stops_no_start() {
    let place = Place::new();
    text(&place.run(&["hello"]));
    let damage = "mount -t tmpfs none $T/lib; rm $T/.packproof; $A hello; test -e $T/.packproof";
    let order = format!(
        "export PACKPROOF_CACHE={}; T={}; {damage}; {damage}; test -e $T.trash/lib; test -e $T.trash2/lib
        mkdir $PACKPROOF_CACHE/sample-00000000000000000000000000000001
        mkdir $PACKPROOF_CACHE/sample-ffffffffffffffffffffffffffffffff
        PACKPROOF=clean $A >said 2>error && exit 1; grep -q 'cannot remove' error; grep -q 'cannot be removed' said
        test $(grep -c 'removed$' said) = 3; ls -A $PACKPROOF_CACHE",
        place.cache().display(),
        place.tree().display()
    );
    let Some(output) = mounted(&place, &order) else { return skipped("the right to mount") };
    let said = text(&output);
    assert!(said.starts_with("hello\nhello\n") && !said.contains("0000001") && !said.contains("fffffff"), "{said}");
    // The mounts are gone with their namespace.
    assert_eq!(text(&place.run(&["hello"])), "hello\n");
    text(&place.special("clean", &[]));
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 0);
}

#[test]
fn a_mount_point_is_no_place_to_extract_to() {
    let place = Place::new();
    let order = "mount -t tmpfs none $C; PACKPROOF=extract exec $A $C/";
    let Some(output) = mounted(&place, order) else { return skipped("the right to mount") };
    let (code, message) = failure(&output);
    assert!(code == 124 && message.contains("mount point") && message.contains("inside it"), "{message}");
}

#[test]
fn it_starts_from_a_read_only_mount_and_without_proc() {
    let orders = [
        "mount --bind $(dirname $A) $C; mount -o remount,ro,bind $C; exec env PACKPROOF_CACHE=$HOME/c $C/$(basename $A) hello",
        "umount -l /proc; PACKPROOF_CACHE=$HOME/c $A hello",
        // Warm; the lease and the mark need no /proc either.
        "PACKPROOF_CACHE=$HOME/c $A hello >/dev/null; umount -l /proc; PACKPROOF_CACHE=$HOME/c exec $A hello",
        "unset HOME; mount -t tmpfs none /var/tmp; $A hello; ls /var/tmp | grep -q packproof-0",
    ];
    for order in orders {
        let place = Place::new();
        let Some(output) = mounted(&place, order) else { return skipped("the right to mount") };
        assert_eq!(text(&output), "hello\n", "{order}");
    }
}
