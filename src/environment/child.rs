//! How interpreters are asked: with a home of their own, without the user's variables, and without the network where the
//! kernel allows.

use std::path::Path;
use std::process::Command;

/// Defines `cut_off`, which the scripts that run others' code begin with.
pub(crate) const CUT_OFF: &str = include_str!("cut_off.py");

/// `python` with a cleared environment; `home` is an empty folder that is thrown away afterwards.
pub(crate) fn apart(python: &Path, home: &Path) -> Command {
    let mut command = Command::new(python);
    command.env_clear().env("HOME", home).env("TMPDIR", home).env("PATH", "/usr/bin:/bin");
    command.env("LC_ALL", "C.UTF-8").env("PYTHONDONTWRITEBYTECODE", "1");
    // An interpreter that was built elsewhere may not start without.
    if let Some(folders) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", folders);
    }
    command
}
