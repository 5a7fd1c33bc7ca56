//! Where the tool keeps what it need not do again: environments made from a lock ([`slot`]), bytecode, blocks, and what was
//! read out of files ([`stamped`]). What nobody wants for long goes again.

pub mod slot;
pub mod stamped;

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// `PACKPROOF_TOOL_CACHE`, else `$XDG_CACHE_HOME/packproof-tool`, else `~/.cache/packproof-tool`; nothing where there
/// is no home. Apart from the artifacts' own cache (`packproof`), which their launchers clean.
pub fn root() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("PACKPROOF_TOOL_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|home| home.join("packproof-tool")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache").join("packproof-tool")))
}

/// Writes a file whole or not at all, its folder made first.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// What a file holds, which counts as used now.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs_err::read(path)?;
    // Where that cannot be noted, it goes earlier.
    drop(fs_err::File::open(path).and_then(|file| file.set_modified(SystemTime::now())));
    Ok(bytes)
}

/// As [`write`], and the file's folder is kept below `most` bytes.
pub fn keep(path: &Path, bytes: &[u8], most: u64) -> io::Result<()> {
    write(path, bytes)?;
    if let Some(folder) = path.parent() {
        prune(folder, most);
    }
    Ok(())
}

/// Removes the files in `folder` that were neither written nor [`read`] for longest, down to `most` bytes.
pub fn prune(folder: &Path, most: u64) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    let mut total = 0;
    for (_, size, path) in files {
        total += size;
        if total > most {
            // Another run may have been first.
            drop(fs_err::remove_file(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_whole_into_a_new_folder() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(fs_err::read_dir(root.path().join("a")).unwrap().count(), 1);
    }
}
