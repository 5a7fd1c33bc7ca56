//! Two texts that list something → whether and in what they differ. Pure.

use std::collections::BTreeSet;

/// Whether both have the same words (separated by white space, brackets and commas), each as often: a message that lists
/// what a set holds has another order in each process.
pub(super) fn are_the_same(one: &str, other: &str) -> bool {
    one == other || one.len() == other.len() && sorted(one) == sorted(other)
}

fn sorted(text: &str) -> Vec<&str> {
    let is_between = |character: char| character.is_whitespace() || ",;()[]{}".contains(character);
    let mut words: Vec<&str> = text.split(is_between).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}

/// Whether the artifact's module binds the same names, and further submodules (spelled `.name`) that somebody loaded.
pub(super) fn is_more_loaded(before: &str, after: &str) -> bool {
    let before: BTreeSet<&str> = before.split(' ').collect();
    let after: BTreeSet<&str> = after.split(' ').collect();
    before.is_subset(&after) && after.difference(&before).all(|name| name.starts_with('.'))
}

/// Whether two lists of [`only`] hold the same flags, `a=True, b=False`, set to something else.
pub(super) fn are_flags(before: &str, after: &str) -> bool {
    let flags = |text: &str| -> Option<BTreeSet<String>> {
        text.split(", ").map(|flag| flag.split_once('=').map(|(name, _)| name.to_owned())).collect()
    };
    flags(before).is_some_and(|before| flags(after) == Some(before))
}

/// What each of two lists has that the other one has not.
pub(super) fn only(before: &str, after: &str, separator: char) -> (String, String) {
    let split = |text: &str| text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (before, after): (BTreeSet<String>, BTreeSet<String>) = (split(before), split(after));
    let show = |set: Vec<&String>, whole: bool| match set.len() {
        0 if whole => "nothing".to_owned(),
        0 => "the same, and no more".to_owned(),
        _ => set.into_iter().cloned().collect::<Vec<_>>().join(if separator == ' ' { ", " } else { "\n" }),
    };
    (
        show(before.difference(&after).collect(), before.is_empty()),
        show(after.difference(&before).collect(), after.is_empty()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_all_that_may_differ() {
        assert!(are_the_same("patched ['a', 'b']", "patched ['b', 'a']"));
        assert!(!are_the_same("patched ['a', 'b']", "patched ['a', 'c']"));
        assert!(!are_the_same("cannot import a a b", "cannot import a b b"));
        assert!(!are_the_same("cannot import a", "cannot import a a"));
    }

    #[test]
    fn flags_are_names_with_a_value() {
        assert!(are_flags("a=True, b=False", "a=False, b=True"));
        assert!(!are_flags("a=True", "b=True"));
        assert!(!are_flags("a=True, c", "a=False, c"));
        assert!(!are_flags("nothing", "the same, and no more"));
    }

    #[test]
    fn a_submodule_that_somebody_loaded_is_no_difference() {
        assert!(is_more_loaded("a b=True", "a b=True .c"));
        assert!(!is_more_loaded("a b=True", "a b=True c"));
        assert!(!is_more_loaded("a .c", "a"));
        assert!(!is_more_loaded("a b=True", "a b=False .c"));
    }

    #[test]
    fn lists_show_what_each_side_has_alone() {
        let (before, after) = only("a b c", "b d", ' ');
        assert_eq!((before.as_str(), after.as_str()), ("a, c", "d"));
        assert_eq!(only("", "x", '\n').0, "nothing");
    }
}
