//! How an application shows that it is ready.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use regex::Regex;

use crate::config::Ready;
use crate::verify::Error;
use crate::verify::sandbox::Ask;
use crate::verify::side::Side;

/// What is looked for, and how it is called.
pub(super) struct Sign {
    look: Look,
    pub pause: Duration,
    pub did: String,
    pub did_not: String,
}

enum Look {
    Output(Regex),
    Ask(Ask, u16),
}

impl Sign {
    pub(super) fn of(ready: &Ready) -> Result<Self, Error> {
        let said = |pattern: &str, shown: &str| {
            Ok(Self {
                look: Look::Output(regex(pattern)?),
                pause: Duration::from_millis(10),
                did: format!("said `{shown}`"),
                did_not: format!("did not say `{shown}`"),
            })
        };
        let answered = |ask: Ask, status: u16, shown: &str| {
            Ok(Self {
                look: Look::Ask(ask, status),
                pause: Duration::from_millis(50),
                did: format!("answered at `{shown}`"),
                did_not: format!("did not answer at `{shown}`"),
            })
        };
        match ready {
            Ready::Text(text) => said(&regex::escape(text), text),
            Ready::Regex(pattern) => said(pattern, pattern),
            Ready::Tcp(address) => answered(Ask::Tcp(address.clone()), 0, address),
            Ready::Unix(path) => answered(Ask::Unix(path.into()), 0, path),
            Ready::Http { url, status } => {
                answered(Ask::Http(url.clone()), *status, &format!("{url} with status {status}"))
            }
        }
    }

    pub(super) fn seen(&self, side: &mut Side, output: &Path) -> Result<bool, Error> {
        Ok(match &self.look {
            Look::Output(pattern) => pattern.is_match(&read(output)),
            Look::Ask(ask, wanted) => side.sandbox.ask(ask.clone())? == Ok(*wanted),
        })
    }
}

/// A configuration's patterns were tried when it was read; those of an artifact's record were not.
pub(super) fn regex(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|source| Error::Pattern { pattern: pattern.to_owned(), source })
}

pub(super) fn read(output: &Path) -> String {
    String::from_utf8_lossy(&fs::read(output).unwrap_or_default()).into_owned()
}
