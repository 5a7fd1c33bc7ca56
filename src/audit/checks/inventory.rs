//! `single-file-module`: which top-level names are single files. Any package of the same name shadows them.

use super::super::place::listed;
use super::super::{Context, Finding, Severity, Sink};
use crate::graph::{ModuleKind, Origin};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let mut names: Vec<&str> = context
        .graph
        .modules()
        .filter(|(_, module)| {
            module.kind == ModuleKind::SingleFile
                && module.name.parent().is_none()
                && matches!(module.origin, Origin::Distribution(_))
        })
        .map(|(_, module)| module.name.as_str())
        .collect();
    for (id, rivals) in context.graph.shadowing() {
        if rivals.iter().any(|rival| rival.kind == ModuleKind::SingleFile) {
            names.push(context.graph.module(id).name.as_str());
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return;
    }
    sink.push(
        super::super::FAR,
        Finding {
            code: "single-file-module",
            severity: Severity::Info,
            subject: names.join(","),
            message: format!(
                "{} top-level {} a single file: {}",
                names.len(),
                if names.len() == 1 { "name is" } else { "names are" },
                listed(names, 40)
            ),
            evidence: Vec::new(),
            cure: None,
        },
    );
}
