//! One of the two sides that are compared: the unpackaged application, or the artifact, each in a sandbox of its
//! own with folders that nothing has been in before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Error;
use super::sandbox::{Exit, Job, Join, Sandbox, View};
use crate::format::Manifest;

/// Of the folders and sandboxes that have been made on one side, whichever lane made them.
pub(super) type Counter = Arc<AtomicU32>;

/// For an artifact to lay its tree down.
const EXTRACTING: Duration = Duration::from_mins(5);

/// What an ordinary login has.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where all programs may leave things.
pub(super) const SHARED: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Environment,
    Artifact,
}

impl Which {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Artifact => "artifact",
        }
    }
}

/// Several of one kind may run at the same time, with a sandbox each and the folder in common.
pub(super) struct Side {
    pub which: Which,
    pub sandbox: Sandbox,
    /// Everything of this side's lies here, at the same path inside the sandbox.
    pub folder: PathBuf,
    /// A folder that both sides see, e.g. for a helper and the application to meet in.
    pub shared: PathBuf,
    /// The environment's interpreter, or the copy of the artifact.
    pub program: PathBuf,
    /// How its Python is called where the artifact refuses to be one (`[runner] interpreter = false`).
    pub interpreter: Option<Vec<String>>,
    /// What goes to the front of `sys.path`; relative to the tree's root for the artifact.
    pub application: Vec<String>,
    /// Beside `folder`: where this side's files may lie.
    pub known: Vec<PathBuf>,
    /// Where bytecode goes: an environment may have none, and cannot be written to.
    pub bytecode: Option<PathBuf>,
    /// One of the sides has no namespaces, so that Python might write bytecode into the user's folders.
    pub may_write: bool,
    /// Its interpreter is to pass for a virtual environment's.
    pub is_posing: bool,
    /// What its imports are not to find.
    pub without: Vec<PathBuf>,
    count: Counter,
}

/// Where to open a side.
pub(super) struct Opening<'a> {
    pub tool: &'a Path,
    pub scratch: &'a Path,
    /// Seen by both sides, e.g. for a helper and the application to meet in.
    pub shared: &'a Path,
    pub network: Join,
    pub counters: [Counter; 2],
}

impl Side {
    pub(super) fn open(
        which: Which,
        opening: &Opening<'_>,
        program: PathBuf,
        application: Vec<String>,
        mut view: View,
    ) -> Result<Self, Error> {
        let folder = opening.scratch.join(which.name());
        fs::create_dir_all(&folder)?;
        let count = Counter::clone(&opening.counters[which as usize]);
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let own = opening.scratch.join(format!("{}.sandbox-{number}", which.name()));
        fs::create_dir_all(&own)?;
        view.writable.extend([folder.clone(), opening.shared.to_owned()]);
        let known = view.borrowed.clone();
        let sandbox = Sandbox::open(opening.tool, &own, &view, opening.network)?;
        let shared = opening.shared.to_owned();
        Ok(Self {
            which,
            sandbox,
            folder,
            shared,
            program,
            interpreter: None,
            application,
            known,
            bytecode: None,
            may_write: false,
            is_posing: false,
            without: Vec::new(),
            count,
        })
    }

    /// Home folder and folder for temporary files of the import run with this number. Each run has its own: one would
    /// find what another has left.
    pub(super) fn folders(&self, run: usize) -> Folders {
        let number = if run == 0 { String::new() } else { format!("-{}", run + 1) };
        let [home, temporary] = ["home", "tmp"].map(|name| self.folder.join(format!("{name}{number}")));
        Folders { home, temporary, has_tree: false }
    }

    /// Those of a script or a start, `has_tree`: with the tree that the imports have unpacked.
    pub(super) fn own_folders(&self, purpose: &str, has_tree: bool) -> Result<Folders, Error> {
        let [home, temporary] = ["home", "tmp"].map(|name| self.fresh(&format!("{purpose}-{name}")));
        Ok(Folders { home: home?, temporary: temporary?, has_tree })
    }

