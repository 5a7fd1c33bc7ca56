//! The crates of Rust code in the artifact.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::LAUNCHER;
use crate::crates::{Crates, Package};
use crate::licenses::of_a_manifest;

#[derive(Debug, Deserialize)]
struct Crate {
    name: String,
    version: String,
    license: Option<String>,
    checksum: Option<String>,
}

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The launcher itself, and what is linked into it.
pub(super) fn of_the_launcher(list: &str) -> Result<(Vec<Value>, Edges), serde_json::Error> {
    let crates: Vec<Crate> = serde_json::from_str(list)?;
    // The launcher is a program of packproof's own package.
    let (own, linked): (Vec<Crate>, Vec<Crate>) = crates.into_iter().partition(|it| it.name == env!("CARGO_PKG_NAME"));
    let mut components = vec![json!({
        "type": "application",
        "bom-ref": LAUNCHER,
        "name": "packproof-launcher",
        "version": env!("CARGO_PKG_VERSION"),
        "licenses": licenses(own.first().and_then(|own| own.license.as_deref()).or(Some(env!("CARGO_PKG_LICENSE")))),
    })];
    let mut edges = BTreeSet::new();
    for it in linked {
        let purl = reference(&it.name, &it.version);
        let mut component = json!({
            "type": "library",
            "bom-ref": purl,
            "name": it.name,
            "version": it.version,
            "purl": purl,
            "licenses": licenses(it.license.as_deref()),
        });
        if let Some(checksum) = it.checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        edges.insert(purl);
        components.push(component);
    }
    let mut needs: Edges = edges.iter().map(|purl| (purl.clone(), BTreeSet::new())).collect();
    needs.insert(LAUNCHER.to_owned(), edges);
    Ok((components, needs))
}

fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

pub(super) fn purl(package: &Package) -> String {
    reference(&package.name, &package.version)
}

/// A crate of the application's own extension modules.
pub(super) fn component(crates: &Crates, key: &str) -> Value {
    let Some(package) = crates.packages.get(key) else { return json!({}) };
    let purl = purl(package);
    let mut value = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "licenses": licenses(package.license.as_deref()),
    });
    if let Some(checksum) = &package.checksum {
        value["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    let modules = crates.built.iter().filter(|built| built.package == key);
    let modules: Vec<Value> = modules.map(|built| super::property("packproof:module", built.module.as_str())).collect();
    if !modules.is_empty() {
        value["properties"] = modules.into();
    }
    value
}

/// Which crate links which.
pub(super) fn edges(crates: &Crates) -> Edges {
    let purls = |keys: &BTreeSet<String>| keys.iter().filter_map(|key| crates.packages.get(key)).map(purl).collect();
    crates.packages.values().map(|package| (purl(package), purls(&package.needs))).collect()
}

fn licenses(license: Option<&str>) -> Value {
    let Some(license) = license else { return json!([]) };
    let expression = of_a_manifest(license);
    if spdx::Expression::parse(&expression).is_ok() {
        json!([{ "expression": expression }])
    } else {
        json!([{ "license": { "name": license } }])
    }
}
