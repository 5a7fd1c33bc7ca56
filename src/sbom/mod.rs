//! Everything in an artifact → a CycloneDX document: the application, its distributions, the libraries of the build
//! machine, the interpreter and the launcher's crates, and which of them needs which.
//!
//! Source: <https://cyclonedx.org/docs/1.6/json/>, PEP 770 for documents that wheels bring, and the purl specification.
//! The document holds no time and no random number: the same input gives the same bytes.

mod crates;
mod wheels;

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::crates::Crates;
use crate::environment::{Distribution, Environment, Requirements};
use crate::format::ArchivePath;
use crate::layout::{Entry, Origin, Planned, Source};
use crate::licenses::{Component, Inventory, Kind};
use crate::names::DistName;

/// What the document is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The artifact's name.
    pub name: &'a str,
    pub environment: &'a Environment,
    /// Of the application's own extension modules.
    pub crates: &'a Crates,
    pub planned: &'a Planned,
    pub licenses: &'a Inventory,
    /// `launcher-crates.json`, as the build of packproof wrote it.
    pub launcher_crates: &'a str,
}

const APPLICATION: &str = "application";
const INTERPRETER: &str = "interpreter";
const LAUNCHER: &str = "launcher";

/// The document's bytes.
pub fn document(inputs: &Inputs<'_>) -> Result<Vec<u8>, std::io::Error> {
    let mut components = Vec::new();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let records = records(inputs);
    for component in &inputs.licenses.components {
        components.push(match &component.kind {
            Kind::Interpreter => interpreter(inputs, component),
            Kind::Distribution => distribution(inputs, component, &records)?,
            Kind::Library { .. } => library(component)?,
            Kind::Crate { key } => crates::component(inputs.crates, key),
        });
    }
    let (crates, edges) = crates::of_the_launcher(inputs.launcher_crates)?;
    // What the application's own crates link as well is one component.
    let known: BTreeSet<String> = inputs.crates.packages.values().map(crates::purl).collect();
    components.extend(crates.into_iter().filter(|it| !it["bom-ref"].as_str().is_some_and(|it| known.contains(it))));
    for (from, to) in edges.into_iter().chain(crates::edges(inputs.crates)) {
        needs.entry(from).or_default().extend(to);
    }
    let own = inputs.crates.built.iter().filter_map(|built| inputs.crates.packages.get(&built.package));
    needs.entry(APPLICATION.to_owned()).or_default().extend(own.map(crates::purl));
    distribution_edges(inputs, &mut needs);
    library_edges(inputs, &mut needs);
    needs.entry(APPLICATION.to_owned()).or_default().extend([INTERPRETER.to_owned(), LAUNCHER.to_owned()]);

    let dependencies: Vec<Value> = needs.iter().map(|(from, to)| json!({ "ref": from, "dependsOn": to })).collect();
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": { "components": [{
                "type": "application", "name": "packproof", "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "application", "bom-ref": APPLICATION, "name": inputs.name,
                "properties": patched(inputs, |origin| matches!(origin, Origin::Application | Origin::Unowned)),
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn interpreter(inputs: &Inputs<'_>, component: &Component) -> Value {
    let version = component.version.as_deref().unwrap_or_default();
    with_licence(
        json!({
            "type": "platform",
            "bom-ref": INTERPRETER,
            "name": component.name,
            "version": version,
            "cpe": format!("cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"),
            "purl": format!("pkg:generic/python@{version}"),
            "properties": patched(inputs, |origin| matches!(origin, Origin::Interpreter | Origin::Stdlib)),
        }),
        component,
    )
}

/// Of each distribution as it is packed. What the environment has holds hashes of scripts, which name its folder.
fn records<'a>(inputs: &Inputs<'a>) -> BTreeMap<&'a DistName, &'a Source> {
    let of_a_record = |(path, entry): (&'a ArchivePath, &'a Entry)| {
        let Origin::Distribution(name) = &entry.origin else { return None };
        let info = path.parent().filter(|_| path.file_name() == "RECORD")?;
        // A distribution may hold others', vendored.
        let is_own = inputs.environment.distribution(name.as_str())?.info.ends_with(info.file_name());
        is_own.then_some((name, &entry.source))
    };
    inputs.planned.layout.entries.iter().filter_map(of_a_record).collect()
}

fn distribution(
    inputs: &Inputs<'_>,
    component: &Component,
    records: &BTreeMap<&DistName, &Source>,
) -> Result<Value, std::io::Error> {
    let Some(dist) = inputs.environment.distribution(&component.name) else { return Ok(json!({})) };
    let mut properties = patched(inputs, |origin| matches!(origin, Origin::Distribution(name) if *name == dist.name));
    // RECORD names every file with its own digest.
    let record = match records.get(&dist.name) {
        Some(source) => source.content()?.map(|bytes| sha256(&bytes)),
        None => None,
    };
    properties.extend(record.map(|record| property("packproof:record-sha256", &record)));
    let mut value = json!({
        "type": "library",
        "bom-ref": reference(&dist.name),
        "name": dist.display_name,
        "version": dist.version,
        "purl": reference_with_version(dist),
        "properties": properties,
    });
    let hashes = archive_hashes(dist);
    if !hashes.is_empty() {
        value["hashes"] = hashes.into();
    }
    let nested = wheels::components(dist)?;
    if !nested.is_empty() {
        value["components"] = nested.into();
    }
    Ok(with_licence(value, component))
}

