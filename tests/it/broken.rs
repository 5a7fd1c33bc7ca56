//! A good layout, broken on purpose, packed and proved: whatever the application is, the proof must be red, and name the
//! cause.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use packproof::config::Overrides;
use packproof::format::ArchivePath;
use packproof::layout::{Entry, Layout, Origin, Source};
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Plan, Project};
use packproof::progress::Silent;
use packproof::verify::{self, Kind, Proof, Unpackaged, Verdict};

use crate::support::{PATIENCE, python, run, write};

/// A project, its environment, what is right for it, and what its environment showed.
pub(crate) struct Whole {
    folder: tempfile::TempDir,
    venv: PathBuf,
    project: Project,
    plan: Plan,
    unpackaged: Unpackaged,
}

impl Whole {
    /// `project` and `venv` need not lie in `folder`. What has one of `unneeded` in its path is not packed.
    pub(crate) fn open(folder: tempfile::TempDir, project: &Path, venv: &Path, unneeded: &[&str]) -> Self {
        let mut project = Project::open(project, &Overrides::default(), &Silent).unwrap();
        let mut plan = project.plan().unwrap();
        plan.planned.layout.entries.retain(|path, _| !unneeded.iter().any(|part| path.as_str().contains(part)));
        let wanted = verify_plan(&project, &plan, Path::new("/nonexistent"));
        let unpackaged = verify::expect(&wanted, &Silent).unwrap();
        Self { folder, venv: venv.to_owned(), project, plan, unpackaged }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Broken, packed under a number of its own, and proved; `adapt` changes what is tried.
    pub(crate) fn prove(&self, number: usize, breaks: fn(Target<'_>), adapt: impl Fn(&mut verify::Plan)) -> Proof {
        let mut layout = self.plan.planned.layout.clone();
        breaks(Target { layout: &mut layout, root: self.root(), venv: self.venv.clone() });
        let out = self.root().join(format!("out-{number}/main"));
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let spec =
            pipeline::pack_spec(&self.project, &self.plan, Choices { compression: Compression::Fast, threads: None })
                .unwrap();
        let artifact = pack::pack(&layout, &spec, &out, &Silent).unwrap().path;
        let mut wanted = verify_plan(&self.project, &self.plan, &artifact);
        adapt(&mut wanted);
        let proof = verify::prove_against(&wanted, &self.unpackaged, &Silent).unwrap();
        fs::remove_dir_all(out.parent().unwrap()).unwrap();
        proof
    }
}

/// What must be among the differences, and a part of its subject and of what is said of the artifact.
pub(crate) type Cause = (Kind, &'static str, &'static str);

/// Those of `all` that are not caught, and how: `prove` proves one, under a number of its own, and `cause` says what it is and what
/// must be named.
pub(crate) fn missed<M: Sync>(
    all: &[M],
    prove: impl Fn(&M, usize) -> Proof + Sync,
    cause: impl Fn(&M) -> (&'static str, Cause) + Sync,
) -> Vec<String> {
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((number, one)) = all.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let proof = prove(one, number);
                    let (what, cause) = cause(one);
                    if let Some(how) = missed_by(&proof, cause) {
                        let said = packproof::report::proof::render(&proof);
                        missed.lock().unwrap().push(format!("{what}: {how}\n{said}"));
                    }
                }
            });
        }
    });
    missed.into_inner().unwrap()
}

fn missed_by(proof: &Proof, (kind, subject, said): Cause) -> Option<String> {
    if proof.verdict != Verdict::NotProved {
        return Some("the proof is green".to_owned());
    }
    let names_it = proof.differences.iter().any(|difference| {
        let subjects = std::iter::once(&difference.subject).chain(&difference.also);
        difference.kind == kind
            && subjects.into_iter().any(|it| it.contains(subject))
            && (difference.artifact.contains(said) || difference.output.iter().any(|output| output.contains(said)))
    });
    (!names_it).then(|| format!("the proof does not name the cause, {kind:?} `{subject}` {said}"))
}

/// Always of the layout that is right: the prover does not learn from the broken one.
fn verify_plan(project: &Project, plan: &Plan, artifact: &Path) -> verify::Plan {
    let mut wanted = pipeline::proof_plan(project, &plan.planned, artifact, Path::new(env!("CARGO_BIN_EXE_packproof")));
    wanted.limits = wanted.limits.times(PATIENCE);
    wanted
}

