//! Modules whose statements do not tell → their names, asked of a child interpreter.
//!
//! An extension module's names stand in machine code; importing it is the only way to learn them. So it is with names that
//! one module gives another when it runs, which are asked for where statements alone would call them missing. The child has a
//! home of its own, none of the user's variables, no network where the kernel allows, and not for ever. Whatever
//! becomes of it, the worst is that names stay untold. Answers are kept for as long as the environment and the
//! module's file stay what they were. The application's own modules are never run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rayon::prelude::*;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::syntax::Opaque;
use super::{Import, ImportKind, Lookup, ModuleGraph, ModuleId, Names, Origin, Reach, Target};
use crate::cache::{self, stamped::Stamp};
use crate::environment::{Environment, Facts, child};

const SCRIPT: &str = include_str!("ask.py");
/// Bytes of all that is kept.
const MOST: u64 = 64 << 20;
/// For all modules together. Most take milliseconds; a whole machine-learning stack takes some seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Each one ends at a module that kills its interpreter; the rest is asked of the next.
const CHILDREN: usize = 12;

/// What a module had after it was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observed {
    /// Sorted.
    pub names: Box<[Box<str>]>,
    /// `__all__`
    pub all: Option<Box<[Box<str>]>>,
    /// It cannot have more: an ordinary module without `__getattr__`.
    pub complete: bool,
}

/// One line of the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    module: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<Vec<Box<str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<Vec<Box<str>>>,
    #[serde(default)]
    complete: bool,
    /// The exception's class, where the import failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An answer on disk, with the stamp of the file that it was given for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    stamp: String,
    answer: Answer,
}

/// What an answer hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    stamp: String,
    /// It says enough for an answer to be kept.
    settled: bool,
}

/// Questions that are under way.
#[derive(Debug)]
pub struct Questions {
    wanted: BTreeSet<ModuleId>,
    kept: BTreeMap<String, Kept>,
    stamps: BTreeMap<String, Held>,
    store: Option<PathBuf>,
    /// Nothing where all is known.
    answers: Option<JoinHandle<Vec<Answer>>>,
}

impl ModuleGraph {
    /// As [`Self::begin_to_ask`], [`Self::hear`] and [`Self::confirm`] one after the other.
    pub fn ask(&mut self, environment: &Environment, cache: Option<&Path>) -> usize {
        let questions = self.begin_to_ask(environment, cache);
        self.hear(questions) + self.confirm(environment, cache)
    }

    /// Asks for the names of modules whose statements do not bind what is imported from them, before anybody is told that it
    /// is missing: what a module does to another one when it runs no statement of the other tells.
    pub fn confirm(&mut self, environment: &Environment, cache: Option<&Path>) -> usize {
        let questions = self.question(self.in_doubt(), environment, cache);
        self.hear(questions)
    }

    /// Asks for the names of modules without source, and of the standard library's that fill their own globals, where
    /// an import takes names from them. The child works beside. `cache` is where answers are kept.
    pub fn begin_to_ask(&self, environment: &Environment, cache: Option<&Path>) -> Questions {
        self.question(self.to_ask(), environment, cache)
    }

    fn question(&self, wanted: BTreeSet<ModuleId>, environment: &Environment, cache: Option<&Path>) -> Questions {
        let store = cache.map(|root| root.join("names").join(key(environment) + ".json"));
        let kept: BTreeMap<String, Kept> = store.as_deref().and_then(load).unwrap_or_default();
        let beside = self.sources_by_origin(&wanted);
        let stamps: BTreeMap<String, Held> = wanted
            .iter()
            .map(|id| {
                let module = self.module(*id);
                let beside = beside.get(&module.origin).map_or("", |hash| hash);
                (module.name.to_string(), held(module.file.as_deref(), beside))
            })
            .collect();
        let open: VecDeque<String> = stamps
            .iter()
            .filter(|(name, held)| kept.get(*name).is_none_or(|kept| kept.stamp != held.stamp))
            .map(|(name, _)| name.clone())
            .collect();
        let facts = environment.facts.clone();
        let answers = (!open.is_empty()).then(|| std::thread::spawn(move || ask_children(&facts, open)));
        Questions { wanted, kept, stamps, store, answers }
    }

