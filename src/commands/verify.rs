//! `packproof verify`

use anyhow::Context as _;

use crate::cli::{self, Printer};
use crate::format::Artifact;
use crate::pipeline::{self, Project};
use crate::progress::Progress;
use crate::report;
use crate::verify::{self, Proof};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Verify, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    // First, as nothing else takes less time to find out.
    Artifact::open(&arguments.artifact).with_context(|| format!("cannot verify `{}`", arguments.artifact.display()))?;
    let artifact = fs_err::canonicalize(&arguments.artifact)?;
    let mut project = Project::open(&arguments.target, &arguments.options.overrides(), progress)?;
    let plan = project.plan()?;
    let tool = std::env::current_exe().context("cannot find packproof's own executable")?;
    let proof = verify::prove(&pipeline::proof_plan(&project, &plan.planned, &artifact, &tool), progress)?;
    let path = Proof::path_for(&artifact);
    proof.write(&path)?;
    printer.result(&report::proof::render(&proof));
    printer.data(&format!("{}\n", path.display()));
    Ok(Outcome::good_if(proof.is_proved()))
}
