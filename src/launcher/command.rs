//! What `PACKPROOF=…` asks for instead of the application.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, renameat};
use rustix::io::Errno;

use super::environ::Environment;
use super::error::Error;
use super::image::Image;
use super::mark::{self, Durability};
use super::retire::{self, Outcome};
use super::root::{self, Root};
use super::tree::{self, Found};
use super::unpack::{self, OwnRights};
use crate::format::{Digest, Footer, Manifest, Part};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Start,
    /// The interpreter, with the tree's packages.
    Python,
    /// A tree that starts without a cache.
    Extract,
    /// The manifest.
    Info,
    /// Compares the tree in the cache with the index, and mends it.
    Check,
    /// Removes this application's trees from the cache.
    Clean,
}

impl Command {
    pub(super) fn parse(value: Option<&OsStr>) -> Result<Self, Error> {
        match value.map(|value| value.to_string_lossy()).as_deref() {
            None => Ok(Self::Start),
            Some("python") => Ok(Self::Python),
            Some("extract") => Ok(Self::Extract),
            Some("info") => Ok(Self::Info),
            Some("check") => Ok(Self::Check),
            Some("clean") => Ok(Self::Clean),
            Some(other) => Err(Error::UnknownCommand(other.to_owned())),
        }
    }
}

pub(super) fn info(image: &Image, arguments: &[OsString]) -> Result<(), Error> {
    if !arguments.is_empty() {
        return Err(Error::Arguments("PACKPROOF=info, without arguments"));
    }
    say(&image.artifact.manifest.encode());
    Ok(())
}

/// Lays the tree down at a folder, and a launcher without payload into it that starts the tree where it lies.
pub(super) fn extract(image: &Image, arguments: &[OsString]) -> Result<(), Error> {
    let [folder] = arguments else { return Err(Error::Arguments("PACKPROOF=extract and one argument, a new folder")) };
    require_payload(image)?;
    let _rights = OwnRights::kept();
    // Without a slash at the end, which would make the work folder one inside it.
    let folder: PathBuf = Path::new(folder).components().collect();
    let mut work = folder.clone().into_os_string();
    work.push(".packproof-work");
    let work = PathBuf::from(work);
    let failed = |errno: Errno| Error::Unpack { path: folder.clone(), source: errno.into() };
    unpack::clear_way(CWD, &folder).map_err(|errno| match errno {
        Errno::BUSY => Error::MountPoint(folder.clone()),
        Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::INVAL => Error::Occupied(folder.clone()),
        errno => failed(errno),
    })?;
    tree::remove_all(CWD, &*work).map_err(failed)?;
    let name = work.to_str().ok_or(Error::Arguments("PACKPROOF=extract and a folder whose name is UTF-8"))?;
    let filled = tree::fill(CWD, name, image, Durability::Settled)
        .and_then(|()| write_starter(image, &work))
        .and_then(|()| Ok(renameat(CWD, &work, CWD, &folder)?));
    if filled.is_err() {
        // The error that is told is the first one.
        let _ = tree::remove_all(CWD, &*work);
    }
    filled.map_err(|failure| failure.at(&folder))?;
    say(format!("{}\n", folder.join(starter_name(image)?).display()).as_bytes());
    Ok(())
}

/// The artifact's own name, or `run` where the tree has an entry of that name.
fn starter_name(image: &Image) -> Result<String, Error> {
    let index = image.artifact.index()?;
    let name = &image.artifact.manifest.name;
    let taken = index.file(name).is_some()
        || index.folders.iter().any(|folder| folder.as_str() == name)
        || index.links.iter().any(|link| link.path.as_str() == name);
    Ok(if taken { "run".to_owned() } else { name.clone() })
}

