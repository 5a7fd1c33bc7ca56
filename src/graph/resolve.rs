//! A module's name → its file, in the order in which CPython's finders look.
//!
//! Built-in, frozen, then for each path entry: package, extension module by suffix order, `.py`, `.pyc`; portions of
//! a namespace package are collected over all entries and count only where no entry has a module. Folders are
//! listed once. Left out: finders on `sys.meta_path` other than setuptools' editable ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::without::Without;
use crate::environment::Facts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// `x.py`, or `x.pyc` alone.
    SingleFile,
    /// A folder with `__init__`.
    Package,
    /// PEP 420: folders without `__init__`.
    Namespace,
    /// `x.cpython-311-x86_64-linux-gnu.so`
    Extension,
    /// Linked into the interpreter.
    Builtin,
    /// Bytecode linked into the interpreter; the file is its source, where that is there too.
    Frozen,
}

impl ModuleKind {
    /// As a sentence names it.
    pub fn words(self) -> &'static str {
        match self {
            Self::SingleFile => "a single file",
            Self::Package => "a package",
            Self::Namespace => "a namespace package",
            Self::Extension => "an extension module",
            Self::Builtin => "a built-in module",
            Self::Frozen => "a frozen module",
        }
    }
}

/// Where a module was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub kind: ModuleKind,
    /// What is loaded: of a package its `__init__` file; nothing for namespaces and built-in modules.
    pub file: Option<PathBuf>,
    /// `__path__`: where submodules are looked for. Empty for a module that is no package.
    pub locations: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File,
    Folder,
}

type Listing = FxHashMap<Box<str>, Node>;

/// In `sys.modules` before a script's first line, whatever lies beside it. On 3.11 and later most are frozen as well.
const STARTED: [&str; 11] = [
    "_collections_abc",
    "_sitebuiltins",
    "abc",
    "codecs",
    "encodings",
    "genericpath",
    "io",
    "os",
    "posixpath",
    "site",
    "stat",
];

pub struct Resolver {
    path: Vec<PathBuf>,
    /// How many entries of it are the application's.
    own: usize,
    builtin: FxHashSet<Box<str>>,
    frozen: FxHashSet<Box<str>>,
    /// In the path finder's order, with the kind that a module beside them has.
    suffixes: Vec<(Box<str>, ModuleKind)>,
    /// setuptools' editable finders.
    mapping: FxHashMap<Box<str>, PathBuf>,
    namespaces: FxHashMap<Box<str>, Vec<PathBuf>>,
    listings: FxHashMap<OsString, Option<Arc<Listing>>>,
    /// What is to be passed over.
    without: Without,
}

impl Resolver {
    /// `application` stands before the interpreter's own path, as the script's folder does.
    pub fn new(facts: &Facts, application: &[PathBuf]) -> Self {
        let boxed = |names: &[String]| names.iter().map(|name| Box::from(name.as_str())).collect();
        let suffixes = facts
            .extension_suffixes
            .iter()
            .map(|suffix| (suffix, ModuleKind::Extension))
            .chain(facts.source_suffixes.iter().map(|suffix| (suffix, ModuleKind::SingleFile)))
            .chain(facts.bytecode_suffixes.iter().map(|suffix| (suffix, ModuleKind::SingleFile)))
            .map(|(suffix, kind)| (Box::from(suffix.as_str()), kind))
            .collect();
        let mut path: Vec<PathBuf> = application.to_vec();
        path.extend(facts.path.iter().filter(|entry| !application.contains(entry)).cloned());
        let mut resolver = Self {
            path,
            own: application.len(),
            builtin: boxed(&facts.builtin_names),
            frozen: boxed(&facts.frozen_names),
            suffixes,
            mapping: FxHashMap::default(),
            namespaces: FxHashMap::default(),
            listings: FxHashMap::default(),
            without: Without::default(),
        };
        for finder in &facts.finders {
            resolver.mapping.extend(finder.mapping.iter().map(|(name, path)| (name.as_str().into(), path.clone())));
            resolver
                .namespaces
                .extend(finder.namespaces.iter().map(|(name, portions)| (name.as_str().into(), portions.clone())));
        }
        for entry in resolver.path.clone() {
            resolver.list_archive(&entry);
        }
        resolver
    }

