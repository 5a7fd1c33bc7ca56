//! Whether what the artifact loaded is its own. Pure but for the table of system libraries, which is built in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::outcome::Inventory;
use super::proof::{Difference, Escape, Kind};
use super::sandbox::is_system;
use crate::native::Policy;

/// `scratch` is the artifact's own folder of the run; `hidden` must not have been reached whatever else holds.
pub(super) fn check(
    inventories: &[Inventory],
    scratch: &Path,
    hidden: &BTreeSet<PathBuf>,
) -> (Escape, Vec<Difference>) {
    let policy = Policy::built_in();
    let mut escape = Escape::default();
    let mut differences = Vec::new();
    let mut system = BTreeSet::new();
    let mut mapped_files = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for inventory in inventories {
        let tree = Path::new(&inventory.prefix);
        let own = |path: &Path| {
            path.starts_with(scratch)
                || !hidden.iter().any(|hidden| path.starts_with(hidden)) && path.starts_with(tree) && !is_system(tree)
        };
        let mut escaped = |subject: String, because: String, path: &str| {
            if seen.insert(subject.clone()) {
                differences.push(Difference {
                    kind: Kind::Escape,
                    subject,
                    because: vec![because],
                    environment: "lies in the environment".to_owned(),
                    artifact: format!("`{path}`, outside the artifact's tree"),
                    output: None,
                });
            }
        };
        if !own(tree) {
            escaped("sys.prefix".to_owned(), "the interpreter".to_owned(), &inventory.prefix);
        }
        for (module, file) in &inventory.files {
            if !own(Path::new(file)) {
                escaped(module.clone(), "sys.modules".to_owned(), file);
            }
        }
        for entry in inventory.path.iter().filter(|entry| !entry.is_empty()) {
            if !own(Path::new(entry)) {
                escaped(entry.clone(), "sys.path".to_owned(), entry);
            }
        }
        for file in &inventory.mapped {
            let path = Path::new(file.strip_suffix(" (deleted)").unwrap_or(file));
            mapped_files.insert(file);
            if own(path) || policy.is_system_data(file) || file.starts_with("/memfd:") || file.starts_with("/SYSV") {
                continue;
            }
            if is_system(path) && !hidden.iter().any(|hidden| path.starts_with(hidden)) {
                system.insert(file.clone());
            } else {
                escaped(file.clone(), "/proc/self/maps".to_owned(), file);
            }
        }
        escape.modules = escape.modules.max(inventory.files.len());
    }
    escape.mapped_files = mapped_files.len();
    escape.unlisted = system.iter().filter(|path| policy.left_to_system(file_name(path)).is_none()).cloned().collect();
    escape.system_libraries = system.into_iter().collect();
    (escape, differences)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tree_the_scratch_folder_and_the_system() {
        let inventory = Inventory {
            prefix: "/s/home/.cache/app-1".into(),
            path: vec!["/s/home/.cache/app-1/app".into(), "/home/me/src".into()],
            files: [("a", "/s/home/.cache/app-1/a.py"), ("b", "/usr/lib/python3/dist-packages/b.py")]
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
        let (escape, differences) = check(&[inventory], Path::new("/s"), &hidden);
        let subjects: Vec<&str> = differences.iter().map(|difference| difference.subject.as_str()).collect();
        assert_eq!(subjects, ["b", "/home/me/src", "/opt/py/lib/libpython3.11.so.1.0", "/usr/lib/python3/x.so"]);
        assert_eq!(escape.unlisted, ["/usr/lib/libz.so.1"]);
    }

    #[test]
    fn an_environment_that_calls_itself_the_tree_is_no_tree() {
        let inventory = Inventory { prefix: "/home/me/.venv".into(), ..Inventory::default() };
        let hidden = BTreeSet::from([PathBuf::from("/home/me/.venv")]);
        let (_, differences) = check(&[inventory], Path::new("/s"), &hidden);
        assert_eq!(differences[0].subject, "sys.prefix");
    }
}
