//! A [`Proof`] as text.

use std::fmt::Write as _;

use crate::verify::{Difference, Kind, Measured, Proof, Script, Start, Verdict};

/// The verdict is the first line; each difference shows both sides.
pub fn render(proof: &Proof) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(proof, &mut text);
    text
}

/// `PROVED`, or what stands in its place.
pub fn verdict(proof: &Proof) -> String {
    match (proof.verdict, &proof.isolation.partial) {
        (Verdict::Proved, None) => "PROVED".to_owned(),
        (Verdict::Proved | Verdict::PartiallyIsolated, reason) => {
            format!("PROVED (partial isolation: {})", reason.as_deref().unwrap_or("not known"))
        }
        (Verdict::NotProved, _) => {
            let count = proof.differences.len();
            format!("NOT PROVED: {count} {}", if count == 1 { "difference" } else { "differences" })
        }
    }
}

/// The verdict and what it rests on, in one line.
pub fn line(proof: &Proof) -> String {
    let mut parts = vec![format!("{} imports compared", proof.imports.checked)];
    if !proof.scripts.is_empty() {
        parts.push(format!("{} smoke scripts", proof.scripts.len()));
    }
    match proof.start {
        Start::NotConfigured => parts.push("start not tried (no [start])".to_owned()),
        Start::Failed => parts.push("start failed".to_owned()),
        Start::AsItIs => parts.push(format!("started as it is: {} in both; no [start]", as_it_is(proof))),
        Start::Passed if proof.probes.len() > 1 => parts.push(format!("{} starts", proof.probes.len())),
        Start::Passed => parts.push("started and stopped".to_owned()),
    }
    format!("{} ({})", verdict(proof), parts.join(", "))
}

fn write(proof: &Proof, f: &mut String) -> std::fmt::Result {
    writeln!(f, "{}", verdict(proof))?;
    for difference in &proof.differences {
        writeln!(f)?;
        write_difference(difference, f)?;
    }
    if !proof.differences.is_empty() {
        writeln!(f)?;
    }
    let imports = &proof.imports;
    write!(f, "  imports    {} of {} modules the same", imports.same, imports.checked)?;
    if imports.statements > imports.checked {
        write!(f, ", for {} import statements", imports.statements)?;
    }
    if imports.fail_alike > 0 {
        write!(f, ", {} of them fail in both", imports.fail_alike)?;
    }
    if !imports.left_out.is_empty() {
        write!(f, "; {} not run", imports.left_out.len())?;
    }
    writeln!(f)?;
    if !imports.unstable.is_empty() {
        let shown: Vec<&str> = imports.unstable.iter().take(3).map(String::as_str).collect();
        let more = imports.unstable.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(f, "             not the same from run to run, and not compared: {}{more}", shown.join(", "))?;
    }
    if !proof.scripts.is_empty() {
        let alone = proof.scripts.iter().any(|it| it.environment == "not run here");
        let is_good = |it: &&Script| it.artifact == "exit status 0" && (alone || it.environment == it.artifact);
        let passed = proof.scripts.iter().filter(is_good);
        let both = if alone { ", not run unpackaged here" } else { " in both" };
        writeln!(f, "  scripts    {} of {} passed{both}", passed.count(), proof.scripts.len())?;
    }
    match proof.start {
        Start::NotConfigured if proof.probes.is_empty() => {
            writeln!(f, "  start      not tried: there is no [start] in the configuration")?;
        }
        Start::NotConfigured => writeln!(f, "  start      not tried: its helpers need the environment")?,
        Start::Failed => writeln!(f, "  start      failed")?,
        Start::AsItIs => writeln!(f, "  start      as it is, since there is no [start]: {} in both", as_it_is(proof))?,
        Start::Passed => writeln!(
            f,
            "  start      ready {}; unpackaged {}",
            measured(proof.run.artifact.as_ref(), " with unpacking"),
            measured(proof.run.environment.as_ref(), ""),
        )?,
    }
    let escape = &proof.escape;
    write!(f, "  loaded     {} modules, {} mapped files", escape.modules, escape.mapped_files)?;
    if !escape.unlisted.is_empty() {
        let names: Vec<&str> = escape.unlisted.iter().map(|path| path.rsplit('/').next().unwrap_or(path)).collect();
        write!(f, "; from the system beside the C library: {}", names.join(", "))?;
    }
    writeln!(f)?;
    for stated in &escape.stated {
        writeln!(f, "  stated     {stated}")?;
    }
    match &proof.isolation.partial {
        None => writeln!(f, "  isolation  full, {} paths hidden", proof.isolation.hidden.len())?,
        Some(reason) => writeln!(f, "  isolation  partial: {reason}")?,
    }
    for note in &proof.isolation.notes {
        writeln!(f, "             {note}")?;
    }
    Ok(())
}

