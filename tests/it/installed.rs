//! Environments with distributions from the package index, each made once and found again in the next run.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

/// Arguments of `pip install` for a lock that names everything, and has a wheel for it.
pub(crate) const WHEELS: &[&str] = &["--no-deps", "--only-binary", ":all:"];

/// The interpreter of a virtual environment of `python`'s with what `lock`, a requirements file, names; or what `pip` said.
pub(crate) fn environment(name: &str, python: &Path, lock: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let key = blake3::hash(format!("{} {lock} {arguments:?}", python.display()).as_bytes()).to_hex();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("environment-{name}-{}", &key[..16]));
    let interpreter = root.join("bin/python");
    let whole = root.join("complete");
    if !whole.exists() {
        // Of a run that was ended in the middle.
        let _ = fs::remove_dir_all(&root);
        run(Command::new(python).args(["-m", "venv"]).arg(&root))?;
        let file = root.join("lock.txt");
        fs::write(&file, lock).unwrap();
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(file).args(arguments);
        run(&mut pip)?;
        fs::write(whole, "").unwrap();
    }
    Ok(interpreter)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    let said = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said()) }
}
