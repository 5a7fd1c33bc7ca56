//! The environment that the interpreter gets.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// What becomes of one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    /// Whether the tree's start-up code puts it back into `os.environ` before the application's first line, so that
    /// the application and its children see what they would unpackaged.
    pub restored: bool,
    pub why: &'static str,
}

/// Variables that never reach the interpreter. Everything else does as it stands: `PYTHONUNBUFFERED`,
/// `PYTHONHASHSEED`, `PYTHONWARNINGS`, `PYTHONINSPECT` and their like change how a program runs, not what it imports.
/// `PACKPROOF_CACHE` stays as well: it is the user's, and artifacts started from this one want it too.
pub const RULES: &[Rule] = &[
    rule("PYTHONHOME", false, "another installation's standard library; fatal, and it would break `sys.executable`"),
    rule("PYTHONPLATLIBDIR", false, "moves the standard library; fatal, and it would break `sys.executable`"),
    rule("PYTHONEXECUTABLE", false, "from 3.11 on the prefix is computed from it, even with -E and -I"),
    rule("PYTHONPATH", true, "goes before the standard library on sys.path"),
    rule("PYTHONUSERBASE", true, "where the user's site-packages are looked for"),
    rule("PYTHONPYCACHEPREFIX", true, "bytecode would come from elsewhere"),
    rule("PYTHONSAFEPATH", true, "the script's folder would not be on sys.path"),
    rule("PYTHONSTARTUP", true, "a file that is run where the interpreter turns interactive"),
    rule("PYTHONCASEOK", true, "names would match files in another case"),
    rule("PYTHON_PRESITE", true, "a module that debug builds import before site"),
    rule("__PYVENV_LAUNCHER__", false, "taken for the path of the interpreter by some builds"),
    rule(COMMAND, false, "was for this launcher alone"),
    rule(START, false, "is made by this launcher; one from outside would be another artifact's"),
];

const COMMAND: &str = "PACKPROOF";
/// What the tree's start-up code reads and removes.
const START: &str = "PACKPROOF_START";
/// Between the fields of [`START`]: ASCII's unit separator, which no sane path or variable holds.
const SEPARATOR: u8 = 0x1f;

const fn rule(name: &'static str, restored: bool, why: &'static str) -> Rule {
    Rule { name, restored, why }
}

/// The caller's environment, sorted by [`RULES`].
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// `NAME=VALUE`, in the caller's order.
    passed: Vec<Vec<u8>>,
    restored: Vec<Vec<u8>>,
    /// `PACKPROOF`, unless empty.
    pub(super) command: Option<OsString>,
    pub(super) cache: Option<OsString>,
    pub(super) xdg_cache: Option<OsString>,
    pub(super) home: Option<OsString>,
    /// What systemd made for the service by `CacheDirectory=`, separated by colons.
    service_cache: Option<OsString>,
    /// systemd started this, or something that did: others may call a variable of their own `CACHE_DIRECTORY`.
    invocation: Option<OsString>,
}

impl Environment {
    pub(super) fn sort(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut sorted = Self::default();
        for (name, value) in variables {
            let slot = match name.as_bytes() {
                b"PACKPROOF" => Some(&mut sorted.command),
                b"PACKPROOF_CACHE" => Some(&mut sorted.cache),
                b"XDG_CACHE_HOME" => Some(&mut sorted.xdg_cache),
                b"HOME" => Some(&mut sorted.home),
                b"CACHE_DIRECTORY" => Some(&mut sorted.service_cache),
                b"INVOCATION_ID" => Some(&mut sorted.invocation),
                _ => None,
            };
            if let Some(slot) = slot
                && !value.is_empty()
            {
                *slot = Some(value.clone());
            }
            let rule = RULES.iter().find(|rule| OsStr::new(rule.name) == name);
            let mut variable = name.into_vec();
            variable.push(b'=');
            variable.extend_from_slice(value.as_bytes());
            match rule {
                None => sorted.passed.push(variable),
                // A value with the separator in it would come back as two variables.
                Some(rule) if rule.restored && !variable.contains(&SEPARATOR) => sorted.restored.push(variable),
                Some(_) => {}
            }
        }
        sorted
    }

