//! [`Report`] → SARIF 2.1.0, as code scanning services take it.
//!
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Own, whole};
use crate::audit::{CODES, Finding, Report, Severity};

pub fn sarif(report: &Report, own: &Own) -> String {
    let found: BTreeSet<&str> = report.findings.iter().map(|finding| finding.code).collect();
    let rules: Vec<Value> = CODES
        .iter()
        .filter(|(code, _)| found.contains(code))
        .map(|(code, page)| json!({ "id": code, "help": { "text": page, "markdown": page } }))
        .collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, own)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "packproof", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    });
    // Strings, numbers and lists: nothing that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn result(finding: &Finding, own: &Own) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    // Services refuse a whole file for one result without a place.
    let (file, line) = own.place(finding).unwrap_or_else(|| ("pyproject.toml".to_owned(), None));
    let place = json!({
        "artifactLocation": { "uri": escaped(&file) },
        "region": { "startLine": line.unwrap_or(1) },
    });
    json!({
        "ruleId": finding.code,
        "level": level,
        "message": { "text": whole(finding) },
        "locations": [{ "physicalLocation": place }],
        // The same finding on another line is the same finding.
        "partialFingerprints": { "codeAndSubject/v1": format!("{}:{}", finding.code, finding.subject) },
    })
}

/// A relative URI: whatever has a meaning in one is escaped.
fn escaped(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
