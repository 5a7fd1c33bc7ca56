//! `packproof explain`

use anyhow::bail;

use crate::audit::CODES;
use crate::cli::{self, Printer};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Explain, printer: Printer) -> anyhow::Result<Outcome> {
    match &arguments.code {
        None => {
            let codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
            printer.data(&(codes.join("\n") + "\n"));
        }
        Some(wanted) => match CODES.iter().find(|(code, _)| code == wanted) {
            Some((_, page)) => printer.data(page),
            None => bail!("`{wanted}` is no finding's code; `packproof explain` lists them"),
        },
    }
    Ok(Outcome::Good)
}
