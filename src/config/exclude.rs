//! What `[runner] exclude` leaves out: files of the project by glob, `distribution:NAME`, `module:NAME`.

use std::collections::BTreeSet;

use super::Patterns;
use crate::names::{DistName, ModuleName};

#[derive(Debug, Clone, Default)]
pub struct Exclude {
    /// Of the project's own files.
    pub files: Patterns,
    pub distributions: BTreeSet<DistName>,
    /// With everything inside them.
    pub modules: BTreeSet<ModuleName>,
}

impl Exclude {
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut exclude = Self::default();
        let mut files = Vec::new();
        for text in texts {
            if let Some(name) = text.strip_prefix("distribution:") {
                exclude.distributions.insert(DistName::new(name).map_err(|error| error.to_string())?);
            } else if let Some(name) = text.strip_prefix("module:") {
                exclude.modules.insert(ModuleName::new(name).map_err(|error| error.to_string())?);
            } else {
                files.push(text);
            }
        }
        exclude.files = Patterns::new(files).map_err(|error| error.to_string())?;
        Ok(exclude)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn three_kinds() {
        let exclude = Exclude::new(["data/*.csv", "distribution:Spam_Eggs", "module:numpy.testing"]).unwrap();
        assert!(exclude.files.matches(Path::new("data/a.csv")) && !exclude.files.matches(Path::new("spam-eggs")));
        assert_eq!(exclude.distributions.iter().map(DistName::as_str).collect::<Vec<_>>(), ["spam-eggs"]);
        assert_eq!(exclude.modules.iter().map(ModuleName::as_str).collect::<Vec<_>>(), ["numpy.testing"]);
        assert!(Exclude::new(["module:a-b"]).unwrap_err().contains("is not a module name"));
        assert!(Exclude::new(["distribution:"]).is_err());
    }
}
