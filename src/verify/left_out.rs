//! Imports that say nothing about the artifact, or do more than import.

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

/// What is to be run, and what is not. A required import is always run: somebody asked for it by name.
pub(super) fn split(imports: &[ImportCheck]) -> (Vec<ImportCheck>, Vec<LeftOut>) {
    let mut run = Vec::new();
    let mut left_out = Vec::new();
    for import in imports {
        match reason(&import.module) {
            Some(reason) if !import.required => {
                left_out.push(LeftOut { module: import.module.clone(), reason: reason.to_owned() });
            }
            _ => run.push(import.clone()),
        }
    }
    left_out.sort();
    left_out.dedup();
    (run, left_out)
}

fn reason(module: &str) -> Option<&'static str> {
    let first = module.split('.').next().unwrap_or_default();
    if module.rsplit('.').next() == Some("__main__") {
        return Some("runs a program");
    }
    BY_FIRST.iter().find(|(name, _)| *name == first).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_asked_for() {
        let check = |module: &str, required| ImportCheck {
            module: module.into(),
            names: Vec::new(),
            because: String::new(),
            required,
        };
        let (run, left_out) =
            split(&[check("this", false), check("this", true), check("a.__main__", false), check("thisx", false)]);
        assert_eq!(run.iter().map(|it| it.module.as_str()).collect::<Vec<_>>(), ["this", "thisx"]);
        assert_eq!(left_out.iter().map(|it| it.module.as_str()).collect::<Vec<_>>(), ["a.__main__", "this"]);
    }
}
