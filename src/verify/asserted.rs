//! What hooks say that a name must end up as, checked on what was loaded in the end, in both worlds.

use super::expected::Expected;
use super::observe::Observations;
use super::plan::ImportCheck;
use super::proof::{Difference, Kind};
use crate::graph::ModuleKind;

/// An import that failed has loaded nothing to be judged; whether it may fail is another question.
pub(super) fn violations(checks: &[ImportCheck], expected: &Expected, artifact: &Observations) -> Vec<Difference> {
    let violation = |check: &ImportCheck| {
        let kind = check.asserted?;
        let subject = check.subject();
        let before = expected.get(Kind::Origin, &subject);
        let after = artifact.facts.get(&Kind::Origin).and_then(|facts| facts.get(&subject));
        if before.into_iter().chain(after).all(|place| fits(kind, place)) {
            return None;
        }
        let said = |place: Option<&String>| {
            place.map_or_else(|| "is not loaded".to_owned(), |place| format!("{place}, not {}", kind.words()))
        };
        Some(Difference {
            kind: Kind::Asserted,
            because: check.because.clone(),
            also: Vec::new(),
            environment: said(before),
            artifact: said(after),
            output: None,
            subject,
        })
    };
    checks.iter().filter_map(violation).collect()
}

/// `place` begins with what the script in `smoke/` calls the module.
fn fits(kind: ModuleKind, place: &str) -> bool {
    let words: &[&str] = match kind {
        ModuleKind::SingleFile => &["file"],
        ModuleKind::Package => &["package"],
        ModuleKind::Namespace => &["namespace"],
        ModuleKind::Extension => &["extension"],
        ModuleKind::Builtin => &["built-in"],
        // Since 3.11 a frozen module names its source, where that is there.
        ModuleKind::Frozen => &["built-in", "file", "package"],
    };
    place.split(' ').next().is_some_and(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(place: &str) -> Observations {
        let mut seen = Observations::default();
        seen.facts.entry(Kind::Origin).or_default().insert("spool".to_owned(), place.to_owned());
        seen
    }

    #[test]
    fn what_a_name_must_end_up_as() {
        let mut check = ImportCheck::of("spool", Vec::new(), "a hook for spool", false);
        let (file, package) = (seen("file `spool.py`"), seen("package `spool/__init__.py`"));
        let judge = |check: &ImportCheck, environment: &Observations, artifact: &Observations| {
            violations(std::slice::from_ref(check), &Expected::of(environment, environment), artifact)
        };
        assert_eq!(judge(&check, &package, &package), []);
        check.asserted = Some(ModuleKind::SingleFile);
        assert_eq!(judge(&check, &file, &file), []);
        assert_eq!(judge(&check, &Observations::default(), &Observations::default()), []);
        for (environment, artifact) in [(&package, &package), (&file, &package), (&package, &file)] {
            assert_eq!(judge(&check, environment, artifact).len(), 1);
        }
        let said = judge(&check, &file, &package).remove(0).artifact;
        assert_eq!(said, "package `spool/__init__.py`, not a single file");
    }
}
