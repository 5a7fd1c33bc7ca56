//! A [`View`] → a place to run processes in that shows them nothing else, and that they cannot outlive.
//!
//! The tool starts itself again ([`reenter`]); that process makes the namespaces, builds the root and then serves
//! requests over a pipe. Where the kernel refuses, the same process serves without namespaces, and
//! [`Sandbox::reason`] says why. Files of the user are never renamed or written.

mod ask;
mod layers;
mod network;
mod processes;
mod protocol;
mod reenter;
mod root;
pub mod signal;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub use ask::Ask;
use fs_err as fs;
pub(crate) use protocol::is_system;
use protocol::{Event, Request, Role, Spec, VARIABLE};
pub use protocol::{Exit, Job, Join, Seen, View};
pub use reenter::reenter;
pub(super) use root::EMPTY;

/// How long the sandbox may take to open; nothing of the application's runs before. A moment, but on a machine that
/// does nothing for minutes.
const OPENING: Duration = Duration::from_mins(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start `{}` as the sandbox", tool.display())]
    Start { tool: PathBuf, source: std::io::Error },
    #[error("the sandbox did not open; its last words:\n{stderr}")]
    NotOpened { stderr: String },
    #[error("the sandbox ended while it was in use; its last words:\n{stderr}")]
    Ended { stderr: String },
    #[error("cannot run `{program}` in the sandbox: {reason}")]
    NotStarted { program: String, reason: String },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

pub struct Sandbox {
    child: Child,
    requests: Option<ChildStdin>,
    events: Receiver<Event>,
    next: u64,
    exits: BTreeMap<u64, Exit>,
    refused: BTreeMap<u64, String>,
    /// Peak resident set in KiB, number of processes.
    memory: BTreeMap<u64, (u64, u64)>,
    answers: BTreeMap<u64, Result<u16, String>>,
    /// Processes that a sweep had to kill.
    swept: BTreeMap<u64, usize>,
    /// All that was ever seen of a job.
    seen: BTreeMap<u64, Seen>,
    programs: BTreeMap<u64, String>,
    stderr: PathBuf,
    network: Join,
    reason: Option<String>,
    notes: Vec<String>,
}

impl Sandbox {
    /// `folder` is an existing folder that the view does not show; the sandbox keeps its own things there. What the
    /// kernel refuses is done without, the network first.
    pub fn open(tool: &Path, folder: &Path, view: &View, network: Join) -> Result<Self, Error> {
        let mount_point = folder.join("root");
        fs::create_dir_all(&mount_point)?;
        let mut spec = Spec { role: Role::Outer, network, mount_point, view: view.clone() };
        let first = match Self::start(tool, folder, &spec)? {
            Ok(sandbox) => return Ok(sandbox),
            Err(reason) => reason,
        };
        let mut refused = first.clone();
        if network != Join::Machine {
            spec.network = Join::Machine;
            match Self::start(tool, folder, &spec)? {
                Ok(mut sandbox) => {
                    sandbox.notes.push(format!("the network is the machine's: {first}"));
                    return Ok(sandbox);
                }
                Err(reason) => refused = reason,
            }
        }
        spec.role = Role::Bare;
        let mut sandbox = Self::start(tool, folder, &spec)?
            .map_err(|second| Error::NotOpened { stderr: format!("{refused}\n{second}") })?;
        sandbox.reason = Some(refused);
        Ok(sandbox)
    }

    /// The inner error is the reason for which namespaces were refused.
    fn start(tool: &Path, folder: &Path, spec: &Spec) -> Result<Result<Self, String>, Error> {
        let stderr = folder.join("stderr");
        let mut child = Command::new(tool)
            .env(VARIABLE, serde_json::to_string(spec).map_err(std::io::Error::from)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(fs::File::create(&stderr)?.into_parts().0))
            .current_dir("/")
            .spawn()
            .map_err(|source| Error::Start { tool: tool.to_owned(), source })?;
        let requests = child.stdin.take();
        let (sender, events) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let Ok(event) = serde_json::from_str(&line) else { break };
                    if sender.send(event).is_err() {
                        break;
                    }
                }
            });
        }
        let mut sandbox = Self {
            child,
            requests,
            events,
            next: 0,
            exits: BTreeMap::new(),
            refused: BTreeMap::new(),
            memory: BTreeMap::new(),
            answers: BTreeMap::new(),
            swept: BTreeMap::new(),
            seen: BTreeMap::new(),
            programs: BTreeMap::new(),
            stderr,
            network: spec.network,
            reason: None,
            notes: Vec::new(),
        };
        match sandbox.events.recv_timeout(OPENING) {
            Ok(Event::Opened { notes }) => {
                sandbox.notes = notes;
                Ok(Ok(sandbox))
            }
            Ok(Event::Refused { reason }) => Ok(Err(reason)),
            _ => Err(Error::NotOpened { stderr: sandbox.last_words() }),
        }
    }

    /// Why there are no namespaces; nothing where there are.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Whether there is nothing but a loopback device.
    pub fn is_offline(&self) -> bool {
        self.network != Join::Machine
    }

    /// For another sandbox to share this one's network.
    pub fn joined(&self) -> Join {
        if self.is_offline() { Join::Sandbox(self.child.id()) } else { Join::Machine }
    }

    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub fn run(&mut self, job: Job) -> Result<u64, Error> {
        let id = self.next;
        self.next += 1;
        self.programs.insert(id, job.argv.first().cloned().unwrap_or_default());
        self.request(&Request::Run { id, job })?;
        Ok(id)
    }

    pub fn signal(&mut self, id: u64, signal: i32) -> Result<(), Error> {
        self.request(&Request::Signal { id, signal })
    }

    pub fn kill(&mut self, id: u64) -> Result<(), Error> {
        self.request(&Request::Kill { id })
    }

    /// Nothing if the job still runs after `limit`.
    pub fn wait(&mut self, id: u64, limit: Duration) -> Result<Option<Exit>, Error> {
        let end = Instant::now() + limit;
        loop {
            if let Some(exit) = self.exits.get(&id) {
                return Ok(Some(*exit));
            }
            if let Some(reason) = self.refused.get(&id) {
                let program = self.programs.get(&id).cloned().unwrap_or_default();
                return Err(Error::NotStarted { program, reason: reason.clone() });
            }
            if !self.hear(end)? {
                return Ok(None);
            }
        }
    }

    /// What something inside answers: the status for HTTP, 0 for a bare connection, or why there is no answer.
    pub fn ask(&mut self, ask: Ask) -> Result<Result<u16, String>, Error> {
        let number = self.next;
        self.next += 1;
        self.request(&Request::Ask { number, ask })?;
        // A connection, a request and an answer have five seconds each.
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(answer) = self.answers.remove(&number) {
                return Ok(answer);
            }
            if !self.hear(end)? {
                return Ok(Err("no answer".to_owned()));
            }
        }
    }

    /// Ends what jobs that are over have left running, and says how many processes that were: such as did not end by
    /// themselves within a second.
    pub fn sweep(&mut self) -> Result<usize, Error> {
        let number = self.next;
        self.next += 1;
        self.request(&Request::Sweep { number })?;
        let end = Instant::now() + OPENING;
        loop {
            if let Some(left) = self.swept.remove(&number) {
                return Ok(left);
            }
            if !self.hear(end)? {
                return Err(Error::Ended { stderr: self.last_words() });
            }
        }
    }

    /// Takes the next event; false where none comes before `end`.
    fn hear(&mut self, end: Instant) -> Result<bool, Error> {
        match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Exited { id, exit }) => _ = self.exits.insert(id, exit),
            Ok(Event::NotStarted { id, reason }) => _ = self.refused.insert(id, reason),
            Ok(Event::Memory { id, kib, processes }) => _ = self.memory.insert(id, (kib, processes)),
            Ok(Event::Answer { number, answer }) => _ = self.answers.insert(number, answer),
            Ok(Event::Swept { number, left }) => _ = self.swept.insert(number, left),
            Ok(Event::Seen { id, seen }) => {
                let all = self.seen.entry(id).or_default();
                all.mapped.extend(seen.mapped);
                all.open.extend(seen.open);
                all.programs.extend(seen.programs);
            }
            Ok(Event::Opened { .. } | Event::Refused { .. }) => {}
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Ended { stderr: self.last_words() }),
        }
        Ok(true)
    }

    /// Looks at what the job has to do with; [`Self::seen`] has it once the answer has been heard, with the next event.
    pub fn look(&mut self, id: u64) -> Result<(), Error> {
        self.request(&Request::Look { id })
    }

    pub fn seen(&self, id: u64) -> Seen {
        self.seen.get(&id).cloned().unwrap_or_default()
    }

    /// Peak resident set in KiB, as it was when the job was sent its first signal.
    pub fn peak_memory(&self, id: u64) -> Option<u64> {
        self.memory.get(&id).map(|(kib, _)| *kib)
    }

    /// How many processes the job consisted of, as it was when it was sent its first signal.
    pub fn processes(&self, id: u64) -> Option<u64> {
        self.memory.get(&id).map(|(_, processes)| *processes)
    }

    fn request(&mut self, request: &Request) -> Result<(), Error> {
        let mut line = serde_json::to_vec(request).map_err(std::io::Error::from)?;
        line.push(b'\n');
        let sent = self.requests.as_mut().is_some_and(|pipe| pipe.write_all(&line).and_then(|()| pipe.flush()).is_ok());
        if sent { Ok(()) } else { Err(Error::Ended { stderr: self.last_words() }) }
    }

    fn last_words(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The end of its input is the sandbox's order to end everything.
        drop(self.requests.take());
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
