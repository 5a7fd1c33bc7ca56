//! `packproof licenses`

use crate::cli::{self, Format, Printer};
use crate::licenses::{Component, Verdict};
use crate::pipeline::Project;
use crate::progress::Progress;
use crate::report::licenses;

use super::Outcome;

pub(crate) fn run(arguments: &cli::Licenses, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let selection = &arguments.selection;
    let mut project = Project::open(&selection.target, &selection.options.overrides(), progress)?;
    let inventory = project.plan()?.licenses;
    match arguments.format {
        Format::Text => printer.data(&licenses::text(&inventory)),
        Format::Json => printer.data(&(licenses::json(&inventory) + "\n")),
    }
    let is_taken = |component: &Component| match component.verdict {
        Verdict::Taken => true,
        Verdict::Unknown => !inventory.restricted,
        Verdict::Denied => false,
    };
    Ok(Outcome::good_if(inventory.components.iter().all(is_taken)))
}
