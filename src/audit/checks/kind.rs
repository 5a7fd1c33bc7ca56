//! `wrong-kind`: a name that a hook wants as a file is a package, or the other way round.

use super::super::{Context, Evidence, Finding, Severity, Sink};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for hook in context.hooks.active(context.environment) {
        for assertion in &hook.assertions {
            let Some(id) = context.graph.find(assertion.name.as_str()) else { continue };
            let module = context.graph.module(id);
            // A module that looks through the path itself decides when it runs: the proof sees what it becomes.
            if module.kind == assertion.kind || module.probe.is_some() {
                continue;
            }
            let mut evidence = vec![Evidence { path: None, file: None, line: None, text: hook.reason.clone() }];
            if let Some(file) = &module.file {
                let text = format!("of {}", context.places.owner(&module.origin));
                evidence.insert(0, context.places.evidence(file, 0, text));
            }
            sink.push(
                context.graph.distance(id),
                Finding {
                    code: "wrong-kind",
                    severity: Severity::Error,
                    subject: assertion.name.to_string(),
                    message: format!(
                        "`{}` is found as {}, and a hook for {} wants {}",
                        assertion.name,
                        module.kind.words(),
                        hook.distribution,
                        assertion.kind.words()
                    ),
                    evidence,
                    cure: Some("remove the distribution whose module is found first".to_owned()),
                },
            );
        }
    }
}
