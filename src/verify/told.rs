//! What scripts and starts showed on both sides → results, differences, and what is measured. Pure.

use std::collections::BTreeMap;

use super::escape::{self, Bounds};
use super::expected::Expected;
use super::lanes::{AS_IT_IS, Done, compare_as_it_is};
use super::leftover;
use super::observe::Observations;
use super::outcome::Inventory;
use super::plan::ImportCheck;
use super::proof::{Difference, Kind, Probe, Run, Script, Start};
use super::sandbox::Seen;
use super::side::Which;
use super::smoke::Smoke;
use super::{scripts, start};

/// The artifact's first start: its imports.
pub(super) struct First<'a> {
    pub checks: &'a [ImportCheck],
    pub observed: &'a Observations,
    pub inventories: &'a [Inventory],
    pub expected: &'a Expected,
}

/// Scripts and starts as the proof has them.
pub(super) struct Told<'a> {
    bounds: &'a Bounds<'a>,
    run: &'a mut Run,
    pub scripts: Vec<Script>,
    pub probes: Vec<Probe>,
    pub start: Start,
    /// What the artifact's scripts had loaded.
    pub ran: Vec<Inventory>,
    /// What the environment's scripts had, those that it ran once more among them.
    pub again: Vec<Inventory>,
    /// Starts of the artifact's interpreter beside the imports, of which it is known what they loaded.
    pub starts: usize,
    pub differences: Vec<Difference>,
}

