//! The target interpreter at work, in several processes.

use std::io::{self, BufWriter, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Compiled, Wanted, canonical};
use crate::format::ArchivePath;
use crate::layout::Origin;
use crate::pack::{Error, PackSpec};
use crate::progress::Progress;

const SCRIPT: &str = include_str!("../compile.py");

/// Each compiled, in order.
pub(super) fn compile(
    spec: &PackSpec,
    pool: &rayon::ThreadPool,
    wanted: &[(&Origin, Wanted<'_>)],
    progress: &dyn Progress,
) -> Result<Vec<Compiled>, Error> {
    // Starting an interpreter takes as long as compiling a few files.
    let workers = pool.current_num_threads().min(wanted.len().div_ceil(8));
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Compiled::default(); wanted.len()]);
    let work = || -> Result<(), Error> {
        let mut worker = Worker::start(spec)?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, wanted)) = wanted.get(at) else { return Ok(()) };
            let source = wanted.source.content().map_err(Error::Read)?.unwrap_or_default();
            let pyc = canonical(pyc(&mut worker, spec, wanted.of, &source)?, wanted.of, spec)?;
            // Of what was compiled, whatever was there a moment ago.
            let compiled = Compiled { hash: blake3::hash(&source).into(), pyc };
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = compiled;
            progress.advance(1);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Sources nested deep enough end the interpreter itself, and what comes next gets a new one. So may a killer of
/// processes that need much memory: as the answer is kept, it is asked for twice.
fn pyc(worker: &mut Worker, spec: &PackSpec, of: &ArchivePath, source: &[u8]) -> Result<Vec<u8>, Error> {
    for _ in 0..2 {
        if let Ok(pyc) = worker.exchange(of.as_str(), source) {
            return Ok(pyc);
        }
        *worker = Worker::start(spec)?;
    }
    Ok(Vec::new())
}

struct Worker {
    child: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: ChildStdout,
}

impl Worker {
    fn start(spec: &PackSpec) -> Result<Self, Error> {
        let failed = |source| Error::Spawn { path: spec.python.clone(), source };
        let mut child = Command::new(&spec.python)
            .args(["-I", "-S", "-B", "-c", SCRIPT])
            // From 3.11 on, -I does not keep this one out.
            .env_remove("PYTHONEXECUTABLE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let mut worker = Self { child, requests: Some(BufWriter::new(requests)), answers };
        // An empty source compiles anywhere: an interpreter that cannot run the script at all is another matter than a
        // source that ends it.
        worker.exchange("probe", b"").map_err(|_| Error::Compiler { path: spec.python.clone() })?;
        Ok(worker)
    }

    fn exchange(&mut self, name: &str, source: &[u8]) -> io::Result<Vec<u8>> {
        let requests = self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let source_length = u32::try_from(source.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        requests.write_all(&(name.len() as u32).to_le_bytes())?;
        requests.write_all(&source_length.to_le_bytes())?;
        requests.write_all(name.as_bytes())?;
        requests.write_all(source)?;
        requests.flush()?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let mut pyc = vec![0; u32::from_le_bytes(length) as usize];
        self.answers.read_exact(&mut pyc)?;
        Ok(pyc)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is its sign to leave.
        self.requests = None;
        let _ = self.child.wait();
    }
}
