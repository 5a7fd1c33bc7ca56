//! What exactly is covered, when what is to be hidden shares a folder of the system's with other programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Installation prefixes that hold more than one program.
const SHARED: [&str; 2] = ["/usr", "/usr/local"];

/// What a Python leaves in a shared prefix: folder, start of the name.
const PARTS: [(&str, &str); 10] = [
    ("bin", "python"),
    ("bin", "pip"),
    ("bin", "pydoc"),
    ("lib", "python3"),
    ("lib", "libpython3"),
    ("lib64", "python3"),
    ("lib64", "libpython3"),
    ("lib/x86_64-linux-gnu", "libpython3"),
    ("lib/aarch64-linux-gnu", "libpython3"),
    ("share", "python3"),
];

/// The paths of `wanted`, links followed as well, with a shared prefix replaced by the Python in it. Every Python
/// of the system is among them, whichever the environment is built on: any of them could lend a module.
pub(super) fn expand(wanted: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for prefix in SHARED {
        python_of(Path::new(prefix), &mut found);
    }
    matching(Path::new("/etc"), "python3", &mut found);
    for path in wanted {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        for path in [path, &real] {
            // A prefix of the system has just been looked at; its parents hold the whole machine.
            if !SHARED.iter().any(|prefix| Path::new(prefix).starts_with(path)) && !holds_the_system(path) {
                found.insert(path.clone());
            }
        }
    }
    found
}

/// `/usr/bin`, `/usr/lib` and their like, which a base interpreter may name as its own.
fn holds_the_system(path: &Path) -> bool {
    SHARED.iter().any(|prefix| {
        let prefix = Path::new(prefix);
        ["bin", "lib", "lib64", "share", "include", "sbin"].iter().any(|folder| prefix.join(folder) == path)
    }) || matches!(path.to_str(), Some("/bin" | "/lib" | "/lib64" | "/sbin" | "/etc"))
        || path.parent() == Some(Path::new("/usr/lib")) && path.to_string_lossy().ends_with("-linux-gnu")
}

fn python_of(prefix: &Path, found: &mut BTreeSet<PathBuf>) {
    for (folder, start) in PARTS {
        matching(&prefix.join(folder), start, found);
    }
}

fn matching(folder: &Path, start: &str, found: &mut BTreeSet<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.filter(|it| it.file_name().to_string_lossy().starts_with(start)).map(|it| it.path()) {
        // A link cannot be covered, what it leads to can.
        found.extend(path.canonicalize().ok().filter(|real| !holds_the_system(real)));
        found.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_itself_is_never_hidden() {
        let wanted = ["/", "/usr", "/usr/lib", "/usr/bin", "/lib", "/usr/local", "/opt/venv"].map(PathBuf::from);
        let found = expand(&wanted);
        assert!(found.contains(Path::new("/opt/venv")));
        assert!(wanted[..6].iter().all(|path| !found.contains(path)), "{found:?}");
    }
}
