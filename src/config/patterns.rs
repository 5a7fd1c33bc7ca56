//! Globs of the configuration, relative to the project.

use std::path::Path;

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

/// `templates/**`: `*` stays within a folder, `**` does not.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    whole: GlobSet,
    /// The parts between slashes that hold more than wildcards.
    parts: Vec<GlobMatcher>,
}

impl Patterns {
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        let mut whole = GlobSetBuilder::new();
        let mut parts = Vec::new();
        for text in texts {
            let text = text.trim_start_matches("./");
            whole.add(GlobBuilder::new(text).literal_separator(true).build()?);
            // A folder stands for all that lies in it.
            whole.add(GlobBuilder::new(&format!("{}/**", text.trim_end_matches('/'))).literal_separator(true).build()?);
            for part in text.split('/').filter(|part| part.chars().any(char::is_alphanumeric)) {
                // A part of braces around several folders is no pattern, and names nothing.
                parts.extend(Glob::new(part).map(|glob| glob.compile_matcher()));
            }
        }
        Ok(Self { whole: whole.build()?, parts })
    }

    pub fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// Whether a path, relative to the project, is meant.
    pub fn matches(&self, path: &Path) -> bool {
        self.whole.is_match(path)
    }

    /// Whether a part of some pattern names this file or folder by more than a wildcard: `.env*` names `.env`,
    /// `config/**` does not.
    pub fn name(&self, part: &str) -> bool {
        self.parts.iter().any(|glob| glob.is_match(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_and_what_is_named() {
        let patterns = Patterns::new(["templates/**", "*.txt", "data", "conf/.env*"]).unwrap();
        for path in ["templates/a/b", "a.txt", "data/x/y", "conf/.env.local"] {
            assert!(patterns.matches(Path::new(path)), "{path}");
        }
        for path in ["x/a.txt", "other", "conf/x"] {
            assert!(!patterns.matches(Path::new(path)), "{path}");
        }
        assert!(patterns.name(".env") && patterns.name("templates") && !patterns.name(".git"));
        assert!(Patterns::new(["{web/static,docs}/**"]).unwrap().matches(Path::new("web/static/a.css")));
        assert!(Patterns::new(["{web"]).is_err());
        assert!(!Patterns::new(["**", "*"]).unwrap().name(".env"));
    }
}
