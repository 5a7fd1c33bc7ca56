//! Where the folders of `sys.path` and of the project go, and what becomes of the `.pth` lines that name them.
//!
//! Source: <https://docs.python.org/3/library/site.html>

use std::path::{Component, Path, PathBuf};

use super::{Error, below};
use crate::config::Config;
use crate::environment::{Environment, Facts};
use crate::format::ArchivePath;

/// Folders on disk → folders in the tree.
#[derive(Debug)]
pub(super) struct Places {
    /// The longest path first, so that the first one that fits is the nearest.
    all: Vec<(PathBuf, ArchivePath)>,
    /// Site-packages folders of the environment itself.
    pub(super) site: Vec<(PathBuf, ArchivePath)>,
    /// What else is on `sys.path`, in its order: editable projects, `.pth` lines, the base's site-packages.
    pub(super) further: Vec<(PathBuf, ArchivePath)>,
}

impl Places {
    pub(super) fn new(config: &Config, environment: &Environment) -> Result<Self, Error> {
        let facts = &environment.facts;
        let site = site_folders(facts)?;
        let project = (config.root.clone(), ArchivePath::new("app")?);

        let known = |folder: &Path| {
            folder.starts_with(&facts.stdlib)
                || folder.starts_with(&facts.platstdlib)
                || site.iter().any(|(site, _)| site == folder)
                // A file is an archive of modules.
                || !folder.exists()
        };
        let base_site: Vec<PathBuf> =
            facts.base_site_packages.iter().map(|path| facts.base_prefix.join(path)).collect();
        let mut further: Vec<(PathBuf, ArchivePath)> = Vec::new();
        let listed = facts.path.iter().filter(|folder| base_site.contains(folder) || !known(folder));
        for folder in listed.chain(config.runner.path.iter()) {
            if site.iter().any(|(site, _)| site == folder) || further.iter().any(|(seen, _)| seen == folder) {
                continue;
            }
            // A part of site-packages, such as an egg that is a folder, lies in the tree where site-packages does.
            let inside = site.iter().find_map(|(site, place)| Some((folder.strip_prefix(site).ok()?, place)));
            let place = match (inside, folder.strip_prefix(&project.0)) {
                (Some((relative, place)), _) => below(place.as_str(), relative)?,
                (None, Ok(relative)) if relative.as_os_str().is_empty() => project.1.clone(),
                (None, Ok(relative)) => below("app", relative)?,
                (None, Err(_)) => {
                    let name = folder.file_name().unwrap_or_default().to_string_lossy();
                    ArchivePath::new(format!("path/{}-{name}", further.len() + 1))?
                }
            };
            further.push((folder.clone(), place));
        }

        let mut all: Vec<_> = site.iter().chain(&further).cloned().chain([project]).collect();
        all.sort_by(|(a, _), (b, _)| b.components().count().cmp(&a.components().count()).then_with(|| a.cmp(b)));
        all.dedup();
        Ok(Self { all, site, further })
    }

    pub(super) fn all(&self) -> &[(PathBuf, ArchivePath)] {
        &self.all
    }

    /// Where a file or folder of the disk lies in the tree, if it lies in any of the places.
    pub(super) fn of(&self, path: &Path) -> Result<Option<ArchivePath>, Error> {
        for (folder, place) in &self.all {
            if let Ok(relative) = path.strip_prefix(folder) {
                let inner = relative.as_os_str().is_empty();
                return Ok(Some(if inner { place.clone() } else { below(place.as_str(), relative)? }));
            }
        }
        Ok(None)
    }

    /// The site-packages folder of the tree that packproof's own start-up files go to.
    pub(super) fn main_site(&self) -> Option<&ArchivePath> {
        self.site.first().map(|(_, place)| place)
    }
}

/// The environment's site-packages and where an ordinary installation of the same interpreter has them. A virtual
/// environment of Debian's Python calls them otherwise than Debian's Python does.
fn site_folders(facts: &Facts) -> Result<Vec<(PathBuf, ArchivePath)>, Error> {
    let mut found: Vec<(PathBuf, ArchivePath)> = Vec::new();
    for folder in [&facts.purelib, &facts.platlib].into_iter().chain(&facts.site_packages) {
        if found.iter().any(|(seen, _)| seen == folder) {
            continue;
        }
        // Outside the prefix: a virtual environment that sees the base's site-packages. Those are `further`.
        let Ok(relative) = folder.strip_prefix(&facts.prefix) else { continue };
        if !folder.is_dir() && !found.is_empty() {
            continue;
        }
        let usual = facts.base_site_packages.iter().find(|usual| *usual == relative);
        let place = usual.or(facts.base_site_packages.first()).map_or(relative, PathBuf::as_path);
        found.push((folder.clone(), below("", place)?));
    }
    Ok(found)
}

