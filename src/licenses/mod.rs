//! Who licenses what goes into the artifact, and whether the configuration takes it.
//!
//! Distributions say it in their metadata (PEP 639's expression, else classifiers), libraries of the build machine in
//! packproof's own table or in their Debian package. Nothing here is legal advice: what cannot be told is called unknown.

mod classifiers;
pub mod debian;
mod inventory;

use spdx::expression::Expression;
use spdx::{LicenseItem, LicenseReq, Licensee};

use crate::config::Licenses;

pub use inventory::{Component, Inventory, Kind, Verdict};

/// Whether an expression holds only with a licence that reaches whatever is distributed as one work with it: GPL, AGPL
/// and their like without an exception for linking.
pub fn is_strong_copyleft(expression: &str) -> bool {
    let Ok(expression) = Expression::parse(expression) else { return false };
    // Not satisfiable by anything else.
    !expression.evaluate(|requirement| !reaches(requirement))
}

fn reaches(requirement: &LicenseReq) -> bool {
    let LicenseItem::Spdx { id, .. } = &requirement.license else { return false };
    let name = id.name;
    requirement.addition.is_none() && (name.starts_with("GPL-") || name.starts_with("AGPL-") || name == "Sleepycat")
}

impl Licenses {
    /// Whether `[licenses] allow` names enough of an expression's licences to take it.
    pub fn allows(&self, expression: &str) -> bool {
        satisfied(expression, &self.allow)
    }

    /// Whether an expression holds without any licence that is denied, and with those that are allowed where any are.
    pub fn takes(&self, expression: &str) -> bool {
        let denied: Vec<Licensee> = self.deny.iter().filter_map(|text| Licensee::parse(text).ok()).collect();
        let Ok(parsed) = Expression::parse(expression) else { return false };
        let clear = parsed.evaluate(|requirement| !denied.iter().any(|denied| denied.satisfies(requirement)));
        clear && (self.allow.is_empty() || self.allows(expression))
    }
}

/// What a Cargo manifest says: old ones write `MIT/Apache-2.0`.
pub fn of_a_manifest(license: &str) -> String {
    license.replace('/', " OR ")
}

fn satisfied(expression: &str, by: &[String]) -> bool {
    let licensees: Vec<Licensee> = by.iter().filter_map(|text| Licensee::parse(text).ok()).collect();
    let Ok(expression) = Expression::parse(expression) else { return false };
    expression.evaluate(|requirement| licensees.iter().any(|licensee| licensee.satisfies(requirement)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_further() {
        for text in ["GPL-3.0-or-later", "Sleepycat", "GPL-2.0-only AND MIT", "AGPL-3.0-only OR GPL-3.0-only"] {
            assert!(is_strong_copyleft(text), "{text}");
        }
        for text in ["MIT", "LGPL-2.1-or-later", "GPL-2.0-only OR MIT", "GPL-3.0-or-later WITH GCC-exception-3.1", "?"]
        {
            assert!(!is_strong_copyleft(text), "{text}");
        }
    }

    #[test]
    fn what_is_allowed() {
        let licenses = Licenses { allow: vec!["GPL-3.0-or-later".to_owned()], ..Licenses::default() };
        assert!(licenses.allows("GPL-3.0-or-later") && licenses.allows("MIT OR GPL-3.0-or-later"));
        assert!(!licenses.allows("MIT") && !licenses.allows("GPL-3.0-or-later AND MIT"));
        let denying = Licenses { deny: vec!["GPL-3.0-or-later".to_owned()], ..Licenses::default() };
        assert!(denying.takes("MIT") && denying.takes("GPL-3.0-or-later OR MIT") && !denying.takes("GPL-3.0-or-later"));
        assert!(licenses.takes("GPL-3.0-or-later") && !licenses.takes("MIT"));
    }
}
