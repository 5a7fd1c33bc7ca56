//! A Python that can be moved, made from one that cannot.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::native::relocate::{self, Tag};

use crate::support::write_executable;

/// Copies the installation of `python` to `to`, as python-build-standalone lays one out: with relative run paths, and
/// `/install` for its prefix. Gives the interpreter.
pub(crate) fn relocatable(python: &Path, to: &Path) -> PathBuf {
    let from = python.parent().and_then(Path::parent).unwrap();
    let name = python.file_name().unwrap();
    let library = to.join("lib").join(name);
    fs::create_dir_all(to).unwrap();
    let script = "cd \"$1\" && tar cf - --exclude=__pycache__ --exclude='config-*' --exclude='lib/python*/test' \
                  --exclude='lib/python*/idlelib' --exclude=site-packages --exclude='*.a' bin lib | tar xf - -C \"$2\"";
    let copied = Command::new("sh").args(["-c", script, "sh"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success());
    let relocate = |file: &Path, run_path: &str| {
        let mut bytes = fs::read(file).unwrap();
        relocate::set_run_path(&mut bytes, &[run_path.to_owned()], Tag::Keep).unwrap();
        fs::remove_file(file).unwrap();
        write_executable(file, &bytes);
    };
    relocate(&to.join("bin").join(name), "$ORIGIN/../lib");
    for entry in fs::read_dir(&library).unwrap().chain(fs::read_dir(library.join("lib-dynload")).unwrap()) {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.starts_with("_sysconfigdata") {
            let text = fs::read_to_string(&path).unwrap().replace(&*from.to_string_lossy(), "/install");
            fs::write(&path, text).unwrap();
        } else if file.ends_with(".so") {
            relocate(&path, "$ORIGIN/../../../lib");
        }
    }
    to.join("bin").join(name)
}
