//! A folder of wheels → what each of them holds. Nothing is installed, and nothing is unpacked to the disk.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::Path;

use fs_err as fs;
use rayon::prelude::*;

use super::tag::{Platform, WheelName};
use super::{Error, NativeFile};
use crate::environment::RecordEntry;
use crate::environment::distribution::parse_record;
use crate::environment::record::sha256;

/// Of one file of a wheel, and of one that describes it: what has more is made to fill the memory.
const MOST_BYTES: u64 = 4 << 30;
const MOST_BYTES_OF_METADATA: u64 = 64 << 20;

/// One wheel, read.
#[derive(Debug, Clone)]
pub struct Wheel {
    pub file_name: String,
    pub name: WheelName,
    /// Those of its name's platform tags that packproof knows.
    pub platforms: Vec<Platform>,
    /// By the path that it has in the wheel.
    pub files: BTreeMap<String, Stored>,
    /// Nothing where there is none.
    pub record: Option<Vec<RecordEntry>>,
    /// `Tag:` lines of its WHEEL file.
    pub tags: Vec<String>,
    pub native: BTreeMap<String, NativeFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub size: u64,
    /// As RECORD spells it.
    pub hash: String,
}

/// What is no wheel, though it is called one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub file_name: String,
    pub message: String,
}

/// Every `*.whl` of a folder, sorted by name.
pub fn read(folder: &Path) -> Result<(Vec<Wheel>, Vec<Unreadable>), Error> {
    let unreadable = |source| Error::Folder { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::NoWheels { path: folder.to_owned() });
    }
    let read: Vec<Result<Wheel, Unreadable>> = files.par_iter().map(|path| one(path)).collect();
    let (mut wheels, mut broken) = (Vec::new(), Vec::new());
    for result in read {
        match result {
            Ok(wheel) => wheels.push(wheel),
            Err(error) => broken.push(error),
        }
    }
    Ok((wheels, broken))
}

fn one(path: &Path) -> Result<Wheel, Unreadable> {
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |message: String| Unreadable { file_name: file_name.clone(), message };
    let name = WheelName::parse(&file_name).ok_or_else(|| broken("its name is no wheel's".to_owned()))?;
    let bytes = fs::read(path).map_err(|error| broken(error.to_string()))?;
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(error.to_string()))?;
    let mut wheel = Wheel {
        platforms: name.platforms.iter().filter_map(|tag| Platform::parse(tag).ok()).collect(),
        file_name: file_name.clone(),
        name,
        files: BTreeMap::new(),
        record: None,
        tags: Vec::new(),
        native: BTreeMap::new(),
    };
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|error| broken(error.to_string()))?;
        if entry.is_dir() {
            continue;
        }
        let path = entry.name().map_err(|error| broken(error.to_string()))?.to_string();
        let mut bytes = Vec::new();
        let read = (&mut entry).take(MOST_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| broken(format!("`{path}`: {error}")))?;
        let most = if path.contains(".dist-info/") { MOST_BYTES_OF_METADATA } else { MOST_BYTES };
        if bytes.len() as u64 > most {
            return Err(broken(format!("`{path}` has more than {} MB", most >> 20)));
        }
        // Its own, at the top: what it has vendored brings others.
        let own = path.split_once(".dist-info/").filter(|(folder, _)| !folder.contains('/')).map(|(_, name)| name);
        if own == Some("RECORD") {
            let text = String::from_utf8_lossy(&bytes);
            wheel.record = Some(parse_record(&text).map_err(|message| broken(format!("its RECORD: {message}")))?);
        } else if own == Some("WHEEL") {
            let text = String::from_utf8_lossy(&bytes);
            wheel.tags = text.lines().filter_map(|line| Some(line.strip_prefix("Tag:")?.trim().to_owned())).collect();
        }
        if let Some(native) = NativeFile::parse(&bytes) {
            wheel.native.insert(path.clone(), native);
        }
        wheel.files.insert(path, Stored { size: bytes.len() as u64, hash: sha256(&bytes) });
    }
    Ok(wheel)
}

/// Where an installer puts a file of site-packages: what lies in `NAME.data/purelib` or `platlib` comes out at the top.
/// Nothing for scripts and data.
pub fn installed(path: &str) -> Option<&str> {
    let Some((folder, rest)) = path.split_once('/').filter(|(folder, _)| folder.ends_with(".data")) else {
        return Some(path);
    };
    debug_assert!(folder.ends_with(".data"));
    rest.strip_prefix("purelib/").or_else(|| rest.strip_prefix("platlib/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_come_out() {
        assert_eq!(installed("a/b.py"), Some("a/b.py"));
        assert_eq!(installed("a-1.data/platlib/a/b.so"), Some("a/b.so"));
        assert_eq!(installed("a-1.data/scripts/a"), None);
    }
}