    /// Passes over what `without` holds.
    #[must_use]
    pub fn without(mut self, without: Without) -> Self {
        self.without = without;
        self
    }

    /// The entries that are searched, in order.
    pub fn path(&self) -> &[PathBuf] {
        &self.path
    }

    /// The module `name`, whose parent package is `parent`; nothing where no finder has it.
    pub fn resolve(&mut self, name: &str, parent: Option<&Resolved>) -> Option<Resolved> {
        if self.builtin.contains(name) {
            return Some(Resolved { kind: ModuleKind::Builtin, file: None, locations: Vec::new() });
        }
        let tail = name.rsplit('.').next().unwrap_or(name);
        let found = match parent {
            Some(parent) => self.find_in(tail, &parent.locations),
            None if self.frozen.contains(name) || STARTED.contains(&name) => {
                let others = self.path[self.own..].to_vec();
                self.find_in(tail, &others)
            }
            None => self.find_in(tail, &self.path.clone()),
        };
        if self.frozen.contains(name) {
            let beside = found.unwrap_or(Resolved { kind: ModuleKind::Frozen, file: None, locations: Vec::new() });
            return Some(Resolved { kind: ModuleKind::Frozen, ..beside });
        }
        found.or_else(|| self.find_editable(name))
    }

    fn find_in(&mut self, tail: &str, entries: &[PathBuf]) -> Option<Resolved> {
        let mut portions = Vec::new();
        for entry in entries {
            match self.find_at(tail, entry) {
                Some(Resolved { kind: ModuleKind::Namespace, locations, .. }) => portions.extend(locations),
                Some(found) => return Some(found),
                None => {}
            }
        }
        (!portions.is_empty()).then_some(Resolved { kind: ModuleKind::Namespace, file: None, locations: portions })
    }

    /// What one path entry has for the name: a module, or one portion of a namespace.
    pub fn find_at(&mut self, tail: &str, entry: &Path) -> Option<Resolved> {
        self.all_at(tail, entry).into_iter().next()
    }

    /// Everything that one path entry has for the name, the winner first.
    pub fn all_at(&mut self, tail: &str, entry: &Path) -> Vec<Resolved> {
        let Some(listing) = self.list(entry) else { return Vec::new() };
        let mut found = Vec::new();
        let folder = (listing.get(tail) == Some(&Node::Folder)).then(|| entry.join(tail));
        if let Some(folder) = &folder
            && let Some(inside) = self.list(folder)
            && let Some((file, _)) = self.with_suffix("__init__", &inside).into_iter().next()
        {
            let file = Some(folder.join(file));
            found.push(Resolved { kind: ModuleKind::Package, file, locations: vec![folder.clone()] });
        }
        for (file, kind) in self.with_suffix(tail, &listing) {
            found.push(Resolved { kind, file: Some(entry.join(file)), locations: Vec::new() });
        }
        if let (true, Some(folder)) = (found.is_empty(), folder) {
            found.push(Resolved { kind: ModuleKind::Namespace, file: None, locations: vec![folder] });
        }
        found
    }

    /// Names of the modules and packages that lie in `locations`, sorted.
    pub fn modules_in(&mut self, locations: &[PathBuf]) -> Vec<String> {
        let mut names = std::collections::BTreeSet::new();
        for location in locations {
            let Some(listing) = self.list(location) else { continue };
            let stems = listing.iter().filter_map(|(name, node)| match node {
                Node::Folder => Some(&**name),
                Node::File => self.suffixes.iter().find_map(|(suffix, _)| name.strip_suffix(&**suffix)),
            });
            let valid = |stem: &&str| crate::names::is_identifier(stem) && !stem.starts_with("__");
            names.extend(stems.filter(valid).map(str::to_owned));
        }
        names.into_iter().collect()
    }

