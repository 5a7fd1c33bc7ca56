//! What the environment showed and what the artifact showed → what differs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::asserted;
use super::expected::Expected;
use super::leftover;
use super::observe::{IS_LOADED, LOADED, Observations};
use super::plan::{ImportCheck, Libraries};
use super::proof::{Difference, Imports, Kind, LeftOut};
use super::words::{are_flags, are_the_same, is_more_loaded, only};

/// The text of [`super::outcome::Outcome`] for an import that gave everything.
const GOOD: &str = "imports";

/// What readline, which a system may not have, tells children of the terminal once it is loaded.
const TOLD: [&str; 2] = ["COLUMNS", "LINES"];

/// Differences, the surest kinds first. `wanted` are distributions that the artifact must hold.
pub(super) fn compare(
    checks: &[ImportCheck],
    expected: &Expected,
    artifact: &Observations,
    wanted: &[String],
    libraries: &Libraries,
) -> (Imports, Vec<Difference>) {
    let mut comparison =
        Comparison { expected, artifact, checks, libraries, blamed: BTreeSet::new(), found: Vec::new() };
    let imports = comparison.imports(checks);
    comparison.unfinished();
    comparison.together();
    comparison.own_modules();
    comparison.asserted();
    comparison.contents();
    comparison.distributions(wanted);
    comparison.union(Kind::ChildEnvironment, "not set", "a child process");
    if !imports.left_out.is_empty() {
        let is_told = |it: &Difference| it.kind == Kind::ChildEnvironment && TOLD.contains(&it.subject.as_str());
        comparison.found.retain(|it| !is_told(it));
    }
    comparison.leftovers();
    (imports, comparison.found)
}

/// Differences of a first run that stand after a second, and those that the second did not show. A second run that does
/// worse in anything has shown nothing: what it did not get to compare, e.g. names, it says nothing about.
pub(super) fn twice(first: Vec<Difference>, second: &[Difference]) -> (Vec<Difference>, Vec<Difference>) {
    let known: BTreeSet<(Kind, &str)> = first.iter().flat_map(Difference::subjects).collect();
    let still: BTreeSet<(Kind, &str)> = second.iter().flat_map(Difference::subjects).collect();
    if still.iter().any(|subject| subject.0 == Kind::NoResult || !known.contains(subject)) {
        return (first, Vec::new());
    }
    first.into_iter().partition(|difference| difference.subjects().any(|subject| still.contains(&subject)))
}

/// Takes out what tells of the machine as much as of the artifact: flags (`HAS_IPV6=True`), the names being the same, and
/// warnings. Away from the environment, which ran on another machine, nobody can say of which. Gives what it was.
pub(super) fn of_the_machine(differences: &mut Vec<Difference>) -> Vec<String> {
    let is_it = |it: &Difference| match it.kind {
        Kind::Names => are_flags(&it.environment, &it.artifact),
        kind => kind == Kind::Warning,
    };
    let (machine, rest): (Vec<_>, Vec<_>) = std::mem::take(differences).into_iter().partition(is_it);
    *differences = rest;
    machine.iter().map(|it| format!("{}: {} (on this machine)", it.kind.name(), it.subject)).collect()
}

