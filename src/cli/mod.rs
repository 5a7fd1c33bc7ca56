//! Arguments in, exit code out: 0 good, 1 findings or a failed proof, 2 the tool could not do its work.

mod arguments;
mod printer;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cleanup;
use crate::commands::{self, Outcome};
use crate::memory;
use arguments::{Arguments, Command};

pub(crate) use arguments::{
    Audit, AuditFormat, Build, Compression, Explain, Format, Graph, GraphFormat, Inspect, Licenses, ProofOptions,
    Verify, Why, WhyFormat,
};
pub(crate) use printer::Printer;

/// Runs the tool on the process's own arguments.
pub fn main() -> ExitCode {
    memory::give_back_large_buffers();
    let arguments = Arguments::parse();
    arguments.color.write_global();
    cleanup::on_interrupt();
    let printer = Printer::new(arguments.quiet);
    let progress = progress::Terminal::new(arguments.quiet);
    let result = match arguments.command {
        Command::Build(build) => commands::build::run(&build, printer, &progress),
        Command::Audit(audit) => commands::audit::run(&audit, printer, &progress),
        Command::Graph(graph) => commands::graph::run(&graph, printer, &progress),
        Command::Why(why) => commands::why::run(&why, printer, &progress),
        Command::Verify(verify) => commands::verify::run(&verify, printer, &progress),
        Command::Inspect(inspect) => commands::inspect::run(&inspect, printer),
        Command::Licenses(licenses) => commands::licenses::run(&licenses, printer, &progress),
        Command::Explain(explain) => commands::explain::run(&explain, printer),
    };
    progress.clear();
    match result {
        Ok(_) if printer.is_cut_off() => ExitCode::from(2),
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(2)
        }
    }
}
