//! [`Environment`], [`ModuleGraph`] and [`Hooks`] → [`Report`].
//!
//! One file for each check; each pushes to a [`Sink`]. One cause is told once: a check that comes later passes over
//! the imports that an earlier one has explained. Rendering is `report`'s business.

mod checks;
pub mod finding;
pub mod gate;
pub(crate) mod place;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

pub use finding::{Evidence, Finding, Severity};

use crate::config;
use crate::environment::{Environment, Requirements};
use crate::graph::{Import, ModuleGraph};
use crate::hooks::Hooks;
use crate::layout::Planned;
use crate::licenses::Inventory;
use place::Places;

pub use checks::record::{Compared, compare};

pub(crate) use checks::elf::{Told, told as told_of_elf};
pub(crate) use checks::overlap::counts as is_meant_to_be_imported;

/// Every code that a finding can have, with its page.
pub const CODES: &[(&str, &str)] = &[
    ("absolute-run-path", include_str!("../../docs/checks/absolute-run-path.md")),
    ("broken-entry-point", include_str!("../../docs/checks/broken-entry-point.md")),
    ("cpu-features", include_str!("../../docs/checks/cpu-features.md")),
    ("distribution-overlap", include_str!("../../docs/checks/distribution-overlap.md")),
    ("editable-install", include_str!("../../docs/checks/editable-install.md")),
    ("executable-stack", include_str!("../../docs/checks/executable-stack.md")),
    ("foreign-hook", include_str!("../../docs/checks/foreign-hook.md")),
    ("foreign-machine", include_str!("../../docs/checks/foreign-machine.md")),
    ("glibc-floor", include_str!("../../docs/checks/glibc-floor.md")),
    ("incompatible-wheel", include_str!("../../docs/checks/incompatible-wheel.md")),
    ("license-denied", include_str!("../../docs/checks/license-denied.md")),
    ("license-unknown", include_str!("../../docs/checks/license-unknown.md")),
    ("metadata-missing", include_str!("../../docs/checks/metadata-missing.md")),
    ("minimum-os", include_str!("../../docs/checks/minimum-os.md")),
    ("missing-data", include_str!("../../docs/checks/missing-data.md")),
    ("missing-library", include_str!("../../docs/checks/missing-library.md")),
    ("missing-module", include_str!("../../docs/checks/missing-module.md")),
    ("missing-name", include_str!("../../docs/checks/missing-name.md")),
    ("module-shadowed", include_str!("../../docs/checks/module-shadowed.md")),
    ("opened-library", include_str!("../../docs/checks/opened-library.md")),
    ("record-mismatch", include_str!("../../docs/checks/record-mismatch.md")),
    ("runtime-path-probe", include_str!("../../docs/checks/runtime-path-probe.md")),
    ("single-file-module", include_str!("../../docs/checks/single-file-module.md")),
    ("soname-conflict", include_str!("../../docs/checks/soname-conflict.md")),
    ("text-relocations", include_str!("../../docs/checks/text-relocations.md")),
    ("undeclared-dependency", include_str!("../../docs/checks/undeclared-dependency.md")),
    ("unhardened", include_str!("../../docs/checks/unhardened.md")),
    ("unhashed-lock", include_str!("../../docs/checks/unhashed-lock.md")),
    ("uninspectable", include_str!("../../docs/checks/uninspectable.md")),
    ("unmet-requirement", include_str!("../../docs/checks/unmet-requirement.md")),
    ("unused-dependency", include_str!("../../docs/checks/unused-dependency.md")),
    ("unused-hook", include_str!("../../docs/checks/unused-hook.md")),
    ("wrong-abi", include_str!("../../docs/checks/wrong-abi.md")),
    ("wrong-kind", include_str!("../../docs/checks/wrong-kind.md")),
];

/// What an audit found, sorted by severity, then by how near the application it lies.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Findings that the configuration allows.
    pub allowed: Vec<Allowed>,
    /// Allowances that nothing needed.
    pub unused_allowances: Vec<Unused>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Allowed {
    pub finding: Finding,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    pub code: String,
    pub subject: String,
}

impl Report {
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// What an audit is of.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// An application, with its artifact's native code where a layout was made.
    Application(Option<Native<'a>>),
    /// Everything that is installed, whether anything imports it or not.
    Environment,
}

/// What every check looks at.
struct Context<'a> {
    environment: &'a Environment,
    graph: &'a ModuleGraph,
    hooks: &'a Hooks,
    requirements: Requirements,
    places: Places<'a>,
    /// Nothing is looked at for one application alone.
    is_whole: bool,
    native: Option<Native<'a>>,
}

/// The artifact's native code; nothing where no layout was made.
#[derive(Debug, Clone, Copy)]
pub struct Native<'a> {
    pub planned: &'a Planned,
    /// Every distribution's and packed library's.
    pub licenses: &'a Inventory,
}

