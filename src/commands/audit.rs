//! `packproof audit`

use crate::cli::{self, Format, Printer};
use crate::pipeline::Project;
use crate::progress::Progress;
use crate::report::findings::{self, Extent};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Audit, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let selection = &arguments.selection;
    let mut project = Project::open(&selection.target, &selection.options.overrides(), progress)?;
    if !arguments.no_child {
        project.ask();
    }
    let plan = project.plan();
    if let Err(error) = &plan {
        printer.say(&format!("note: native code is not audited: {error}\n"));
    }
    let report = project.audit(plan.as_ref().ok());
    let extent = if arguments.all { Extent::All } else { Extent::Screen };
    match arguments.format {
        Format::Text => printer.data(&findings::text(&report, extent)),
        Format::Json => printer.data(&(findings::json(&report) + "\n")),
    }
    Ok(Outcome::good_if(report.errors() == 0))
}
