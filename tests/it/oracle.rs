//! The resolver and the tables of names against CPython's own answers, over real environments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use fs_err as fs;
use packproof::config::Entry;
use packproof::environment::{Environment, find};
use packproof::graph::{self, ImportKind, Lookup, Module, ModuleGraph, ModuleKind, Names, Roots, Target, Without};
use packproof::hooks::Hooks;
use packproof::names::ModuleName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::installed::{self, WHEELS};

/// Locks of whole environments: what is walked stays the same, whatever is released meanwhile. Made with `pip freeze`
/// after installing, for the web, boto3 1.35.90, celery 5.4.0, Django 5.1.4, fastapi 0.115.6, opentelemetry-sdk 1.29.0
/// with its OTLP exporter, setuptools, six, `SQLAlchemy` and uvicorn; for science, numpy 2.0.2, pandas 2.2.3, scipy 1.13.1
/// and nbconvert 7.16.4.
const WEB: &str = include_str!("locks/web.txt");
const SCIENCE: &str = include_str!("locks/science.txt");
/// The fixture's own.
const RUNNER: &str = include_str!("../../fixtures/agent-runner/requirements.lock");
/// jupyterlab 4.2.5, which the sweep of audits has as well.
const JUPYTER: &str = include_str!("../slow/locks/jupyter.txt");

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Answer {
    kind: ModuleKind,
    file: Option<PathBuf>,
    locations: Vec<PathBuf>,
}

impl Answer {
    /// In the finders' terms: a frozen module's file is not told, nor is a location where there is no package.
    fn of(module: &Module) -> Self {
        let linked = matches!(module.kind, ModuleKind::Builtin | ModuleKind::Frozen);
        Self {
            kind: module.kind,
            file: module.file.clone().filter(|_| !linked),
            locations: if linked { Vec::new() } else { module.locations.clone() },
        }
    }
}

struct Walked {
    python: PathBuf,
    folder: PathBuf,
    graph: ModuleGraph,
}

/// A graph over everything that an environment with `lock` holds. The environment is made once.
fn walk(version: &str, lock: &str) -> Walked {
    let base = find::interpreter(Some(version)).unwrap();
    let python = installed::environment("oracle", &base.executable, lock, WHEELS).unwrap();
    let folder = python.ancestors().nth(2).unwrap().join("application");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("app.py"), "import sys\n").unwrap();

    let environment = Environment::read(&python).unwrap();
    let tops: BTreeSet<_> = environment
        .distributions
        .iter()
        .flat_map(|dist| dist.files.iter())
        .filter(|entry| entry.path.ends_with(".py") && !entry.path.starts_with(".."))
        .filter_map(|entry| {
            ModuleName::new(entry.path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".").as_str())
                .ok()
        })
        .filter(|name| !name.as_str().contains(".tests.") && !name.as_str().starts_with("pip."))
        .collect();
    let roots = Roots {
        application: vec![folder.clone()],
        entry: Some(Entry::Script(folder.join("app.py"))),
        hidden_imports: tops.into_iter().collect(),
        smoke_imports: Vec::new(),
        smoke_scripts: Vec::new(),
        without: Without::default(),
    };
    let mut graph = graph::build(&environment, &roots, &Hooks::load(&[]).unwrap(), None).unwrap();
    // Not `ask`, which has the interpreter confirm what is compared with it here.
    let questions = graph.begin_to_ask(&environment, None);
    graph.hear(questions);
    Walked { python, folder, graph }
}

