//! Where a finding is shown by services that show one place of the user's own for each: a path relative to the folder that they
//! have checked out.

use std::path::{Path, PathBuf};

use crate::audit::Finding;

/// What the user calls their own.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// What was checked out, links followed.
    pub folder: PathBuf,
    /// Everything belongs to it that no file of the user's shows.
    pub configuration: Option<PathBuf>,
}

impl Own {
    /// Of a project in `root`; without one nothing is the user's but what was checked out.
    pub fn of(root: Option<&Path>) -> Self {
        let here = std::env::current_dir().and_then(fs_err::canonicalize).unwrap_or_default();
        let folder = checkout(&here, std::env::var_os("GITHUB_WORKSPACE").as_deref().map(Path::new));
        let configuration = ["packproof.toml", "pyproject.toml"]
            .iter()
            .find_map(|name| Some(root?.join(name)).filter(|it| it.is_file()));
        Self { folder, configuration }
    }

    /// The first place with a line, else the first, else the configuration; nothing where none of them lies in the folder.
    pub(super) fn place(&self, finding: &Finding) -> Option<(String, Option<u32>)> {
        let places = || {
            finding
                .evidence
                .iter()
                .filter_map(|evidence| Some((self.relative(evidence.path.as_deref()?)?, evidence.line)))
        };
        let configuration = || Some((self.relative(self.configuration.as_deref()?)?, None));
        places().find(|(_, line)| line.is_some()).or_else(|| places().next()).or_else(configuration)
    }

    /// With `/`; nothing for what is installed, or lies elsewhere.
    fn relative(&self, path: &Path) -> Option<String> {
        let relative = path.strip_prefix(&self.folder).ok()?;
        let is_installed = relative
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("site-packages" | "dist-packages")));
        (!is_installed && !relative.as_os_str().is_empty()).then(|| relative.to_string_lossy().into_owned())
    }
}

/// The folder that services count from: what the service names, else the repository, else the working folder.
fn checkout(here: &Path, named: Option<&Path>) -> PathBuf {
    let named = named.and_then(|folder| fs_err::canonicalize(folder).ok()).filter(|folder| here.starts_with(folder));
    let repository = || here.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned);
    named.or_else(repository).unwrap_or_else(|| here.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Evidence, Severity};

    fn evidence(path: Option<&str>, line: Option<u32>) -> Evidence {
        Evidence { path: path.map(Into::into), file: Some("shown.py".to_owned()), line, text: String::new() }
    }

    #[test]
    fn only_what_is_the_users_own() {
        let own = Own { folder: "/repo".into(), configuration: Some("/repo/services/packproof.toml".into()) };
        let place = |evidence: &[Evidence]| {
            let (subject, message) = (String::new(), String::new());
            let evidence = evidence.to_vec();
            own.place(&Finding { code: "x", severity: Severity::Error, subject, message, evidence, cure: None })
        };
        let configuration = Some(("services/packproof.toml".to_owned(), None));
        let installed = evidence(Some("/repo/.venv/lib/python3.11/site-packages/eggs.py"), Some(3));
        let elsewhere = evidence(Some("/usr/lib/python3.11/json/__init__.py"), Some(3));
        assert_eq!(place(&[]), configuration);
        assert_eq!(place(&[installed.clone(), elsewhere.clone(), evidence(None, None)]), configuration);
        let main = evidence(Some("/repo/services/main.py"), Some(7));
        let file = evidence(Some("/repo/services/other.py"), None);
        assert_eq!(place(&[installed, file.clone(), elsewhere, main]), Some(("services/main.py".to_owned(), Some(7))));
        assert_eq!(place(&[file]), Some(("services/other.py".to_owned(), None)));
        assert_eq!(
            Own { configuration: None, ..own.clone() }.place(&Finding {
                code: "x",
                severity: Severity::Error,
                subject: String::new(),
                message: String::new(),
                evidence: Vec::new(),
                cure: None,
            }),
            None
        );
    }

    #[test]
    fn paths_count_from_what_was_checked_out() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let here = root.join("repo/services/x");
        fs_err::create_dir_all(&here).unwrap();
        assert_eq!(checkout(&here, None), here);
        fs_err::create_dir(root.join("repo/.git")).unwrap();
        assert_eq!(checkout(&here, None), root.join("repo"));
        assert_eq!(checkout(&here, Some(&root)), root);
        assert_eq!(checkout(&here, Some(&root.join("other"))), root.join("repo"));
    }
}
