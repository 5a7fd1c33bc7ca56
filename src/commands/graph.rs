//! `packproof graph`

use crate::cli::{self, GraphFormat, Printer};
use crate::pipeline::Project;
use crate::progress::Progress;
use crate::report::graph::{Level, View};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Graph, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let selection = &arguments.selection;
    let project = Project::open_graph(&selection.target, &selection.options.overrides(), progress)?;
    let view = View::of(&project.config.runner.name, &project.environment, &project.graph).with_crates(&project.crates);
    if arguments.dynamic {
        printer.data(&view.dynamic());
        return Ok(Outcome::Good);
    }
    let level = if arguments.modules { Level::Modules } else { Level::Distributions };
    match arguments.format {
        GraphFormat::Text => printer.data(&view.text(level, arguments.depth.unwrap_or(usize::MAX))),
        GraphFormat::Json => printer.data(&(view.json() + "\n")),
        GraphFormat::Dot => printer.data(&view.dot(level)),
    }
    Ok(Outcome::Good)
}