fn reference(name: &DistName) -> String {
    format!("pkg:pypi/{name}")
}

fn reference_with_version(dist: &Distribution) -> String {
    // `+` of a local version means a space elsewhere in a URL.
    format!("pkg:pypi/{}@{}", dist.name, dist.version.replace('+', "%2B"))
}

/// Of the archive that it was installed from, where PEP 610 wrote it down.
fn archive_hashes(dist: &Distribution) -> Vec<Value> {
    let text = fs::read_to_string(dist.info.join("direct_url.json")).unwrap_or_default();
    let Ok(direct) = serde_json::from_str::<Value>(&text) else { return Vec::new() };
    let Some(hashes) = direct.pointer("/archive_info/hashes").and_then(Value::as_object) else { return Vec::new() };
    let name = |name: &str| match name {
        "sha256" => Some("SHA-256"),
        "sha384" => Some("SHA-384"),
        "sha512" => Some("SHA-512"),
        _ => None,
    };
    hashes.iter().filter_map(|(key, value)| Some(json!({ "alg": name(key)?, "content": value.as_str()? }))).collect()
}

fn library(component: &Component) -> Result<Value, std::io::Error> {
    let Kind::Library { file, place, package } = &component.kind else { return Ok(json!({})) };
    let mut value = json!({
        "type": "library",
        "bom-ref": place,
        "name": component.name,
        "hashes": [{ "alg": "SHA-256", "content": sha256(&fs::read(file)?) }],
        "properties": [property("packproof:path", place)],
    });
    if let Some(package) = package {
        let version = package.version.as_deref().unwrap_or_default();
        value["version"] = version.into();
        let escaped = version.replace(':', "%3A").replace('+', "%2B").replace('~', "%7E");
        value["purl"] = format!("pkg:deb/{}/{}@{escaped}", package.vendor, package.name).into();
    }
    Ok(with_licence(value, component))
}

fn with_licence(mut value: Value, component: &Component) -> Value {
    if let Some(license) = &component.license {
        value["licenses"] = json!([{ "expression": license }]);
    }
    value
}

/// Files that are not as their owner made them, with the reason.
fn patched(inputs: &Inputs<'_>, is_of: impl Fn(&Origin) -> bool) -> Vec<Value> {
    let entries = inputs.planned.layout.entries.iter().filter(|(_, entry)| is_of(&entry.origin));
    let changed = entries.filter_map(|(path, entry)| {
        Some(property("packproof:changed", &format!("{path}: {}", entry.source.change()?)))
    });
    changed.collect()
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// Distributions that nothing else asks for are the application's own.
fn distribution_edges(inputs: &Inputs<'_>, needs: &mut BTreeMap<String, BTreeSet<String>>) {
    let requirements = Requirements::of(inputs.environment);
    let packed: BTreeSet<DistName> = inputs
        .licenses
        .components
        .iter()
        .filter(|component| component.kind == Kind::Distribution)
        .filter_map(|component| DistName::new(&component.name).ok())
        .collect();
    let mut asked_for = BTreeSet::new();
    for name in &packed {
        let edges = needs.entry(reference(name)).or_default();
        for required in requirements.direct(name).iter().filter(|required| required.active) {
            if packed.contains(&required.name) && required.name != *name {
                edges.insert(reference(&required.name));
                asked_for.insert(&required.name);
            }
        }
    }
    let own = packed.iter().filter(|name| !asked_for.contains(name)).map(reference);
    needs.entry(APPLICATION.to_owned()).or_default().extend(own);
}

/// Who loads which library of the build machine.
fn library_edges(inputs: &Inputs<'_>, needs: &mut BTreeMap<String, BTreeSet<String>>) {
    let owner_of = |place: &str| {
        let path = ArchivePath::new(place).ok()?;
        match &inputs.planned.layout.entries.get(&path)?.origin {
            Origin::Interpreter | Origin::Stdlib => Some(INTERPRETER.to_owned()),
            Origin::Distribution(name) => Some(reference(name)),
            Origin::System => Some(place.to_owned()),
            Origin::Application | Origin::Unowned | Origin::Packproof => Some(APPLICATION.to_owned()),
        }
    };
    let libraries = inputs.licenses.components.iter().filter_map(|component| match &component.kind {
        Kind::Library { place, .. } => Some(place.as_str()),
        Kind::Interpreter | Kind::Distribution | Kind::Crate { .. } => None,
    });
    let libraries: BTreeSet<&str> = libraries.collect();
    for library in &libraries {
        needs.entry((*library).to_owned()).or_default();
    }
    for (from, to) in &inputs.planned.native.closure.edges {
        let Some(owner) = owner_of(from) else { continue };
        let found = to.iter().filter(|to| libraries.contains(to.as_str()) && **to != owner).cloned();
        needs.entry(owner.clone()).or_default().extend(found);
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
