//! Whether what the artifact loaded is its own. Pure but for the table of system libraries, which is built in, and for
//! what mapped libraries of the system need.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::expected::Expected;
use super::leftover;
use super::outcome::Inventory;
use super::plan::Libraries;
use super::proof::{Difference, Escape, Kind};
use super::sandbox::{EMPTY, Seen, is_system};
use crate::native::{Needed, Policy};

/// What the artifact's own folders are.
pub(super) struct Bounds<'a> {
    /// The artifact's folder of the run.
    pub scratch: &'a Path,
    /// Must not have been reached, whatever else holds.
    pub hidden: &'a BTreeSet<PathBuf>,
    /// The isolation is full.
    pub is_whole: bool,
    pub libraries: &'a Libraries,
    /// Of the processes that import what can be reached.
    pub imported: &'a [Inventory],
}

impl Bounds<'_> {
    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// Whether a library of the system's was loaded in the place of one of the artifact's.
    fn should_bring(&self, file: &str, is_the_systems: impl FnOnce() -> bool) -> bool {
        let Libraries { packed, opened, .. } = self.libraries;
        packed.contains(file_name(file)) && (opened.contains(file_name(file)) || !is_the_systems())
    }

    /// Whether the artifact's own copy serves the same `users` where nothing has opened the system's before: a loader takes the
    /// first of a name for the whole process, and Qt may have opened OpenSSL before Python's `_ssl` asks for it.
    fn is_brought(&self, library: &Path, users: &[&PathBuf]) -> bool {
        self.imported.iter().any(|inventory| {
            let (own, others): (Vec<&Path>, Vec<&Path>) =
                inventory.mapped.iter().map(Path::new).partition(|file| file.starts_with(&inventory.prefix));
            let has = |files: &[&Path]| files.iter().any(|file| file.file_name() == library.file_name());
            let place = |file: &&Path| file.strip_prefix(&inventory.prefix).map(Path::to_owned).unwrap_or_default();
            let places: Vec<PathBuf> = own.iter().map(place).collect();
            has(&own) && !has(&others) && users.iter().all(|user| places.iter().any(|place| user.ends_with(place)))
        })
    }

    fn is_program(&self, user: &Path) -> bool {
        self.libraries.programs.iter().any(|place| user.ends_with(place))
    }

    /// Whether it lies where a sandbox begins with nothing, so that the run itself has put it there: Mesa's cache of shaders is
    /// mapped, and lies in the home that the user database names.
    fn is_fresh(&self, path: &Path) -> bool {
        self.is_whole && !self.is_hidden(path) && EMPTY.iter().any(|(folder, _)| path.starts_with(folder))
    }
}

