//! One application in two worlds: plain Python in its environment, and packed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use fs_err as fs;
use packproof::config::{Entry, Overrides, Patterns};
use packproof::names::ModuleName;
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Project};
use packproof::progress::Silent;

use crate::support::{finish, python};

/// The environment, the project, and three artifacts of it.
pub(super) struct World {
    pub(super) root: PathBuf,
    pub(super) venv: PathBuf,
    pub(super) project: PathBuf,
    pub(super) has_joblib: bool,
    /// Folders of the environment → of the tree, the longest first.
    places: Vec<(PathBuf, String)>,
    _folder: tempfile::TempDir,
}

/// What is run: in the environment, and as an artifact.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Script,
    Module,
    Function,
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::make)
}

impl World {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (venv, project) = (root.join("venv"), root.join("project"));
        crate::support::venv(&python().executable, &venv);
        let minor = python().version.rsplit_once('.').unwrap().0;
        let site = venv.join(format!("lib/python{minor}/site-packages"));
        install(&site, &venv);
        let has_joblib = joblib(&site);
        write(&project.join("main.py"), include_str!("main.py"));
        write(&project.join("tool/__init__.py"), "");
        write(&project.join("tool/__main__.py"), include_str!("tool.py"));
        write(&project.join("call.py"), include_str!("function.py"));
        let console = "import sys\nfrom call import Command\nif __name__ == '__main__':\n    sys.exit(Command.run())\n";
        write(&project.join("console.py"), console);
        for name in ["home/.local", "home/empty", "artifacts"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        // A user's own packages, which a virtual environment does not see.
        let user = root.join(format!("home/.local/lib/python{minor}/site-packages"));
        write(&user.join("user.pth"), "import sys; sys.user_mark = 'pth'\n");
        write(&user.join("usercustomize.py"), "import sys; sys.user_mark = 'usercustomize'\n");

        let overrides = Overrides { python: Some(venv.join("bin/python")), ..Overrides::default() };
        let mut places = Vec::new();
        for form in [Form::Script, Form::Module, Form::Function] {
            let mut project = Project::open(&project.join("main.py"), &overrides, &Silent).unwrap();
            enter(&mut project, form, &root);
            let plan = project.plan().unwrap();
            places = plan.planned.places.iter().map(|(disk, tree)| (disk.clone(), tree.to_string())).collect();
            let mut spec =
                pipeline::pack_spec(&project, &plan, Choices { compression: Compression::Fast, threads: None })
                    .unwrap();
            spec.cache = Some(root.join("tool-cache"));
            pack::pack(&plan.planned.layout, &spec, &form.artifact(&root), &Silent).unwrap();
        }
        Self { root, venv, project, has_joblib, places, _folder: folder }
    }

    pub(super) fn plain(&self, form: Form) -> Command {
        let mut command = Command::new(self.venv.join("bin/python"));
        match form {
            // As the artifact has it: absolute, whatever the current folder.
            Form::Script => command.arg(self.project.join("main.py")),
            Form::Module => command.args(["-m", "tool"]),
            Form::Function => command.arg(self.project.join("console.py")),
        };
        self.surround(&mut command);
        command
    }

    pub(super) fn packed(&self, form: Form) -> Command {
        let mut command = Command::new(form.artifact(&self.root));
        self.surround(&mut command);
        command.env("PACKPROOF_CACHE", self.cache());
        command
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().env("HOME", self.root.join("home")).env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.current_dir(&self.project).stdin(Stdio::null());
    }

    /// With what differs on purpose taken out: where things lie, and how the program is called.
    pub(super) fn normal(&self, output: &Output) -> String {
        let text = format!(
            "{}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        self.normal_text(&text)
    }

    pub(super) fn normal_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for tree in self.trees() {
            let tree = tree.to_str().unwrap();
            for (_, place) in &self.places {
                text = text.replace(&format!("{tree}/{place}"), &format!("<{place}>"));
            }
            let name = tree.rsplit('/').next().unwrap().rsplit_once('-').unwrap().0;
            text = text.replace(&format!("{tree}/bin/{name}"), "<python>").replace(tree, "<base>");
        }
        for (disk, place) in &self.places {
            text = text.replace(disk.to_str().unwrap(), &format!("<{place}>"));
        }
        for executable in ["bin/python3", "bin/python"] {
            text = text.replace(self.venv.join(executable).to_str().unwrap(), "<python>");
        }
        let base = python().executable.parent().unwrap().parent().unwrap();
        let text = text.replace(&format!("{}/", base.display()), "<base>/").replace("<base>/bin/python3", "<python>");
        // Addresses of objects and threads.
        regex::Regex::new("0x[0-9a-f]+").unwrap().replace_all(&text, "0x").into_owned()
    }

