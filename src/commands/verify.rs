//! `packproof verify`

use std::error::Error as _;
use std::path::Path;

use anyhow::Context as _;
use fs_err as fs;

use crate::cli::{self, Printer, ProofOptions};
use crate::format::Artifact;
use crate::pipeline::{self, Project};
use crate::progress::Progress;
use crate::report::{self, junit, summary};
use crate::verify::{self, Proof, Verdict};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Verify, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    // First, as nothing else takes less time to find out.
    Artifact::open(&arguments.artifact).with_context(|| format!("cannot verify `{}`", arguments.artifact.display()))?;
    let artifact = fs::canonicalize(&arguments.artifact)?;
    if let Some(file) = &arguments.proof {
        return check(file, &artifact, arguments.proving.require_isolation, printer);
    }
    let tool = std::env::current_exe().context("cannot find packproof's own executable")?;
    let proof = if let Some(target) = &arguments.target {
        let mut project = Project::open(target, &arguments.options.overrides(), progress)?;
        project.ask();
        let plan = project.plan()?;
        let mut wanted = pipeline::proof_plan(&project, &plan.planned, &artifact, &tool);
        wanted.limits = arguments.proving.limits();
        verify::prove(&wanted, progress)?
    } else {
        let record = verify::Record::of_artifact(&artifact)?;
        verify::prove_alone(&record, &artifact, &tool, arguments.proving.limits(), progress)?
    };
    printer.result(&report::proof::render(&proof));
    let path = Proof::path_for(&artifact);
    match proof.write(&path) {
        Ok(()) => printer.data(&format!("{}\n", path.display())),
        // An artifact that is installed belongs to somebody else, as a rule; the verdict is the same.
        Err(error) => {
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            printer.result(&format!("the proof was not written to `{}`: {why}\n", path.display()));
        }
    }
    tell(&proof, &arguments.proving)?;
    Ok(Outcome::good_if(proof.is_proved()))
}

/// The files that a CI wants.
pub(crate) fn tell(proof: &Proof, options: &ProofOptions) -> anyhow::Result<()> {
    if let Some(path) = &options.junit {
        fs::write(path, junit::render(proof))?;
    }
    if let Some(path) = &options.summary {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(summary::render(proof).as_bytes())?;
    }
    Ok(())
}

fn check(file: &Path, artifact: &Path, require_isolation: bool, printer: Printer) -> anyhow::Result<Outcome> {
    let proof = Proof::read(file)?;
    if !proof.belongs_to(artifact)? {
        printer.result(&format!(
            "`{}` is about another artifact than `{}`: the SHA-256 in it is another one\n",
            file.display(),
            artifact.display()
        ));
        return Ok(Outcome::Bad);
    }
    printer.result(&format!("{}\n", report::proof::line(&proof)));
    let enough = !(require_isolation && proof.verdict == Verdict::PartiallyIsolated);
    Ok(Outcome::good_if(proof.is_proved() && enough))
}
