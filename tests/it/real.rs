//! The prover against artifacts that packproof itself has packed, whole and with a file left out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::config::{Config, Entry, Overrides};
use packproof::environment::Environment;
use packproof::format::Start;
use packproof::graph::{self, Names, Roots};
use packproof::hooks::Hooks;
use packproof::layout::{self, Origin, Planned, Reached};
use packproof::pack::{self, Compression, PackSpec};
use packproof::progress::Silent;
use packproof::verify::{ApplicationFolder, ImportCheck, Kind, Limits, Plan, Proof, Verdict, World, prove};

use crate::support::python;

const MAIN: &str = r#"
def late():
    from shapes.late import Circle
    return Circle()

if __name__ == "__main__":
    print(late().area())
"#;

struct Application {
    folder: tempfile::TempDir,
    config: Config,
    environment: Environment,
    planned: Planned,
    imports: Vec<ImportCheck>,
}

impl Application {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let venv = root.join("venv");
        let made = Command::new(&python().executable).args(["-m", "venv", "--without-pip"]).arg(&venv).status();
        assert!(made.unwrap().success());
        let environment = Environment::read(&venv.join("bin/python")).unwrap();
        let site = &environment.facts.purelib;
        let info = site.join("shapes-1.0.dist-info");
        write(&site.join("shapes/__init__.py"), "");
        write(&site.join("shapes/late.py"), "class Circle:\n    def area(self):\n        return 3\n");
        write(&info.join("METADATA"), "Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n");
        let record =
            "shapes/__init__.py,,\nshapes/late.py,,\nshapes-1.0.dist-info/METADATA,,\nshapes-1.0.dist-info/RECORD,,\n";
        write(&info.join("RECORD"), record);
        write(&root.join("project/main.py"), MAIN);
        Self::read(folder, &root.join("project"), &venv.join("bin/python"))
    }

    fn read(folder: tempfile::TempDir, project: &Path, python: &Path) -> Self {
        let overrides = Overrides { python: Some(python.to_owned()), ..Overrides::default() };
        let target = if project.join("packproof.toml").exists() { project.to_owned() } else { project.join("main.py") };
        let config = Config::load(&target, &overrides).unwrap();
        let environment = Environment::read(python).unwrap();
        let hooks = Hooks::load(&config.runner.hooks).unwrap();
        let graph = graph::build(&environment, &Roots::of(&config), &hooks).unwrap();
        let mut reached = Reached::default();
        for (_, module) in graph.modules() {
            match &module.origin {
                graph::Origin::Stdlib => _ = reached.stdlib.insert(module.name.top_level().to_owned()),
                graph::Origin::Distribution(name) => _ = reached.distributions.insert(name.clone()),
                graph::Origin::Application | graph::Origin::Unowned => {}
            }
        }
        reached.application = graph
            .application_modules()
            .into_iter()
            .map(|module| {
                let is_package = module.file.file_name().is_some_and(|name| name == "__init__.py");
                let depth = module.name.as_str().split('.').count() + usize::from(is_package);
                let root = module.file.ancestors().nth(depth).unwrap().to_owned();
                layout::ApplicationModule { name: module.name, root, file: module.file }
            })
            .collect();
        let own = graph.edges().filter(|edge| edge.importer.editable && !edge.module.is_empty());
        let imports = own
            .map(|edge| ImportCheck {
                module: edge.module.to_owned(),
                names: match edge.names {
                    Names::Module | Names::Star => Vec::new(),
                    Names::Listed(names) => names.iter().map(ToString::to_string).collect(),
                },
                because: format!("{}:{}", edge.importer.name, edge.line),
                required: false,
            })
            .collect();
        let planned = layout::plan(&config, &environment, &reached).unwrap();
        Self { folder, config, environment, planned, imports }
    }

    fn pack(&self) -> PathBuf {
        let out = self.folder.path().canonicalize().unwrap().join("out/app");
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let spec = PackSpec {
            name: "app".into(),
            python_version: self.environment.facts.version_string(),
            python: self.environment.facts.base_executable.clone(),
            start: Start {
                interpreter: self.planned.interpreter.clone(),
                options: vec!["-s".into()],
                entry: match &self.planned.entry {
                    layout::StartEntry::Script(path) => packproof::format::StartEntry::Script(path.clone()),
                    layout::StartEntry::Module(module) => packproof::format::StartEntry::Module(module.to_string()),
                },
            },
            glibc_floor: None,
            sbom: None,
            level: Compression::Fast,
            interpreter_mode: true,
            cache: None,
            threads: None,
        };
        pack::pack(&self.planned.layout, &spec, &out, &Silent).unwrap().path
    }

    fn prove(&self) -> Proof {
        let facts = &self.environment.facts;
        let Entry::Script(script) = &self.config.runner.entry else { panic!("a script is packed here") };
        let folders = [script.parent().unwrap().to_owned()];
        let application = folders.iter().chain(&self.config.runner.path).map(|folder| {
            let (_, place) = self.planned.places.iter().find(|(path, _)| path == folder).unwrap();
            ApplicationFolder { environment: folder.clone(), artifact: place.to_string() }
        });
        let expose: BTreeSet<PathBuf> =
            facts.path.iter().chain([&facts.prefix, &facts.base_prefix, &self.config.root]).cloned().collect();
        let owners = self.planned.layout.entries.values().filter_map(|entry| match &entry.origin {
            Origin::Distribution(name) => Some(name.to_string()),
            _ => None,
        });
        let plan = Plan {
            name: "app".into(),
            artifact: self.pack(),
            tool: env!("CARGO_BIN_EXE_packproof").into(),
            world: World {
                python: facts.executable.clone(),
                expose: expose.iter().cloned().collect(),
                root: self.config.root.clone(),
                application: application.collect(),
            },
            hidden: expose.into_iter().collect(),
            imports: self.imports.clone(),
            scripts: self.config.smoke.scripts.clone(),
            start: self.config.start.clone().map(|settings| packproof::verify::StartProbe {
                settings,
                unpackaged: vec![script.display().to_string()],
            }),
            distributions: owners.collect::<BTreeSet<_>>().into_iter().collect(),
            limits: Limits::default(),
            scratch: None,
        };
        prove(&plan, &Silent).unwrap()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn text(proof: &Proof) -> String {
    packproof::report::proof::render(proof)
}

#[test]
fn a_packed_application_is_proved() {
    let proof = Application::new().prove();
    assert_eq!(proof.verdict, Verdict::Proved, "{}", text(&proof));
    assert!(proof.imports.checked > 0 && proof.imports.same == proof.imports.checked);
}

#[test]
fn a_layout_without_a_module_is_not_proved() {
    let mut application = Application::new();
    let before = application.planned.layout.entries.len();
    application
        .planned
        .layout
        .entries
        .retain(|path, _| !path.as_str().contains("shapes/late.") && !path.as_str().contains("/late.cpython"));
    assert!(application.planned.layout.entries.len() < before);
    let proof = application.prove();
    assert_eq!(proof.verdict, Verdict::NotProved);
    let [difference] = proof.differences.as_slice() else { panic!("{}", text(&proof)) };
    assert_eq!((difference.kind, difference.subject.as_str()), (Kind::Import, "shapes.late"));
    assert_eq!(difference.environment, "imports");
    assert_eq!(difference.artifact, "ModuleNotFoundError: No module named 'shapes.late'");
}
