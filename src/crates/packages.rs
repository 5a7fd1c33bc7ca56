//! What `cargo metadata` says of one crate: its library, and what is linked into it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId, TargetKind};
use fs_err as fs;
use serde::Deserialize;

use super::compile::{self, last_lines};
use super::{Error, Package};
use crate::config::Crate;
use crate::names::ModuleName;

/// One crate, before it is built.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) name: String,
    /// Of its own package.
    pub(super) key: String,
    pub(super) id: PackageId,
    /// The library's name, which is the module's unless the configuration says otherwise.
    pub(super) module: ModuleName,
    /// Whether it keeps to the stable ABI, so that one file serves every later Python.
    pub(super) abi3: bool,
    /// Whether `Cargo.lock` is there, and must not change.
    pub(super) locked: bool,
    /// With prefixes that the compiler is to leave out.
    pub(super) workspace: std::path::PathBuf,
    pub(super) packages: BTreeMap<String, Package>,
}

/// The system that artifacts are for.
const PLATFORM: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// Bindings to CPython that have the stable ABI as a feature of this name.
const BINDINGS: [&str; 2] = ["pyo3", "pyo3-ffi"];

pub(super) fn describe(wanted: &Crate) -> Result<Described, Error> {
    let manifest = wanted.path.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Error::NoManifest { path: wanted.path.clone() });
    }
    // Where its lock is depends on its workspace.
    let mut command = MetadataCommand::new();
    // Cargo reads its configuration from the working directory upwards.
    command.cargo_path(compile::cargo()).manifest_path(&manifest).current_dir(&wanted.path).no_deps();
    let workspace = command.exec().map_err(|error| failed(&wanted.path, error))?.workspace_root;
    let locked = workspace.join("Cargo.lock").is_file();
    let mut command = MetadataCommand::new();
    command.cargo_path(compile::cargo()).manifest_path(&manifest).current_dir(&wanted.path);
    if !wanted.features.is_empty() {
        command.features(CargoOpt::SomeFeatures(wanted.features.clone()));
    }
    let mut options = vec!["--filter-platform".to_owned(), PLATFORM.to_owned()];
    options.extend(locked.then(|| "--locked".to_owned()));
    command.other_options(options);
    let metadata = command.exec().map_err(|error| failed(&wanted.path, error))?;
    let checksums = checksums(metadata.workspace_root.as_std_path())?;
    read(&metadata, &checksums, wanted, locked)
}

fn failed(path: &Path, error: cargo_metadata::Error) -> Error {
    match error {
        cargo_metadata::Error::Io(source) => {
            Error::NoCargo { cargo: compile::cargo().to_string_lossy().into_owned(), path: path.to_owned(), source }
        }
        cargo_metadata::Error::CargoMetadata { stderr } => {
            Error::Describe { path: path.to_owned(), message: last_lines(&stderr) }
        }
        other => Error::Describe { path: path.to_owned(), message: other.to_string() },
    }
}

fn read(
    metadata: &Metadata,
    checksums: &BTreeMap<(String, String), String>,
    wanted: &Crate,
    locked: bool,
) -> Result<Described, Error> {
    let root = metadata.root_package().ok_or_else(|| Error::Workspace { path: wanted.path.clone() })?;
    let library = root.targets.iter().find(|target| target.kind.contains(&TargetKind::CDyLib));
    let library = library.ok_or_else(|| Error::NoLibrary { name: root.name.to_string() })?;
    let described = |message: String| Error::Describe { path: wanted.path.clone(), message };
    let module = ModuleName::new(&library.name.replace('-', "_")).map_err(|error| described(error.to_string()))?;
    let resolve = metadata.resolve.as_ref().ok_or_else(|| described("it gives no dependencies".to_owned()))?;

    let by_id: BTreeMap<&PackageId, &cargo_metadata::Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let key = |id: &PackageId| format!("{}@{}", by_id[id].name, by_id[id].version);
    let is_macro = |id: &PackageId| by_id[id].targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro));
    let mut packages = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![&root.id];
    let mut abi3 = false;
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let (node, package) = (nodes[id], by_id[id]);
        // What only runs in the compiler is not linked.
        let linked: Vec<&PackageId> = node
            .deps
            .iter()
            .filter(|it| it.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal))
            .map(|it| &it.pkg)
            .filter(|id| !is_macro(id))
            .collect();
        abi3 |= BINDINGS.contains(&package.name.as_str()) && node.features.iter().any(|feature| **feature == "abi3");
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
        let needs = linked.iter().map(|id| key(id)).collect();
        packages.insert(key(id), Package { name, version, license: package.license.clone(), checksum, needs });
        open.extend(linked);
    }
    Ok(Described {
        name: root.name.to_string(),
        key: key(&root.id),
        id: root.id.clone(),
        module,
        abi3,
        locked,
        workspace: metadata.workspace_root.clone().into_std_path_buf(),
        packages,
    })
}

/// By name and version, out of `Cargo.lock`; a workspace without one has none.
fn checksums(workspace: &Path) -> Result<BTreeMap<(String, String), String>, Error> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let path = workspace.join("Cargo.lock");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lock: Lock = toml::from_str(&text).map_err(|error| Error::Describe { path, message: error.to_string() })?;
    Ok(lock.package.into_iter().filter_map(|it| Some(((it.name, it.version), it.checksum?))).collect())
}
