//! `broken-entry-point`: an entry point of a reached distribution names what is not there.

use std::collections::BTreeSet;

use super::super::place::title;
use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};
use crate::environment::Distribution;
use crate::graph::{Lookup, Origin};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let reached: BTreeSet<&str> = graph
        .modules()
        .filter_map(|(_, module)| match &module.origin {
            Origin::Distribution(name) => Some(name.as_str()),
            Origin::Application | Origin::Stdlib | Origin::Unowned => None,
        })
        .collect();
    for dist in context.environment.distributions.iter().filter(|dist| reached.contains(dist.name.as_str())) {
        for point in &dist.entry_points {
            let target = point.value.split('[').next().unwrap_or_default().trim();
            let (module, attribute) = target.split_once(':').unwrap_or((target, ""));
            // Only modules that were read can be judged.
            let Some(id) = graph.find(module.trim()) else { continue };
            let first = attribute.trim().split('.').next().unwrap_or_default();
            if first.is_empty() || graph.lookup(id, first) != Lookup::NotBound {
                continue;
            }
            // `from pkg import cli`, as the script that an installer makes has it, imports `pkg.cli`; `EntryPoint.load` does not.
            if point.is_script() && has_submodule(dist, module.trim(), first) {
                continue;
            }
            sink.push(
                FAR,
                Finding {
                    code: "broken-entry-point",
                    severity: Severity::Warning,
                    subject: format!("{}:{}", point.group, point.name),
                    message: format!(
                        "the entry point `{}` names `{first}`, which `{module}` does not define",
                        point.name
                    ),
                    evidence: vec![Evidence {
                        path: None,
                        file: None,
                        line: None,
                        text: format!("{}, group `{}`: `{}`", title(dist), point.group, point.value),
                    }],
                    cure: None,
                },
            );
        }
    }
}

fn has_submodule(dist: &Distribution, package: &str, name: &str) -> bool {
    let stem = format!("{}/{name}", package.replace('.', "/"));
    let is_it = |path: &str| path.strip_prefix(&*stem).is_some_and(|rest| rest.starts_with(['.', '/']));
    dist.files.iter().any(|entry| is_it(&entry.path))
}
