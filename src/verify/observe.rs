//! One run's outcomes and inventories → [`Observations`]: what can be compared, by kind and subject, as text in which
//! nothing names a folder of the machine. Pure.

use std::collections::BTreeMap;

use super::outcome::{Inventory, Outcome};
use super::plan::ImportCheck;
use super::proof::Kind;
use super::side::Which;
use super::smoke::Smoke;
use crate::native::Policy;

/// Kind → subject → what was seen.
pub(super) type Facts = BTreeMap<Kind, BTreeMap<String, String>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Observations {
    pub facts: Facts,
    /// Subject of an import that did not report → the last lines that it printed.
    pub output: BTreeMap<String, String>,
    pub lost: usize,
}

/// Whose contents the tool itself changes on the way.
const CHANGED_ON_THE_WAY: [&str; 2] = ["_sysconfigdata", "__editable__"];

/// Variables that the prover itself sets, as far as the sandbox asks for it.
const OWN: [&str; 2] = ["PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"];

/// Of one of the application's own modules, which no check imports: something else did.
pub(super) const IS_LOADED: &str = "is loaded";

/// Subject of a process that did not live to tell it.
pub(super) const LOADED: &str = "what was loaded";

impl Observations {
    pub(super) fn of(checks: &[ImportCheck], smoke: &Smoke, which: Which) -> Self {
        let mut seen = Self::default();
        for (id, (check, outcome)) in checks.iter().zip(&smoke.outcomes).enumerate() {
            let subject = check.subject();
            match outcome {
                Outcome::Lost(lost) => {
                    seen.output.insert(subject.clone(), lost.output.clone());
                    seen.lost += 1;
                }
                Outcome::Imported(imported) => seen.note(Kind::Origin, &subject, imported.place()),
                Outcome::Failed(_) => {}
            }
            seen.note(Kind::Import, &subject, outcome.to_string());
            if let Some(warnings) = smoke.warnings.get(&id).filter(|warnings| !warnings.is_empty()) {
                seen.note(Kind::Warning, &subject, warnings.join("; "));
            }
        }
        for inventory in &smoke.inventories {
            seen.take(inventory, which);
        }
        for (id, lost) in &smoke.together {
            let subject = checks.get(*id).map(ImportCheck::subject).unwrap_or_default();
            let how = &lost.how;
            seen.note(Kind::NoResult, &subject, format!("ended its process after other imports, not alone: {how}"));
        }
        if let Some(lost) = smoke.unfinished.first() {
            seen.output.insert(LOADED.to_owned(), lost.output.clone());
            seen.note(Kind::NoResult, LOADED, format!("did not come back to tell: {}", lost.how));
        }
        seen
    }

    fn note(&mut self, kind: Kind, subject: &str, value: String) {
        self.facts.entry(kind).or_default().insert(subject.to_owned(), value);
    }

    /// Of several processes the first one to have loaded something says what it was.
    fn take(&mut self, inventory: &Inventory, which: Which) {
        let policy = Policy::built_in();
        let mut first = |kind: Kind, subject: &str, value: &str| {
            self.facts.entry(kind).or_default().entry(subject.to_owned()).or_insert_with(|| value.to_owned());
        };
        let is_changed = |module: &str| CHANGED_ON_THE_WAY.iter().any(|start| module.starts_with(start));
        for (module, (file, code)) in inventory.contents.iter().filter(|(module, _)| !is_changed(module)) {
            first(Kind::Source, module, file);
            if !code.is_empty() {
                first(Kind::Code, module, code);
            }
        }
        // What is missing from the artifact is looked for there by name, wherever it lies.
        for module in inventory.own.iter().filter(|_| which == Which::Environment) {
            first(Kind::Import, module, IS_LOADED);
        }
        for (module, names) in inventory.names.iter().filter(|(module, _)| !is_changed(module)) {
            first(Kind::Names, module, names);
        }
        for (path, digest) in &inventory.libraries {
            // What belongs to the system is another one on another machine.
            let is_its_own = which == Which::Environment || path.starts_with(&inventory.prefix);
            let name = path.rsplit('/').next().unwrap_or(path);
            if is_its_own && policy.left_to_system(name).is_none() {
                first(Kind::Library, name, digest);
            }
        }
        for (name, version) in &inventory.distributions {
            first(Kind::Distribution, name, &format!("version {version}"));
        }
        let lists = [
            (Kind::EntryPoints, &inventory.entry_points),
            (Kind::Record, &inventory.records),
            (Kind::Resources, &inventory.resources),
        ];
        for (kind, lists) in lists {
            for (subject, lines) in lists {
                first(kind, subject, &lines.join("\n"));
            }
        }
        for (name, value) in inventory.child.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            first(Kind::ChildEnvironment, name, value);
        }
        for (kind, subject, who) in inventory.watched() {
            first(kind, &subject, &format!("by `{who}`"));
        }
    }

    /// Adds what was left behind, [`super::leftover`] knows where.
    pub(super) fn leftovers(&mut self, found: impl IntoIterator<Item = String>) {
        for subject in found {
            self.note(Kind::Leftover, &subject, "left behind".to_owned());
        }
    }
}
