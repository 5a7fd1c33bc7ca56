//! [`Report`] → workflow commands, which GitHub Actions shows beside the lines of a change.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::fmt::Write as _;

use super::{Own, whole};
use crate::audit::{Report, Severity};

pub fn github(report: &Report, own: &Own) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let place = own.place(finding).map(|(file, line)| {
            format!("file={}{},", property(&file), line.map(|line| format!(",line={line}")).unwrap_or_default())
        });
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "::{command} {}title={}::{}",
            place.unwrap_or_default(),
            property(finding.code),
            escaped(&whole(finding))
        );
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}