/// Where checks put what they find.
#[derive(Default)]
struct Sink {
    found: Vec<(u32, Finding)>,
    /// Importer and line of imports that a finding has explained.
    explained: BTreeSet<(crate::graph::ModuleId, u32)>,
    /// Files that a finding has spoken of as being for another platform.
    foreign: BTreeSet<PathBuf>,
}

/// Further than anything that the application reaches.
const FAR: u32 = u32::MAX;

impl Sink {
    /// `distance`: links from the application.
    fn push(&mut self, distance: u32, finding: Finding) {
        self.found.push((distance, finding));
    }

    fn explain(&mut self, import: &Import) {
        self.explained.insert((import.importer, import.line));
    }

    fn is_explained(&self, import: &Import) -> bool {
        self.explained.contains(&(import.importer, import.line))
    }
}

/// Runs every check. `compared` is what [`compare`] found.
pub fn run(
    environment: &Environment,
    graph: &ModuleGraph,
    hooks: &Hooks,
    config: &config::Audit,
    scope: Scope<'_>,
    compared: &Compared,
) -> Report {
    let requirements = Requirements::of(environment);
    let places = Places::of(environment, graph);
    let (native, is_whole) = match scope {
        Scope::Application(native) => (native, false),
        Scope::Environment => (None, true),
    };
    let context = Context { environment, graph, hooks, requirements, places, is_whole, native };
    let mut sink = Sink::default();
    // What explains others comes first.
    checks::shadowed::check(&context, &mut sink);
    checks::kind::check(&context, &mut sink);
    checks::abi::check(&context, &mut sink);
    checks::module::check(&context, &mut sink);
    checks::name::check(&context, &mut sink);
    checks::data::check(&context, &mut sink);
    checks::probe::check(&context, &mut sink);
    checks::requirement::check(&context, &mut sink);
    checks::overlap::check(&context, &mut sink);
    checks::entry_point::check(&context, &mut sink);
    checks::inventory::check(&context, &mut sink);
    checks::source::check(&context, &mut sink);
    checks::note::check(&context, &mut sink);
    checks::undeclared::check(&context, &config.declared, &config.optional, &mut sink);
    checks::unused::check(&context, &config.declared, &mut sink);
    checks::record::check(&context, compared, &mut sink);
    checks::editable::check(&context, &mut sink);
    checks::hook::check(&context, &mut sink);
    checks::native::check(&context, config.max_glibc.as_deref(), &mut sink);
    checks::elf::check(&context, &mut sink);
    checks::opened::check(&context, &mut sink);
    checks::license::check(&context, &mut sink);
    let hooked = hooks.active(environment).flat_map(|hook| {
        hook.allow.iter().map(|allowed| config::Allowance {
            code: allowed.code.clone(),
            subject: allowed.subject.clone(),
            reason: hook.reason.clone(),
        })
    });
    let hooked: Vec<_> = hooked.collect();
    report(sink, &config.allow, &hooked)
}

/// Findings that no graph gave, as a report.
pub(crate) fn judged(findings: Vec<Finding>, allowances: &[config::Allowance]) -> Report {
    let mut sink = Sink::default();
    for finding in findings {
        sink.push(FAR, finding);
    }
    report(sink, allowances, &[])
}

/// `hooked` are allowances of hooks, which many projects share: that one of them does not need one says nothing.
fn report(sink: Sink, allowances: &[config::Allowance], hooked: &[config::Allowance]) -> Report {
    let Sink { mut found, .. } = sink;
    found.sort_by(|(left_distance, left), (right_distance, right)| {
        let key = |distance, finding: &Finding| (finding.severity, distance, Reverse(finding.evidence.len()));
        key(*left_distance, left)
            .cmp(&key(*right_distance, right))
            .then_with(|| (left.code, &left.subject).cmp(&(right.code, &right.subject)))
    });
    let mut report = Report::default();
    let mut used = vec![false; allowances.len()];
    for (_, finding) in found {
        let allowance =
            allowances.iter().position(|allow| allow.code == finding.code && allow.subject == finding.subject);
        match allowance {
            Some(at) => {
                used[at] = true;
                report.allowed.push(Allowed { finding, reason: allowances[at].reason.clone() });
            }
            None => match hooked.iter().find(|allow| allow.code == finding.code && allow.subject == finding.subject) {
                Some(allow) => report.allowed.push(Allowed { finding, reason: allow.reason.clone() }),
                None => report.findings.push(finding),
            },
        }
    }
    let unused = allowances.iter().zip(used).filter(|(_, used)| !used);
    report.unused_allowances =
        unused.map(|(allow, _)| Unused { code: allow.code.clone(), subject: allow.subject.clone() }).collect();
    report
}

#[cfg(test)]
mod tests;
