//! Which libraries go into the artifact and which are the system's: the table `system-libraries.toml`, which is
//! built in, with a reason for each.

use std::sync::LazyLock;

use serde::Deserialize;

const TABLE: &str = include_str!("system-libraries.toml");

/// What is decided for libraries by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    library: Vec<System>,
    packed: Vec<Packed>,
    data: Vec<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct System {
    name: String,
    reason: String,
    #[serde(default)]
    c_library: bool,
    #[serde(default)]
    driver: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    name: String,
    license: Option<String>,
    #[serde(default)]
    take: Take,
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the table"))]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    path: String,
    #[expect(dead_code, reason = "for whoever reads the table")]
    reason: String,
}

/// On which condition a library is packed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Take {
    #[default]
    Always,
    /// Not where the artifact needs a library that belongs to the machine's hardware or display.
    UnlessDrivers,
    /// Only where this module is imported.
    With(String),
}

impl TryFrom<String> for Take {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "always" => Ok(Self::Always),
            "unless-drivers" => Ok(Self::UnlessDrivers),
            other => match other.strip_prefix("with:") {
                Some(module) => Ok(Self::With(module.to_owned())),
                None => Err(format!("`{other}` is no condition")),
            },
        }
    }
}

impl Policy {
    pub fn built_in() -> &'static Self {
        static POLICY: LazyLock<Policy> =
            LazyLock::new(|| toml::from_str(TABLE).expect("a test parses the built-in table"));
        &POLICY
    }

    /// Why a library, by file name or soname, is the system's; nothing where it is to be packed.
    pub fn left_to_system(&self, name: &str) -> Option<&str> {
        self.system(name).map(|library| library.reason.as_str())
    }

    /// Whether it belongs to the machine's hardware or display.
    pub fn is_driver(&self, name: &str) -> bool {
        self.system(name).is_some_and(|library| library.driver)
    }

    /// Whether every system with glibc has it.
    pub fn is_c_library(&self, name: &str) -> bool {
        self.system(name).is_some_and(|library| library.c_library)
    }

    /// The longest name counts: `libnsl.so.1` was part of glibc, `libnsl.so.2` is none.
    fn system(&self, name: &str) -> Option<&System> {
        let left = self.library.iter().filter(|library| name.starts_with(&library.name));
        left.max_by_key(|library| library.name.len())
    }

    pub fn take(&self, name: &str) -> &Take {
        self.packed(name).map_or(&Take::Always, |packed| &packed.take)
    }

    /// As an SPDX expression.
    pub fn license(&self, name: &str) -> Option<&str> {
        self.packed(name)?.license.as_deref()
    }

    fn packed(&self, name: &str) -> Option<&Packed> {
        self.packed.iter().filter(|packed| name.starts_with(&packed.name)).max_by_key(|packed| packed.name.len())
    }

    /// Files that the C library maps: locales, character sets.
    pub fn is_system_data(&self, path: &str) -> bool {
        self.data.iter().any(|data| path.starts_with(&data.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_says_why() {
        let policy = Policy::built_in();
        assert!(policy.library.iter().all(|library| library.reason.len() > 10));
        assert!(policy.packed.iter().all(|packed| packed.take == Take::Always || packed.reason.is_some()));
        let mut licenses = policy.packed.iter().filter_map(|packed| packed.license.as_deref());
        assert!(licenses.all(|text| spdx::Expression::parse(text).is_ok()));
        let mut names: Vec<_> =
            policy.library.iter().map(|it| &it.name).chain(policy.packed.iter().map(|it| &it.name)).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_up_to_the_version() {
        let policy = Policy::built_in();
        assert!(
            policy.left_to_system("libc.so.6").is_some() && policy.is_system_data("/usr/lib/locale/C.utf8/LC_CTYPE")
        );
        assert!(policy.left_to_system("libcrypto.so.3").is_none() && policy.left_to_system("libnsl.so.2").is_none());
        assert!(policy.left_to_system("libnsl.so.1").is_some());
        assert!(policy.is_driver("libcuda.so.1") && !policy.is_driver("libc.so.6"));
        assert_eq!(policy.take("libtcl8.6.so"), &Take::With("tkinter".to_owned()));
        assert_eq!(policy.license("libreadline.so.8"), Some("GPL-3.0-or-later"));
    }
}