    /// The environment that a process starts with, and nothing else.
    pub(super) fn variables(&self, folders: &Folders) -> Result<BTreeMap<String, String>, Error> {
        fs::create_dir_all(&folders.home)?;
        fs::create_dir_all(&folders.temporary)?;
        let mut variables: BTreeMap<String, String> = [
            ("HOME", folders.home.display().to_string()),
            ("TMPDIR", folders.temporary.display().to_string()),
            ("PATH", PATH.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if folders.has_tree {
            let cache = self.folders(0).home.join(".cache/packproof");
            variables.insert("PACKPROOF_CACHE".to_owned(), cache.display().to_string());
        }
        if self.may_write {
            variables.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
        }
        Ok(variables)
    }

    /// Whether another sandbox can do the same at the same time, and neither notices.
    pub(super) fn is_apart(&self) -> bool {
        self.sandbox.reason().is_none() && self.sandbox.is_offline()
    }

    /// Where programs leave things behind; the machine's own where there are no namespaces, which say nothing.
    pub(super) fn shared_folders(&self) -> &'static [&'static str] {
        if self.sandbox.reason().is_some() { &[] } else { &SHARED }
    }

    /// An empty folder to work in.
    pub(super) fn fresh(&self, purpose: &str) -> Result<PathBuf, Error> {
        let folder = self.folder.join(format!("{purpose}-{}", self.count.fetch_add(1, Ordering::Relaxed) + 1));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// This side's Python with `arguments`; its output, standard and error, goes to a file beside `cwd`.
    pub(super) fn python(&self, arguments: &[&Path], cwd: PathBuf, folders: &Folders) -> Result<(Job, PathBuf), Error> {
        let mut env = self.variables(folders)?;
        // Else the order of sets, and all that follows from it, would be another one in each process.
        env.insert("PYTHONHASHSEED".to_owned(), "0".to_owned());
        if self.which == Which::Artifact && self.interpreter.is_none() {
            env.insert("PACKPROOF".to_owned(), "python".to_owned());
        }
        let output = cwd.with_extension("output");
        let mut argv = self.interpreter.clone().unwrap_or_else(|| vec![self.program.display().to_string()]);
        argv.extend(self.interpreter_options());
        argv.extend(arguments.iter().map(|argument| argument.display().to_string()));
        Ok((Job { argv, env, cwd, stdin: None, stdout: output.clone(), stderr: output.clone() }, output))
    }

    /// Folders with a tree of their own, which is there already: what is timed afterwards is the application alone, and what
    /// it writes beside itself is not in the tree that is looked at in the end.
    pub(super) fn unpacked(&mut self, purpose: &str) -> Result<Folders, Error> {
        let folders = self.own_folders(purpose, false)?;
        if self.which == Which::Artifact && self.interpreter.is_none() {
            let cwd = self.fresh("unpack")?;
            let (job, _) = self.python(&[Path::new("-c"), Path::new("pass")], cwd, &folders)?;
            let id = self.sandbox.run(job)?;
            self.finish(id, EXTRACTING)?;
        }
        Ok(folders)
    }

    /// Has the artifact lay its tree down, for its interpreter to be called there.
    pub(super) fn extract(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let tree = self.folder.join("extracted");
        let cwd = self.fresh("extract")?;
        let output = cwd.with_extension("output");
        let mut env = self.variables(&self.own_folders("extract", false)?)?;
        env.insert("PACKPROOF".to_owned(), "extract".to_owned());
        let argv = vec![self.program.display().to_string(), tree.display().to_string()];
        let job = Job { argv, env, cwd, stdin: None, stdout: output.clone(), stderr: output };
        let id = self.sandbox.run(job)?;
        // Where it fails there is no such program, and that is the result.
        self.finish(id, EXTRACTING)?;
        let program = tree.join(manifest.start.interpreter.as_str()).display().to_string();
        self.interpreter = Some([vec![program], manifest.start.options.clone()].concat());
        Ok(())
    }

    /// An option rather than a variable, which children would see.
    pub(super) fn interpreter_options(&self) -> Vec<String> {
        let folder = self.bytecode.iter();
        folder.flat_map(|folder| ["-X".to_owned(), format!("pycache_prefix={}", folder.display())]).collect()
    }

    /// Runs to the end; a job that takes longer than `limit` is killed.
    pub(super) fn finish(&mut self, id: u64, limit: Duration) -> Result<Ending, Error> {
        if let Some(exit) = self.sandbox.wait(id, limit)? {
            return Ok(Ending::Exited(exit));
        }
        self.kill(id)?;
        Ok(Ending::TooLong(limit))
    }

    /// Ends what jobs that are over have left running, for the next ones to start as the first did. Whether there was
    /// anything.
    pub(super) fn sweep(&mut self) -> Result<bool, Error> {
        Ok(self.sandbox.sweep()? > 0)
    }

    pub(super) fn kill(&mut self, id: u64) -> Result<(), Error> {
        self.sandbox.kill(id)?;
        let end = Instant::now() + Duration::from_secs(10);
        while self.sandbox.wait(id, Duration::from_secs(1))?.is_none() && Instant::now() < end {}
        Ok(())
    }

    /// Folders whose names differ between the sides.
    pub(super) fn normalise(&self, text: &str) -> String {
        text.replace(&*self.folder.to_string_lossy(), "<scratch>")
    }
}

/// What `HOME` and `TMPDIR` are.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub home: PathBuf,
    pub temporary: PathBuf,
    /// Whether an artifact uses the tree that another process of the run has unpacked.
    pub has_tree: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    Exited(Exit),
    TooLong(Duration),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(exit) => exit.fmt(f),
            Self::TooLong(limit) => write!(f, "still running after {} s", limit.as_secs()),
        }
    }
}

/// The last lines of a process's output.
pub(super) fn tail(output: &Path, lines: usize) -> String {
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
