//! The names that every stage speaks in: of modules and of distributions.
//!
//! Both are newtypes whose only constructors validate, so that a `ModuleName` in a later stage needs no second
//! look. Names of files that are no identifiers stay paths.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A dotted module name, each part a Python identifier: `daytona._async.filesystem`.
///
/// Keywords are let through: `importlib.import_module("a.class")` is legal, and CPython's finder does not care.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(Arc<str>);

#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a module name: identifiers, separated by dots, are wanted")]
pub struct InvalidModuleName(String);

impl ModuleName {
    pub fn new(name: &str) -> Result<Self, InvalidModuleName> {
        if name.split('.').all(is_identifier) { Ok(Self(name.into())) } else { Err(InvalidModuleName(name.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `a` of `a.b.c`.
    pub fn top_level(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// `a.b` of `a.b.c`; nothing for a top-level name.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.into()))
    }

    /// `c` of `a.b.c`.
    pub fn last(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }

    pub fn child(&self, name: &str) -> Result<Self, InvalidModuleName> {
        if is_identifier(name) {
            Ok(Self(format!("{}.{name}", self.0).into()))
        } else {
            Err(InvalidModuleName(format!("{}.{name}", self.0)))
        }
    }

    /// Whether this is `other`, or a module inside it.
    pub fn is_within(&self, other: &str) -> bool {
        self.0.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Whether CPython would take `name` as an identifier. Beyond ASCII every alphanumeric character passes, which is
/// a little more than XID_Start and XID_Continue allow.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic()) && chars.all(|c| c == '_' || c.is_alphanumeric())
}

impl TryFrom<String> for ModuleName {
    type Error = InvalidModuleName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.0.as_ref().into()
    }
}

impl Borrow<str> for ModuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The name of a distribution, normalised: lower case, with runs of `-`, `_` and `.` turned into one `-`.
///
/// Source: <https://packaging.python.org/en/latest/specifications/name-normalization/>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DistName(Arc<str>);

#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a distribution name: letters, digits, `-`, `_` and `.` are wanted, a letter or digit at both ends"
)]
pub struct InvalidDistName(String);

impl DistName {
    pub fn new(name: &str) -> Result<Self, InvalidDistName> {
        let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric());
        if !valid {
            return Err(InvalidDistName(name.to_owned()));
        }
        let mut normalised = String::with_capacity(name.len());
        for c in name.chars() {
            if !matches!(c, '-' | '_' | '.') {
                normalised.push(c.to_ascii_lowercase());
            } else if !normalised.ends_with('-') {
                normalised.push('-');
            }
        }
        Ok(Self(normalised.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DistName {
    type Error = InvalidDistName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<DistName> for String {
    fn from(name: DistName) -> Self {
        name.0.as_ref().into()
    }
}

impl Borrow<str> for DistName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DistName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DistName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_names() {
        for good in ["a", "a.b_c", "_x.y1", "größe.x", "a.class"] {
            assert_eq!(ModuleName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a-b", "1a", "a b"] {
            assert_eq!(ModuleName::new(bad), Err(InvalidModuleName(bad.to_owned())));
        }
    }

    #[test]
    fn module_relations() {
        let name = ModuleName::new("a.b.c").unwrap();
        assert_eq!((name.top_level(), name.last()), ("a", "c"));
        assert_eq!(name.parent().unwrap().as_str(), "a.b");
        assert!(name.is_within("a.b") && name.is_within("a.b.c") && !name.is_within("a.bb") && !name.is_within("b"));
        assert_eq!(ModuleName::new("a").unwrap().parent(), None);
    }

    #[test]
    fn distribution_names_are_normalised() {
        let cases = [("python-ledger", "python-ledger"), ("Python.Led__Ger", "python-led-ger"), ("x", "x")];
        for (given, wanted) in cases {
            assert_eq!(DistName::new(given).unwrap().as_str(), wanted);
        }
        for bad in ["", "-a", "a-", "a b", "ä"] {
            assert!(DistName::new(bad).is_err(), "{bad}");
        }
    }
}
