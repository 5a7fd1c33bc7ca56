//! An artifact that is made for the prover's tests: a shell script with a relocated interpreter behind it, which can be
//! broken at will, and whose start needs none of packproof's own code.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use packproof::config::{Ready, Start};
use packproof::progress::Silent;
use packproof::verify::{ApplicationFolder, ImportCheck, Kind, Limits, Plan, Proof, StartProbe, Verdict, World, prove};

use crate::support::{PATIENCE, run, write};

const MAIN: &str = r#"
import os, signal, socket, sys
with open(os.environ["PEER"]) as file:
    port = int(file.read())
stop = []
signal.signal(signal.SIGTERM, lambda *args: stop.append(1))
def late():
    from shapes.late import Circle
    return Circle()
with socket.create_connection(("127.0.0.1", port)) as peer:
    late().area()
    print("Ready,", peer.recv(5).decode(), flush=True)
    while not stop:
        signal.pause()
"#;

const PEER: &str = r#"
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    server.accept()[0].sendall(b"hello")
"#;

const SMOKE: &str = "from shapes.late import Circle\nimport helper\nassert Circle().area() == 3 and helper.X == 1\n";

/// What the artifact is made of, laid out for a test to spoil before [`Fixture::pack`].
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
    pub(crate) version: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        // On purpose not below the folder of the run's own scratch, and readable by another user.
        let folder = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let root = folder.path();
        let (python, base, version) = base_python();
        crate::support::venv(&python, &root.join("venv"));
        let site = root.join(format!("venv/lib/python{version}/site-packages"));
        write(&site.join("shapes/__init__.py"), "");
        write(&site.join("shapes/late.py"), "class Circle:\n    def area(self):\n        return 3\n");
        write(&site.join("shapes-1.0.dist-info/METADATA"), "Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n");
        write(&root.join("project/main.py"), MAIN);
        write(&root.join("project/helper.py"), "X = 1\n");
        write(&root.join("project/peer.py"), PEER);
        write(&root.join("project/smoke.py"), SMOKE);

        let tree = root.join("tree");
        let library = tree.join(format!("lib/python{version}"));
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::create_dir_all(&library).unwrap();
        let stdlib = base.join(format!("lib/python{version}"));
        run(Command::new("sh")
            .arg("-c")
            .arg(
                "cd \"$1\" && tar cf - --exclude=./test --exclude=./site-packages --exclude=./dist-packages \
             --exclude=./idlelib --exclude=./ensurepip --exclude=./config-* --exclude=__pycache__ \
             --exclude=./sitecustomize.py . | tar xf - -C \"$2\"",
            )
            .arg("sh")
            .arg(&stdlib)
            .arg(&library));
        relocate(&python, &tree.join("bin/app"), &base);
        let shared = format!("libpython{version}.so.1.0");
        if base.join("lib").join(&shared).exists() && base != Path::new("/usr") {
            relocate(&base.join("lib").join(&shared), &tree.join("lib").join(&shared), &base);
        }
        for modules in walk(&library, ".so") {
            relocate(&modules, &modules.clone(), &base);
        }
        // Debian's site.py knows dist-packages alone.
        let packages =
            if base == Path::new("/usr") { library.join("dist-packages") } else { library.join("site-packages") };
        fs::create_dir_all(&packages).unwrap();
        run(Command::new("cp")
            .arg("-r")
            .arg(site.join("shapes"))
            .arg(site.join("shapes-1.0.dist-info"))
            .arg(&packages));
        fs::create_dir_all(tree.join("app")).unwrap();
        for name in ["main.py", "helper.py"] {
            fs::copy(root.join("project").join(name), tree.join("app").join(name)).unwrap();
        }
        Self { folder, version }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// In the tree.
    pub(crate) fn package(&self, below: &str) -> PathBuf {
        let library = self.path(&format!("tree/lib/python{}", self.version));
        ["site-packages", "dist-packages"]
            .map(|name| library.join(name))
            .into_iter()
            .find(|it| it.exists())
            .unwrap()
            .join(below)
    }

    /// A script, and the tree behind it.
    pub(crate) fn pack(&self, prelude: &str) -> PathBuf {
        let artifact = self.path("project/dist/app");
        let script = format!(
            "#!/bin/sh\n{prelude}\ntree=\"$HOME/.cache/packproof/app\"\n\
             if [ ! -e \"$tree\" ]; then mkdir -p \"$tree\"; tail -n +9 \"$0\" | tar xf - -C \"$tree\"; fi\n\
             mode=$PACKPROOF; unset PACKPROOF PWD OLDPWD\n\
             if [ \"$mode\" = python ]; then exec \"$tree/bin/app\" -s \"$@\"; fi\n\
             exec \"$tree/bin/app\" -s \"$tree/app/main.py\" \"$@\"\n#\n"
        );
        assert_eq!(script.lines().count(), 8);
        let tar = Command::new("tar").args(["cf", "-", "-C"]).arg(self.path("tree")).arg(".").output().unwrap();
        write(&artifact, "");
        fs::write(&artifact, [script.as_bytes(), &tar.stdout].concat()).unwrap();
        fs::set_permissions(&artifact, std::fs::Permissions::from_mode(0o755)).unwrap();
        artifact
    }

    pub(crate) fn plan(&self, artifact: PathBuf) -> Plan {
        let (_, base, _) = base_python();
        let check = |module: &str, names: &[&str]| {
            ImportCheck::of(module, names.iter().map(|name| (*name).into()).collect(), "main.py:9", false)
        };
        Plan {
            name: "app".into(),
            artifact,
            tool: env!("CARGO_BIN_EXE_packproof").into(),
            world: Some(World {
                python: self.path("venv/bin/python"),
                expose: vec![self.path("venv"), base.clone()],
                root: self.path("project"),
                without: Vec::new(),
            }),
            application: vec![ApplicationFolder { environment: self.path("project"), artifact: "app".into() }],
            kept: None,
            hidden: vec![self.path("venv"), self.path("project"), base],
            imports: vec![
                check("os", &["path", "getcwd"]),
                check("ctypes", &["CDLL"]),
                check("shapes", &["late"]),
                check("shapes.late", &["Circle"]),
                check("helper", &["X"]),
                check("not_there", &[]),
                check("json", &["dumps"]),
            ],
            scripts: vec![self.path("project/smoke.py")],
            pytest: None,
            starts: vec![StartProbe {
                settings: Start {
                    name: "start".into(),
                    args: Vec::new(),
                    stdin: None,
                    output: None,
                    env: vec![("PEER".into(), "{tmp}/port".into())],
                    with: vec!["python peer.py {tmp}/port".into()],
                    ready: Some(Ready::Text("Ready, hello".into())),
                    stop: "SIGTERM".into(),
                    exit_code: 0,
                    timeout: 20,
                },
                unpackaged: vec![self.path("project/main.py").display().to_string()],
            }],
            as_it_is: None,
            files: BTreeMap::new(),
            distributions: vec!["shapes".into()],
            inputs: BTreeMap::new(),
            libraries: packproof::verify::Libraries::default(),
            limits: Limits::default().times(PATIENCE),
            scratch: None,
        }
    }

    pub(crate) fn prove(&self) -> Proof {
        prove(&self.plan(self.pack("")), &Silent).unwrap()
    }
}

