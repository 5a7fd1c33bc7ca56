//! `packproof inspect`

use anyhow::Context as _;

use crate::cli::{self, Format, Printer};
use crate::format::Artifact;
use crate::report::{artifact, sizes};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Inspect, printer: Printer) -> anyhow::Result<Outcome> {
    let path = &arguments.artifact;
    let artifact = Artifact::open(path).with_context(|| format!("cannot inspect `{}`", path.display()))?;
    let index = artifact.index().with_context(|| format!("cannot inspect `{}`", path.display()))?;
    if arguments.sizes {
        let sizes = sizes::sizes(&artifact, &index).with_context(|| format!("cannot inspect `{}`", path.display()))?;
        match arguments.format {
            Format::Text => printer.data(&sizes::text(&sizes)),
            Format::Json => printer.data(&sizes::json(&sizes)),
        }
        return Ok(Outcome::Good);
    }
    match arguments.format {
        Format::Text => printer.data(&artifact::text(&artifact.manifest, &index)),
        Format::Json => printer.data(&artifact::json(&artifact.manifest, &index)),
    }
    Ok(Outcome::Good)
}
