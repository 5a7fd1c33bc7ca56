//! An environment without an application → its audit.

use std::path::Path;

use super::Error;
use crate::audit::{self, Report, Scope, Severity};
use crate::cache;
use crate::config::{self, Allowance};
use crate::environment::Environment;
use crate::graph::{self, Roots};
use crate::hooks::Hooks;
use crate::layout::Trees;
use crate::progress::Progress;

/// Every distribution counts as wanted. What fails to import may be a plugin whose host is not there, and is a warning.
pub fn audit_environment(
    python: &Path,
    allow: &[Allowance],
    may_run: bool,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let cache = cache::root();
    let cache = cache.as_deref();
    let environment = Environment::read(python)?;
    let hooks = Hooks::load(&[])?;
    progress.start("reading modules", 0);
    let graph = graph::build(&environment, &Roots::whole(&environment), &hooks, cache);
    progress.finish();
    let mut graph = graph?;
    let questions = may_run.then(|| graph.begin_to_ask(&environment, cache));
    let config = config::Audit { allow: allow.to_vec(), ..config::Audit::default() };
    let compared = audit::compare(&environment, &graph, &Trees::of(&environment.facts), cache);
    if let Some(questions) = questions {
        graph.hear(questions);
        graph.confirm(&environment, cache);
    }
    let mut report = audit::run(&environment, &graph, &hooks, &config, Scope::Environment, &compared);
    for finding in &mut report.findings {
        if matches!(finding.code, "missing-module" | "missing-name" | "uninspectable") {
            finding.severity = finding.severity.max(Severity::Warning);
        }
    }
    report.findings.sort_by_key(|finding| finding.severity);
    Ok(report)
}
