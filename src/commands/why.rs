//! `packproof why`

use crate::cli::{self, Printer, WhyFormat};
use crate::native::Needed;
use crate::pipeline::{self, Project};
use crate::progress::Progress;
use crate::report::why::Asker;

use super::Outcome;

pub(crate) fn run(arguments: &cli::Why, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let project = Project::open_graph(&arguments.target, &arguments.options.overrides(), progress)?;
    let asker = Asker::of(&project.environment, &project.graph).with_crates(&project.crates);
    // `libfoo.so`, `libfoo.so.1`; and no `sympy.solvers`.
    let is_library = arguments.name.ends_with(".so") || arguments.name.contains(".so.");
    let why = if is_library {
        let opened = pipeline::opened(&project.graph, &project.environment, &project.hooks);
        asker.library(&arguments.name, &Needed::read(&asker.native_files()).with_opened(&opened))
    } else {
        asker.why(&arguments.name)
    };
    match arguments.format {
        WhyFormat::Text => printer.data(&why.text),
        WhyFormat::Json => printer.data(&(why.json() + "\n")),
    }
    Ok(Outcome::good_if(why.gets_in))
}
