//! A system with the C library and nothing else, for artifacts to run in.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;

use crate::support::{finish, skipped, write_executable};

/// A root file system with the files of the C library, and nothing else.
pub(crate) fn bare_root(root: &Path) {
    for folder in ["lib64", "lib", "proc", "tmp", "dev", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let loader = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap();
    let folder = loader.parent().unwrap();
    let names =
        ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2"];
    // Where the loader's built-in folders are on every distribution.
    for name in names {
        fs::copy(folder.join(name), root.join("lib64").join(name)).unwrap();
    }
    fs::create_dir_all(root.join(folder.strip_prefix("/").unwrap())).unwrap();
    for name in names {
        fs::copy(folder.join(name), root.join(folder.strip_prefix("/").unwrap()).join(name)).unwrap();
    }
    fs::copy(&loader, root.join("lib64/ld-linux-x86-64.so.2")).unwrap();
}

/// Runs `artifact` with `root` as its root; nothing where the kernel allows no namespaces.
pub(crate) fn run_in(root: &Path, artifact: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Output> {
    let allowed = Command::new("unshare").args(["-Urm", "true"]).output().is_ok_and(|tried| tried.status.success());
    if !allowed {
        skipped("user and mount namespaces");
        return None;
    }
    write_executable(&root.join("main"), &fs::read(artifact).unwrap());
    // Every system has these two of the kernel's.
    let script = "root=$1; shift; mount --rbind /proc \"$root/proc\" && mount --rbind /dev \"$root/dev\" && \
                  exec chroot \"$root\" /main \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", script, "sh"]).arg(root).args(arguments).env_clear();
    command
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("PACKPROOF_CACHE", "/tmp/cache")
        .envs(variables.iter().copied());
    Some(finish(&mut command))
}

/// Adds what policy leaves to the system, with what that needs itself, as a system with a display has it.
pub(crate) fn add_policy_libraries(root: &Path) {
    let folder = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap().parent().unwrap().to_owned();
    let policy = packproof::native::Policy::built_in();
    let listed = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut open: Vec<String> = listed.filter(|name| policy.left_to_system(name).is_some()).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(name) = open.pop() {
        let to = root.join(folder.strip_prefix("/").unwrap()).join(&name);
        let Ok(bytes) = fs::read(folder.join(&name)) else { continue };
        if seen.insert(name) && !to.exists() {
            fs::write(to, &bytes).unwrap();
            open.extend(packproof::native::ElfFile::parse(&bytes).into_iter().flat_map(|elf| elf.needed));
        }
    }
}

/// Whether this Python has it.
pub(crate) fn tkinter(python: &Path) -> bool {
    Command::new(python).args(["-c", "import tkinter"]).output().unwrap().status.success()
}
