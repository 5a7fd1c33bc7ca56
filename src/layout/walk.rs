//! Lists the files below a folder, the way that installations are made: everything but bytecode caches.
//!
//! Listing and choosing are apart: [`Trees`] can be listed while it is not known yet what will be left out, and says the size of
//! each file besides. Folders that hardly anybody takes are listed when somebody does.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::{Error, Source};
use crate::environment::Facts;

pub(super) struct Found {
    /// Relative to the folder that was walked.
    pub(super) relative: PathBuf,
    pub(super) source: Source,
    pub(super) mode: u32,
}

/// Folders that were listed beforehand.
#[derive(Debug, Default)]
pub struct Trees {
    trees: Vec<(PathBuf, Vec<Listed>)>,
    sizes: FxHashMap<OsString, u64>,
}

/// One entry below a folder.
#[derive(Debug)]
struct Listed {
    relative: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With its size in bytes.
    File {
        mode: u32,
        size: u64,
    },
    Folder,
    /// A folder that was not entered.
    Closed,
    Link,
    /// A socket, a device.
    Other,
}

impl Trees {
    /// The standard library's folders and site-packages.
    pub fn of(facts: &Facts) -> Self {
        let mut roots = vec![&facts.stdlib, &facts.platstdlib];
        roots.extend(&facts.site_packages);
        roots.extend([&facts.purelib, &facts.platlib]);
        let mut trees: Vec<(PathBuf, Vec<Listed>)> = Vec::new();
        for root in roots {
            let is_stdlib = [&facts.stdlib, &facts.platstdlib].contains(&root);
            let closed = |relative: &Path| is_stdlib && SELDOM.iter().any(|folder| relative == Path::new(folder));
            // What cannot be listed is told where it is wanted.
            if !trees.iter().any(|(known, _)| known == root)
                && let Ok(listed) = list(root, &closed)
            {
                trees.push((root.clone(), listed));
            }
        }
        let files = trees.iter().flat_map(|(root, listed)| {
            listed.iter().filter_map(move |listed| match listed.kind {
                Kind::File { size, .. } => Some((root.join(&listed.relative).into_os_string(), size)),
                Kind::Folder | Kind::Closed | Kind::Link | Kind::Other => None,
            })
        });
        let mut sizes = FxHashMap::default();
        sizes.reserve(trees.iter().map(|(_, listed)| listed.len()).sum());
        sizes.extend(files);
        Self { trees, sizes }
    }

    /// In bytes; nothing where the file was not met.
    pub fn size(&self, file: &Path) -> Option<u64> {
        self.sizes.get(file.as_os_str()).copied()
    }

    /// As [`files`].
    pub(super) fn files(&self, root: &Path, keep: &(dyn Fn(&Path) -> bool + Sync)) -> Result<Vec<Found>, Error> {
        match self.trees.iter().find(|(known, _)| known == root) {
            Some((_, listed)) => choose(root, listed, keep),
            None => files(root, keep),
        }
    }
}

/// Every file below `root`, sorted. A link to somewhere inside `root` stays a link; one that leads out of it is
/// followed. `keep` is asked for folders as well; a folder that it refuses is not entered.
pub(super) fn files(root: &Path, keep: &(dyn Fn(&Path) -> bool + Sync)) -> Result<Vec<Found>, Error> {
    choose(root, &list(root, &|_: &Path| false)?, keep)
}

/// Folders of a standard library that are large, and seldom packed: its own tests, and what others have installed beside
/// it. Site-packages of the environment itself are listed on their own.
const SELDOM: [&str; 3] = ["dist-packages", "site-packages", "test"];

/// Whether a folder, relative to where the listing began, is named and not entered.
type Closed<'a> = &'a (dyn Fn(&Path) -> bool + Sync);

/// Everything below `root`, each folder before what lies in it, by name. Bytecode caches are named, not entered.
fn list(root: &Path, closed: Closed<'_>) -> std::io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    flatten(list_below(root, Path::new(""), closed)?, &mut listed);
    Ok(listed)
}

/// An entry with what lies in it.
struct Node {
    listed: Listed,
    below: Vec<Self>,
}

fn flatten(nodes: Vec<Node>, listed: &mut Vec<Listed>) {
    for node in nodes {
        listed.push(node.listed);
        flatten(node.below, listed);
    }
}

fn list_below(root: &Path, relative: &Path, closed: Closed<'_>) -> std::io::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(root.join(relative))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let relative = relative.join(entry.file_name());
        let kind = if kind.is_symlink() {
            Kind::Link
        } else if kind.is_file() {
            let metadata = entry.metadata()?;
            Kind::File { mode: mode(&metadata), size: metadata.size() }
        } else if kind.is_dir() {
            if closed(&relative) { Kind::Closed } else { Kind::Folder }
        } else {
            Kind::Other
        };
        nodes.push(Node { listed: Listed { relative, kind }, below: Vec::new() });
    }
    // Of one folder, so that bytes tell the order.
    nodes.sort_unstable_by(|left, right| left.listed.relative.as_os_str().cmp(right.listed.relative.as_os_str()));
    let is_entered = |node: &&mut Node| node.listed.kind == Kind::Folder && !is_cache(&node.listed.relative);
    let folders: Vec<&mut Node> = nodes.iter_mut().filter(is_entered).collect();
    folders.into_par_iter().try_for_each(|node| {
        node.below = list_below(root, &node.listed.relative, closed)?;
        std::io::Result::Ok(())
    })?;
    Ok(nodes)
}

fn is_cache(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "__pycache__")
}

fn choose(root: &Path, listed: &[Listed], keep: &(dyn Fn(&Path) -> bool + Sync)) -> Result<Vec<Found>, Error> {
    choose_among(root, &fs::canonicalize(root)?, listed, keep)
}

