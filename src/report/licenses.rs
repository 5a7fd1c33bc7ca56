//! [`Inventory`] → a table, and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::licenses::{Component, Inventory, Kind, Verdict};

/// Version of the JSON; raised where a reader would have to change.
const SCHEMA: u32 = 1;

/// A line for each component: name, version, licence, and what `[licenses]` says of it.
pub fn text(inventory: &Inventory) -> String {
    let rows: Vec<[String; 4]> = inventory.components.iter().map(row).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [name, version, license, note] in &rows {
        let [first, second, third] = widths;
        let line = format!("{name:first$}  {version:second$}  {license:third$}  {note}");
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn row(component: &Component) -> [String; 4] {
    let note = match (component.verdict, &component.kind) {
        (Verdict::Denied, _) => "DENIED".to_owned(),
        (_, Kind::Library { package: Some(package), .. }) => format!("packed, from Debian's {}", package.name),
        (_, Kind::Library { package: None, .. }) => "packed, from the build machine".to_owned(),
        (_, Kind::Crate { .. }) => "linked into an extension module of the application".to_owned(),
        (Verdict::Taken | Verdict::Unknown, Kind::Interpreter | Kind::Distribution) => String::new(),
    };
    let license = component.license.clone().unwrap_or_else(|| "unknown".to_owned());
    [component.name.clone(), component.version.clone().unwrap_or_default(), license, note]
}

pub fn json(inventory: &Inventory) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        components: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        kind: &'static str,
        name: &'a str,
        version: Option<&'a str>,
        license: Option<&'a str>,
        verdict: &'static str,
    }
    let components = inventory.components.iter().map(|component| Row {
        kind: match component.kind {
            Kind::Interpreter => "interpreter",
            Kind::Distribution => "distribution",
            Kind::Library { .. } => "library",
            Kind::Crate { .. } => "crate",
        },
        name: &component.name,
        version: component.version.as_deref(),
        license: component.license.as_deref(),
        verdict: match component.verdict {
            Verdict::Taken => "taken",
            Verdict::Denied => "denied",
            Verdict::Unknown => "unknown",
        },
    });
    let document = Document { schema: SCHEMA, components: components.collect() };
    // Strings and a number: nothing that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
