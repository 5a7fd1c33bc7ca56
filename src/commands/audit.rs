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
use crate::report::findings::{self, Extent};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Audit, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?;
    let mut report = match (&arguments.wheels, &arguments.platform) {
        (Some(folder), Some(platform)) => {
            pipeline::audit_wheels(folder, platform, &arguments.selection.options.allow, progress)?
        }
        (Some(_) | None, _) => report(arguments, printer, progress)?,
    };
    let deny: BTreeSet<_> = arguments.deny.iter().cloned().collect();
    let verdict = gate::judge(&mut report, &deny, baseline.as_ref());
    let extent = if arguments.all { Extent::All } else { Extent::Screen };
    match arguments.format {
        AuditFormat::Text => {
            printer.data(&findings::since_baseline(&verdict));
            printer.data(&findings::text(&report, extent));
        }
        AuditFormat::Json => printer.data(&(findings::json(&report) + "\n")),
        AuditFormat::Sarif => printer.data(&(findings::sarif(&report) + "\n")),
        AuditFormat::Github => printer.data(&findings::github(&report)),
    }
    Ok(Outcome::good_if(verdict.passes))
}

/// Of the project; of the whole environment where `--python` names one and nothing says what the folder runs.
fn report(arguments: &cli::Audit, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Report> {
    let selection = &arguments.selection;
    let overrides = selection.options.overrides();
    match (Project::open(&selection.target, &overrides, progress), &overrides.python) {
        (Ok(mut project), _) => {
            if !arguments.no_child {
                project.ask();
            }
            let plan = project.plan();
            if let Err(error) = &plan {
                printer.say(&format!("note: native code is not audited: {error}\n"));
            }
            Ok(project.audit(plan.as_ref().ok()))
        }
        (Err(pipeline::Error::Config(config::Error::NoEntry { .. })), Some(python)) => {
            let python = std::path::absolute(python).with_context(|| format!("no `{}`", python.display()))?;
            printer.say("no application here: the whole environment is looked at\n");
            whole(&find::python_of(&python), arguments, progress)
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn whole(python: &Path, arguments: &cli::Audit, progress: &dyn Progress) -> anyhow::Result<Report> {
    let allow = &arguments.selection.options.allow;
    Ok(pipeline::audit_environment(python, allow, !arguments.no_child, progress)?)
}
