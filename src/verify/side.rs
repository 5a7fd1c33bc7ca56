//! One of the two sides that are compared: the unpackaged application, or the artifact, each in a sandbox of its
//! own with folders that nothing has been in before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::Error;
use super::sandbox::{Exit, Job, Join, Sandbox, View};

/// What an ordinary login has.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

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

pub(super) struct Side {
    pub which: Which,
    pub sandbox: Sandbox,
    /// Everything of this side's lies here, at the same path inside the sandbox.
    pub folder: PathBuf,
    /// The environment's interpreter, or the copy of the artifact.
    pub program: PathBuf,
    /// What goes to the front of `sys.path`; relative to the tree's root for the artifact.
    pub application: Vec<String>,
    /// Beside `folder`: where this side's files may lie.
    pub known: Vec<PathBuf>,
    /// Where bytecode goes: an environment may have none, and cannot be written to.
    pub bytecode: Option<PathBuf>,
    /// One of the sides has no namespaces, so that Python might write bytecode into the user's folders.
    pub may_write: bool,
    count: u32,
}

/// Where to open a side.
pub(super) struct Opening<'a> {
    pub tool: &'a Path,
    pub scratch: &'a Path,
    /// Seen by both sides, e.g. for a helper and the application to meet in.
    pub shared: &'a Path,
    pub network: Join,
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
        let own = opening.scratch.join(format!("{}.sandbox", which.name()));
        fs::create_dir_all(&own)?;
        view.writable.extend([folder.clone(), opening.shared.to_owned()]);
        let known = view.read_only.clone();
        let sandbox = Sandbox::open(opening.tool, &own, &view, opening.network)?;
        Ok(Self { which, sandbox, folder, program, application, known, bytecode: None, may_write: false, count: 0 })
    }

    /// Home folder and folder for temporary files of the run with this number. Each run has its own: one would find
    /// what another has left.
    pub(super) fn folders(&self, run: usize) -> [PathBuf; 2] {
        ["home", "tmp"].map(|name| {
            let number = if run == 0 { String::new() } else { format!("-{}", run + 1) };
            self.folder.join(format!("{name}{number}"))
        })
    }

    /// The environment that a process starts with, and nothing else. `home` is a folder name, made where missing.
    pub(super) fn variables(&self, home: &str) -> Result<BTreeMap<String, String>, Error> {
        self.variables_with([self.folder.join(home), self.folder.join("tmp")])
    }

    fn variables_with(&self, [home, temporary]: [PathBuf; 2]) -> Result<BTreeMap<String, String>, Error> {
        fs::create_dir_all(&home)?;
        fs::create_dir_all(&temporary)?;
        let mut variables: BTreeMap<String, String> = [
            ("HOME", home.display().to_string()),
            ("TMPDIR", temporary.display().to_string()),
            ("PATH", PATH.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if self.may_write {
            variables.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
        }
        Ok(variables)
    }

    /// Where programs leave things behind; the machine's own where there are no namespaces, which say nothing.
    pub(super) fn shared_folders(&self) -> &'static [&'static str] {
        if self.sandbox.reason().is_some() { &[] } else { &["/tmp", "/var/tmp", "/dev/shm", "/run"] }
    }

    /// An empty folder to work in.
    pub(super) fn fresh(&mut self, purpose: &str) -> Result<PathBuf, Error> {
        self.count += 1;
        let folder = self.folder.join(format!("{purpose}-{}", self.count));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// This side's Python with `arguments`, in the folders of a run; its output, standard and error, goes to a file.
    pub(super) fn python(&self, arguments: &[&Path], cwd: PathBuf, run: usize) -> Result<(Job, PathBuf), Error> {
        let mut env = self.variables_with(self.folders(run))?;
        // Else the order of sets, and all that follows from it, would be another one in each process.
        env.insert("PYTHONHASHSEED".to_owned(), "0".to_owned());
        if self.which == Which::Artifact {
            env.insert("PACKPROOF".to_owned(), "python".to_owned());
        }
        let output = self.folder.join(format!("output-{}", self.count));
        let mut argv = vec![self.program.display().to_string()];
        argv.extend(self.interpreter_options());
        argv.extend(arguments.iter().map(|argument| argument.display().to_string()));
        Ok((Job { argv, env, cwd, stdin: None, stdout: output.clone(), stderr: output.clone() }, output))
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
