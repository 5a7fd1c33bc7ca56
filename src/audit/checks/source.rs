//! `uninspectable`: source that is reached and cannot be read.

use super::super::{Context, Finding, Severity, Sink};
use crate::graph::Reach;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for (id, module) in context.graph.modules() {
        let (Some(why), Some(file)) = (&module.uninspectable, &module.file) else { continue };
        let severity = match context.graph.reach(id) {
            Reach::Sure => Severity::Error,
            Reach::Possible => Severity::Warning,
            Reach::Guarded => Severity::Info,
        };
        sink.push(
            context.graph.distance(id),
            Finding {
                code: "uninspectable",
                severity,
                subject: module.name.to_string(),
                message: format!("`{}` cannot be read as Python", module.name),
                evidence: vec![context.places.evidence(file, why.line, why.message.clone())],
                cure: None,
            },
        );
    }
}
