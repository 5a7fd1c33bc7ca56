//! The one place that writes to the terminal: data to standard output, everything else to standard error.

use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::OwoColorize as _;

/// Set where what was asked for could not be given whole.
static CUT_OFF: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    quiet: bool,
}

impl Printer {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// What was asked for. A reader that has gone away is no error of ours.
    pub(crate) fn data(self, text: &str) {
        let mut out = anstream::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            CUT_OFF.store(true, Ordering::Relaxed);
            self.error(&anyhow::Error::new(error).context("cannot write to standard output"));
        }
    }

    /// Whether [`Self::data`] failed, and said so.
    #[expect(clippy::unused_self, reason = "whoever prints does it through a printer")]
    pub(super) fn is_cut_off(self) -> bool {
        CUT_OFF.load(Ordering::Relaxed)
    }

    /// What helps a person to follow; silent with `--quiet`.
    pub(crate) fn say(self, text: &str) {
        if !self.quiet {
            self.result(text);
        }
    }

    /// What a person must see, also with `--quiet`.
    #[expect(clippy::unused_self, reason = "whoever prints does it through a printer")]
    pub(crate) fn result(self, text: &str) {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }

    /// The error, then what it came from.
    pub(super) fn error(self, error: &anyhow::Error) {
        let mut text = format!("{}: {error}\n", "error".red().bold());
        for cause in error.chain().skip(1) {
            text.push_str(&format!("  caused by: {cause}\n").replace("\n  ", "\n    "));
        }
        self.result(&text);
    }
}