    fn with_suffix(&self, stem: &str, listing: &Listing) -> Vec<(String, ModuleKind)> {
        let mut file = String::with_capacity(stem.len() + 32);
        let mut found = Vec::new();
        for (suffix, kind) in &self.suffixes {
            file.clear();
            file.push_str(stem);
            file.push_str(suffix);
            if listing.get(file.as_str()) == Some(&Node::File) {
                found.push((file.clone(), *kind));
            }
        }
        found
    }

    /// Source: setuptools' `_EditableFinder` and `_EditableNamespaceFinder` (`setuptools/command/editable_wheel.py`).
    fn find_editable(&mut self, name: &str) -> Option<Resolved> {
        if let Some(target) = self.mapping.get(name).cloned() {
            let init = target.join("__init__.py");
            if init.is_file() {
                return Some(Resolved { kind: ModuleKind::Package, file: Some(init), locations: vec![target] });
            }
            // A namespace stands in both tables.
            if let Some(stem) = target.file_name().and_then(|name| name.to_str())
                && let Some(listing) = target.parent().and_then(|parent| self.list(parent))
                && let Some((file, kind)) = self.with_suffix(stem, &listing).into_iter().next()
            {
                return Some(Resolved { kind, file: Some(target.with_file_name(file)), locations: Vec::new() });
            }
        }
        if let Some((parent, tail)) = name.rsplit_once('.')
            && let Some(folder) = self.mapping.get(parent).cloned()
            && let Some(found) = self.find_in(tail, &[folder])
        {
            return Some(found);
        }
        let portions = self.namespaces.get(name)?.clone();
        Some(Resolved { kind: ModuleKind::Namespace, file: None, locations: portions })
    }

    fn list(&mut self, folder: &Path) -> Option<Arc<Listing>> {
        if let Some(listing) = self.listings.get(folder.as_os_str()) {
            return listing.clone();
        }
        let listing = read_listing(folder, &self.without).map(Arc::new);
        self.listings.insert(folder.as_os_str().to_owned(), listing.clone());
        listing
    }

    /// A zip file on the path is a folder of its own to the path finder.
    fn list_archive(&mut self, entry: &Path) {
        if !entry.is_file() {
            return;
        }
        let Some(archive) = fs_err::File::open(entry).ok().and_then(|file| zip::ZipArchive::new(file).ok()) else {
            return;
        };
        let mut folders: FxHashMap<PathBuf, Listing> = FxHashMap::default();
        for name in archive.file_names().flatten() {
            let mut folder = entry.to_owned();
            let mut parts = name.split('/').filter(|part| !part.is_empty()).peekable();
            while let Some(part) = parts.next() {
                let is_folder = parts.peek().is_some() || name.ends_with('/');
                let node = if is_folder { Node::Folder } else { Node::File };
                folders.entry(folder.clone()).or_default().insert(part.into(), node);
                folder.push(part);
            }
        }
        self.listings
            .extend(folders.into_iter().map(|(folder, listing)| (folder.into_os_string(), Some(Arc::new(listing)))));
    }
}

/// Nothing where `folder` is none, or cannot be read: the path finder passes over both.
fn read_listing(folder: &Path, without: &Without) -> Option<Listing> {
    let mut listing = Listing::default();
    for entry in fs_err::read_dir(folder).ok()?.flatten() {
        // A name that is no UTF-8 cannot be imported.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if !without.is_empty() && without.holds(&entry.path()) {
            continue;
        }
        let node = if kind.is_dir() {
            Node::Folder
        } else if kind.is_file() {
            Node::File
        } else {
            match fs_err::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => Node::Folder,
                Ok(metadata) if metadata.is_file() => Node::File,
                _ => continue,
            }
        };
        listing.insert(name.into(), node);
    }
    Some(listing)
}
