//! What `PACKPROOF=…` asks for instead of the application.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, renameat, unlinkat};

use super::environ::Environment;
use super::error::Error;
use super::image::Image;
use super::root::{self, Root};
use super::tree::{self, Found};
use super::unpack;
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
    let folder = PathBuf::from(folder);
    let mut work = folder.clone().into_os_string();
    work.push(".packproof-work");
    let work = PathBuf::from(work);
    let failed = |errno: rustix::io::Errno| Error::Unpack { path: folder.clone(), source: errno.into() };
    unpack::clear_way(CWD, &folder).map_err(|_| Error::Occupied(folder.clone()))?;
    tree::remove_all(CWD, &*work).map_err(failed)?;
    let name = work.to_str().ok_or(Error::Arguments("PACKPROOF=extract and a folder whose name is UTF-8"))?;
    let filled = tree::fill(CWD, name, image)
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
    let manifest = &image.artifact.manifest;
    let index = image.artifact.index()?;
    let Some(root) = tree::marked(&root::candidates(environment), manifest) else {
        let made = tree::find_or_make(image, environment, Found::AsMarked)?;
        say(format!("{}: was not there or not whole; unpacked\n", made.display()).as_bytes());
        return Ok(());
    };
    let path = root.path.join(manifest.tree_name());
    let failed = |errno: rustix::io::Errno| Error::Unpack { path: path.clone(), source: errno.into() };
    let folder = tree::open_folder(&root.fd, &*manifest.tree_name()).map_err(failed)?;
    let differences = unpack::differences(&index, &folder);
    if differences.is_empty() {
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
    for path in root::candidates(environment) {
        if let Ok(root) = Root::open(&path) {
            clean_root(&root, &image.artifact.manifest)?;
        }
    }
    Ok(())
}

fn clean_root(root: &Root, manifest: &Manifest) -> Result<(), Error> {
    let failed = |errno: rustix::io::Errno| Error::Unpack { path: root.path.clone(), source: errno.into() };
    let mut trees: Vec<String> = tree::names(root.fd.as_fd())
        .map_err(failed)?
        .into_iter()
        .filter_map(|name| tree_of(&name.into_string().ok()?, &manifest.name))
        .collect();
    trees.sort();
    trees.dedup();
    for name in trees {
        let path = root.path.join(&name);
        let Ok(lock) = tree::lock(root, &name, FlockOperation::NonBlockingLockExclusive) else {
            say(format!("{}: being unpacked, left alone\n", path.display()).as_bytes());
            continue;
        };
        if tree::is_held(root, &name) {
            say(format!("{}: in use, left alone\n", path.display()).as_bytes());
            continue;
        }
        // Aside first: a start that comes now finds no tree rather than half of one.
        let trash = format!("{name}.trash");
        tree::remove_all(root.fd.as_fd(), &*trash).map_err(failed)?;
        let was_there = renameat(&root.fd, &*name, &root.fd, &*trash).is_ok();
        for leftover in [trash, format!("{name}.work")] {
            tree::remove_all(root.fd.as_fd(), &*leftover).map_err(failed)?;
        }
        // While it is held; whoever waits for it finds that the name is gone and makes another.
        unlinkat(&root.fd, format!("{name}.lock"), AtFlags::empty()).map_err(failed)?;
        drop(lock);
        if was_there {
            say(format!("{}: removed\n", path.display()).as_bytes());
        }
    }
    Ok(())
}

/// `app-DIGEST` of `app-DIGEST`, `app-DIGEST.lock` and so on; nothing for another application's.
fn tree_of(entry: &str, name: &str) -> Option<String> {
    let (tree, rest) = entry.split_at_checked(name.len() + 1 + 2 * Digest::LENGTH)?;
    let digest = tree.strip_prefix(name)?.strip_prefix('-')?;
    Digest::from_hex(digest.as_bytes())?;
    matches!(rest, "" | ".lock" | ".work" | ".trash").then(|| tree.to_owned())
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
    fn trees_of_one_application() {
        let digest = Digest::of(b"x");
        let tree = format!("app-{digest}");
        for rest in ["", ".lock", ".work", ".trash"] {
            assert_eq!(tree_of(&format!("{tree}{rest}"), "app").as_ref(), Some(&tree));
        }
        for other in [format!("app-two-{digest}"), format!("{tree}.txt"), "app-1".to_owned(), format!("b{tree}")] {
            assert_eq!(tree_of(&other, "app"), None, "{other}");
        }
    }

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
