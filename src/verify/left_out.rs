//! Which checks are run: one for each module, and none that says nothing about the artifact or does more than import.

use std::collections::BTreeMap;

use super::plan::ImportCheck;
use super::proof::LeftOut;

/// Last or first part of a module's name → why it is not run. Data of CPython's and of convention, not of projects.
const BY_FIRST: [(&str, &str); 6] = [
    ("antigravity", "opens a web browser"),
    ("this", "prints"),
    ("idlelib", "an application that starts windows"),
    ("turtledemo", "starts windows"),
    ("test", "CPython's own tests"),
    ("__main__", "the application itself: the start probe runs it"),
];

/// Places that a difference shows; the rest are counted.
const PLACES: usize = 8;

/// What is to be run, and what is not. A required import is always run: somebody asked for it by name. Imports of one
/// module are one check for all their names, since the module is imported but once.
pub(super) fn split(imports: &[ImportCheck]) -> (Vec<ImportCheck>, Vec<LeftOut>) {
    let mut run: Vec<ImportCheck> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut left_out = Vec::new();
    for import in imports {
        if let Some(reason) = reason(&import.module).filter(|_| !import.required) {
            left_out.push(LeftOut { module: import.module.clone(), reason: reason.to_owned() });
            continue;
        }
        if let Some(at) = known.get(&import.subject()) {
            merge(&mut run[*at], import);
        } else {
            known.insert(import.subject(), run.len());
            run.push(import.clone());
        }
    }
    left_out.sort();
    left_out.dedup();
    (run, left_out)
}

fn merge(check: &mut ImportCheck, import: &ImportCheck) {
    for name in &import.names {
        if !check.names.contains(name) {
            check.names.push(name.clone());
        }
    }
    check.required |= import.required;
    check.asserted = check.asserted.or(import.asserted);
    check.statements += import.statements;
    for way in &import.because {
        // One way to it is enough; of the others the last step says where.
        let place = way.rsplit(" → ").next().unwrap_or(way);
        if check.because.len() < PLACES && !check.because.iter().any(|known| known.ends_with(place)) {
            check.because.push(place.to_owned());
        }
    }
}

fn reason(module: &str) -> Option<&'static str> {
    let first = module.split('.').next().unwrap_or_default();
    let last = module.rsplit('.').next().unwrap_or_default();
    if last == "__main__" {
        return Some("runs a program");
    }
    if matches!(last, "tests" | "conftest") || module.contains(".tests.") {
        return Some("a distribution's own tests");
    }
    BY_FIRST.iter().find(|(name, _)| *name == first).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_asked_for() {
        let check = |module: &str, required| ImportCheck::of(module, Vec::new(), "", required);
        let (run, left_out) =
            split(&[check("this", false), check("this", true), check("a.__main__", false), check("thisx", false)]);
        assert_eq!(run.iter().map(|it| it.module.as_str()).collect::<Vec<_>>(), ["this", "thisx"]);
        assert_eq!(left_out.iter().map(|it| it.module.as_str()).collect::<Vec<_>>(), ["a.__main__", "this"]);
    }

    #[test]
    fn one_check_for_each_module() {
        let check = |names: &[&str], because: &str, required| {
            ImportCheck::of("m", names.iter().map(|name| (*name).to_owned()).collect(), because, required)
        };
        let (run, _) = split(&[check(&["A"], "x:1", false), check(&["B", "A"], "y:2", true)]);
        assert_eq!(
            (run.len(), run[0].names.join(" ").as_str(), run[0].because.join(" ").as_str()),
            (1, "A B", "x:1 y:2")
        );
        assert!(run[0].required && run[0].statements == 2);
    }
}
