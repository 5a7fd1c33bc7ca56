//! Everything in the artifact that has a licence of its own, each with what is known of it.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

use rustc_hash::FxHashSet;

use super::classifiers;
use super::debian::{Package, Packages};
use crate::config::Licenses;
use crate::crates::Crates;
use crate::environment::{Distribution, Environment};
use crate::layout::{Origin, Planned};
use crate::names::DistName;
use crate::native::Policy;

#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The interpreter first, distributions by name, libraries by name, then crates by name.
    pub components: Vec<Component>,
    /// Whether the configuration names licences that it takes, so that an unknown one is a question.
    pub restricted: bool,
}

#[derive(Debug, Clone)]
pub struct Component {
    pub kind: Kind,
    pub name: String,
    pub version: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Interpreter,
    Distribution,
    /// Linked into an extension module of the application's, by [`Package::key`](crate::crates::Package::key).
    Crate {
        key: String,
    },
    /// A shared library of the build machine, with its place in the tree and the Debian package that brought it.
    Library {
        file: PathBuf,
        place: String,
        package: Option<Package>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    Denied,
    Unknown,
}

impl Inventory {
    pub fn new(
        environment: &Environment,
        crates: &Crates,
        planned: &Planned,
        licenses: &Licenses,
        packages: &Packages,
    ) -> Self {
        let mut components = vec![component(
            licenses,
            Kind::Interpreter,
            "CPython".to_owned(),
            Some(environment.facts.version_string()),
            Some("PSF-2.0".to_owned()),
        )];
        let packed: BTreeSet<&DistName> = planned
            .layout
            .entries
            .values()
            .filter_map(|entry| match &entry.origin {
                Origin::Distribution(name) => Some(name),
                Origin::Interpreter
                | Origin::Stdlib
                | Origin::Application
                | Origin::System
                | Origin::Packproof
                | Origin::Unowned => None,
            })
            .collect();
        let files: LazyCell<FxHashSet<&OsStr>, _> = LazyCell::new(|| {
            planned.layout.entries.values().filter_map(|entry| Some(entry.source.file()?.as_os_str())).collect()
        });
        // Where there is no RECORD, as Debian's packages have none, the metadata tells that it is packed.
        let has_metadata = |dist: &Distribution| {
            files.contains(dist.info.as_os_str())
                || ["METADATA", "PKG-INFO"].iter().any(|name| files.contains(dist.info.join(name).as_os_str()))
        };
        let is_packed = |dist: &&Distribution| packed.contains(&dist.name) || has_metadata(dist);
        for dist in environment.distributions.iter().filter(is_packed) {
            let version = Some(dist.version.clone());
            components.push(component(licenses, Kind::Distribution, dist.name.to_string(), version, of(dist)));
        }
        let policy = Policy::built_in();
        let mut seen = BTreeSet::new();
        for (name, library) in &planned.native.closure.packed {
            if !seen.insert(&library.file) {
                continue;
            }
            let package = packages.of(&library.file);
            let license = policy.license(name).map(str::to_owned);
            let license = license.or_else(|| package.as_ref()?.license.clone());
            let version = package.as_ref().and_then(|package| package.version.clone());
            let file_name = library.file.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("{}/{file_name}", crate::native::closure::LIB);
            let kind = Kind::Library { file: library.file.clone(), place, package };
            components.push(component(licenses, kind, name.clone(), version, license));
        }
        for (key, package) in &crates.packages {
            let version = Some(package.version.clone());
            let license = package.license.as_deref().map(super::of_a_manifest);
            components.push(component(
                licenses,
                Kind::Crate { key: key.clone() },
                package.name.clone(),
                version,
                license,
            ));
        }
        Self { components, restricted: !licenses.allow.is_empty() }
    }
}

fn component(
    licenses: &Licenses,
    kind: Kind,
    name: String,
    version: Option<String>,
    license: Option<String>,
) -> Component {
    // `PyYAML` and `typing_extensions` are written so, and found as `pyyaml` and `typing-extensions`.
    let is_meant = |written: &str| {
        written == name
            || kind == Kind::Distribution && DistName::new(written).is_ok_and(|other| other.as_str() == name)
    };
    let clarified = licenses.clarify.iter().find(|(written, _)| is_meant(written)).map(|(_, license)| license.clone());
    let license = clarified.or(license);
    let verdict = match &license {
        None => Verdict::Unknown,
        Some(license) if licenses.takes(license) => Verdict::Taken,
        Some(_) => Verdict::Denied,
    };
    Component { kind, name, version, license, verdict }
}

/// PEP 639's expression, else the classifiers, else what the free field says.
fn of(dist: &Distribution) -> Option<String> {
    let written = dist.license.as_deref();
    written
        .filter(|text| spdx::Expression::parse(text).is_ok())
        .map(str::to_owned)
        .or_else(|| classifiers::expression(&dist.classifiers))
        .or_else(|| classifiers::spoken(written?))
}
