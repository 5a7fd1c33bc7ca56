//! Temporary folders that go when the tool is interrupted, too: a build that is broken off leaves nothing beside the artifact.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::pipe::{PipeFlags, pipe_with};
use tempfile::TempDir;

static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Where the signal handler writes; below zero before there is one.
static TELL: AtomicI32 = AtomicI32::new(-1);

fn folders() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary folder, removed when it is dropped and when the process is interrupted.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Until it is closed.
    folder: Option<TempDir>,
}

impl Scratch {
    /// `prefix` and six random characters, in `parent`.
    pub fn new_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        // Held meanwhile, so that no folder is made that an interruption does not know of.
        let mut folders = folders();
        let folder = tempfile::Builder::new().prefix(prefix).rand_bytes(Self::RANDOM).tempdir_in(parent)?;
        let path = folder.path().to_owned();
        folders.insert(path.clone());
        Ok(Self { path, folder: Some(folder) })
    }

    /// Characters that follow the prefix.
    pub const RANDOM: usize = 6;

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, and says so where it cannot.
    pub fn close(mut self) -> io::Result<()> {
        self.folder.take().map_or(Ok(()), TempDir::close)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        folders().remove(&self.path);
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP remove every [`Scratch`] before they end the process, as they would have ended it.
/// What the caller has ignored, as `nohup` does, stays ignored.
#[expect(unsafe_code, reason = "a signal handler")]
pub(crate) fn on_interrupt() {
    let Ok((told, tell)) = pipe_with(PipeFlags::CLOEXEC) else { return };
    let waits = thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        let mut signal = [0];
        if rustix::io::retry_on_intr(|| rustix::io::read(&told, &mut signal)) == Ok(1) {
            end(i32::from(signal[0]));
        }
    });
    if waits.is_err() {
        return;
    }
    // For as long as the process lives.
    TELL.store(std::os::fd::IntoRawFd::into_raw_fd(tell), Ordering::Relaxed);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: both structures are plain data, and `handle` calls only what a handler may.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut action);
            if action.sa_sigaction == libc::SIG_DFL {
                action.sa_sigaction = handle as *const () as libc::sighandler_t;
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

#[expect(unsafe_code, reason = "write is one of the few calls that a signal handler may make")]
extern "C" fn handle(signal: libc::c_int) {
    // Signals have small numbers.
    let number = u8::try_from(signal).unwrap_or_default();
    // SAFETY: one byte of a local variable.
    unsafe { libc::write(TELL.load(Ordering::Relaxed), (&raw const number).cast(), 1) };
}

#[expect(unsafe_code, reason = "ending by a signal, so that whoever waits for this process sees it")]
fn end(signal: i32) {
    // Not given back: nothing is made any more.
    let folders = folders();
    for folder in folders.iter() {
        // Other threads may still be writing into it.
        for _ in 0..10 {
            if fs_err::remove_dir_all(folder).is_ok() || !folder.exists() {
                break;
            }
        }
    }
    // SAFETY: no handler runs any more, and no memory is touched.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    // Blocked in this thread, or somebody is tracing.
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap_or_default();
    // The first process of a container is deaf to both.
    // SAFETY: as above.
    unsafe { libc::_exit(128 + signal) }
}
