//! The unpacked tree after the runs → what is no longer as the artifact has it, and what in it leads out of it where
//! the other end exists: a `.pth` file's folder that is hidden is not on `sys.path`, and would be on the build machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use rayon::prelude::*;
use walkdir::WalkDir;

use super::expected::Expected;
use super::leftover;
use super::proof::{Difference, Kind};
use crate::format::{Artifact, Digest};
use crate::layout::normalise;

const WRITTEN: &str = "was written";

/// Differences, and what the unpackaged application writes beside itself as well. Of something that is no artifact of
/// packproof's nothing can be said.
pub(super) fn check(artifact: &Path, tree: &Path, expected: &Expected) -> (Vec<Difference>, Vec<String>) {
    let Ok(index) = Artifact::open(artifact).and_then(|artifact| artifact.index()) else {
        return (Vec::new(), Vec::new());
    };
    let known: BTreeMap<&str, &Digest> = index.files.iter().map(|file| (file.path.as_str(), &file.digest)).collect();
    let links: BTreeSet<&str> = index.links.iter().map(|link| link.path.as_str()).collect();
    // The launcher's own marks lie in the root, and begin with a dot.
    let is_mark =
        |entry: &walkdir::DirEntry| entry.depth() == 1 && entry.file_name().to_string_lossy().starts_with('.');
    let entries = WalkDir::new(tree).min_depth(1).into_iter().filter_entry(|entry| !is_mark(entry)).flatten();
    let seen: BTreeSet<String> = entries
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| entry.path().strip_prefix(tree).ok().and_then(Path::to_str).map(str::to_owned))
        .collect();
    let what = |path: &String| match known.get(path.as_str()) {
        Some(digest) if fs::read(tree.join(path)).is_ok_and(|bytes| Digest::of(&bytes) == **digest) => None,
        Some(_) => Some((path.clone(), "was changed")),
        // Bytecode of a source that had none, or that cannot be compiled beforehand.
        None if links.contains(path.as_str()) || path.contains("__pycache__/") => None,
        None => Some((path.clone(), WRITTEN)),
    };
    let mut odd: Vec<(String, &'static str)> = seen.par_iter().filter_map(what).collect();
    odd.extend(known.keys().filter(|path| !seen.contains(**path)).map(|path| ((*path).to_owned(), "was removed")));
    let (alike, alone): (Vec<_>, Vec<_>) =
        odd.into_iter().partition(|(path, what)| is_written_unpackaged(expected, path, *what == WRITTEN));
    let differences = alone.into_iter().map(|(path, what)| Difference {
        kind: Kind::Tree,
        subject: path,
        because: vec!["the unpacked tree".to_owned()],
        also: Vec::new(),
        environment: "is not written to".to_owned(),
        artifact: format!("{what} while the artifact ran"),
        output: None,
    });
    (differences.collect(), alike.into_iter().map(|(path, _)| path).collect())
}

/// Lines of `.pth` files that name folders outside the tree, as `site` reads them.
///
/// Source: <https://docs.python.org/3/library/site.html>
pub(super) fn path_files(tree: &Path) -> Vec<Difference> {
    let is_site =
        |path: &Path| path.parent().is_some_and(|it| it.ends_with("site-packages") || it.ends_with("dist-packages"));
    let files = WalkDir::new(tree).max_depth(6).sort_by_file_name().into_iter().flatten();
    let mut differences = Vec::new();
    for file in files.filter(|entry| entry.file_name().to_string_lossy().ends_with(".pth") && is_site(entry.path())) {
        let folder = file.path().parent().unwrap_or(tree);
        let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned();
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines.filter(|line| !line.starts_with("import ") && !line.starts_with("import\t")) {
            if !normalise(&folder.join(line)).starts_with(tree) {
                differences.push(Difference {
                    kind: Kind::Escape,
                    subject: line.to_owned(),
                    because: vec![format!("`{}`", file.file_name().to_string_lossy())],
                    also: Vec::new(),
                    environment: "lies in the environment".to_owned(),
                    artifact: "on sys.path wherever it exists, outside the artifact's tree".to_owned(),
                    output: None,
                });
            }
        }
    }
    differences
}

/// Length from which a name is hardly contained in another one by chance.
const SURE: usize = 5;

/// `<site>/shapes/cache.bin` stands for `lib/python3.11/site-packages/shapes/cache.bin`, and, for a file that the
/// artifact has not, for what a program that was ended in the middle leaves of it, `cache.bin.new`, and for one with
/// another number in its name, `cache-2.bin`.
fn is_written_unpackaged(expected: &Expected, path: &str, is_new: bool) -> bool {
    expected.all_subjects(Kind::Tree).any(|written| {
        let below = written.strip_prefix('<').and_then(|rest| rest.split_once(">/")).map(|(_, below)| below);
        let names = below.and_then(|below| lies_like(below, path));
        names.is_some_and(|(written, found)| {
            written == found || is_new && (is_part(written, found) || leftover::is_another_of(written, found))
        })
    })
}

/// The two names, where the folders are the same.
fn lies_like<'a>(written: &'a str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (folder, name) = written.rsplit_once('/').unwrap_or(("", written));
    let (below, found) = path.rsplit_once('/').unwrap_or(("", path));
    let is_there =
        folder.is_empty() || below.strip_suffix(folder).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    is_there.then_some((name, found))
}

fn is_part(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    short.len() >= SURE && long.contains(short)
}

#[cfg(test)]
mod tests {
    use super::{is_part, lies_like};

    #[test]
    fn a_file_beside_the_one_that_is_written_may_be_a_step_on_the_way_to_it() {
        let name =
            lies_like("twisted/plugins/dropin.cache.new", "lib/python3.11/site-packages/twisted/plugins/dropin.cache");
        assert_eq!(name, Some(("dropin.cache.new", "dropin.cache")));
        assert_eq!(lies_like("cache.bin", "lib/cache.bin"), Some(("cache.bin", "cache.bin")));
        assert_eq!(lies_like("shapes/cache.bin", "lib/other_shapes/cache.bin"), None);
        assert!(is_part("dropin.cache.new", "dropin.cache") && is_part("dropin.cache", "dropin.cache.new"));
        assert!(!is_part("a", "data") && !is_part("cache.bin", "code.py"));
    }
}