fn choose_among(
    root: &Path,
    real_root: &Path,
    listed: &[Listed],
    keep: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Vec<Found>, Error> {
    let mut found: Vec<Found> = Vec::new();
    let mut refused: Option<&Path> = None;
    for Listed { relative, kind } in listed {
        if refused.is_some_and(|folder| relative.starts_with(folder)) {
            continue;
        }
        // A folder with nothing else in it is still a folder: it may be imported as a namespace.
        if is_cache(relative) {
            refused = (*kind == Kind::Folder).then_some(relative);
            continue;
        }
        // What lies in a folder comes right after it.
        if found.last().is_some_and(|last| last.source == Source::EmptyFolder && relative.starts_with(&last.relative)) {
            found.pop();
        }
        if !keep(relative) {
            refused = (*kind == Kind::Folder).then_some(relative);
            continue;
        }
        let path = root.join(relative);
        match kind {
            Kind::File { mode, .. } => {
                found.push(Found { relative: relative.clone(), source: Source::File(path), mode: *mode });
            }
            Kind::Folder => found.push(Found { relative: relative.clone(), source: Source::EmptyFolder, mode: 0o755 }),
            Kind::Closed => {
                let mut opened = vec![Listed { relative: relative.clone(), kind: Kind::Folder }];
                flatten(list_below(root, relative, &|_: &Path| false)?, &mut opened);
                found.extend(choose_among(root, real_root, &opened, keep)?);
            }
            Kind::Link => found.extend(link(real_root, &path, relative, keep)?),
            Kind::Other => {}
        }
    }
    Ok(found)
}

fn file(path: PathBuf, relative: &Path) -> Result<Found, Error> {
    let mode = mode_of(&path)?;
    Ok(Found { relative: relative.to_owned(), source: Source::File(path), mode })
}

/// 0755 for what anybody may run, else 0644: what else there is says something about the machine, not the file.
pub(super) fn mode_of(path: &Path) -> Result<u32, Error> {
    Ok(mode(&fs::metadata(path)?))
}

fn mode(metadata: &std::fs::Metadata) -> u32 {
    if metadata.permissions().mode() & 0o111 != 0 { 0o755 } else { 0o644 }
}

fn link(
    real_root: &Path,
    path: &Path,
    relative: &Path,
    keep: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Vec<Found>, Error> {
    // A dangling link has nothing to pack.
    let Ok(real) = fs::canonicalize(path) else { return Ok(Vec::new()) };
    let target = fs::read_link(path)?;
    if target.is_relative() && real.starts_with(real_root) {
        let target = target.to_str().ok_or_else(|| Error::Name { path: path.to_owned() })?.to_owned();
        Ok(vec![Found { relative: relative.to_owned(), source: Source::Link(target), mode: 0o777 }])
    } else if real.is_file() {
        Ok(vec![file(real, relative)?])
    } else if real.is_dir() && !real_root.starts_with(&real) {
        let below = files(&real, &|inner: &Path| keep(&relative.join(inner)))?;
        Ok(below.into_iter().map(|entry| Found { relative: relative.join(&entry.relative), ..entry }).collect())
    } else {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside_or_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(root.join("a/__pycache__")).unwrap();
        fs::create_dir_all(root.join("cached/__pycache__")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(outside.join("data")).unwrap();
        fs::write(root.join("a/x.py"), "").unwrap();
        fs::write(root.join("a/__pycache__/x.pyc"), "").unwrap();
        fs::write(outside.join("data/f"), "").unwrap();
        symlink("a/x.py", root.join("inner")).unwrap();
        symlink(outside.join("data"), root.join("outer")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("..", root.join("a/up")).unwrap();

        let found = files(&root, &|path: &Path| path != Path::new("skipped")).unwrap();
        let seen: Vec<_> = found.iter().map(|f| (f.relative.to_str().unwrap(), &f.source)).collect();
        assert_eq!(
            seen,
            [
                ("a/up", &Source::Link("..".to_owned())),
                ("a/x.py", &Source::File(root.join("a/x.py"))),
                ("cached", &Source::EmptyFolder),
                ("empty", &Source::EmptyFolder),
                ("inner", &Source::Link("a/x.py".to_owned())),
                ("outer/f", &Source::File(outside.join("data/f"))),
            ]
        );
    }

    #[test]
    fn a_closed_folder_is_listed_when_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["a.py", "test/x.py", "test/deep/y.py", "test/deep/__pycache__/y.pyc", "z/test/w.py"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        symlink("../a.py", root.join("test/link")).unwrap();
        let listed = list(root, &|relative: &Path| relative == Path::new("test")).unwrap();
        let named: Vec<_> = listed.iter().map(|listed| listed.relative.to_str().unwrap()).collect();
        assert_eq!(named, ["a.py", "test", "z", "z/test", "z/test/w.py"]);
        let taken = |listed: &[Listed], keep: &(dyn Fn(&Path) -> bool + Sync)| {
            let found = choose(root, listed, keep).unwrap();
            found.into_iter().map(|found| (found.relative, found.source)).collect::<Vec<_>>()
        };
        let open = list(root, &|_: &Path| false).unwrap();
        let refused = |refused: &'static str| move |path: &Path| path != Path::new(refused);
        for folder in ["none", "test", "test/deep", "test/x.py"] {
            assert_eq!(taken(&listed, &refused(folder)), taken(&open, &refused(folder)), "{folder}");
        }
        let hollow = |path: &Path| path.parent() != Some(Path::new("test"));
        assert_eq!(taken(&listed, &hollow), taken(&open, &hollow));
    }
}
