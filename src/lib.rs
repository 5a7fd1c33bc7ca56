//! packproof packs a Python application into one self-contained executable and proves that it works.
//!
//! The modules stand in the order that data takes through a build:
//!
//! ```text
//! config       packproof.toml                         → Config
//! environment  interpreter or lock file               → Environment
//! crates       the runner's own Rust crates            → extension modules, and what they are made of
//! graph        entry points + Environment             → ModuleGraph
//! hooks        hooks/*.toml and the project's own     → Hooks
//! audit        Environment, ModuleGraph               → findings
//! native       ELF files                              → needed libraries, symbol versions, run paths
//! licenses     distributions and libraries            → SPDX expressions, and what is allowed
//! layout       all of the above                       → Layout: which file lies where in the artifact
//! sbom         layout, licences                       → a CycloneDX document
//! pack         Layout                                 → the artifact
//! format       what pack writes and launcher reads
//! launcher     the artifact's own bytes               → a running Python
//! verify       artifact + environment                 → Proof
//! report       findings, layout, proof                → text, JSON
//! wheels       a folder of wheels and a platform's tag → findings
//! pipeline     the stages joined, one's output made the next one's input
//! commands     arguments → values → an exit code; `cli` reads the arguments and talks to the terminal
//! ```
//!
//! Each stage reads, then decides as a pure function over owned data, then writes. The launcher is the second
//! binary of this package: it is built without the `tool` feature, from `format` and `launcher` alone.

#[cfg(feature = "tool")]
pub mod audit;
#[cfg(feature = "tool")]
pub mod cache;
#[cfg(feature = "tool")]
pub mod cleanup;
#[cfg(feature = "tool")]
pub mod cli;
#[cfg(feature = "tool")]
mod commands;
#[cfg(feature = "tool")]
pub mod config;
#[cfg(feature = "tool")]
pub mod crates;
#[cfg(feature = "tool")]
pub mod environment;
pub mod format;
#[cfg(feature = "tool")]
pub mod graph;
#[cfg(feature = "tool")]
pub mod hooks;
pub mod launcher;
#[cfg(feature = "tool")]
pub mod layout;
#[cfg(feature = "tool")]
pub mod licenses;
#[cfg(feature = "tool")]
mod memory;
#[cfg(feature = "tool")]
pub mod names;
#[cfg(feature = "tool")]
pub mod native;
#[cfg(feature = "tool")]
pub mod pack;
#[cfg(feature = "tool")]
pub mod pipeline;
#[cfg(feature = "tool")]
pub mod progress;
#[cfg(feature = "tool")]
pub mod report;
#[cfg(feature = "tool")]
pub mod sbom;
#[cfg(feature = "tool")]
pub mod verify;
#[cfg(feature = "tool")]
pub mod wheels;