/// A `.pth` file as it reads in the artifact. Lines that name a folder are made relative to `site`, as `site.py`
/// takes them; those whose folder is not packed go. What a setuptools editable finder was installed for is packed in
/// its place, so the line that installs it goes too.
pub(super) fn rewrite(text: &str, folder: &Path, site: &ArchivePath, places: &Places) -> Result<String, Error> {
    let mut rewritten = String::new();
    for line in text.lines() {
        let trimmed = line.trim_end();
        let code = trimmed.starts_with("import ") || trimmed.starts_with("import\t");
        let kept = if code {
            (!trimmed.contains("__editable__")).then(|| trimmed.to_owned())
        } else if trimmed.is_empty() || trimmed.starts_with('#') {
            Some(trimmed.to_owned())
        } else {
            let named = normalise(&folder.join(trimmed));
            places.of(&named)?.map(|place| relative(site, &place))
        };
        if let Some(kept) = kept {
            rewritten.push_str(&kept);
            rewritten.push('\n');
        }
    }
    Ok(rewritten)
}

/// A `.start` file (PEP 829) as it reads in the artifact: less what calls the finder that an editable project was installed
/// with. A file that has nothing left to say stays: it keeps `import` lines of the `.pth` file of its name from being run.
pub(super) fn entry_points(text: &str) -> String {
    text.lines().filter(|line| !line.contains("__editable__")).fold(String::new(), |text, line| text + line + "\n")
}

/// The way from one folder of the tree to another.
pub(super) fn relative(from: &ArchivePath, to: &ArchivePath) -> String {
    let from: Vec<_> = from.as_str().split('/').collect();
    let to: Vec<_> = to.as_str().split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| "..");
    let steps: Vec<_> = up.chain(to[shared..].iter().copied()).collect();
    if steps.is_empty() { ".".to_owned() } else { steps.join("/") }
}

/// Without `.` and `..`, by text alone.
pub(crate) fn normalise(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = parts.pop(),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> ArchivePath {
        ArchivePath::new(text).unwrap()
    }

    fn places() -> Places {
        let project = (PathBuf::from("/home/me/p"), path("app"));
        let library = (PathBuf::from("/home/me/p/libs/x/src"), path("app/libs/x/src"));
        let site = (PathBuf::from("/venv/lib/python3.11/site-packages"), path("lib/python3.11/site-packages"));
        Places { all: vec![site.clone(), library.clone(), project], site: vec![site], further: vec![library] }
    }

    #[test]
    fn lines_of_pth_files() {
        let text = "# kept\n/home/me/p/libs/x/src\n/gone\n./sub\nimport os; x = 1\nimport __editable___x_finder; 1\n";
        let site = path("lib/python3.11/site-packages");
        let folder = Path::new("/venv/lib/python3.11/site-packages");
        assert_eq!(
            rewrite(text, folder, &site, &places()).unwrap(),
            "# kept\n../../../app/libs/x/src\nsub\nimport os; x = 1\n"
        );
    }

    #[test]
    fn lines_of_start_files() {
        assert_eq!(entry_points("# kept\na.b:c\n__editable___x_finder:install\n"), "# kept\na.b:c\n");
        assert_eq!(entry_points("__editable___x_finder:install"), "");
    }

    #[test]
    fn ways_between_folders() {
        let cases = [("a/b", "a/c", "../c"), ("a", "a/b/c", "b/c"), ("a/b", "a/b", "."), ("a/b", "c", "../../c")];
        for (from, to, wanted) in cases {
            assert_eq!(relative(&path(from), &path(to)), wanted);
        }
    }

    #[test]
    fn the_nearest_place_counts() {
        let places = places();
        let of = |text: &str| places.of(Path::new(text)).unwrap().map(|path| path.to_string());
        assert_eq!(of("/home/me/p/main.py").as_deref(), Some("app/main.py"));
        assert_eq!(of("/home/me/p/libs/x/src/x/a.py").as_deref(), Some("app/libs/x/src/x/a.py"));
        assert_eq!(of("/venv/lib/python3.11/site-packages").as_deref(), Some("lib/python3.11/site-packages"));
        assert_eq!(of("/elsewhere"), None);
    }

    proptest! {
        /// No line is added, and none names a folder of the build machine.
        #[test]
        fn any_text_is_a_pth_file(text in "([ -~\\n/.]|/home/me/p/|\\.\\./|import |#){0,40}") {
            let site = path("lib/python3.11/site-packages");
            let folder = Path::new("/venv/lib/python3.11/site-packages");
            let rewritten = rewrite(&text, folder, &site, &places()).unwrap();
            prop_assert!(rewritten.lines().count() <= text.lines().count());
            let code = |line: &&str| line.starts_with("import ") || line.starts_with("import\t") || line.starts_with('#');
            prop_assert!(rewritten.lines().filter(|line| !code(line)).all(|line| !line.starts_with('/')));
        }
    }
}
