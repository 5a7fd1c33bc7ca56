//! [`Project`] and [`Plan`] → [`PackSpec`].

use std::collections::BTreeSet;

use super::{Plan, Project};
use crate::cache;
use crate::config::EnvironmentSource;
use crate::format::{Start, StartEntry};
use crate::layout;
use crate::pack::{self, Compression, PackSpec};
use crate::sbom;

/// What the user chooses for one build.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    pub compression: Compression,
    /// As many as the machine has processors, unless said.
    pub threads: Option<usize>,
}

pub fn pack_spec(project: &Project, plan: &Plan, choices: Choices) -> Result<PackSpec, std::io::Error> {
    let facts = &project.environment.facts;
    let entry = match &plan.planned.entry {
        layout::StartEntry::Script(path) => StartEntry::Script(path.clone()),
        layout::StartEntry::Module(module) => StartEntry::Module(module.to_string()),
    };
    let sbom = sbom::document(&sbom::Inputs {
        name: &project.config.runner.name,
        environment: &project.environment,
        crates: &project.crates,
        planned: &plan.planned,
        licenses: &plan.licenses,
        launcher_crates: pack::LAUNCHER_CRATES,
    })?;
    Ok(PackSpec {
        name: project.config.runner.name.clone(),
        python_version: facts.version_string(),
        python: facts.base_executable.clone(),
        start: Start { interpreter: plan.planned.interpreter.clone(), options: Vec::new(), entry },
        glibc_floor: plan.planned.native.sure_floor.version.as_ref().map(ToString::to_string),
        sbom: Some(sbom),
        stored: Vec::new(),
        level: choices.compression,
        strip: project.config.runner.strip,
        built: match &project.config.environment {
            EnvironmentSource::Lock(lock) => lock.allow_sdist.iter().cloned().collect(),
            EnvironmentSource::Python(_) => BTreeSet::new(),
        },
        interpreter_mode: project.config.runner.interpreter,
        cache: cache::root(),
        threads: choices.threads,
    })
}