/// What an application does that nothing is said of.
fn as_it_is(proof: &Proof) -> &str {
    proof.probes.first().map_or("", |probe| probe.artifact.as_str())
}

fn write_difference(difference: &Difference, f: &mut String) -> std::fmt::Result {
    let what = what(difference.kind);
    writeln!(f, "  `{}` {what}", difference.subject)?;
    writeln!(f, "    environment: {}", indent(&difference.environment))?;
    writeln!(f, "    artifact:    {}", indent(&difference.artifact))?;
    if !difference.because.is_empty() {
        const SHOWN: usize = 5;
        let shown: Vec<&str> = difference.because.iter().take(SHOWN).map(String::as_str).collect();
        write!(f, "    asked by:    {}", shown.join(", "))?;
        match difference.because.len().saturating_sub(SHOWN) {
            0 => writeln!(f)?,
            more => writeln!(f, " and {more} more")?,
        }
    }
    if !difference.also.is_empty() {
        let shown: Vec<&str> = difference.also.iter().take(5).map(String::as_str).collect();
        write!(f, "    so do:       {}", shown.join(", "))?;
        match difference.also.len().saturating_sub(5) {
            0 => writeln!(f)?,
            more => writeln!(f, " and {more} more")?,
        }
    }
    if let Some(output) = &difference.output {
        for line in output.lines() {
            writeln!(f, "      | {line}")?;
        }
    }
    Ok(())
}

/// What is wrong with the subject.
pub(super) fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Import => "is not imported alike",
        Kind::Origin => "is another module",
        Kind::RequiredImport => "cannot be imported, here or there",
        Kind::Asserted => "is not what a hook asserts",
        Kind::NoResult => "gave no result",
        Kind::Code => "runs other code",
        Kind::Source => "has another source",
        Kind::Library => "is another library",
        Kind::Names => "binds other names",
        Kind::Warning => "warns otherwise",
        Kind::Resources => "has other files beside it",
        Kind::Distribution => "is another version",
        Kind::Record => "is not whole",
        Kind::EntryPoints => "has other entry points",
        Kind::Script | Kind::Start => "does not pass",
        Kind::Escape => "comes from outside the artifact",
        Kind::Opened => "is opened",
        Kind::Started => "is started",
        Kind::Network => "is called over the network",
        Kind::ChildEnvironment => "is seen otherwise by child processes",
        Kind::Tree => "does not stay as it was packed",
        Kind::Leftover => "is left behind",
        Kind::File => "is not packed as it is",
        Kind::Isolation => "is not what was asked for",
    }
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n                 ")
}

fn measured(measured: Option<&Measured>, with: &str) -> String {
    let Some(measured) = measured else { return "(not measured)".to_owned() };
    let mut text = format!("after {:.1} s{with}", measured.seconds_to_ready);
    if let Some(kib) = measured.peak_memory_kib {
        let _ = write!(text, ", {} MiB", kib / 1024);
    }
    if let Some(processes) = measured.processes.filter(|count| *count > 1) {
        let _ = write!(text, ", {processes} processes");
    }
    text
}