/// What a mutation works on.
pub(crate) struct Target<'a> {
    pub(crate) layout: &'a mut Layout,
    /// A folder of the test's.
    pub(crate) root: PathBuf,
    pub(crate) venv: PathBuf,
}

impl Target<'_> {
    pub(crate) fn find(&self, end: &str) -> ArchivePath {
        let mut found = self.layout.entries.keys().filter(|path| path.as_str().ends_with(end));
        found.next().unwrap_or_else(|| panic!("nothing ends with {end}")).clone()
    }

    pub(crate) fn text(&self, path: &ArchivePath) -> String {
        match &self.layout.entries[path].source {
            Source::File(file) => fs::read_to_string(file).unwrap(),
            Source::Patched { bytes, .. } | Source::Generated(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// With its bytecode.
    pub(crate) fn drop(&mut self, what: &str) {
        let before = self.layout.entries.len();
        self.layout.entries.retain(|path, entry| match &entry.source {
            Source::Bytecode { of } => !of.as_str().contains(what),
            _ => !path.as_str().contains(what),
        });
        assert!(self.layout.entries.len() < before, "{what}");
    }

    pub(crate) fn generate(&mut self, path: ArchivePath, bytes: Vec<u8>) {
        let entry = Entry { source: Source::Generated(bytes), mode: 0o644, origin: Origin::Unowned };
        self.layout.entries.insert(path, entry);
    }

    pub(crate) fn replace(&mut self, end: &str, text: &str) {
        self.generate(self.find(end), text.as_bytes().to_vec());
    }

    pub(crate) fn replace_by_file(&mut self, end: &str, file: &str) {
        let bytes = fs::read(self.root.join(file)).unwrap();
        self.generate(self.find(end), bytes);
    }

    /// More code at a module's end.
    pub(crate) fn append(&mut self, end: &str, base: &str, code: &str) {
        self.replace(end, &format!("{base}\n{code}"));
    }

    pub(crate) fn beside(&mut self, end: &str, name: &str, text: &str) {
        let path = self.find(end).parent().unwrap().join(name).unwrap();
        self.generate(path, text.as_bytes().to_vec());
    }
}

impl Target<'_> {
    pub(crate) fn main(&mut self, code: &str) {
        self.replace("app/main.py", &format!("import signal, sys\nif __name__ == '__main__':\n{}", indented(code)));
    }

    pub(crate) fn path_file(&mut self, text: &str) {
        self.beside("00_packproof.pth", "outside.pth", text);
    }

    pub(crate) fn start_up(&mut self, code: &str) {
        let path = self.find("/_packproof.py");
        let Source::Generated(bytes) = &self.layout.entries[&path].source else { panic!("it is generated") };
        let text = format!("{}\n{code}", String::from_utf8(bytes.clone()).unwrap());
        self.generate(path, text.into_bytes());
    }

    /// The same source with `from` turned into `to`.
    pub(crate) fn change(&mut self, end: &str, from: &str, to: &str) {
        let path = self.find(end);
        let text = self.text(&path);
        assert!(text.contains(from), "{from}");
        self.generate(path, text.replacen(from, to, 1).into_bytes());
    }

    /// In place of the module a package of its name with the same code.
    pub(crate) fn module_to_package(&mut self, end: &str) {
        let path = self.find(end);
        let text = self.text(&path);
        let name = path.as_str().rsplit('/').next().unwrap().strip_suffix(".py").unwrap();
        let package = path.parent().unwrap().join(name).unwrap().join("__init__.py").unwrap();
        self.drop(path.as_str());
        self.generate(package, text.into_bytes());
    }

    /// Bytecode of what the source was before `from` became `to`.
    pub(crate) fn stale_bytecode(&mut self, end: &str, from: &str, to: &str) {
        let path = self.find(end);
        let text = self.text(&path);
        assert!(text.contains(to), "{to}");
        let source = self.root.join("older.py");
        write(&source, &text.replacen(to, from, 1));
        let code = "import py_compile, sys\npy_compile.compile(sys.argv[1], sys.argv[2], \
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
        let compiled = self.root.join("older.pyc");
        run(Command::new(&python().executable).args(["-c", code]).arg(&source).arg(&compiled));
        let is_its = |entry: &Entry| matches!(&entry.source, Source::Bytecode { of } if *of == path);
        let place = self.layout.entries.iter().find(|(_, entry)| is_its(entry)).unwrap().0.clone();
        self.generate(place, fs::read(compiled).unwrap());
    }
}

fn indented(code: &str) -> String {
    code.lines().fold(String::new(), |text, line| format!("{text}    {line}\n"))
}