    /// Takes the answers; says of how many modules a child had to be asked.
    pub fn hear(&mut self, questions: Questions) -> usize {
        let Questions { wanted, mut kept, stamps, store, answers } = questions;
        // No answers are what a child that cannot be started gives, too.
        let answers = answers.map(|answers| answers.join().unwrap_or_default()).unwrap_or_default();
        let asked = answers.len();
        for answer in answers {
            let stamp = stamps.get(answer.module.as_str()).map_or_else(String::new, |held| held.stamp.clone());
            kept.insert(answer.module.clone(), Kept { stamp, answer });
        }
        let is_settled = |name: &String| stamps.get(name).is_none_or(|held| held.settled);
        let settled: BTreeMap<&String, &Kept> = kept.iter().filter(|(name, _)| is_settled(name)).collect();
        if let (Some(store), Ok(bytes), true) = (store, serde_json::to_vec(&settled), asked > 0) {
            // Without a cache it is asked again.
            let _ = cache::keep(&store, &bytes, MOST);
        }
        for id in wanted {
            let module = &mut self.modules[id.index()];
            let Some(Kept { answer, stamp }) = kept.get(module.name.as_str()) else { continue };
            if let (Some(names), true) =
                (&answer.names, stamps.get(module.name.as_str()).is_some_and(|held| held.stamp == *stamp))
            {
                let mut names: Box<[Box<str>]> = names.iter().cloned().collect();
                names.sort_unstable();
                module.symbols.observed = Some(Observed {
                    names,
                    all: answer.all.clone().map(Vec::into_boxed_slice),
                    complete: answer.complete,
                });
            }
        }
        asked
    }

    /// What else of the distributions of `wanted` decides what an import gives: a hash of their sources that are reached.
    fn sources_by_origin(&self, wanted: &BTreeSet<ModuleId>) -> BTreeMap<Origin, String> {
        let mut hashers: BTreeMap<&Origin, blake3::Hasher> = BTreeMap::new();
        for id in wanted {
            let origin = &self.module(*id).origin;
            if *origin != Origin::Stdlib {
                hashers.entry(origin).or_default();
            }
        }
        for (_, module) in self.modules() {
            if let (Some(hasher), Some(digest)) = (hashers.get_mut(&module.origin), &module.digest) {
                hasher.update(module.name.as_str().as_bytes()).update(digest);
            }
        }
        hashers
            .into_iter()
            .map(|(origin, hasher)| (origin.clone(), hasher.finalize().to_hex()[..16].to_owned()))
            .collect()
    }

    fn may_run(&self, id: ModuleId) -> bool {
        let module = self.module(id);
        !module.editable && module.origin != Origin::Application
    }

    /// Modules that lack a name which an import takes for sure, or which another distribution may take.
    fn in_doubt(&self) -> BTreeSet<ModuleId> {
        let lacks = |import: &Import| {
            let (Target::Module(id), Names::Listed(names)) = (import.target, &import.names) else { return None };
            let counts = import.kind != ImportKind::TypeChecking
                && match self.import_reach(import) {
                    Reach::Sure => true,
                    Reach::Possible => self.module(import.importer).origin != self.module(id).origin,
                    Reach::Guarded => false,
                };
            let lacks_any = || names.iter().any(|name| self.lookup(id, name) == Lookup::NotBound);
            (counts && self.may_run(id) && lacks_any()).then_some(id)
        };
        self.imports.par_iter().filter_map(lacks).collect()
    }

    fn to_ask(&self) -> BTreeSet<ModuleId> {
        let takes_names = self
            .imports
            .iter()
            .filter(|import| import.kind != ImportKind::TypeChecking && !matches!(import.names, Names::Module));
        takes_names
            .filter_map(|import| match import.target {
                Target::Module(id) => Some(id),
                Target::Missing { .. } | Target::RunTime => None,
            })
            .filter(|id| {
                let module = self.module(*id);
                match module.symbols.opaque {
                    Some(Opaque::NoSource) => self.may_run(*id),
                    // `signal`, `socket`: source that says too little, and nobody's secret.
                    Some(Opaque::GlobalsChanged | Opaque::Exec) => module.origin == Origin::Stdlib,
                    Some(
                        Opaque::ModuleGetattr
                        | Opaque::ReplacesItself
                        | Opaque::NativeCall
                        | Opaque::FilledByAnother
                        | Opaque::StarImport
                        | Opaque::Uninspectable,
                    )
                    | None => false,
                }
            })
            .collect()
    }
}

