//! Findings, layout and proof → text and JSON. Pure: nothing here decides, reads or writes.

pub mod artifact;
pub mod build;
mod crates;
pub mod findings;
pub mod graph;
pub mod junit;
pub mod licenses;
mod numbers;
pub mod proof;
mod sites;
pub mod sizes;
pub mod summary;
pub mod why;
