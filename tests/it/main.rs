//! Integration tests: one binary, so that they link once.
mod artifact;
mod audit;
mod bare;
mod checks;
mod cli;
mod context;
mod fixtures;
mod graph;
mod launcher;
mod native;
mod oracle;
mod proof;
mod real;
mod site;
mod support;
mod survival;
mod unpackaged;
