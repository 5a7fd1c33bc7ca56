//! A [`Proof`] as Markdown, for the summary page of a CI's run.

use std::fmt::Write as _;

use super::proof::{verdict, what};
use crate::verify::{Proof, Start};

/// Differences that are shown; the proof file has all.
const SHOWN: usize = 20;

pub fn render(proof: &Proof) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(proof, &mut text);
    text
}

fn write(proof: &Proof, f: &mut String) -> std::fmt::Result {
    writeln!(f, "## `{}`: {}\n", proof.subject.name, verdict(proof))?;
    writeln!(f, "| | |\n|---|---|")?;
    let imports = &proof.imports;
    writeln!(
        f,
        "| imports | {} of {} modules the same, for {} import statements; {} fail in both, {} unstable |",
        imports.same,
        imports.checked,
        imports.statements,
        imports.fail_alike,
        imports.unstable.len()
    )?;
    for script in &proof.scripts {
        writeln!(f, "| `{}` | unpackaged: {}; packed: {} |", script.name, script.environment, script.artifact)?;
    }
    match proof.start {
        Start::NotConfigured => writeln!(f, "| start | not tried |")?,
        Start::Passed | Start::Failed | Start::AsItIs => {
            for probe in &proof.probes {
                writeln!(
                    f,
                    "| start `{}` | unpackaged: {}; packed: {} |",
                    cell(&probe.name),
                    cell(&probe.environment),
                    cell(&probe.artifact)
                )?;
            }
        }
    }
    let isolation = proof.isolation.partial.as_ref().map_or_else(
        || format!("full, {} paths hidden, network: {}", proof.isolation.hidden.len(), proof.isolation.network),
        |reason| format!("partial: {reason}"),
    );
    writeln!(f, "| isolation | {} |", cell(&isolation))?;
    if let Some(digest) = proof.subject.digest.get("sha256") {
        writeln!(f, "| SHA-256 | `{digest}` |")?;
    }
    if !proof.differences.is_empty() {
        writeln!(f, "\n| differs | environment | artifact |\n|---|---|---|")?;
    }
    for difference in proof.differences.iter().take(SHOWN) {
        writeln!(
            f,
            "| `{}` {} | {} | {} |",
            cell(&difference.subject),
            what(difference.kind),
            cell(&difference.environment),
            cell(&difference.artifact)
        )?;
    }
    match proof.differences.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(f, "\n{more} more stand in the proof file."),
    }
}

/// One cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}
