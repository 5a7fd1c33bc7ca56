//! `license-denied`, `license-unknown`.

use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};
use crate::licenses::{Component, Kind, Verdict};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let Some(native) = &context.native else { return };
    for component in &native.licenses.components {
        match component.verdict {
            Verdict::Taken => {}
            Verdict::Denied => {
                let license = component.license.as_deref().unwrap_or_default();
                sink.push(
                    FAR,
                    Finding {
                        code: "license-denied",
                        severity: Severity::Error,
                        subject: component.name.clone(),
                        message: format!("{} is {license}, which `[licenses]` does not take", title(component)),
                        evidence: evidence(component),
                        cure: Some("do without it, or name the licence in `[licenses] allow`".to_owned()),
                    },
                );
            }
            Verdict::Unknown => sink.push(
                FAR,
                Finding {
                    code: "license-unknown",
                    severity: match &component.kind {
                        // As cargo-deny has it: what is not allowed is denied.
                        _ if native.licenses.restricted => Severity::Error,
                        // A distribution's author has chosen one, said or not; a library of the build machine's is packed
                        // by packproof alone, and nothing says that it may be. Where the machine does not say whose its
                        // libraries are, that would be said of each.
                        Kind::Library { package: Some(_), .. } => Severity::Warning,
                        Kind::Library { package: None, .. }
                        | Kind::Interpreter
                        | Kind::Distribution
                        | Kind::Crate { .. } => Severity::Info,
                    },
                    subject: component.name.clone(),
                    message: format!("nothing tells the licence of {}", title(component)),
                    evidence: evidence(component),
                    cure: Some(format!(
                        "find out, and write `[licenses] clarify = [{{ name = \"{}\", expression = \"…\" }}]`",
                        component.name
                    )),
                },
            ),
        }
    }
}

fn title(component: &Component) -> String {
    match &component.version {
        Some(version) => format!("{} {version}", component.name),
        None => component.name.clone(),
    }
}

fn evidence(component: &Component) -> Vec<Evidence> {
    match &component.kind {
        Kind::Interpreter | Kind::Distribution | Kind::Crate { .. } => Vec::new(),
        Kind::Library { place, package, .. } => {
            let from = package.as_ref().map_or_else(
                || "from the build machine".to_owned(),
                |package| format!("from Debian's package {}", package.name),
            );
            vec![Evidence { path: None, file: Some(place.clone()), line: None, text: from }]
        }
    }
}