impl<'a> Told<'a> {
    pub(super) fn new(bounds: &'a Bounds<'a>, run: &'a mut Run) -> Self {
        Self {
            bounds,
            run,
            scripts: Vec::new(),
            probes: Vec::new(),
            start: Start::NotConfigured,
            ran: Vec::new(),
            again: Vec::new(),
            starts: 0,
            differences: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, done: Done, first: &First<'_>) {
        match done {
            Done::Start { name, before, after } => {
                if before.is_some() || after.is_some() {
                    let failed = self.start == Start::Failed;
                    self.start = if failed { Start::Failed } else { Start::Passed };
                }
                let (probe, difference) = start::compare(&name, before.as_deref(), after.as_deref());
                if difference.is_some() {
                    self.start = Start::Failed;
                }
                self.differences.extend(difference);
                if let Some(after) = &after {
                    self.look(&name, &after.seen, before.as_ref().map(|it| &it.seen));
                    self.leftovers(&format!("[start] {name}"), before.as_ref().map(|it| &it.left), &after.left);
                }
                let measured = (before.and_then(|it| it.measured), after.and_then(|it| it.measured));
                if self.probes.is_empty() {
                    (self.run.environment, self.run.artifact) = measured;
                } else {
                    self.run.further.insert(name, measured);
                }
                self.probes.push(probe);
            }
            Done::AsItIs { before: Some(before), said, after: Some(after) } => {
                let difference = compare_as_it_is(&before, said.as_ref(), &after);
                self.start = if difference.is_some() { Start::Failed } else { Start::AsItIs };
                self.look(AS_IT_IS, &after.seen, None);
                self.probes.push(Probe { name: AS_IT_IS.to_owned(), environment: before, artifact: after.did });
                self.differences.extend(difference);
            }
            Done::AsItIs { .. } => {}
            Done::Script { name, before, after } => {
                let (result, difference) = scripts::compare(name.clone(), before.as_deref(), &after);
                let is_good = difference.is_none();
                self.scripts.push(result);
                self.differences.extend(difference);
                self.leftovers(&name, before.as_ref().map(|it| &it.left), &after.left);
                if let Some(inventory) = after.inventory {
                    self.starts += 1;
                    let unpackaged = before.and_then(|before| before.inventory);
                    // What follows from a failure is not said again.
                    if is_good {
                        self.modules(&name, &inventory, unpackaged.as_ref(), first);
                    }
                    self.ran.push(inventory);
                    self.again.extend(unpackaged);
                }
            }
            Done::Again(ids, smoke) => self.again(&ids, &smoke, first),
        }
    }

    fn look(&mut self, name: &str, seen: &Seen, unpackaged: Option<&Seen>) {
        let (differences, system) = escape::look_at(name, seen, unpackaged, self.bounds);
        self.differences.extend(differences);
        self.run.in_use.insert(name.to_owned(), system);
    }

    fn leftovers(
        &mut self,
        who: &str,
        before: Option<&std::collections::BTreeSet<String>>,
        after: &std::collections::BTreeSet<String>,
    ) {
        for subject in leftover::beyond(before, after) {
            self.push(Kind::Leftover, subject, who, "leaves nothing there", "left behind");
        }
    }

    /// Each start of the artifact must load the same: the same code from the same file. Where the environment loads
    /// something else for a script than for the imports, as an order of imports may have it, so may the artifact.
    fn modules(&mut self, who: &str, second: &Inventory, unpackaged: Option<&Inventory>, first: &First<'_>) {
        let codes: BTreeMap<&String, (&String, &String)> = first.inventories.iter().rev().flat_map(loaded).collect();
        let theirs: BTreeMap<&String, (&String, &String)> = unpackaged.into_iter().flat_map(loaded).collect();
        for (module, (file, code)) in loaded(second) {
            let Some((other_file, other_code)) = codes.get(module) else { continue };
            // Tests' own modules may be called as others are.
            let is_in_tree = |file: &str, inventory: &Inventory| file.starts_with(&inventory.prefix);
            let both = first.inventories.iter().any(|it| is_in_tree(other_file, it)) && is_in_tree(file, second);
            // A loader that does not come by its code in the ordinary way, as pytest's for plugins, has none to tell.
            let same_code = code == *other_code || code.is_empty() || other_code.is_empty();
            let same = same_code && after_prefix(file, &second.prefix) == place(other_file, first);
            let alike = theirs.get(module).is_some_and(|(_, theirs)| *theirs == code && !code.is_empty());
            if !both || same || alike || first.expected.is_unstable(Kind::Code, module) {
                continue;
            }
            let text =
                |file: &str, code: &str| format!("`{file}`, code {}", if code.is_empty() { "none" } else { code });
            let before = format!("packed, while importing: {}", text(place(other_file, first), other_code));
            let after = format!("in `{who}`: {}", text(after_prefix(file, &second.prefix), code));
            self.push(Kind::Code, module, "two starts of the artifact", &before, &after);
        }
    }

    fn again(&mut self, ids: &[usize], smoke: &Smoke, first: &First<'_>) {
        let few: Vec<ImportCheck> = ids.iter().map(|id| first.checks[*id].clone()).collect();
        let second = Observations::of(&few, smoke, Which::Artifact);
        let none = BTreeMap::new();
        for kind in [Kind::Import, Kind::Origin, Kind::NoResult] {
            let of = first.observed.facts.get(&kind).unwrap_or(&none);
            for (subject, after) in second.facts.get(&kind).unwrap_or(&none) {
                let before = of.get(subject).map_or("nothing", String::as_str);
                if before != after && !first.expected.is_unstable(kind, subject) {
                    self.push(kind, subject, "a second start of the artifact", before, after);
                }
            }
        }
        for inventory in &smoke.inventories {
            self.starts += 1;
            self.modules("a second start", inventory, None, first);
            self.ran.push(inventory.clone());
        }
    }

    fn push(&mut self, kind: Kind, subject: &str, because: &str, environment: &str, artifact: &str) {
        self.differences.push(Difference {
            kind,
            subject: subject.to_owned(),
            because: vec![because.to_owned()],
            also: Vec::new(),
            environment: environment.to_owned(),
            artifact: artifact.to_owned(),
            output: None,
        });
    }
}

/// Module → its file and the digest of its code.
fn loaded(inventory: &Inventory) -> impl Iterator<Item = (&String, (&String, &String))> {
    inventory.files.iter().filter_map(|(module, file)| Some((module, (file, &inventory.contents.get(module)?.1))))
}

fn after_prefix<'a>(file: &'a str, prefix: &str) -> &'a str {
    file.strip_prefix(prefix).unwrap_or(file)
}

fn place<'a>(file: &'a str, first: &First<'_>) -> &'a str {
    first.inventories.iter().find_map(|it| file.strip_prefix(it.prefix.as_str())).unwrap_or(file)
}