    fn trees(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    /// Runs both with `change` applied, and compares.
    #[track_caller]
    pub(super) fn same<A: AsRef<OsStr>>(&self, form: Form, arguments: &[A], change: impl Fn(&mut Command)) -> String {
        let run = |mut command: Command| {
            command.args(arguments);
            change(&mut command);
            finish(&mut command)
        };
        let packed = run(self.packed(form));
        let (plain, packed) = (self.normal(&run(self.plain(form))), self.normal(&packed));
        assert_same(&plain, &packed);
        plain
    }
}

/// Names the facts that differ rather than show two walls of text.
#[track_caller]
fn assert_same(plain: &str, packed: &str) {
    let facts = |text: &str| {
        text.lines().find_map(|line| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).ok())
    };
    if let (Some(one), Some(other)) = (facts(plain), facts(packed)) {
        let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
        let differences: Vec<String> = names
            .into_iter()
            .filter(|name| one.get(*name) != other.get(*name))
            .map(|name| format!("{name}\n  plain:  {:?}\n  packed: {:?}", one.get(name), other.get(name)))
            .collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
    assert_eq!(plain, packed);
}

impl Form {
    fn artifact(self, root: &Path) -> PathBuf {
        root.join("artifacts").join(match self {
            Self::Script => "main",
            Self::Module => "tool",
            Self::Function => "console",
        })
    }
}

fn enter(project: &mut Project, form: Form, root: &Path) {
    let module = |name: &str| ModuleName::new(name).unwrap();
    let config = &mut project.config;
    form.artifact(root).file_name().unwrap().to_str().unwrap().clone_into(&mut config.runner.name);
    // No import reaches it.
    config.runner.include = Patterns::new(["tool/**"]).unwrap();
    config.runner.entry = match form {
        Form::Script => return,
        Form::Module => Entry::Module(module("tool")),
        Form::Function => Entry::Function { module: module("call"), function: "Command.run".to_owned() },
    };
    project.graph = packproof::graph::build(
        &project.environment,
        &packproof::graph::Roots::of(&project.config, &project.environment).unwrap(),
        &project.hooks,
        None,
    )
    .unwrap();
}

/// Two distributions that share a namespace, with data, an entry point and a console script; customisation of `site`.
fn install(site: &Path, venv: &Path) {
    write(
        &site.join("shared/left.py"),
        "def fail():\n    return 1 / 0\n\n\ndef double(number):\n    return number * 2\n",
    );
    write(&site.join("shared/left_data/__init__.py"), "");
    write(&site.join("shared/left_data/note.txt"), "noted\n");
    write(&site.join("shared/right.py"), "RIGHT = 1\n");
    let script =
        format!("#!{}\nfrom shared.left import double\nprint(double(21))\n", venv.join("bin/python").display());
    write(&venv.join("bin/left"), &script);
    for (name, files) in [
        (
            "left",
            "shared/left.py,sha256=x,1\nshared/left_data/__init__.py,,\nshared/left_data/note.txt,,\n../../../bin/left,sha256=y,1\n",
        ),
        ("right", "shared/right.py,,\n"),
    ] {
        let info = site.join(format!("{name}-1.0.dist-info"));
        let metadata =
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Ünder {name}\nRequires-Dist: right\n");
        write(&info.join("METADATA"), &metadata);
        write(&info.join("entry_points.txt"), "[shapes]\ndouble = shared.left:double\n");
        let own = format!("{name}-1.0.dist-info");
        write(&info.join("RECORD"), &format!("{files}{own}/METADATA,,\n{own}/entry_points.txt,,\n{own}/RECORD,,\n"));
    }
    write(&site.join("sitecustomize.py"), "import sys\nsys.site_mark = 'sitecustomize'\n");
    write(&site.join("extra.pth"), "import sys; sys.pth_mark = 'pth'\n");
}

/// One real distribution, whose processes start in a way of their own.
fn joblib(site: &Path) -> bool {
    let mut pip = Command::new(&python().executable);
    pip.args(["-I", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-compile"]);
    pip.args(["--disable-pip-version-check", "--target"]).arg(site).arg("joblib==1.4.2");
    pip.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