impl Walked {
    fn ask<T: for<'a> Deserialize<'a>>(&self, what: &str, names: &Value) -> Vec<T> {
        let input = json!({ "what": what, "names": names, "application": [self.folder] });
        let file = self.folder.join(format!("asked-{what}.json"));
        fs::write(&file, input.to_string()).unwrap();
        let mut command = Command::new(&self.python);
        command.args(["-W", "ignore", "-c", include_str!("oracle.py")]).current_dir(&self.folder);
        command.env_clear().env("HOME", &self.folder).env("PATH", "/usr/bin:/bin");
        let output = command.stdin(fs::File::open(file).unwrap().into_file()).stderr(Stdio::null()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every name that an import asks for, modules and what may be a submodule alike.
    fn asked(&self) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        for import in self.graph.imports() {
            if import.module.is_empty() {
                continue;
            }
            let mut name = import.module.to_string();
            if let Names::Listed(names) = &import.names {
                asked.extend(names.iter().map(|inner| format!("{name}.{inner}")));
            }
            loop {
                asked.insert(name.clone());
                match name.rsplit_once('.') {
                    Some((parent, _)) => name = parent.to_owned(),
                    None => break,
                }
            }
        }
        // Not found as such: `os` puts it into `sys.modules`.
        asked.retain(|name| !name.starts_with("os.path") && !name.starts_with("__main__"));
        asked
    }

    #[expect(clippy::print_stderr, reason = "the number of names is part of what the test shows")]
    fn compare_finders(&self) {
        let asked: Vec<_> = self.asked().into_iter().collect();
        let answers: Vec<Option<Answer>> = self.ask("find", &json!(asked));
        let mut differences = Vec::new();
        for (name, theirs) in asked.iter().zip(answers) {
            let ours = self.graph.find(name).map(|id| Answer::of(self.graph.module(id)));
            if ours != theirs {
                differences.push(format!("{name}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
            }
        }
        eprintln!("{} names walked, {} differences", asked.len(), differences.len());
        assert!(asked.len() > 5_000);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    /// What no finder can have known before the modules run, each with one place that asks for it; and where modules change
    /// what imports find. The finders' answers are compared without either.
    #[expect(clippy::print_stderr, reason = "the list is what the comparison leaves out")]
    fn list_run_time(&self) {
        let graph = &self.graph;
        let asking = graph.imports().iter().filter(|import| import.target == Target::RunTime);
        let asking: BTreeMap<_, _> =
            asking.map(|import| (&import.module, (graph.module(import.importer), import.line))).collect();
        eprintln!("{} modules made at run time:", asking.len());
        for (name, (importer, line)) in asking {
            eprintln!("  {name}, asked for at {}:{line}", importer.name);
        }
        for (_, module) in graph.modules() {
            for site in module.sites.iter().filter(|site| site.what.changes_imports()) {
                eprintln!("  {}:{} {:?}", module.name, site.line, site.what);
            }
        }
    }

    #[expect(clippy::print_stderr, reason = "the number of names is part of what the test shows")]
    fn compare_unbound(&self) {
        let graph = &self.graph;
        let mut unbound = BTreeSet::new();
        let mut names = 0;
        for import in graph.imports().iter().filter(|import| import.kind != ImportKind::TypeChecking) {
            let (Target::Module(target), Names::Listed(listed)) = (import.target, &import.names) else { continue };
            names += listed.len();
            for name in listed.iter().filter(|name| graph.lookup(target, name) == Lookup::NotBound) {
                unbound.insert((import.module.to_string(), name.to_string()));
            }
        }
        let unbound: Vec<_> = unbound.into_iter().collect();
        let there: Vec<bool> = self.ask("import", &json!(unbound));
        let alarms: Vec<_> = unbound.iter().zip(there).filter(|(_, there)| *there).map(|(pair, _)| pair).collect();
        eprintln!("{names} names imported, {} not bound, {} of these false", unbound.len(), alarms.len());
        assert!(alarms.is_empty(), "{alarms:#?}");
    }

    /// So that silence is no way out: of what modules really hold, how much do the tables know?
    #[expect(clippy::print_stderr, reason = "the shares are part of what the test shows")]
    fn measure_recall(&self) {
        let graph = &self.graph;
        let modules: Vec<_> = graph
            .modules()
            .filter(|(_, module)| matches!(module.kind, ModuleKind::SingleFile | ModuleKind::Package))
            .filter(|(_, module)| !module.name.as_str().contains("__main__"))
            .step_by(7)
            .collect();
        let names: Vec<_> = modules.iter().map(|(_, module)| module.name.as_str()).collect();
        let vars: Vec<Option<Vec<String>>> = self.ask("vars", &json!(names));
        let (mut held, mut bound, mut denied) = (0_u32, 0_u32, Vec::new());
        let (mut invented, mut told) = (0_u32, 0_u32);
        let mut causes: BTreeMap<_, u32> = BTreeMap::new();
        let mut untold: BTreeMap<&str, u32> = BTreeMap::new();
        for ((id, module), vars) in modules.iter().zip(vars) {
            let Some(vars) = vars else { continue };
            for name in &vars {
                held += 1;
                match graph.lookup(*id, name) {
                    Lookup::Bound => bound += 1,
                    Lookup::NotBound => denied.push(format!("{}:{name}", module.name)),
                    Lookup::CannotTell(cause) => {
                        *causes.entry(cause).or_default() += 1;
                        *untold.entry(module.name.as_str()).or_default() += 1;
                    }
                }
            }
            invented += 1;
            match graph.lookup(*id, "no_such_name_as_this") {
                Lookup::NotBound => told += 1,
                Lookup::Bound => panic!("{} has everything", module.name),
                Lookup::CannotTell(_) => {}
            }
        }
        let percent = |part: u32, whole: u32| f64::from(part) * 100.0 / f64::from(whole);
        eprintln!(
            "{held} names held: {:.2} % bound, {} denied, cannot tell: {causes:?}; invented: {:.2} % of {invented} told",
            percent(bound, held),
            denied.len(),
            percent(told, invented)
        );
        let mut untold: Vec<_> = untold.into_iter().collect();
        untold.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        eprintln!("most that cannot be told: {:?}", &untold[..untold.len().min(12)]);
        eprintln!("denied: {:?}", &denied[..denied.len().min(60)]);
        assert!(denied.len() * 1000 <= held as usize);
        assert!(percent(bound, held) >= 98.3);
        assert!(percent(told, invented) >= 91.0);
    }
}

#[test]
fn web_stack_resolves_as_in_cpython() {
    compare("3.12", WEB);
}

#[test]
fn science_stack_resolves_as_in_cpython() {
    compare("3.11", SCIENCE);
}

#[test]
fn agent_runner_resolves_as_in_cpython() {
    compare("3.11", RUNNER);
}

#[test]
fn jupyter_resolves_as_in_cpython() {
    compare("3.11", JUPYTER);
}

fn compare(version: &str, lock: &str) {
    let walked = walk(version, lock);
    walked.list_run_time();
    walked.compare_finders();
    walked.compare_unbound();
    walked.measure_recall();
}
