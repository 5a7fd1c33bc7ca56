//! `[[crate]]` tables of the configuration → extension modules that Cargo builds, and the crates that they are made of.
//!
//! `cargo metadata` tells targets and dependencies, `cargo build` makes the shared library; it is then put where Python
//! finds it under the module's name: a module of its own into a folder of the tool's cache that becomes one of
//! `[runner] path`, a module inside one of the application's packages beside that package's files, as `maturin develop`
//! puts it. From there on it is a module of the application like any other. Left out: crates that only run in the
//! compiler, and anything that Python's own build tools (maturin, setuptools-rust) would add to a wheel.

mod compile;
mod packages;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::cache::{self, slot::Slot};
use crate::config::Config;
use crate::environment::Facts;
use crate::names::ModuleName;
use crate::progress::Progress;

/// What Cargo has built for one project.
#[derive(Debug, Clone, Default)]
pub struct Crates {
    pub built: Vec<Built>,
    /// Everything that is linked into any of them, by [`Package::key`].
    pub packages: BTreeMap<String, Package>,
}

impl Crates {
    /// That no other file, e.g. of an earlier build for another ABI, stands before what was built. `found` tells the file of a
    /// module that anything imports.
    pub fn check(&self, found: impl Fn(&ModuleName) -> Option<PathBuf>) -> Result<(), Error> {
        for Built { module, file, .. } in &self.built {
            if let Some(found) = found(module).filter(|found| found != file) {
                return Err(Error::Shadowed { module: module.clone(), built: file.clone(), found });
            }
        }
        Ok(())
    }
}

/// One extension module.
#[derive(Debug, Clone)]
pub struct Built {
    pub module: ModuleName,
    /// Where Python finds it.
    pub file: PathBuf,
    /// The key of its own crate.
    pub package: String,
}

/// One crate, as `cargo metadata` and `Cargo.lock` describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// As its manifest writes it: mostly an SPDX expression.
    pub license: Option<String>,
    /// SHA-256 of its archive, for crates of a registry.
    pub checksum: Option<String>,
    /// Keys of the crates that it links.
    pub needs: BTreeSet<String>,
}

impl Package {
    /// `libc@0.2.170`
    pub fn key(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run `{cargo}`, which the crate in `{}` is built with: install Rust (https://rustup.rs), or name a cargo in the variable CARGO", path.display())]
    NoCargo { cargo: String, path: PathBuf, source: std::io::Error },
    #[error("`{}` has no Cargo.toml: `[[crate]] path` names a package's folder", path.display())]
    NoManifest { path: PathBuf },
    #[error("cargo cannot describe the crate in `{}`; its last words:\n{message}", path.display())]
    Describe { path: PathBuf, message: String },
    #[error("`{}` is a workspace and no package: name the member's folder in `[[crate]] path`", path.display())]
    Workspace { path: PathBuf },
    #[error(
        "the crate `{name}` makes no extension module: add `crate-type = [\"cdylib\"]` to the `[lib]` of its Cargo.toml"
    )]
    NoLibrary { name: String },
    #[error("the crate `{name}` does not compile; the compiler's last lines:\n{message}")]
    Compile { name: String, message: String },
    #[error(
        "the crate `{name}` has no module `{module}`: its library {found}; set `[[crate]] module`, or the name in its `#[pymodule]`"
    )]
    NoModule { name: String, module: ModuleName, found: String },
    #[error(
        "the module `{module}` of the crate `{name}` belongs to a package, and no folder of the application has `{package}/__init__.py`"
    )]
    NoPackage { name: String, module: ModuleName, package: String },
    #[error(
        "Python finds `{}` for the module `{module}`, and not `{}`, which was built just now: remove the former",
        found.display(),
        built.display()
    )]
    Shadowed { module: ModuleName, built: PathBuf, found: PathBuf },
    #[error("two `[[crate]]` tables make the module `{module}`")]
    Twice { module: ModuleName },
    #[error("cargo's messages cannot be read")]
    Messages(#[source] std::io::Error),
    #[error("nowhere to build crates: set HOME or PACKPROOF_TOOL_CACHE")]
    NoCache,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Builds what the configuration names, for the interpreter with these facts, and adds the folder of the modules to
/// `[runner] path`.
pub fn build(config: &mut Config, facts: &Facts, progress: &dyn Progress) -> Result<Crates, Error> {
    let mut crates = Crates::default();
    if config.crates.is_empty() {
        return Ok(crates);
    }
    let slot = Slot::claim(&cache::root().ok_or(Error::NoCache)?.join("crates"), &key(config))?;
    let folder = slot.folder();
    if !slot.is_filled() {
        // Cargo goes on in its folder where it left off.
        slot.fill(|aside| fs_err::create_dir(aside))?;
    }
    // Builds for two Pythons at once do not take each other's away.
    let own_modules = folder.join(&facts.cache_tag).join(MODULES);
    let mut own: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut modules = BTreeSet::new();
    for wanted in &config.crates {
        let described = packages::describe(wanted)?;
        let module = wanted.module.clone().unwrap_or_else(|| described.module.clone());
        if !modules.insert(module.clone()) {
            return Err(Error::Twice { module });
        }
        progress.start("compiling crates", 0);
        let library = compile::compile(wanted, &described, facts, &folder.join("target"));
        progress.finish();
        let bytes = fs_err::read(library?)?;
        compile::check(&described.name, &module, &bytes)?;
        let file_name = place::file_name(&module, described.abi3, facts);
        let file = match module.parent() {
            None => {
                own.insert(file_name.clone(), bytes);
                own_modules.join(file_name)
            }
            Some(package) => {
                let found = place::package_folder(config, &package).ok_or_else(|| Error::NoPackage {
                    name: described.name.clone(),
                    module: module.clone(),
                    package: package.as_str().replace('.', "/"),
                })?;
                let file = found.join(file_name);
                place::write(&file, &bytes)?;
                file
            }
        };
        crates.built.push(Built { module, file, package: described.key.clone() });
        crates.packages.extend(described.packages);
    }
    place::fill(&own_modules, &own)?;
    if !own.is_empty() {
        config.runner.path.push(own_modules);
    }
    Ok(crates)
}

/// The folder of modules that belong to no package. It names their place in the artifact, too.
const MODULES: &str = "extensions";

/// A project's own, whichever its crates are: they share one target folder.
fn key(config: &Config) -> String {
    blake3::hash(config.root.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned()
}
