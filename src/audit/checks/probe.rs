//! `runtime-path-probe`: a module that looks through `sys.path` for code by itself.

use super::super::{Context, Finding, Severity, Sink};
use crate::graph::Origin;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for (id, module) in context.graph.modules() {
        let (Some(probe), Some(file)) = (&module.probe, &module.file) else { continue };
        let told = sink.found.iter().any(|(_, finding)| finding.subject == module.name.as_str());
        if told || module.origin == Origin::Stdlib || !(probe.loads || probe.replaces) {
            continue;
        }
        let what = if probe.replaces { "puts what it finds into `sys.modules`" } else { "executes what it finds" };
        sink.push(
            context.graph.distance(id),
            Finding {
                code: "runtime-path-probe",
                // In the artifact everything lies on the disk as it does unpackaged.
                severity: Severity::Info,
                subject: module.name.to_string(),
                message: format!("`{}` searches `sys.path` for files when it runs", module.name),
                evidence: vec![context.places.evidence(file, probe.line, format!("reads `sys.path` and {what}"))],
                cure: None,
            },
        );
    }
}
