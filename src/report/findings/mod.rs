//! [`Report`] → text, JSON, SARIF, and GitHub's workflow commands.

mod github;
mod place;
mod sarif;

use std::fmt::Write;

use serde::Serialize;

pub use github::github;
pub use place::Own;
pub use sarif::sarif;

use crate::audit::gate::{SCHEMA, Verdict};
use crate::audit::{Finding, Report, Severity};

/// How much of a report is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Errors and warnings, as many as a screen holds.
    Screen,
    /// Everything, information too.
    All,
}

/// Findings that [`Extent::Screen`] shows in full.
const SHOWN: usize = 8;

/// Plain text, one paragraph for each finding.
pub fn text(report: &Report, extent: Extent) -> String {
    let mut out = String::new();
    let told = |finding: &&Finding| extent == Extent::All || finding.severity != Severity::Info;
    let most = if extent == Extent::All { usize::MAX } else { SHOWN };
    let told: Vec<_> = report.findings.iter().filter(told).collect();
    for finding in told.iter().take(most) {
        paragraph(&mut out, finding);
    }
    for finding in told.iter().skip(most) {
        line(&mut out, &format!("{}[{}]: {}", finding.severity, finding.code, finding.message));
    }
    for unused in &report.unused_allowances {
        line(&mut out, &format!("note: nothing needed the allowance of {}:{}", unused.code, unused.subject));
    }
    line(&mut out, &summary(report));
    out
}

/// What came and went since the baseline; nothing without one.
pub fn since_baseline(verdict: &Verdict) -> String {
    let mut out = String::new();
    if verdict.known > 0 {
        line(&mut out, &format!("{} known from the baseline", verdict.known));
    }
    for (code, subject, message) in &verdict.gone {
        line(&mut out, &format!("gone since the baseline: [{code}] {subject}: {message}"));
    }
    out
}

/// Message, evidence and cure, a line each.
fn whole(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    for evidence in &finding.evidence {
        let place = match (&evidence.file, evidence.line) {
            (Some(file), Some(number)) => format!("{file}:{number}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let _ = write!(text, "\n{place}{}", evidence.text);
    }
    if let Some(cure) = &finding.cure {
        let _ = write!(text, "\nhelp: {cure}");
    }
    text
}

/// `1 warning; 2 notes of information, 1 finding allowed`
pub fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    for (severity, one, many) in [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "piece of information (--all)", "pieces of information (--all)"),
    ] {
        match report.count(severity) {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            count => parts.push(format!("{count} {many}")),
        }
    }
    if !report.allowed.is_empty() {
        parts.push(format!("{} allowed", report.allowed.len()));
    }
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

/// The whole report.
pub fn json(report: &Report) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        #[serde(flatten)]
        report: &'a Report,
    }
    let document = Document { schema: SCHEMA, report };
    // Strings, numbers and lists: nothing that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn paragraph(out: &mut String, finding: &Finding) {
    line(out, &format!("{}[{}]: {}", finding.severity, finding.code, whole(finding).replace('\n', "\n  ")));
    out.push('\n');
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Evidence;

    fn finding(severity: Severity) -> Finding {
        Finding {
            code: "missing-module",
            severity,
            subject: "eggs".to_owned(),
            message: "no module named `eggs`".to_owned(),
            evidence: vec![Evidence {
                file: Some("a.py".to_owned()),
                path: Some("/repo/src/a b.py".into()),
                line: Some(3),
                text: "imports `eggs`".to_owned(),
            }],
            cure: Some("install it".to_owned()),
        }
    }

    #[test]
    fn a_finding_in_a_few_lines() {
        let report = Report { findings: vec![finding(Severity::Error), finding(Severity::Info)], ..Report::default() };
        insta::assert_snapshot!(text(&report, Extent::Screen), @r"
        error[missing-module]: no module named `eggs`
          a.py:3: imports `eggs`
          help: install it

        1 error, 1 piece of information (--all)
        ");
    }

    #[test]
    fn what_does_not_fit_is_told_in_a_line_each() {
        let report = Report { findings: vec![finding(Severity::Warning); 10], ..Report::default() };
        let text = text(&report, Extent::Screen);
        assert_eq!(text.matches("help:").count(), SHOWN);
        assert_eq!(text.matches("warning[missing-module]").count(), 10);
    }

    #[test]
    fn json_says_which_schema_it_is() {
        let report = Report { findings: vec![finding(Severity::Error)], ..Report::default() };
        let value: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["findings"][0]["severity"], "error");
        assert_eq!(value["findings"][0]["evidence"][0]["line"], 3);
    }

    fn own() -> Own {
        Own { folder: "/repo".into(), configuration: Some("/repo/packproof.toml".into()) }
    }

    #[test]
    fn annotations_for_a_pull_request() {
        let mut odd = finding(Severity::Info);
        odd.evidence[0] =
            Evidence { file: Some("[smoke] imports".to_owned()), path: None, line: None, text: "100 %".to_owned() };
        let report = Report { findings: vec![finding(Severity::Error), odd.clone()], ..Report::default() };
        insta::assert_snapshot!(github(&report, &own()), @r"
        ::error file=src/a b.py,line=3,title=missing-module::no module named `eggs`%0Aa.py:3: imports `eggs`%0Ahelp: install it
        ::notice file=packproof.toml,title=missing-module::no module named `eggs`%0A[smoke] imports: 100 %25%0Ahelp: install it
        ");
        let nowhere = Own { configuration: None, ..own() };
        let report = Report { findings: vec![odd], ..Report::default() };
        assert!(github(&report, &nowhere).starts_with("::notice title=missing-module::no module"));
        let value: serde_json::Value = serde_json::from_str(&sarif(&report, &nowhere)).unwrap();
        let place = &value["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(
            (place["artifactLocation"]["uri"].as_str(), place["region"]["startLine"].as_u64()),
            (Some("pyproject.toml"), Some(1))
        );
    }

    #[test]
    fn sarif_has_what_code_scanning_asks_for() {
        let report = Report { findings: vec![finding(Severity::Error)], ..Report::default() };
        let value: serde_json::Value = serde_json::from_str(&sarif(&report, &own())).unwrap();
        let run = &value["runs"][0];
        assert_eq!(
            (&value["version"], &run["tool"]["driver"]["rules"][0]["id"]),
            (&"2.1.0".into(), &"missing-module".into())
        );
        let result = &run["results"][0];
        assert_eq!((&result["level"], &result["ruleId"]), (&"error".into(), &"missing-module".into()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.py");
        assert_eq!(place["region"]["startLine"], 3);
        assert_eq!(result["partialFingerprints"]["codeAndSubject/v1"], "missing-module:eggs");
    }
}
