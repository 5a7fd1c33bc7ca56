//! The crates of Rust code in the artifact.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::LAUNCHER;

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
        let purl = format!("pkg:cargo/{}@{}", it.name, it.version.replace('+', "%2B"));
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

/// Old manifests write `MIT/Apache-2.0`.
fn licenses(license: Option<&str>) -> Value {
    let Some(license) = license else { return json!([]) };
    let expression = license.replace('/', " OR ");
    if spdx::Expression::parse(&expression).is_ok() {
        json!([{ "expression": expression }])
    } else {
        json!([{ "license": { "name": license } }])
    }
}
