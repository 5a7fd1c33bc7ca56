//! Lists the files below a folder, the way that installations are made: everything but bytecode caches.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use super::{Error, Source};

pub(super) struct Found {
    /// Relative to the folder that was walked.
    pub(super) relative: PathBuf,
    pub(super) source: Source,
    pub(super) mode: u32,
}

/// Every file below `root`, sorted. A link to somewhere inside `root` stays a link; one that leads out of it is
/// followed. `keep` is asked for folders as well; a folder that it refuses is not entered.
pub(super) fn files(root: &Path, keep: &(dyn Fn(&Path) -> bool + Sync)) -> Result<Vec<Found>, Error> {
    let real_root = fs::canonicalize(root)?;
    let mut entries: Vec<DirEntry> = Vec::new();
    let mut walk = WalkDir::new(root).follow_links(false).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(std::io::Error::from)?;
        // What lies in a folder comes right after it.
        if entries.last().is_some_and(|last| last.file_type().is_dir() && last.depth() < entry.depth()) {
            entries.pop();
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if entry.file_name() == "__pycache__" || !keep(relative) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        entries.push(entry);
    }
    // Looking at thousands of files takes longer than listing their folders.
    let found: Vec<Vec<Found>> = entries
        .into_par_iter()
        .map(|entry| {
            let kind = entry.file_type();
            let path = entry.into_path();
            let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
            if kind.is_symlink() {
                link(&real_root, &path, &relative, keep)
            } else if kind.is_file() {
                Ok(vec![file(path, &relative)?])
            } else if kind.is_dir() {
                Ok(vec![Found { relative, source: Source::EmptyFolder, mode: 0o755 }])
            } else {
                Ok(Vec::new())
            }
        })
        .collect::<Result<_, Error>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn file(path: PathBuf, relative: &Path) -> Result<Found, Error> {
    let mode = mode_of(&path)?;
    Ok(Found { relative: relative.to_owned(), source: Source::File(path), mode })
}

/// 0755 for what anybody may run, else 0644: what else there is says something about the machine, not the file.
pub(super) fn mode_of(path: &Path) -> Result<u32, Error> {
    let executable = fs::metadata(path)?.permissions().mode() & 0o111 != 0;
    Ok(if executable { 0o755 } else { 0o644 })
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
                ("empty", &Source::EmptyFolder),
                ("inner", &Source::Link("a/x.py".to_owned())),
                ("outer/f", &Source::File(outside.join("data/f"))),
            ]
        );
    }
}
