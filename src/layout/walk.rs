//! Lists the files below a folder, the way that installations are made: everything but bytecode caches.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use super::{Error, Source};

pub(super) struct Found {
    /// Relative to the folder that was walked.
    pub(super) relative: PathBuf,
    pub(super) source: Source,
    pub(super) mode: u32,
}

/// Every file below `root`, sorted. A link to somewhere inside `root` stays a link; one that leads out of it is
/// followed. `keep` is asked for folders as well; a folder that it refuses is not entered.
pub(super) fn files(root: &Path, keep: &dyn Fn(&Path) -> bool) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    let real_root = fs::canonicalize(root)?;
    let mut walk = WalkDir::new(root).follow_links(false).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(std::io::Error::from)?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if entry.file_name() == "__pycache__" || !keep(relative) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        let path = entry.path();
        if entry.file_type().is_symlink() {
            link(&real_root, path, relative, &mut found, keep)?;
        } else if entry.file_type().is_file() {
            found.push(file(path.to_owned(), relative)?);
        } else if entry.file_type().is_dir() && fs::read_dir(path)?.next().is_none() {
            found.push(Found { relative: relative.to_owned(), source: Source::EmptyFolder, mode: 0o755 });
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
    let executable = fs::metadata(path)?.permissions().mode() & 0o111 != 0;
    Ok(if executable { 0o755 } else { 0o644 })
}

fn link(
    real_root: &Path,
    path: &Path,
    relative: &Path,
    found: &mut Vec<Found>,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<(), Error> {
    // A dangling link has nothing to pack.
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let target = fs::read_link(path)?;
    if target.is_relative() && real.starts_with(real_root) {
        let target = target.to_str().ok_or_else(|| Error::Name { path: path.to_owned() })?.to_owned();
        found.push(Found { relative: relative.to_owned(), source: Source::Link(target), mode: 0o777 });
    } else if real.is_file() {
        found.push(file(real, relative)?);
    } else if real.is_dir() && !real_root.starts_with(&real) {
        let below = files(&real, &|inner: &Path| keep(&relative.join(inner)))?;
        found.extend(below.into_iter().map(|entry| Found { relative: relative.join(&entry.relative), ..entry }));
    }
    Ok(())
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
