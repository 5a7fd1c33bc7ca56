//! Integration tests: one binary, so that they link once.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

mod artifact;
mod audit;
mod launcher;
mod oracle;
mod proof;
mod real;
mod support;
