//! Arguments → values → an outcome. The library decides, reports render, [`Printer`](crate::cli::Printer) prints.

pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod inspect;
pub(crate) mod licenses;
pub(crate) mod verify;
pub(crate) mod why;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// Findings, or a failed proof.
    Bad,
}

impl Outcome {
    fn good_if(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}