/// Interpreter, its base prefix, `3.11`.
fn base_python() -> (PathBuf, PathBuf, String) {
    let named = std::env::var("PACKPROOF_TEST_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
    let code = "import os, sys; print(os.path.realpath(sys.executable)); print(sys.base_prefix); print('%d.%d' % sys.version_info[:2])";
    let output = Command::new(&named).args(["-c", code]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [python, base, version] = text.lines().collect::<Vec<_>>().try_into().unwrap();
    (python.into(), base.into(), version.into())
}

/// Copies, with a run path that names the base interpreter turned into a relative one of the same length.
fn relocate(from: &Path, to: &Path, base: &Path) {
    let mut bytes = fs::read(from).unwrap();
    let old = format!("{}/lib\0", base.display()).into_bytes();
    let mut new = b"$ORIGIN/../lib".to_vec();
    if let Some(at) = bytes.windows(old.len()).position(|window| window == old)
        && new.len() < old.len()
    {
        new.resize(old.len(), 0);
        bytes[at..at + old.len()].copy_from_slice(&new);
    }
    fs::write(to, bytes).unwrap();
    fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn walk(folder: &Path, end: &str) -> Vec<PathBuf> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file() && entry.path().to_string_lossy().ends_with(end))
        .map(walkdir::DirEntry::into_path)
        .collect()
}

pub(crate) fn text(proof: &Proof) -> String {
    packproof::report::proof::render(proof)
}

pub(crate) fn difference<'a>(proof: &'a Proof, kind: Kind, subject: &str) -> &'a packproof::verify::Difference {
    assert_eq!(proof.verdict, Verdict::NotProved);
    proof
        .differences
        .iter()
        .find(|it| it.kind == kind && (it.subject == subject || it.also.iter().any(|also| also == subject)))
        .unwrap_or_else(|| panic!("{}", text(proof)))
}

/// The same module on both sides.
pub(crate) fn on_both_sides(fixture: &Fixture, module: &str) {
    let site = fixture.path(&format!("venv/lib/python{}/site-packages", fixture.version));
    for place in [site.join("shapes/late.py"), fixture.package("shapes/late.py")] {
        write(&place, module);
    }
}

/// With nothing but imports to compare.
pub(crate) fn imports_alone(fixture: &Fixture, prelude: &str) -> Plan {
    let mut plan = fixture.plan(fixture.pack(prelude));
    plan.starts.clear();
    plan.scripts.clear();
    plan
}