pub(super) fn check(inventories: &[Inventory], bounds: &Bounds<'_>, expected: &Expected) -> (Escape, Vec<Difference>) {
    let policy = Policy::built_in();
    let mut escape = Escape::default();
    let mut found = Found::default();
    let mut system = BTreeSet::new();
    let mut mapped_files = BTreeSet::new();
    for inventory in inventories {
        let tree = Path::new(&inventory.prefix);
        let own = |path: &Path| {
            path.starts_with(bounds.scratch) || !bounds.is_hidden(path) && path.starts_with(tree) && !is_system(tree)
        };
        if !own(tree) {
            found.escaped("sys.prefix", "the interpreter", &inventory.prefix);
        }
        for (module, file) in &inventory.files {
            if !own(Path::new(file)) {
                found.escaped(module, "sys.modules", file);
            }
        }
        // A relative one leads wherever the process is; what was loaded from there is looked at above.
        // So does one that is a folder around the run's: `os.path.abspath("../..")`.
        for entry in inventory.path.iter().map(Path::new).filter(|entry| entry.is_absolute()) {
            if !own(entry) && !bounds.scratch.starts_with(entry) {
                let entry = entry.to_string_lossy();
                found.escaped(&entry, "sys.path", &entry);
            }
        }
        let links = LazyCell::new(|| Links::read(&inventory.mapped, own));
        for file in &inventory.mapped {
            let path = Path::new(file.strip_suffix(" (deleted)").unwrap_or(file));
            mapped_files.insert(file);
            if own(path)
                || bounds.is_fresh(path)
                || policy.is_system_data(file)
                || file.starts_with("/memfd:")
                || file.starts_with("/SYSV")
            {
                continue;
            }
            if bounds.should_bring(file, || links.are_the_systems(path, bounds)) {
                // It works here because this machine has one too.
                found.push(
                    Kind::Escape,
                    file_name(file),
                    "/proc/self/maps",
                    "is the build machine's",
                    &format!("`{file}`, in place of the one that the artifact should bring"),
                );
            } else if is_system(path) && !bounds.is_hidden(path) {
                system.insert(file.clone());
            } else {
                found.escaped(file, "/proc/self/maps", file);
            }
        }
        watched(inventory, bounds, expected, &mut escape, &mut found);
        escape.modules = escape.modules.max(inventory.files.len());
    }
    escape.mapped_files = mapped_files.len();
    escape.stated.clone_from(&bounds.libraries.stated);
    escape.unlisted = system.iter().filter(|path| policy.left_to_system(file_name(path)).is_none()).cloned().collect();
    escape.system_libraries = system.into_iter().collect();
    (escape, found.differences)
}

/// What the processes of a start had mapped, open and running when they were looked at: what is wrong with it, and
/// what of the system, or as in the `unpackaged` start, is among it.
pub(super) fn look_at(
    name: &str,
    seen: &Seen,
    unpackaged: Option<&Seen>,
    bounds: &Bounds<'_>,
) -> (Vec<Difference>, Seen) {
    /// Fresh in the sandbox, or nobody's file.
    const FRESH: [&str; 9] =
        ["/dev/", "/tmp/", "/var/tmp/", "/run/", "/proc/", "/sys/", "/memfd:", "/SYSV", "/anon_hugepage"];
    let policy = Policy::built_in();
    let mut found = Found::default();
    let mut system = Seen::default();
    let who = format!("[start] {name}");
    // A folder to meet helpers in lies there as well.
    let run = bounds.scratch.parent().unwrap_or(bounds.scratch);
    let links = LazyCell::new(|| Links::read(&seen.mapped, |file| file.starts_with(run)));
    let theirs: BTreeSet<_> = unpackaged
        .into_iter()
        .flat_map(|theirs| theirs.mapped.iter().chain(&theirs.open).chain(&theirs.programs))
        .map(|file| leftover::opened(file))
        .collect();
    let mut look = |kind: Kind, paths: &BTreeSet<String>, system: &mut BTreeSet<String>| {
        for file in paths {
            let path = Path::new(file.strip_suffix(" (deleted)").unwrap_or(file));
            if path.starts_with(run) {
                continue;
            }
            if bounds.is_hidden(path) {
                found.push(kind, file, &who, "lies in the environment", "in use, though it is not the artifact's");
            } else if kind == Kind::Escape && bounds.should_bring(file, || links.are_the_systems(path, bounds)) {
                let other = format!("`{file}`, in place of the one that the artifact should bring");
                found.push(kind, file_name(file), &who, "is the build machine's", &other);
            } else if is_system(path) || policy.is_system_data(file) || theirs.contains(&leftover::opened(file)) {
                system.insert(file.clone());
            } else if !bounds.is_fresh(path) && !FRESH.iter().any(|start| file.starts_with(start)) {
                found.push(kind, file, &who, "is not in use", "in use, outside the artifact's tree");
            }
        }
    };
    look(Kind::Escape, &seen.mapped, &mut system.mapped);
    look(Kind::Opened, &seen.open, &mut system.open);
    look(Kind::Started, &seen.programs, &mut system.programs);
    (found.differences, system)
}