fn write_starter(image: &Image, tree: &Path) -> Result<(), unpack::Failure> {
    let mut bytes = image.artifact.launcher()?;
    let manifest = image.artifact.manifest.encode();
    let footer = Footer {
        launcher: bytes.len() as u64,
        manifest: Part { offset: bytes.len() as u64, length: manifest.len() as u64, digest: Digest::of(&manifest) },
        index: Part { offset: 0, length: 0, digest: Digest::of(b"") },
    };
    bytes.extend_from_slice(&manifest);
    bytes.extend_from_slice(footer.encode().as_bytes());
    let name = starter_name(image).map_err(|_| io_error("the index cannot be read"))?;
    let folder = tree::open_folder(CWD, tree)?;
    unpack::write_file(&folder, &name, 0o755, &bytes)?;
    // The umask is the caller's again; whoever may read the tree may start it.
    rustix::fs::chmodat(&folder, &*name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
    Ok(())
}

fn io_error(what: &'static str) -> unpack::Failure {
    unpack::Failure::Io(io::Error::other(what))
}

pub(super) fn check(image: &Image, environment: &Environment, arguments: &[OsString]) -> Result<(), Error> {
    if !arguments.is_empty() {
        return Err(Error::Arguments("PACKPROOF=check, without arguments"));
    }
    require_payload(image)?;
    let _rights = OwnRights::kept();
    let manifest = &image.artifact.manifest;
    let index = image.artifact.index()?;
    let Some((root, _lease)) = tree::marked(root::candidates(environment).preferred(), image) else {
        let made = tree::find_or_make(image, environment, Found::AsMarked)?;
        say(format!("{}: was not there or not whole; unpacked\n", made.path.display()).as_bytes());
        return Ok(());
    };
    let path = root.path.join(manifest.tree_name());
    let failed = |errno: Errno| Error::Unpack { path: path.clone(), source: errno.into() };
    let folder = tree::open_folder(&root.fd, &*manifest.tree_name()).map_err(failed)?;
    let differences = unpack::differences(&index, &folder);
    if differences.is_empty() {
        mark::settle(&folder, manifest);
        say(format!("{}: whole, {} files\n", path.display(), index.files.len()).as_bytes());
        return Ok(());
    }
    tree::make(&root, image, Found::Anew)?;
    say(format!("{}: {} entries were damaged; unpacked again\n", path.display(), differences.len()).as_bytes());
    for difference in differences.iter().take(10) {
        say(format!("  {difference}\n").as_bytes());
    }
    Ok(())
}

pub(super) fn clean(image: &Image, environment: &Environment, arguments: &[OsString]) -> Result<(), Error> {
    if !arguments.is_empty() {
        return Err(Error::Arguments("PACKPROOF=clean, without arguments"));
    }
    require_payload(image)?;
    let _rights = OwnRights::kept();
    let mut failure = None;
    for path in root::candidates(environment).fit {
        if let Ok(root) = Root::open(&path) {
            // What one folder or tree refuses is no reason to leave the others.
            failure = clean_root(&root, &image.artifact.manifest).err().or(failure);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn clean_root(root: &Root, manifest: &Manifest) -> Result<(), Error> {
    let failed = |path: PathBuf, errno: Errno| Error::Remove { path, source: errno.into() };
    let mut failure = Ok(());
    for name in retire::trees(root, &manifest.name).map_err(|errno| failed(root.path.clone(), errno))? {
        let path = root.path.join(&name);
        let what = match retire::retire(root, &name) {
            Ok(Outcome::Removed) => "removed",
            Ok(Outcome::Nothing) => continue,
            Ok(Outcome::InUse) => "in use, left alone",
            Ok(Outcome::BeingMade) => "being unpacked, left alone",
            Err(errno) => {
                failure = Err(failed(path.clone(), errno));
                "cannot be removed"
            }
        };
        say(format!("{}: {what}\n", path.display()).as_bytes());
    }
    failure
}

fn require_payload(image: &Image) -> Result<(), Error> {
    if image.artifact.footer.index.length == 0 { Err(Error::Extracted) } else { Ok(()) }
}

/// To standard output. A reader that went away is its own business.
fn say(bytes: &[u8]) {
    let _ = io::stdout().write_all(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_commands() {
        assert_eq!(Command::parse(None).unwrap(), Command::Start);
        assert_eq!(Command::parse(Some("clean".as_ref())).unwrap(), Command::Clean);
        let error = Command::parse(Some("shell".as_ref())).unwrap_err();
        assert_eq!(error.exit_code(), 124);
        for known in ["python", "extract", "info", "check", "clean"] {
            assert!(error.to_string().contains(known));
        }
    }
}
