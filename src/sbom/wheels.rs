//! Documents that wheels bring in `*.dist-info/sboms/` (PEP 770): what was linked or copied into them.

use std::path::Path;

use fs_err as fs;
use serde_json::{Value, json};

use crate::environment::Distribution;

/// What is taken over of a component; all of it means the same in every version of the format.
const FIELDS: &[&str] = &["type", "group", "name", "version", "description", "purl", "cpe", "hashes", "licenses"];

/// The components of a distribution's own documents, with references that no other document uses.
pub(super) fn components(dist: &Distribution) -> Result<Vec<Value>, std::io::Error> {
    let folder = dist.info.join("sboms");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<_> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut found = Vec::new();
    for file in files {
        // Another format is left where it lies: it is packed with the distribution.
        let Ok(document) = serde_json::from_slice::<Value>(&fs::read(&file)?) else { continue };
        if document["bomFormat"] == "CycloneDX" {
            take(&document["components"], dist, &file, &mut found);
        }
    }
    Ok(found)
}

fn take(components: &Value, dist: &Distribution, file: &Path, found: &mut Vec<Value>) {
    for component in components.as_array().into_iter().flatten() {
        let mut taken: serde_json::Map<String, Value> =
            FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), component.get(*field)?.clone()))).collect();
        if !taken.contains_key("name") || !taken.contains_key("type") {
            continue;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        taken.insert("bom-ref".to_owned(), json!(format!("pkg:pypi/{}#{name}/{}", dist.name, found.len())));
        found.push(Value::Object(taken));
        take(&component["components"], dist, file, found);
    }
}