/// What the audit hook saw: files, programs, hosts.
fn watched(inventory: &Inventory, bounds: &Bounds<'_>, expected: &Expected, escape: &mut Escape, found: &mut Found) {
    // Relative to the machine's root the same in both worlds, so it is the application's own doing.
    let alike = |kind, subject: &str| expected.get(kind, subject).is_some() || expected.is_unstable(kind, subject);
    for (path, who) in &inventory.opened {
        if bounds.is_hidden(Path::new(path)) {
            found.push(Kind::Opened, path, who, "lies in the environment", "opened, though it is not the artifact's");
        } else if is_system(Path::new(path)) || alike(Kind::Opened, &leftover::opened(path)) {
            escape.system_files.insert(leftover::opened(path).into_owned(), who.clone());
        } else {
            found.push(Kind::Opened, path, who, "is not opened", "opened");
        }
    }
    for (program, who) in &inventory.started {
        if bounds.is_hidden(Path::new(program)) {
            found.push(
                Kind::Started,
                program,
                who,
                "lies in the environment",
                "started, though it is not the artifact's",
            );
        } else if !program.starts_with('<') {
            escape.programs.insert(program.clone(), who.clone());
        }
    }
    for (host, who) in &inventory.network {
        if alike(Kind::Network, host) {
            escape.hosts.insert(host.clone(), who.clone());
        } else {
            found.push(Kind::Network, host, who, "is not called", "called; there is no network");
        }
    }
}

#[derive(Default)]
struct Found {
    seen: BTreeSet<String>,
    differences: Vec<Difference>,
}

impl Found {
    fn escaped(&mut self, subject: &str, because: &str, path: &str) {
        let artifact = format!("`{path}`, outside the artifact's tree");
        self.add(Kind::Escape, subject, because.to_owned(), "lies in the environment", artifact);
    }

    fn push(&mut self, kind: Kind, subject: &str, who: &str, environment: &str, artifact: &str) {
        self.add(kind, subject, format!("`{who}`"), environment, artifact.to_owned());
    }

    fn add(&mut self, kind: Kind, subject: &str, because: String, environment: &str, artifact: String) {
        if self.seen.insert(subject.to_owned()) {
            self.differences.push(Difference {
                kind,
                subject: subject.to_owned(),
                because: vec![because],
                also: Vec::new(),
                environment: environment.to_owned(),
                artifact,
                output: None,
            });
        }
    }
}

/// Who among a process's libraries asks for which. Read where it is asked for only.
struct Links {
    outside: Needed,
    tree: Needed,
}

impl Links {
    fn read<'a>(mapped: impl IntoIterator<Item = &'a String>, own: impl Fn(&Path) -> bool) -> Self {
        let (tree, outside) = mapped.into_iter().map(PathBuf::from).partition(|file| own(file));
        Self { outside: Needed::read(&outside), tree: Needed::read(&tree) }
    }

    /// Whether a library of the system's serves none of the tree's files, which would be the artifact's own to serve: native
    /// code opened it by name, as Qt opens OpenSSL, or what needs it; or one that is left to the system needs it (a driver's
    /// compiler, say), and the loader takes the first of a name for the whole process.
    fn are_the_systems(&self, library: &Path, bounds: &Bounds<'_>) -> bool {
        let is_opened = |file: &Path| {
            let users = self.tree.users(file, &self.outside);
            let (programs, users): (Vec<&PathBuf>, Vec<&PathBuf>) = users.partition(|user| bounds.is_program(user));
            // Of several processes the one has the system's and the other the artifact's.
            let is_apart = !programs.is_empty() && self.tree.has_namesake(file);
            users.is_empty() || is_apart || bounds.is_brought(file, &users)
        };
        is_opened(library) || self.outside.is_needed(library, |by| is_left(by) || is_opened(by))
    }
}

