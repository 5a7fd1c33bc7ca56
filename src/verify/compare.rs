//! The outcomes of both sides → what differs. Pure.

use std::collections::BTreeMap;

use super::outcome::{Inventory, Outcome};
use super::plan::ImportCheck;
use super::proof::{Difference, Imports, Kind};

/// `environment` and `artifact` hold one outcome for each check, in the checks' order.
pub(super) fn imports(
    checks: &[ImportCheck],
    environment: &[Outcome],
    artifact: &[Outcome],
) -> (Imports, Vec<Difference>) {
    let mut counts = Imports { checked: checks.len(), ..Imports::default() };
    // One broken module is one difference, from however many places it is imported.
    let mut found: BTreeMap<(Kind, String, String, String), Difference> = BTreeMap::new();
    for ((check, environment), artifact) in checks.iter().zip(environment).zip(artifact) {
        let Some(difference) = one(check, environment, artifact) else {
            counts.same += 1;
            counts.fail_alike += usize::from(!artifact.is_good());
            continue;
        };
        let key =
            (difference.kind, difference.subject.clone(), difference.environment.clone(), difference.artifact.clone());
        let entry = found.entry(key).or_insert_with(|| Difference { because: Vec::new(), ..difference });
        if !entry.because.contains(&check.because) {
            entry.because.push(check.because.clone());
        }
    }
    (counts, found.into_values().collect())
}

fn one(check: &ImportCheck, environment: &Outcome, artifact: &Outcome) -> Option<Difference> {
    let difference = |kind, output| {
        Some(Difference {
            kind,
            subject: check.module.clone(),
            because: Vec::new(),
            environment: environment.to_string(),
            artifact: artifact.to_string(),
            output,
        })
    };
    // No result is never the same as anything: whatever keeps one import from reporting could hide others.
    if let Outcome::Lost(lost) = artifact {
        return difference(Kind::NoResult, some_text(&lost.output));
    }
    if let Outcome::Lost(lost) = environment {
        return difference(Kind::NoResult, some_text(&lost.output));
    }
    if let (Outcome::Imported(before), Outcome::Imported(after)) = (environment, artifact)
        && before.missing == after.missing
        && before != after
    {
        let mut difference = difference(Kind::Origin, None)?;
        difference.environment = before.place();
        difference.artifact = after.place();
        return Some(difference);
    }
    if environment != artifact {
        return difference(Kind::Import, None);
    }
    if check.required && !artifact.is_good() {
        return difference(Kind::RequiredImport, None);
    }
    None
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Versions as `importlib.metadata` has them, for what the artifact is to hold and for whatever else it holds.
pub(super) fn distributions(wanted: &[String], environment: &Inventory, artifact: &Inventory) -> Vec<Difference> {
    let mut names: Vec<&String> = wanted.iter().chain(artifact.distributions.keys()).collect();
    names.sort();
    names.dedup();
    let version = |side: &Inventory, name: &String| {
        side.distributions.get(name).map_or_else(|| "not installed".to_owned(), |version| format!("version {version}"))
    };
    names
        .into_iter()
        .map(|name| (name, version(environment, name), version(artifact, name)))
        .filter(|(_, before, after)| before != after)
        .map(|(name, environment, artifact)| Difference {
            kind: Kind::Distribution,
            subject: name.clone(),
            because: vec!["importlib.metadata".to_owned()],
            environment,
            artifact,
            output: None,
        })
        .collect()
}

pub(super) fn child_environment(environment: &Inventory, artifact: &Inventory) -> Vec<Difference> {
    let mut names: Vec<&String> = environment.child.keys().chain(artifact.child.keys()).collect();
    names.sort();
    names.dedup();
    let value = |side: &Inventory, name: &String| side.child.get(name).cloned().unwrap_or_else(|| "not set".to_owned());
    names
        .into_iter()
        .map(|name| (name, value(environment, name), value(artifact, name)))
        .filter(|(_, before, after)| before != after)
        .map(|(name, environment, artifact)| Difference {
            kind: Kind::ChildEnvironment,
            subject: name.clone(),
            because: vec!["a child process".to_owned()],
            environment,
            artifact,
            output: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::outcome::{Failure, Imported, Lost};

    fn check(required: bool) -> ImportCheck {
        ImportCheck { module: "m".into(), names: vec!["N".into()], because: "a.py:1".into(), required }
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

    fn kind(required: bool, environment: &Outcome, artifact: &Outcome) -> Option<Kind> {
        let (_, differences) =
            imports(&[check(required)], std::slice::from_ref(environment), std::slice::from_ref(artifact));
        differences.first().map(|difference| difference.kind)
    }

    #[test]
    fn what_counts_as_the_same() {
        assert_eq!(kind(true, &imported("file", &[]), &imported("file", &[])), None);
        assert_eq!(kind(false, &failed("x"), &failed("x")), None, "an optional dependency");
        assert_eq!(kind(true, &failed("x"), &failed("x")), Some(Kind::RequiredImport));
        assert_eq!(kind(false, &failed("x"), &failed("y")), Some(Kind::Import));
        assert_eq!(kind(false, &imported("file", &[]), &failed("y")), Some(Kind::Import));
        assert_eq!(kind(false, &failed("y"), &imported("file", &[])), Some(Kind::Import), "a failure that went away");
        assert_eq!(kind(false, &imported("file", &[]), &imported("file", &["N"])), Some(Kind::Import));
        assert_eq!(kind(false, &imported("file", &[]), &imported("package", &[])), Some(Kind::Origin));
        assert_eq!(kind(false, &lost(), &lost()), Some(Kind::NoResult));
        assert_eq!(kind(false, &imported("file", &[]), &lost()), Some(Kind::NoResult));
    }

    #[test]
    fn one_cause_is_one_difference() {
        let other = ImportCheck { because: "b.py:2".into(), ..check(false) };
        let (counts, differences) = imports(
            &[check(false), other],
            &[imported("file", &[]), imported("file", &[])],
            &[failed("x"), failed("x")],
        );
        assert_eq!((counts.checked, counts.same, differences.len()), (2, 0, 1));
        assert_eq!(differences[0].because, ["a.py:1", "b.py:2"]);
    }
}
