//! How interpreters are asked: with a home of their own, without the user's variables, and without the network where the
//! kernel allows.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

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

/// What it prints; nothing where it has not come to its end within `limit`, and is killed.
pub(crate) fn output(mut command: Command, limit: Duration) -> io::Result<Option<Output>> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, receiver) = channel();
    // What a child of its own holds open is not waited for.
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = receiver.recv_timeout(limit) {
        return output.map(Some);
    }
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(None)
}
