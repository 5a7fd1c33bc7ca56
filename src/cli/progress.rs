//! [`Progress`] on the terminal: a bar where somebody watches, else a line for each stage.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

pub(super) struct Terminal {
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Terminal {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, bar: Mutex::new(None) }
    }

    /// Takes an unfinished bar off the screen, before an error is told.
    pub(super) fn clear(&self) {
        self.finish();
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Progress for Terminal {
    fn start(&self, stage: &str, total: u64) {
        if self.quiet {
            return;
        }
        let watched = !ProgressDrawTarget::stderr().is_hidden();
        if !watched {
            super::Printer::new(false).say(&format!("{stage} …\n"));
            return;
        }
        let (bar, template) = if total == 0 {
            (ProgressBar::new_spinner(), "{spinner:.cyan} {msg} {elapsed:.dim}")
        } else {
            (ProgressBar::new(total), "{spinner:.cyan} {msg:32} {bar:28.cyan/dim} {percent:>3} % {elapsed:.dim}")
        };
        // A template that does not parse would be seen in every run; the default one does no harm.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_message(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        if let Some(before) = self.bar().replace(bar) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, by: u64) {
        if let Some(bar) = &*self.bar() {
            bar.inc(by);
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}
