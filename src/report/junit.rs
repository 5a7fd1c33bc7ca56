//! A [`Proof`] as JUnit XML, for a CI's list of tests.

use std::fmt::Write as _;

use super::proof::{verdict, what};
use crate::verify::{Difference, Kind, Proof, Start};

/// One test for each stage that was carried out, and one for each difference.
pub fn render(proof: &Proof) -> String {
    let mut cases = Vec::new();
    let mut stage = |name: String, kinds: &[Kind], seconds: Option<&f64>| {
        let failed: Vec<&Difference> =
            proof.differences.iter().filter(|difference| kinds.contains(&difference.kind)).collect();
        cases.push((name, failed, seconds.copied().unwrap_or_default()));
    };
    let seconds = &proof.run.seconds;
    stage(format!("imports: {} modules", proof.imports.checked), IMPORTS, seconds.get("imports"));
    if !proof.scripts.is_empty() {
        stage(format!("smoke scripts: {}", proof.scripts.len()), &[Kind::Script], None);
    }
    match proof.start {
        Start::NotConfigured => {}
        Start::Passed | Start::Failed | Start::AsItIs => {
            stage(
                format!("start probes: {}", proof.probes.len()),
                &[Kind::Start],
                seconds.get("scripts and starts, beyond the imports"),
            );
        }
    }
    stage("nothing comes from outside".to_owned(), ESCAPES, None);
    stage("isolation".to_owned(), &[Kind::Isolation], seconds.get("isolation"));

    let failures = cases.iter().filter(|(_, failed, _)| !failed.is_empty()).count();
    let total: f64 = seconds.values().sum();
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing to a String does not fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"packproof\" tests=\"{0}\" failures=\"{failures}\" time=\"{total:.3}\">\n  \
         <testsuite name=\"{1}\" tests=\"{0}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{total:.3}\">",
        cases.len(),
        escape(&proof.subject.name),
    );
    for (name, failed, seconds) in cases {
        let _ = write!(
            xml,
            "    <testcase classname=\"packproof.{}\" name=\"{}\" time=\"{seconds:.3}\"",
            escape(&proof.subject.name),
            escape(&name)
        );
        if failed.is_empty() {
            xml.push_str("/>\n");
            continue;
        }
        xml.push_str(">\n");
        let message =
            failed.iter().map(|it| format!("{} {}", it.subject, what(it.kind))).collect::<Vec<_>>().join("; ");
        let text: String = failed.iter().map(|difference| told(difference)).collect();
        let _ = writeln!(
            xml,
            "      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>",
            escape(&failed[0].kind.name()),
            escape(&message),
            escape(&text)
        );
    }
    let _ = writeln!(xml, "    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>", escape(&verdict(proof)));
    xml
}

/// Everything that is neither of the other stages'.
const IMPORTS: &[Kind] = &[
    Kind::Import,
    Kind::Origin,
    Kind::RequiredImport,
    Kind::Asserted,
    Kind::NoResult,
    Kind::Code,
    Kind::Source,
    Kind::Library,
    Kind::Names,
    Kind::Warning,
    Kind::Resources,
    Kind::Distribution,
    Kind::Record,
    Kind::EntryPoints,
    Kind::File,
];

const ESCAPES: &[Kind] =
    &[Kind::Escape, Kind::Opened, Kind::Started, Kind::Network, Kind::ChildEnvironment, Kind::Tree, Kind::Leftover];

fn told(difference: &Difference) -> String {
    let mut text = format!(
        "{} {}\n  environment: {}\n  artifact: {}\n  asked by: {}\n",
        difference.subject,
        what(difference.kind),
        difference.environment,
        difference.artifact,
        difference.because.join(", ")
    );
    if let Some(output) = &difference.output {
        text.push_str(output);
        text.push('\n');
    }
    text
}

/// Text as XML takes it: no markup, and none of the control characters that it has no way to write.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            control if control < ' ' || matches!(control, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_stage() {
        let stages = [IMPORTS, ESCAPES, &[Kind::Script, Kind::Start, Kind::Isolation]].concat();
        // The last of the enum.
        assert_eq!(stages.len(), Kind::Isolation as usize + 1);
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escape("<a b=\"c\">&\u{1b}[31m"), "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}[31m");
    }
}
