//! [`Environment`], [`ModuleGraph`] and hooks → findings.

pub mod finding;

pub use finding::{Evidence, Finding, Severity};
