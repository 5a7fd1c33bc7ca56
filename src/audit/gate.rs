//! [`Report`] → does it pass? Errors fail, and what is denied; with a baseline only what is new since then, and new warnings as
//! well: that something has come is what a baseline is there to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Finding, Report, Severity};

/// What fails beside errors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deny {
    Warnings,
    Code(String),
}

/// The findings of an earlier audit, read from its JSON.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// Code and subject → how severe it was, and its message.
    known: BTreeMap<(String, String), (Severity, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error("cannot read the baseline `{}`", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no audit that was saved with `--format json`", path.display())]
    Invalid { path: PathBuf, source: serde_json::Error },
    #[error("`{}` has schema {schema}, and this packproof reads {wanted}: save the audit anew", path.display())]
    Schema { path: PathBuf, schema: u32, wanted: u32 },
}

/// Version of a saved audit's JSON; raised where a reader would have to change.
pub const SCHEMA: u32 = 1;

#[derive(Deserialize)]
struct Saved {
    schema: u32,
    findings: Vec<SavedFinding>,
}

#[derive(Deserialize)]
struct SavedFinding {
    code: String,
    severity: Severity,
    subject: String,
    message: String,
}

impl Baseline {
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let text = fs_err::read_to_string(path)
            .map_err(|source| BaselineError::Unreadable { path: path.to_owned(), source })?;
        let saved: Saved =
            serde_json::from_str(&text).map_err(|source| BaselineError::Invalid { path: path.to_owned(), source })?;
        if saved.schema != SCHEMA {
            return Err(BaselineError::Schema { path: path.to_owned(), schema: saved.schema, wanted: SCHEMA });
        }
        let known = saved
            .findings
            .into_iter()
            .map(|finding| ((finding.code, finding.subject), (finding.severity, finding.message)))
            .collect();
        Ok(Self { known })
    }

    /// One that has become more severe is new.
    fn knows(&self, finding: &Finding) -> bool {
        let key = (finding.code.to_owned(), finding.subject.clone());
        self.known.get(&key).is_some_and(|(severity, _)| *severity <= finding.severity)
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    pub passes: bool,
    /// With a baseline: findings that it knows, and that are therefore not told again.
    pub known: usize,
    /// With a baseline: code, subject and message of what is no longer found.
    pub gone: Vec<(String, String, String)>,
}

/// Leaves in `report` what is new, and says whether that passes.
pub fn judge(report: &mut Report, deny: &BTreeSet<Deny>, baseline: Option<&Baseline>) -> Verdict {
    let mut verdict = Verdict::default();
    if let Some(baseline) = baseline {
        let found = report.findings.iter().chain(report.allowed.iter().map(|allowed| &allowed.finding));
        let found: BTreeSet<_> = found.map(|finding| (finding.code.to_owned(), finding.subject.clone())).collect();
        let gone = baseline.known.iter().filter(|(key, _)| !found.contains(*key));
        verdict.gone =
            gone.map(|((code, subject), (_, message))| (code.clone(), subject.clone(), message.clone())).collect();
        let before = report.findings.len();
        report.findings.retain(|finding| !baseline.knows(finding));
        verdict.known = before - report.findings.len();
    }
    let fails = |finding: &Finding| match finding.severity {
        Severity::Error => true,
        Severity::Warning => {
            baseline.is_some() || deny.contains(&Deny::Warnings) || deny.contains(&Deny::Code(finding.code.to_owned()))
        }
        Severity::Info => deny.contains(&Deny::Code(finding.code.to_owned())),
    };
    verdict.passes = !report.findings.iter().any(fails);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &'static str, severity: Severity) -> Finding {
        let (subject, message) = ("eggs".to_owned(), String::new());
        Finding { code, severity, subject, message, evidence: Vec::new(), cure: None }
    }

    fn passes(found: &[Finding], deny: &[Deny]) -> bool {
        let mut report = Report { findings: found.to_vec(), ..Report::default() };
        judge(&mut report, &deny.iter().cloned().collect(), None).passes
    }

    #[test]
    fn what_fails() {
        let (error, warning) = (finding("missing-module", Severity::Error), finding("wrong-kind", Severity::Warning));
        let info = finding("unused-hook", Severity::Info);
        assert!(!passes(&[error], &[]));
        assert!(passes(&[warning.clone(), info.clone()], &[]));
        assert!(!passes(std::slice::from_ref(&warning), &[Deny::Warnings]));
        assert!(passes(std::slice::from_ref(&info), &[Deny::Warnings]));
        assert!(!passes(&[info], &[Deny::Code("unused-hook".to_owned())]));
        assert!(passes(&[warning], &[Deny::Code("unused-hook".to_owned())]));
    }

    #[test]
    fn only_what_is_new_or_worse_fails() {
        let known = |severity| Baseline {
            known: BTreeMap::from([
                (("wrong-kind".to_owned(), "eggs".to_owned()), (severity, "m".to_owned())),
                (("unused-hook".to_owned(), "ham".to_owned()), (Severity::Info, "n".to_owned())),
            ]),
        };
        let judged = |severity| {
            let mut report = Report { findings: vec![finding("wrong-kind", Severity::Error)], ..Report::default() };
            judge(&mut report, &BTreeSet::new(), Some(&known(severity)))
        };
        let mut report = Report { findings: vec![finding("wrong-kind", Severity::Warning)], ..Report::default() };
        assert!(!judge(&mut report, &BTreeSet::new(), Some(&Baseline::default())).passes, "a new warning fails");
        let mut report = Report { findings: vec![finding("wrong-kind", Severity::Info)], ..Report::default() };
        assert!(judge(&mut report, &BTreeSet::new(), Some(&Baseline::default())).passes);
        let gone = vec![("unused-hook".to_owned(), "ham".to_owned(), "n".to_owned())];
        assert_eq!(judged(Severity::Error), Verdict { passes: true, known: 1, gone: gone.clone() });
        assert_eq!(judged(Severity::Warning), Verdict { passes: false, known: 0, gone });
    }
}
