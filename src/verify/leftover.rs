//! What imports leave behind: files in the home folder, the folders for temporary files, the working folder.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use walkdir::{DirEntry, WalkDir};

use super::outcome::Inventory;
use super::side::{SHARED, Side};

/// What is left behind where a process goes on after the one that started it.
pub(super) const RUNNING: &str = "a running process";

/// How deep below a home folder two files are told apart.
const DEPTH: usize = 4;

/// Everything of the side's that its imports have left, without what is random in names.
pub(super) fn of(side: &Side, inventories: &[Inventory]) -> BTreeSet<String> {
    let mask = Mask::new();
    let mut found = BTreeSet::new();
    let folders = WalkDir::new(&side.folder).min_depth(1).max_depth(1).into_iter().flatten();
    for folder in folders.filter(|entry| entry.file_type().is_dir()) {
        let name = folder.file_name().to_string_lossy().into_owned();
        // Of a second run as well: `home-2`.
        let purpose = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        let label = match purpose {
            "home" => "<home>",
            "tmp" => "<tmp>",
            "cwd" => "<cwd>",
            _ => continue,
        };
        files(folder.path(), label, &mask, &mut found);
    }
    let scratch = side.folder.parent().unwrap_or(&side.folder);
    // Folders on the way to what the sandbox shows: the run's own, the environment, the project, the tool's cache.
    let shown: Vec<&Path> = std::iter::once(scratch)
        .chain(side.known.iter().map(PathBuf::as_path))
        .chain(side.bytecode.as_deref())
        .collect();
    let litter = inventories.iter().flat_map(|inventory| &inventory.litter);
    // Or packproof's cover for a hidden file.
    let left = litter.filter(|path| !shown.iter().any(|shown| shown.starts_with(path)) && *path != "/run/hidden");
    found.extend(left.map(|path| mask.apply(path)));
    found
}

/// The same of the folders of one process, each with what it is called.
pub(super) fn in_folders(folders: &[(&Path, &str)]) -> BTreeSet<String> {
    let mask = Mask::new();
    let mut found = BTreeSet::new();
    for (folder, label) in folders {
        files(folder, label, &mask, &mut found);
    }
    found
}

/// A file by a name that it has in each run: below the folders that all programs share, without what is random in it.
pub(super) fn opened(path: &str) -> Cow<'_, str> {
    static MASK: LazyLock<Mask> = LazyLock::new(Mask::new);
    let is_shared = SHARED.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    if is_shared { Cow::Owned(MASK.apply(path)) } else { Cow::Borrowed(path) }
}

/// Whether the two differ in what is random in names alone.
pub(super) fn is_another_of(one: &str, other: &str) -> bool {
    static MASK: LazyLock<Mask> = LazyLock::new(Mask::new);
    MASK.apply(one) == MASK.apply(other)
}

/// Whether one could be the other with another random part in its name: Python's are of eight characters.
pub(super) fn is_alike(one: &str, other: &str) -> bool {
    const RANDOM: usize = 8;
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let differs: Vec<usize> = (0..one.len().min(other.len())).filter(|at| one[*at] != other[*at]).collect();
    let is_part = |first: usize, last: usize| last - first < RANDOM && !one[first..=last].contains(&b'/');
    one.len() == other.len() && differs.first().zip(differs.last()).is_none_or(|(first, last)| is_part(*first, *last))
}

/// What the artifact has left beyond what the environment leaves; nothing where that is not known.
pub(super) fn beyond<'a>(
    before: Option<&'a BTreeSet<String>>,
    after: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a String> {
    let known = move |subject: &str| before.is_none_or(|before| before.iter().any(|it| is_alike(it, subject)));
    after.iter().filter(move |subject| !known(subject))
}

fn files(folder: &Path, label: &str, mask: &Mask, found: &mut BTreeSet<String>) {
    let walk = WalkDir::new(folder).min_depth(1).max_depth(DEPTH).into_iter();
    // The artifact's own cache; and bytecode, which the environment's side keeps elsewhere.
    let is_aside = |entry: &DirEntry| entry.path().ends_with(".cache/packproof") || entry.file_name() == "__pycache__";
    let walk = walk.filter_entry(|entry| !is_aside(entry));
    for entry in walk.flatten() {
        // A folder counts by what is in it, but at the end of the walk.
        if entry.file_type().is_dir() && entry.depth() < DEPTH {
            continue;
        }
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        found.insert(format!("{label}/{}", mask.apply(&relative.to_string_lossy())));
    }
}

/// Numbers and random parts of names differ from run to run.
struct Mask {
    /// Python's, with its own prefix and with another one.
    temporary: Regex,
    prefixed: Regex,
    number: Regex,
}

impl Mask {
    fn new() -> Self {
        let pattern = |text: &str| Regex::new(text).expect("a test compiles it");
        Self {
            temporary: pattern(r"tmp[a-z0-9_]{8}"),
            prefixed: pattern(r"([-_])[a-z0-9_]{8}(/|\.|$)"),
            // A UUID, another hash, a number.
            number: pattern(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|[0-9]+"),
        }
    }

    fn apply(&self, text: &str) -> String {
        let text = self.temporary.replace_all(text, "tmp…");
        let text = self.prefixed.replace_all(&text, "${1}…${2}");
        self.number.replace_all(&text, "#").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_what_is_random() {
        let mask = Mask::new();
        assert_eq!(mask.apply("tmpab3_x9qz/pid-4711"), "tmp…/pid-#");
        assert_eq!(mask.apply(".config/matplotlib/fontlist-v390.json"), ".config/matplotlib/fontlist-v#.json");
        assert_eq!(mask.apply("pymp-a1_c2e3f/listener-x"), "pymp-…/listener-x");
        assert_eq!(mask.apply("pymp-abcdefgh"), mask.apply("pymp-12_4567z"));
        assert_eq!(mask.apply("run/1b4e28ba-2fa1-11d2-883f-0016d3cca427"), "run/#");
        assert_eq!(opened("/tmp/tmpab3_x9qz/socket-12"), "/tmp/tmp…/socket-#");
        assert_eq!(opened("/etc/tmpfiles.d/12.conf"), "/etc/tmpfiles.d/12.conf");
        assert!(is_another_of("run-1732684000.log", "run-1732684060.log") && !is_another_of("a-1.log", "b-1.log"));
        assert!(is_alike("<tmp>/app-ab_cdefg/x", "<tmp>/app-zzzzzzzz/x") && is_alike("<tmp>/x", "<tmp>/x"));
        assert!(!is_alike("<tmp>/x", "<tmp>/xy") && !is_alike("<tmp>/cached.bin.1", "<tmp>/another.bin"));
    }
}
