//! Folders that take long to make and are found again: environments, unpacked interpreters.
//!
//! Whoever wants one holds its lock meanwhile. It is made aside and renamed, so that an interrupted installation never
//! passes for a whole one. One that nobody has wanted for long goes when another one is made.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use crate::cleanup::Scratch;

/// As long as Cargo keeps what it has downloaded.
const UNWANTED: Duration = Duration::from_hours(90 * 24);
/// Longer than anything takes to be made.
const ABANDONED: Duration = Duration::from_hours(24);
const ASIDE: &str = ".making-";

/// The place of one such folder.
#[derive(Debug)]
pub struct Slot {
    folder: PathBuf,
    _held: fs::File,
}

impl Slot {
    /// The folder `key` in `parent`, which is made where it is not there; waits for whoever is at work on it.
    pub fn claim(parent: &Path, key: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let folder = parent.join(key);
        let held = fs::File::create(lock_of(&folder))?;
        held.file().lock()?;
        // Where it cannot be noted that it is wanted, it goes earlier.
        drop(held.set_modified(SystemTime::now()));
        Ok(Self { folder, _held: held })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether somebody has filled it.
    pub fn is_filled(&self) -> bool {
        self.folder.is_dir()
    }

    /// Has `make` make the folder at the path that it is given, where nothing lies yet, and puts it into its place.
    pub fn fill<E: From<io::Error>>(&self, make: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
        let parent = self.folder.parent().unwrap_or(Path::new("/"));
        let scratch = Scratch::new_in(parent, ASIDE)?;
        let aside = scratch.path().join("made");
        make(&aside)?;
        fs::rename(aside, &self.folder)?;
        sweep(parent);
        Ok(())
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes what nobody has wanted for long, and what was begun by processes that were killed. What cannot be removed is
/// somebody else's, and in nobody's way. Locks stay: another process may be waiting for one.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension() == Some(OsStr::new("lock")) {
            remove_unwanted(parent, &path);
        } else if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes()))
            && fs::metadata(&path).is_ok_and(|folder| is_older(&folder, ABANDONED))
        {
            drop(fs::remove_dir_all(path));
        }
    }
}

fn remove_unwanted(parent: &Path, lock: &Path) {
    let folder = lock.with_extension("");
    let Ok(file) = fs::File::open(lock) else { return };
    if !folder.is_dir() || file.file().try_lock().is_err() {
        return;
    }
    if file.metadata().is_ok_and(|lock| is_older(&lock, UNWANTED))
        && let Ok(scratch) = Scratch::new_in(parent, ASIDE)
    {
        // Removed from where nobody looks for it: half of one never passes for whole.
        drop(fs::rename(folder, scratch.path().join("unwanted")));
    }
}

fn is_older(file: &std::fs::Metadata, limit: Duration) -> bool {
    file.modified().ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(slot: &Slot) -> io::Result<()> {
        slot.fill(|aside| {
            fs::create_dir(aside)?;
            fs::write(aside.join("file"), "whole")
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }

    fn make_old(path: &Path, age: Duration) {
        fs::File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn filled_once_and_only_with_what_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("environments");
        let slot = Slot::claim(&parent, "one").unwrap();
        let failed = slot.fill(|aside| {
            fs::create_dir(aside)?;
            Err(io::Error::other("no space"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space");
        assert!(!slot.is_filled() && names(&parent).is_empty());
        fill(&slot).unwrap();
        drop(slot);
        let slot = Slot::claim(&parent, "one").unwrap();
        assert!(slot.is_filled());
        assert_eq!(fs::read_to_string(slot.folder().join("file")).unwrap(), "whole");
        assert_eq!(names(&parent), ["one"]);
    }

    #[test]
    fn what_nobody_wants_goes_with_the_next() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path();
        for key in ["held", "recent", "unwanted"] {
            fill(&Slot::claim(parent, key).unwrap()).unwrap();
        }
        let held = Slot::claim(parent, "held").unwrap();
        for key in ["held", "unwanted"] {
            make_old(&parent.join(key).with_extension("lock"), UNWANTED * 2);
        }
        for (name, age) in [(".making-killed", ABANDONED * 2), (".making-at-work", ABANDONED / 2)] {
            fs::create_dir_all(parent.join(name).join("made/lib")).unwrap();
            make_old(&parent.join(name), age);
        }
        fill(&Slot::claim(parent, "new").unwrap()).unwrap();
        assert_eq!(names(parent), [".making-at-work", "held", "new", "recent"]);
        drop(held);
        // Whoever wants it notes that.
        drop(Slot::claim(parent, "held").unwrap());
        fill(&Slot::claim(parent, "newer").unwrap()).unwrap();
        assert!(names(parent).contains(&"held".to_owned()));
    }
}