/// Whatever decides what an import does: the interpreter, the path, what is installed.
fn key(environment: &Environment) -> String {
    let facts = &environment.facts;
    let mut hasher = blake3::Hasher::new();
    hasher.update(SCRIPT.as_bytes());
    hasher.update(facts.version_string().as_bytes());
    for path in std::iter::once(&facts.base_executable).chain(&facts.path) {
        hasher.update(b"\n");
        hasher.update(path.as_os_str().as_encoded_bytes());
    }
    for dist in &environment.distributions {
        hasher.update(format!("\n{} {}", dist.name, dist.version).as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// By the module's file, where it has one, and what else of its distribution counts.
fn held(file: Option<&Path>, beside: &str) -> Held {
    match file.map(Stamp::of) {
        None => Held { stamp: format!(" {beside}"), settled: true },
        Some(None) => Held { stamp: format!("gone {beside}"), settled: false },
        Some(Some(stamp)) => Held { stamp: format!("{stamp} {beside}"), settled: stamp.is_settled(SystemTime::now()) },
    }
}

fn load(store: &Path) -> Option<BTreeMap<String, Kept>> {
    serde_json::from_slice(&fs_err::read(store).ok()?).ok()
}

/// A module at which a child ends counts as one that fails; what is left when the time is up has no answer.
fn ask_children(facts: &Facts, mut open: VecDeque<String>) -> Vec<Answer> {
    let deadline = Instant::now() + LIMIT;
    let mut answers = Vec::new();
    for _ in 0..CHILDREN {
        if open.is_empty() {
            break;
        }
        // No child, no answers.
        let Ok(asking) = Asking::start(facts, &open) else { break };
        loop {
            match asking.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let Ok(answer) = serde_json::from_str::<Answer>(&line) else { break };
                    open.retain(|name| *name != answer.module);
                    answers.push(answer);
                }
                Err(RecvTimeoutError::Timeout) => return answers,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(module) = open.pop_front() {
            answers.push(Answer {
                module,
                names: None,
                all: None,
                complete: false,
                error: Some("it ended there".to_owned()),
            });
        }
    }
    answers
}

/// A child at work; it and what it has started end with this value.
struct Asking {
    child: Child,
    lines: Receiver<String>,
    _home: tempfile::TempDir,
}

impl Asking {
    fn start(facts: &Facts, modules: &VecDeque<String>) -> std::io::Result<Self> {
        #[derive(Serialize)]
        struct Question<'a> {
            path: &'a [PathBuf],
            modules: &'a VecDeque<String>,
        }
        let home = tempfile::tempdir()?;
        let mut command = child::apart(&facts.executable, home.path());
        command.args(["-s", "-W", "ignore", "-c", &[child::CUT_OFF, SCRIPT].concat()]).current_dir(home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let question = serde_json::to_vec(&Question { path: &facts.path, modules })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that is gone already shows in its missing answers.
            let _ = stdin.write_all(&question);
        }
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines, _home: home })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn an_answer_does_not_outlive_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("x.so"), folder.path().join("other"));
        let old = SystemTime::now() - Duration::from_hours(1);
        let write = |file: &Path, text: &str| {
            fs::write(file, text).unwrap();
            fs::File::open(file).unwrap().set_modified(old).unwrap();
        };
        write(&file, "one");
        let before = held(Some(&file), "");
        assert!(!before.settled, "its time of change is now, whatever its time of modification");
        assert_eq!(held(Some(&file), ""), before);
        assert_ne!(held(Some(&file), "beside"), before);
        // Of the same size, and with the same time of modification.
        write(&other, "two");
        fs::rename(&other, &file).unwrap();
        assert_ne!(held(Some(&file), ""), before);
        fs::remove_file(&file).unwrap();
        assert!(!held(Some(&file), "").settled && held(None, "").settled);
    }
}
