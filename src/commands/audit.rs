//! `packproof audit`

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use crate::audit::Report;
use crate::audit::gate::{self, Baseline};
use crate::cli::{self, AuditFormat, Printer};
use crate::config;
use crate::environment::find;
use crate::pipeline::{self, Project};
use crate::progress::Progress;
use crate::report::findings::{self, Extent, Own};
use crate::report::graph::View;

use super::Outcome;

pub(crate) fn run(arguments: &cli::Audit, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?;
    let Looked { mut report, own, sites, blind } = match (&arguments.wheels, &arguments.platform) {
        (Some(folder), Some(platform)) => {
            Looked::at(pipeline::audit_wheels(folder, platform, &arguments.selection.options.allow, progress)?)
        }
        (Some(_) | None, _) => look(arguments, printer, progress)?,
    };
    let deny: BTreeSet<_> = arguments.deny.iter().cloned().collect();
    let verdict = gate::judge(&mut report, &deny, baseline.as_ref());
    let extent = if arguments.all { Extent::All } else { Extent::Screen };
    match arguments.format {
        AuditFormat::Text => {
            printer.data(&findings::since_baseline(&verdict));
            printer.data(&findings::text(&report, extent));
            if arguments.all {
                printer.data(&sites);
            }
        }
        AuditFormat::Json => printer.data(&(findings::json(&report) + "\n")),
        AuditFormat::Sarif => printer.data(&(findings::sarif(&report, &own) + "\n")),
        AuditFormat::Github => printer.data(&findings::github(&report, &own)),
    }
    if let Some(error) = blind {
        return Err(anyhow::Error::new(error).context("native code and licences were not audited"));
    }
    Ok(Outcome::good_if(verdict.passes))
}

/// What was found, and what is told beside it.
struct Looked {
    report: Report,
    own: Own,
    /// Where the application finds modules when it runs, and what there is for it.
    sites: String,
    /// Why the artifact could not be laid out, so that nothing was said of what would lie in it.
    blind: Option<pipeline::Error>,
}

impl Looked {
    /// Nothing that is a project's.
    fn at(report: Report) -> Self {
        Self { report, own: Own::of(None), sites: String::new(), blind: None }
    }
}

/// At the project; at the whole environment where `--python` names one and nothing says what the folder runs.
fn look(arguments: &cli::Audit, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Looked> {
    let selection = &arguments.selection;
    let overrides = selection.options.overrides();
    match (Project::open(&selection.target, &overrides, progress), &overrides.python) {
        (Ok(mut project), _) => {
            if !arguments.no_child {
                project.ask();
            }
            let plan = project.plan();
            let report = project.audit(plan.as_ref().ok());
            let view = View::of(&project.config.runner.name, &project.environment, &project.graph);
            let sites = if arguments.all { view.dynamic_of_the_application() } else { String::new() };
            let own = Own::of(Some(&project.config.root));
            let (plan, blind) = plan.map_or_else(|error| (None, Some(error)), |plan| (Some(plan), None));
            project.leave(plan);
            Ok(Looked { report, own, sites, blind })
        }
        (Err(pipeline::Error::Config(config::Error::NoEntry { .. })), Some(python)) => {
            let python = std::path::absolute(python).with_context(|| format!("no `{}`", python.display()))?;
            printer.say("no application here: the whole environment is looked at\n");
            whole(&find::python_of(&python), arguments, progress).map(Looked::at)
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn whole(python: &Path, arguments: &cli::Audit, progress: &dyn Progress) -> anyhow::Result<Report> {
    let allow = &arguments.selection.options.allow;
    Ok(pipeline::audit_environment(python, allow, !arguments.no_child, progress)?)
}