struct Comparison<'a> {
    expected: &'a Expected,
    artifact: &'a Observations,
    checks: &'a [ImportCheck],
    libraries: &'a Libraries,
    /// Modules whose import differs already: what follows from that is not said again.
    blamed: BTreeSet<String>,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn imports(&mut self, checks: &[ImportCheck]) -> Imports {
        let mut counts = Imports {
            checked: checks.len(),
            statements: checks.iter().map(|check| check.statements).sum(),
            unstable: self.expected.unstable_subjects(),
            ..Imports::default()
        };
        // One cause that breaks many imports is one difference.
        let mut alike: BTreeMap<(Kind, String, String, Option<String>), usize> = BTreeMap::new();
        for check in checks {
            let subject = check.subject();
            let packed = self.artifact.facts.get(&Kind::Import).and_then(|facts| facts.get(&subject));
            // What must go well, and what does not come back, are no matter of what the environment does.
            let is_bad = check.required && packed.is_none_or(|value| value != GOOD)
                || self.artifact.output.contains_key(&subject);
            if self.expected.is_unstable(Kind::Import, &subject) && !is_bad {
                continue;
            }
            let Some(difference) = self.import(check, &subject) else {
                counts.same += 1;
                let value = self.artifact.facts.get(&Kind::Import).and_then(|facts| facts.get(&subject));
                counts.fail_alike += usize::from(value.is_some_and(|value| value != GOOD));
                if let Some(how) = value.filter(|_| self.artifact.output.contains_key(&subject)) {
                    counts.lost_alike += 1;
                    counts.ended.push(LeftOut { module: subject, reason: format!("{how}, in both") });
                }
                continue;
            };
            self.blamed.insert(subject.clone());
            if let Some(library) = self.lacks(check, &difference) {
                counts.checked -= 1;
                let reason = format!("`{library}` is not packed, for its licence, and this system has none");
                counts.left_out.push(LeftOut { module: subject, reason });
                continue;
            }
            let key = (
                difference.kind,
                difference.environment.clone(),
                difference.artifact.clone(),
                difference.output.clone(),
            );
            match alike.get(&key) {
                Some(at) if matches!(difference.kind, Kind::Import | Kind::NoResult) => {
                    self.found[*at].also.push(difference.subject);
                }
                _ => {
                    alike.insert(key, self.found.len());
                    self.found.push(difference);
                }
            }
        }
        counts
    }

    fn import(&self, check: &ImportCheck, subject: &str) -> Option<Difference> {
        let said = |value: Option<&String>| value.map_or_else(|| "was not tried".to_owned(), ToOwned::to_owned);
        let environment = said(self.expected.get(Kind::Import, subject));
        let artifact = said(self.artifact.facts.get(&Kind::Import).and_then(|facts| facts.get(subject)));
        let output = self.artifact.output.get(subject);
        let difference = |kind, environment, artifact| Difference {
            kind,
            subject: subject.to_owned(),
            because: check.because.clone(),
            also: Vec::new(),
            environment,
            artifact,
            output: output.filter(|text| !text.is_empty()).cloned(),
        };
        if !are_the_same(&environment, &artifact) {
            let kind = if output.is_some() { Kind::NoResult } else { Kind::Import };
            return Some(difference(kind, environment, artifact));
        }
        if check.required && artifact != GOOD {
            return Some(difference(Kind::RequiredImport, environment, artifact));
        }
        let before = self.expected.get(Kind::Origin, subject);
        let after = self.artifact.facts.get(&Kind::Origin).and_then(|facts| facts.get(subject));
        match (before, after) {
            (Some(before), Some(after)) if before != after => {
                Some(difference(Kind::Origin, before.clone(), after.clone()))
            }
            _ => None,
        }
    }

    /// The library that the artifact leaves to the system, and that an import does not find there.
    fn lacks<'d>(&self, check: &ImportCheck, difference: &'d Difference) -> Option<&'d str> {
        let message = difference.artifact.strip_prefix("ImportError: ")?;
        let (library, _) = message.split_once(": cannot open shared object file: ")?;
        let is_left = self.libraries.left.contains(library) && difference.environment == GOOD;
        (is_left && !check.required).then_some(library)
    }

    /// Where a process did not tell what it had loaded, the rest of the comparison is about nothing: that it is so on
    /// both sides makes it no better.
    fn unfinished(&mut self) {
        let said = |value: Option<&String>| value.map_or_else(|| "was told".to_owned(), ToOwned::to_owned);
        let before = self.expected.get(Kind::NoResult, LOADED);
        let after = self.artifact.facts.get(&Kind::NoResult).and_then(|facts| facts.get(LOADED));
        let once = self.expected.is_unstable(Kind::NoResult, LOADED);
        if before.is_none() && after.is_none() && !once {
            return;
        }
        let environment = if once { "was told by one of two runs alone".to_owned() } else { said(before) };
        self.found.push(Difference {
            kind: Kind::NoResult,
            subject: LOADED.to_owned(),
            because: vec!["the process after its imports".to_owned()],
            also: Vec::new(),
            environment,
            artifact: said(after),
            output: self.artifact.output.get(LOADED).filter(|text| !text.is_empty()).cloned(),
        });
    }

    fn asserted(&mut self) {
        let violations = asserted::violations(self.checks, self.expected, self.artifact);
        self.found.extend(violations.into_iter().filter(|found| !self.blamed.contains(&found.subject)));
    }

    /// Imports during which a process of many ended, though each alone does not end one.
    fn together(&mut self) {
        let none = BTreeMap::new();
        let artifact = self.artifact.facts.get(&Kind::NoResult).unwrap_or(&none);
        let known: BTreeSet<&String> = self.expected.subjects(Kind::NoResult).chain(artifact.keys()).collect();
        let subjects: Vec<String> = known.into_iter().filter(|subject| *subject != LOADED).cloned().collect();
        for subject in subjects {
            let value = |value: Option<&String>| value.map_or_else(|| "imports".to_owned(), ToOwned::to_owned);
            let (before, after) = (value(self.expected.get(Kind::NoResult, &subject)), value(artifact.get(&subject)));
            if before != after && !self.expected.is_unstable(Kind::NoResult, &subject) {
                self.push(Kind::NoResult, &subject, before, after, "a process of many imports");
            }
        }
    }

    /// What a plugin's loader that forgives its absence, and computes its name, does not find in the artifact.
    fn own_modules(&mut self) {
        if !self.found.is_empty() {
            return;
        }
        let none = BTreeMap::new();
        let loaded = self.artifact.facts.get(&Kind::Source).unwrap_or(&none);
        let is_missing = |subject: &&String| {
            self.expected.get(Kind::Import, subject).is_some_and(|value| value == IS_LOADED)
                && !loaded.contains_key(*subject)
        };
        let missing: Vec<String> = self.expected.subjects(Kind::Import).filter(is_missing).cloned().collect();
        for subject in missing {
            let (before, after) = (IS_LOADED.to_owned(), "is not loaded".to_owned());
            self.push(Kind::Import, &subject, before, after, "one of the application's own modules");
        }
    }

    /// What was loaded, beyond that it could be.
    fn contents(&mut self) {
        let kinds: &[Kind] = if self.blamed.is_empty() {
            self.union(Kind::Warning, "no warning", "warnings at import");
            &[Kind::Code, Kind::Source, Kind::Names, Kind::Library, Kind::Resources]
        } else {
            // Warnings and names that differ as well follow from the imports that do.
            &[Kind::Code, Kind::Source, Kind::Library, Kind::Resources]
        };
        for &kind in kinds {
            let Some(artifact) = self.artifact.facts.get(&kind) else { continue };
            for (subject, after) in artifact {
                let Some(before) = self.expected.get(kind, subject) else { continue };
                let is_known = self.expected.is_unstable(kind, subject) || self.blamed.contains(subject);
                let is_changed =
                    matches!(kind, Kind::Code | Kind::Source | Kind::Names) && self.libraries.changed.contains(subject);
                if before == after || is_known || is_changed || kind == Kind::Names && is_more_loaded(before, after) {
                    continue;
                }
                let (environment, artifact) = match kind {
                    Kind::Names => only(before, after, ' '),
                    Kind::Resources => only(before, after, '\n'),
                    _ => (format!("digest {before}"), format!("digest {after}")),
                };
                if matches!(kind, Kind::Code | Kind::Source) {
                    self.blamed.insert(subject.clone());
                }
                self.push(kind, subject, environment, artifact, "what was loaded");
            }
        }
    }

    fn distributions(&mut self, wanted: &[String]) {
        let none = BTreeMap::new();
        let held = self.artifact.facts.get(&Kind::Distribution).unwrap_or(&none);
        let mut names: BTreeSet<&String> = wanted.iter().chain(held.keys()).collect();
        let version = |value: Option<&String>| value.map_or_else(|| "not installed".to_owned(), ToOwned::to_owned);
        for name in &names {
            let (before, after) = (version(self.expected.get(Kind::Distribution, name)), version(held.get(*name)));
            if before != after && !self.expected.is_unstable(Kind::Distribution, name) {
                self.push(Kind::Distribution, name, before, after, "importlib.metadata");
            }
        }
        names.retain(|name| held.contains_key(*name));
        for kind in [Kind::EntryPoints, Kind::Record] {
            for name in &names {
                let of = |facts: Option<&String>| facts.cloned().unwrap_or_default();
                let before = of(self.expected.get(kind, name));
                let after = of(self.artifact.facts.get(&kind).and_then(|facts| facts.get(*name)));
                // What the environment's RECORD lists in vain, the artifact's does not list.
                let is_repaired = kind == Kind::Record && after.lines().all(|line| before.lines().any(|it| it == line));
                if before != after
                    && !is_repaired
                    && !self.expected.is_unstable(kind, name)
                    && self.expected.get(Kind::Distribution, name).is_some()
                {
                    let (before, after) = only(&before, &after, '\n');
                    self.push(kind, name, before, after, "importlib.metadata");
                }
            }
        }
    }

    /// What the artifact alone leaves behind.
    fn leftovers(&mut self) {
        let Some(left) = self.artifact.facts.get(&Kind::Leftover) else { return };
        let known: Vec<&String> = self.expected.all_subjects(Kind::Leftover).collect();
        let is_known = |subject: &&String| known.iter().any(|known| leftover::is_alike(known, subject));
        for subject in left.keys().filter(|subject| !is_known(subject)) {
            let (before, after) = ("leaves nothing there".to_owned(), "left behind".to_owned());
            self.push(Kind::Leftover, subject, before, after, "imports");
        }
    }

    /// What one side alone has is different too.
    fn union(&mut self, kind: Kind, absent: &str, because: &str) {
        let none = BTreeMap::new();
        let artifact = self.artifact.facts.get(&kind).unwrap_or(&none);
        let subjects: BTreeSet<&String> = self.expected.subjects(kind).chain(artifact.keys()).collect();
        for subject in subjects {
            let value = |value: Option<&String>| value.map_or_else(|| absent.to_owned(), ToOwned::to_owned);
            let (before, after) = (value(self.expected.get(kind, subject)), value(artifact.get(subject)));
            let is_known = self.expected.is_unstable(kind, subject) || self.blamed.contains(subject);
            let is_same = before == after || kind == Kind::Warning && are_the_same(&before, &after);
            if !is_same && !is_known {
                self.push(kind, subject, before, after, because);
            }
        }
    }

    fn push(&mut self, kind: Kind, subject: &str, environment: String, artifact: String, because: &str) {
        let check = self.checks.iter().find(|check| check.module == subject);
        let because = check.map_or_else(|| vec![because.to_owned()], |check| check.because.clone());
        let subject = subject.to_owned();
        self.found.push(Difference { kind, subject, because, also: Vec::new(), environment, artifact, output: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::outcome::{Failure, Imported, Lost, Outcome};
    use crate::verify::side::Which;
    use crate::verify::smoke::Smoke;

    fn check(module: &str, required: bool) -> ImportCheck {
        ImportCheck::of(module, vec!["N".into()], "a.py:1", required)
    }

    fn imported(origin: &str, missing: &[&str]) -> Outcome {
        Outcome::Imported(Imported {
            missing: missing.iter().map(|name| ((*name).to_owned(), None)).collect(),
            module: "m".into(),
            origin: origin.into(),
            owner: String::new(),
            file: "m.py".into(),
        })
    }

    fn failed(message: &str) -> Outcome {
        Outcome::Failed(Failure { exception: "ImportError".into(), message: message.into() })
    }

    fn lost() -> Outcome {
        Outcome::Lost(Lost { how: "exit status 0".into(), output: String::new() })
    }

    fn seen(checks: &[ImportCheck], outcomes: &[Outcome]) -> Observations {
        let smoke = Smoke { outcomes: outcomes.to_vec(), ..Smoke::default() };
        Observations::of(checks, &smoke, Which::Artifact)
    }

    fn kind(required: bool, environment: &Outcome, artifact: &Outcome) -> Option<Kind> {
        let checks = [check("m", required)];
        let side = |outcome: &Outcome| seen(&checks, std::slice::from_ref(outcome));
        let expected = Expected::of(&side(environment), &side(environment));
        let (_, differences) = compare(&checks, &expected, &side(artifact), &[], &Libraries::default());
        differences.first().map(|difference| difference.kind)
    }

    #[test]
    fn what_counts_as_the_same() {
        assert_eq!(kind(true, &imported("file", &[]), &imported("file", &[])), None);
        assert_eq!(kind(false, &failed("x"), &failed("x")), None, "an optional dependency");
        assert_eq!(kind(true, &failed("x"), &failed("x")), Some(Kind::RequiredImport));
        assert_eq!(kind(false, &failed("x"), &failed("y")), Some(Kind::Import));
        assert_eq!(kind(false, &failed("one of {a, b}"), &failed("one of {b, a}")), None, "what a set holds");
        assert_eq!(kind(false, &imported("file", &[]), &failed("y")), Some(Kind::Import));
        assert_eq!(kind(false, &failed("y"), &imported("file", &[])), Some(Kind::Import), "a failure that went away");
        assert_eq!(kind(false, &imported("file", &[]), &imported("file", &["N"])), Some(Kind::Import));
        assert_eq!(kind(false, &imported("file", &[]), &imported("package", &[])), Some(Kind::Origin));
        assert_eq!(kind(false, &imported("file", &[]), &lost()), Some(Kind::NoResult));
        assert_eq!(kind(false, &lost(), &lost()), None, "each was alone in its process: nothing is hidden");
        assert_eq!(kind(true, &lost(), &lost()), Some(Kind::RequiredImport));
    }

    #[test]
    fn a_process_that_does_not_tell_what_it_loaded_is_no_result_even_if_alike() {
        let told = Observations::default();
        let lost = Lost { how: "exit status 1".into(), output: String::new() };
        let smoke = Smoke { unfinished: vec![lost], ..Smoke::default() };
        let untold = Observations::of(&[], &smoke, Which::Artifact);
        for (one, two, artifact, is_red) in [
            (&told, &told, &told, false),
            (&told, &told, &untold, true),
            (&untold, &untold, &untold, true),
            (&told, &untold, &told, true),
        ] {
            let (_, differences) = compare(&[], &Expected::of(one, two), artifact, &[], &Libraries::default());
            assert_eq!(differences.iter().map(|it| it.kind).collect::<Vec<_>>(), vec![Kind::NoResult; is_red.into()]);
        }
    }

    #[test]
    fn what_needs_a_library_that_is_left_to_the_system_may_do_without() {
        let libraries = Libraries { left: BTreeSet::from(["libline.so.8".to_owned()]), ..Libraries::default() };
        let run = |required, library: &str| {
            let checks = [check("m", required)];
            let good = seen(&checks, &[imported("file", &[])]);
            let mut expected = Expected::of(&good, &good);
            expected.add(Kind::ChildEnvironment, "LINES".to_owned(), "24".to_owned());
            expected.add(Kind::ChildEnvironment, "OWN".to_owned(), "1".to_owned());
            let why = format!("{library}: cannot open shared object file: No such file or directory");
            let (counts, found) = compare(&checks, &expected, &seen(&checks, &[failed(&why)]), &[], &libraries);
            (counts.checked, counts.left_out.len(), found.len())
        };
        assert_eq!(run(false, "libline.so.8"), (0, 1, 1), "a variable of its own");
        assert_eq!(run(true, "libline.so.8"), (1, 0, 3), "it was asked for");
        assert_eq!(run(false, "libother.so.1"), (1, 0, 3));
    }

    #[test]
    fn one_cause_is_one_difference() {
        let checks = [check("m", false), check("n", false)];
        let good = seen(&checks, &[imported("file", &[]), imported("file", &[])]);
        let bad = seen(&checks, &[failed("x"), failed("x")]);
        let (counts, differences) = compare(&checks, &Expected::of(&good, &good), &bad, &[], &Libraries::default());
        assert_eq!((counts.checked, counts.same, differences.len()), (2, 0, 1));
        assert_eq!((differences[0].subject.as_str(), differences[0].also.as_slice()), ("m", &["n".to_owned()][..]));
    }

    #[test]
    fn what_differs_unpackaged_is_listed_and_counts_for_nothing() {
        let checks = [check("m", false)];
        let (one, two) = (seen(&checks, &[failed("1")]), seen(&checks, &[failed("2")]));
        let expected = Expected::of(&one, &two);
        let (counts, differences) = compare(&checks, &expected, &one, &[], &Libraries::default());
        assert_eq!((counts.same, differences.len()), (0, 0));
        assert_eq!(counts.unstable, ["import: m"]);
    }

    #[test]
    fn a_second_run_forgives_only_what_it_does_better() {
        let found = |subjects: &[(Kind, &str)]| -> Vec<Difference> {
            let difference = |(kind, subject): &(Kind, &str)| Difference {
                kind: *kind,
                subject: (*subject).to_owned(),
                because: Vec::new(),
                also: Vec::new(),
                environment: String::new(),
                artifact: String::new(),
                output: None,
            };
            subjects.iter().map(difference).collect()
        };
        let first = [(Kind::Import, "a"), (Kind::Import, "b")];
        let left = |second: &[(Kind, &str)]| twice(found(&first), &found(second)).0.len();
        assert_eq!(left(&[]), 0);
        assert_eq!(left(&[(Kind::Import, "b")]), 1);
        assert_eq!(left(&[(Kind::Names, "c")]), 2, "something else");
        assert_eq!(left(&[(Kind::NoResult, "a")]), 2);
    }
}
