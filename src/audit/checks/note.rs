//! What was odd while the environment was made or read.

use super::super::{Context, FAR, Finding, Severity, Sink};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for note in &context.environment.notes {
        sink.push(
            FAR,
            Finding {
                code: note.code,
                severity: Severity::Warning,
                subject: note.subject.clone(),
                message: note.message.clone(),
                evidence: Vec::new(),
                cure: None,
            },
        );
    }
}
