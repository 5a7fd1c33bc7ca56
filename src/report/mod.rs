//! Findings, layout and proof → text. Pure: nothing here decides, reads or writes.

pub mod findings;
pub mod proof;
