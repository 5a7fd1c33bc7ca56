//! Environments of a few lines, made on purpose.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use packproof::audit::{self, Report, Scope};
use packproof::config::{self, Entry};
use packproof::environment::record::sha256;
use packproof::environment::{Environment, find};
use packproof::graph::{self, ModuleGraph, Roots, Without};
use packproof::hooks::Hooks;
use packproof::layout::Trees;

/// Whether names without source are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    Child,
    Static,
}

/// A virtual environment with distributions of a few lines each, and an application beside it.
pub(crate) struct Site {
    pub(crate) root: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = find::interpreter(Some("3.11")).unwrap();
        crate::support::venv(&base.executable, &root.path().join("venv"));
        Self { root }
    }

    pub(crate) fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn site_packages(&self) -> PathBuf {
        self.root.path().join("venv/lib/python3.11/site-packages")
    }

    pub(crate) fn with(self, name: &str, version: &str, metadata: &str, files: &[(&str, &str)]) -> Self {
        Self::install(&self.site_packages(), name, version, metadata, files);
        self
    }

    /// A distribution as an installer would leave it in `site`.
    pub(crate) fn install(site: &Path, name: &str, version: &str, metadata: &str, files: &[(&str, &str)]) {
        let info = format!("{}-{version}.dist-info", name.replace('-', "_"));
        let mut record = String::new();
        for (path, text) in files {
            Self::write(&site.join(path), text);
            writeln!(record, "{path},{},{}", sha256(text.as_bytes()), text.len()).unwrap();
        }
        writeln!(record, "{info}/METADATA,,\n{info}/RECORD,,").unwrap();
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}\n");
        Self::write(&site.join(&info).join("METADATA"), &metadata);
        Self::write(&site.join(&info).join("RECORD"), &record);
    }

    pub(crate) fn audit_with(&self, files: &[(&str, &str)], hooks: &Hooks, config: &config::Audit) -> Report {
        self.audit_asking(Asking::Child, files, hooks, config)
    }

    pub(crate) fn audit_asking(
        &self,
        asking: Asking,
        files: &[(&str, &str)],
        hooks: &Hooks,
        config: &config::Audit,
    ) -> Report {
        let (environment, graph) = self.graph(asking, files, hooks);
        let compared = audit::compare(&environment, &graph, &Trees::default(), None);
        audit::run(&environment, &graph, hooks, config, Scope::Application(None), &compared)
    }

    /// The application's files are written first; the first of them is its entry script.
    pub(crate) fn graph(&self, asking: Asking, files: &[(&str, &str)], hooks: &Hooks) -> (Environment, ModuleGraph) {
        let folder = self.root.path().join("application");
        for (path, text) in files {
            Self::write(&folder.join(path), text);
        }
        let environment = Environment::read(&self.root.path().join("venv/bin/python")).unwrap();
        let roots = Roots {
            application: vec![folder.clone()],
            entry: Some(Entry::Script(folder.join(files[0].0))),
            hidden_imports: Vec::new(),
            smoke_imports: Vec::new(),
            smoke_scripts: Vec::new(),
            without: Without::default(),
        };
        let mut graph = graph::build(&environment, &roots, hooks, None).unwrap();
        if asking == Asking::Child {
            graph.ask(&environment, None);
        }
        (environment, graph)
    }

    pub(crate) fn audit(&self, files: &[(&str, &str)]) -> Report {
        self.audit_with(files, &Hooks::load(&[]).unwrap(), &config::Audit::default())
    }
}