    /// The first cache folder of the systemd service that this is part of.
    pub(super) fn of_service(&self) -> Option<&OsStr> {
        let folders = self.invocation.as_ref().and(self.service_cache.as_ref())?;
        folders.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes).next()
    }

    /// For an interpreter that does not run the tree's start-up code.
    pub(super) fn without_start(&self) -> Vec<Vec<u8>> {
        self.passed.clone()
    }

    /// For `execve`. `lease` are the descriptors of the tree's lease; `invoked` is the artifact's own `argv[0]`, empty where
    /// `sys.argv[0]` is to stay as Python has it.
    pub(super) fn for_interpreter(&self, lease: &[i32], invoked: &[u8]) -> Vec<Vec<u8>> {
        let mut variables = self.passed.clone();
        let invoked = if invoked.contains(&SEPARATOR) { b"" } else { invoked };
        if !lease.is_empty() || !invoked.is_empty() || !self.restored.is_empty() {
            let mut start = format!("{START}=").into_bytes();
            start.extend(lease.iter().map(i32::to_string).collect::<Vec<_>>().join(",").into_bytes());
            start.push(SEPARATOR);
            start.extend_from_slice(invoked);
            for variable in &self.restored {
                start.push(SEPARATOR);
                start.extend_from_slice(variable);
            }
            variables.push(start);
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(variables: &[(&str, &str)]) -> Environment {
        Environment::sort(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn given(environment: &Environment, invoked: &str) -> Vec<String> {
        let variables = environment.for_interpreter(&[], invoked.as_bytes());
        variables.into_iter().map(|variable| String::from_utf8(variable).unwrap()).collect()
    }

    #[test]
    fn what_would_change_imports_is_handed_over_in_one_variable() {
        let environment = sorted(&[
            ("PYTHONPATH", "/x:/y"),
            ("LANG", "C"),
            ("PYTHONHOME", "/usr"),
            ("PYTHONUNBUFFERED", "1"),
            ("PACKPROOF", "info"),
            ("PACKPROOF_START", "forged"),
            ("PYTHONSAFEPATH", "1"),
        ]);
        let wanted =
            ["LANG=C", "PYTHONUNBUFFERED=1", "PACKPROOF_START=\u{1f}./app\u{1f}PYTHONPATH=/x:/y\u{1f}PYTHONSAFEPATH=1"];
        assert_eq!(given(&environment, "./app"), wanted);
        assert_eq!(environment.command.as_deref(), Some(OsStr::new("info")));
    }

    #[test]
    fn an_interpreter_with_nothing_to_restore_sees_no_variable_of_ours() {
        assert_eq!(given(&sorted(&[("LANG", "C")]), ""), ["LANG=C"]);
        let leased = sorted(&[]).for_interpreter(&[250, 251], b"");
        assert_eq!(leased, [b"PACKPROOF_START=250,251\x1f"]);
        assert_eq!(given(&sorted(&[("PYTHONPATH", "/x")]), ""), ["PACKPROOF_START=\u{1f}\u{1f}PYTHONPATH=/x"]);
    }

    #[test]
    fn a_separator_in_a_value_forges_nothing() {
        let environment = sorted(&[("PYTHONPATH", "/x\u{1f}LD_PRELOAD=/evil.so")]);
        assert_eq!(given(&environment, "app"), ["PACKPROOF_START=\u{1f}app"]);
        assert!(given(&environment, "app\u{1f}A=b").is_empty());
    }

    #[test]
    fn empty_counts_as_unset() {
        let environment = sorted(&[("PACKPROOF", ""), ("HOME", ""), ("PACKPROOF_CACHE", "")]);
        assert!(environment.command.is_none() && environment.home.is_none() && environment.cache.is_none());
        assert_eq!(given(&environment, ""), ["HOME=", "PACKPROOF_CACHE="]);
    }

    #[test]
    fn every_rule_has_a_reason_and_a_name_of_its_own() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(!rule.why.is_empty());
            assert!(RULES[..at].iter().all(|other| other.name != rule.name), "{}", rule.name);
        }
        let broken = ["PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONEXECUTABLE"];
        assert!(RULES.iter().all(|rule| !broken.contains(&rule.name) || !rule.restored));
    }
}
