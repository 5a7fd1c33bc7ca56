//! `editable-install`: a distribution whose modules lie in a project's folder.

use super::super::place::title;
use super::super::{Context, FAR, Finding, Severity, Sink};
use crate::graph::Origin;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for dist in &context.environment.distributions {
        let Some(project) = &dist.editable else { continue };
        let reached =
            context.graph.modules().any(|(_, module)| module.origin == Origin::Distribution(dist.name.clone()));
        let folder = project
            .file_name()
            .map_or_else(|| project.display().to_string(), |name| name.to_string_lossy().into_owned());
        let (severity, message) = if project.is_dir() {
            (
                Severity::Info,
                format!("{} is installed editable: what the project's folder `{folder}` holds is packed", title(dist)),
            )
        } else {
            (
                Severity::Warning,
                format!("{} is installed editable, and its project's folder `{folder}` is gone", title(dist)),
            )
        };
        if reached || severity == Severity::Warning {
            sink.push(
                FAR,
                Finding {
                    code: "editable-install",
                    severity,
                    subject: dist.name.to_string(),
                    message,
                    evidence: Vec::new(),
                    cure: (severity == Severity::Warning).then(|| "install it again, or remove it".to_owned()),
                },
            );
        }
    }
}