fn is_left(by: &Path) -> bool {
    by.to_str().is_some_and(|by| Policy::built_in().left_to_system(file_name(by)).is_some())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn bounds<'a>(scratch: &'a str, hidden: &'a BTreeSet<PathBuf>, is_whole: bool) -> Bounds<'a> {
        static NONE: LazyLock<Libraries> = LazyLock::new(Libraries::default);
        Bounds { scratch: Path::new(scratch), hidden, is_whole, libraries: &NONE, imported: &[] }
    }

    #[test]
    fn only_the_tree_the_scratch_folder_and_the_system() {
        let inventory = Inventory {
            prefix: "/s/r/home/.cache/app-1".into(),
            path: ["/s/r/home/.cache/app-1/app", "/s", "/", "../x", "/home/me/src", "/s/r2"].map(Into::into).into(),
            files: [("a", "/s/r/home/.cache/app-1/a.py"), ("b", "/usr/lib/python3/dist-packages/b.py")]
                .map(|(module, file)| (module.into(), file.into()))
                .into(),
            mapped: [
                "/usr/lib/libz.so.1",
                "/lib/x/libc.so.6",
                "/opt/py/lib/libpython3.11.so.1.0",
                "/usr/lib/python3/x.so",
            ]
            .map(Into::into)
            .into(),
            ..Inventory::default()
        };
        let hidden = BTreeSet::from([PathBuf::from("/usr/lib/python3")]);
        let bounds = bounds("/s/r", &hidden, false);
        let (escape, differences) = check(&[inventory], &bounds, &Expected::default());
        let subjects: Vec<&str> = differences.iter().map(|difference| difference.subject.as_str()).collect();
        assert_eq!(
            subjects,
            ["b", "/home/me/src", "/s/r2", "/opt/py/lib/libpython3.11.so.1.0", "/usr/lib/python3/x.so"]
        );
        assert_eq!(escape.unlisted, ["/usr/lib/libz.so.1"]);
    }

    #[test]
    fn where_a_sandbox_begins_with_nothing_nothing_is_anybody_elses() {
        let mapped = ["/home/me/.cache/mesa/index", "/home/me/.venv/x.so", "/srv/x"].map(Into::into).into();
        let inventory = Inventory { prefix: "/s/tree".into(), mapped, ..Inventory::default() };
        let hidden = BTreeSet::from([PathBuf::from("/home/me/.venv")]);
        let subjects = |is_whole| {
            let bounds = bounds("/s", &hidden, is_whole);
            let (_, differences) = check(std::slice::from_ref(&inventory), &bounds, &Expected::default());
            differences.into_iter().map(|difference| difference.subject).collect::<Vec<_>>()
        };
        assert_eq!(subjects(true), ["/home/me/.venv/x.so", "/srv/x"]);
        assert_eq!(subjects(false), ["/home/me/.cache/mesa/index", "/home/me/.venv/x.so", "/srv/x"]);
        let seen = Seen { mapped: inventory.mapped.iter().cloned().collect(), ..Seen::default() };
        let of_a_start = |is_whole| {
            let bounds = bounds("/s/r", &hidden, is_whole);
            let (differences, _) = look_at("web", &seen, None, &bounds);
            differences.into_iter().map(|difference| difference.subject).collect::<Vec<_>>()
        };
        assert_eq!(of_a_start(true), ["/home/me/.venv/x.so", "/srv/x"]);
        assert_eq!(of_a_start(false), ["/home/me/.cache/mesa/index", "/home/me/.venv/x.so", "/srv/x"]);
    }

    #[test]
    fn files_programs_and_hosts_that_were_watched() {
        let watched = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "shapes".to_owned())).collect();
        let inventory = Inventory {
            prefix: "/s/tree".into(),
            opened: watched(&["/etc/mime.types", "/home/me/.venv/x", "/srv/data"]),
            started: watched(&["/sbin/ldconfig", "<python>", "/home/me/.venv/bin/python"]),
            network: watched(&["example.org"]),
            ..Inventory::default()
        };
        let hidden = BTreeSet::from([PathBuf::from("/home/me/.venv")]);
        let bounds = bounds("/s", &hidden, false);
        let (escape, differences) = check(&[inventory], &bounds, &Expected::default());
        let subjects: Vec<&str> = differences.iter().map(|difference| difference.subject.as_str()).collect();
        assert_eq!(subjects, ["/home/me/.venv/x", "/srv/data", "/home/me/.venv/bin/python", "example.org"]);
        assert!(differences.iter().all(|difference| difference.because == ["`shapes`"]));
        assert!(escape.system_files.contains_key("/etc/mime.types") && escape.programs.contains_key("/sbin/ldconfig"));
    }

    #[test]
    fn an_environment_that_calls_itself_the_tree_is_no_tree() {
        let inventory = Inventory { prefix: "/home/me/.venv".into(), ..Inventory::default() };
        let hidden = BTreeSet::from([PathBuf::from("/home/me/.venv")]);
        let bounds = bounds("/s", &hidden, false);
        let (_, differences) = check(&[inventory], &bounds, &Expected::default());
        assert_eq!(differences[0].subject, "sys.prefix");
    }

    #[test]
    fn what_the_artifact_brings_where_nothing_else_came_first() {
        let mapped = |files: &[&str]| Inventory {
            prefix: "/s/tree".into(),
            mapped: files.iter().map(|file| (*file).to_owned()).collect(),
            ..Inventory::default()
        };
        let users = ["/other/tree/lib/_ssl.so", "/other/tree/lib/_hashlib.so"].map(PathBuf::from);
        let (hidden, libraries) = (BTreeSet::new(), Libraries::default());
        let is_brought = |imported: Inventory| {
            let imported = &[imported];
            let bounds =
                Bounds { scratch: Path::new("/s"), hidden: &hidden, is_whole: false, libraries: &libraries, imported };
            bounds.is_brought(Path::new("/usr/lib/libssl.so.3"), &users.each_ref())
        };
        let whole = ["/s/tree/lib/_ssl.so", "/s/tree/lib/_hashlib.so", "/s/tree/lib/libssl.so.3"];
        assert!(is_brought(mapped(&whole)));
        assert!(!is_brought(mapped(&whole[..2])), "its own copy was not loaded");
        assert!(!is_brought(mapped(&whole[1..])), "not for each of the files");
        assert!(!is_brought(mapped(&[&whole[..], &["/usr/lib/libssl.so.3"]].concat())), "the system's was, too");
    }

    #[test]
    fn a_program_and_python_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap();
        let own = std::env::current_exe().unwrap();
        let elf = crate::native::ElfFile::parse(&fs_err::read(&own).unwrap()).unwrap();
        let library = crate::native::Loader::of_this_machine().find("libc.so.6", &[(&own, &elf)]).unwrap();
        let link = |from: &Path, name: &str| {
            let place = tree.join(name);
            std::os::unix::fs::symlink(from, &place).unwrap();
            place.to_str().unwrap().to_owned()
        };
        let (program, module) = (link(&own, "program"), link(&own, "module.so"));
        let copy = link(&library, library.file_name().unwrap().to_str().unwrap());
        let libraries = Libraries { programs: ["program".to_owned()].into(), ..Libraries::default() };
        let hidden = BTreeSet::new();
        let bounds = Bounds { scratch: &tree, hidden: &hidden, is_whole: false, libraries: &libraries, imported: &[] };
        let is_fine = |files: &[&String]| {
            let systems = library.to_str().unwrap().to_owned();
            let links = Links::read(files.iter().copied().chain([&systems]), |file| file.starts_with(&tree));
            links.are_the_systems(&library, &bounds)
        };
        assert!(is_fine(&[&program]), "it has no other");
        assert!(is_fine(&[&program, &module, &copy]));
        assert!(!is_fine(&[&program, &module]), "nothing else can serve the module");
        assert!(!is_fine(&[&module, &copy]), "nothing else can have asked for the system's");
    }
}
