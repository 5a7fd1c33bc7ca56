//! A lock file: pip's requirements format, every requirement pinned, with hashes or without; or the standard one, which is
//! [taken apart](super::pylock) into the same.
//!
//! Source: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>. The requirements themselves are
//! the installer's to read; here a file is only taken apart into lines, so that those with hashes can be installed
//! with hashes enforced, and what a lock may not hold is refused with its line.

use std::path::{Path, PathBuf};

use super::distribution::percent_decode;
use super::{Error, pylock};
use crate::names::DistName;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct LockFile {
    pub(super) requirements: Vec<Requirement>,
    /// Folders with files that the lock names by their place.
    pub(super) find_links: Vec<PathBuf>,
    /// Nothing where the format has no word for it.
    pub(super) wanted: Option<Wanted>,
}

/// What a lock file was made for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The line, and versions as in `requires-python`.
    pub(super) python: Option<(usize, String)>,
    /// Markers (PEP 508) of which one has to hold.
    pub(super) environments: Vec<String>,
    /// Of the first of them.
    pub(super) line: usize,
}

/// One logical line: `name==1.0 ; marker --hash=sha256:…`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Joined to one physical line.
    pub(super) text: String,
    pub(super) hashed: bool,
    /// Where it begins in the file.
    pub(super) line: usize,
}

impl Requirement {
    /// `name==1.0`, for messages.
    pub(super) fn pin(&self) -> &str {
        self.text.split([' ', ';']).next().unwrap_or_default()
    }

    /// Whether it names an archive or a repository, which has to be built.
    pub(super) fn is_source(&self) -> bool {
        url(&self.text).is_some_and(|url| !url.split(['#', '?']).next().unwrap_or(url).ends_with(".whl"))
    }

    pub(super) fn name(&self) -> Option<DistName> {
        let is_part = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        DistName::new(self.text.split(|letter| !is_part(letter)).next()?).ok()
    }
}

impl LockFile {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut requirements = Vec::new();
        // Editors of other systems put a byte order mark before it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if pylock::is_named(path) {
            return pylock::parse(path, text);
        }
        let is_other = path.extension().is_some_and(|extension| extension == "toml")
            || ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"].iter().any(|name| path.ends_with(name));
        for (line, text) in logical_lines(text) {
            let refuse = |message: String| Err(Error::LockInvalid { path: path.to_owned(), line, message });
            if is_other {
                return refuse(
                    "the lock is to be in pip's requirements format, or in the standard one, called `pylock.toml`: \
                     `uv export --format pylock.toml --no-emit-project`, `pdm export -f pylock`, `poetry export` and their like \
                     write one"
                        .to_owned(),
                );
            }
            if text.starts_with('-') {
                let option = text.split([' ', '=']).next().unwrap_or_default();
                return refuse(match option {
                    "-e" | "--editable" => {
                        "an editable project belongs into `[environment] editable`, not into the lock file".to_owned()
                    }
                    "-i" | "--index-url" | "--extra-index-url" | "--find-links" | "-f" => format!(
                        "`{option}` is not taken from a lock file; name indexes in `[environment] indexes` or \
                         `find-links`, or in the installer's own configuration"
                    ),
                    _ => format!("`{option}` has no place in a lock file"),
                });
            }
            // As `uv export` writes a folder of a workspace.
            let is_place = |word: &str| word.starts_with(['.', '/']) || word.contains("://");
            if text.split([' ', '@']).next().is_some_and(is_place) {
                return refuse(format!(
                    "`{text}`: a wheel is written `NAME @ URL`, and a project's folder belongs into `[environment] editable`"
                ));
            }
            let pinned = match url(&text) {
                Some(url) if is_moving(url) => {
                    return refuse(format!(
                        "`{url}` may be another one tomorrow; a lock file names the commit, in full, after the last `@`"
                    ));
                }
                Some(url) if is_folder(url) => {
                    return refuse(format!(
                        "`{url}` is a project and no wheel; it belongs into `[environment] editable`"
                    ));
                }
                Some(_) => true,
                None if text.contains(" @ ") => {
                    return refuse(format!("`{text}` names no URL; a file of this machine is written `file:///…`"));
                }
                None => is_exact(&text),
            };
            if !pinned {
                return refuse(format!("`{text}` is not pinned; a lock file names exact versions (`name==1.0`)"));
            }
            let hashed = text.contains("--hash=");
            requirements.push(Requirement { text, hashed, line });
        }
        Ok(Self { requirements, find_links: Vec::new(), wanted: None })
    }
}

/// What a direct reference names: `name @ URL`.
fn url(text: &str) -> Option<&str> {
    let (_, url) = text.split_once('@')?;
    let url = url.trim_start().split(' ').next()?;
    url.contains(':').then_some(url)
}

/// The file that a direct reference names, where that lies on this machine.
pub(super) fn local_file(text: &str) -> Option<PathBuf> {
    let place = url(text)?.strip_prefix("file:")?.split('#').next()?;
    Some(PathBuf::from(percent_decode(place.strip_prefix("//").unwrap_or(place))))
}

/// A branch or a tag of a version control system, or nothing at all.
fn is_moving(url: &str) -> bool {
    let is_controlled = ["git+", "hg+", "svn+", "bzr+"].iter().any(|scheme| url.starts_with(scheme));
    let revision = url.split('#').next().and_then(|url| url.rsplit_once('@')).map(|(_, revision)| revision);
    let is_commit = |revision: &str| revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Subversion and Bazaar count.
    let is_number = |revision: &str| !url.starts_with("git+") && revision.bytes().all(|byte| byte.is_ascii_digit());
    is_controlled && !revision.is_some_and(|revision| is_commit(revision) || is_number(revision))
}

fn is_folder(url: &str) -> bool {
    let place = url.split('#').next().unwrap_or(url);
    url.starts_with("file:")
        && ![".whl", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".tar"].iter().any(|end| place.ends_with(end))
}

/// Markers compare as well, and `==1.*` is many versions.
fn is_exact(text: &str) -> bool {
    let requirement = text.split(';').next().unwrap_or_default();
    requirement.split_once("==").is_some_and(|(_, version)| !version.contains('*'))
}

/// Lines with continuations joined and comments taken off, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        // pip: a comment starts a line or stands after white space.
        let code = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        let (part, continues) = match code.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (code, false),
        };
        let (_, joined) = open.get_or_insert_with(|| (number + 1, String::new()));
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(part.trim());
        if !continues {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines.into_iter().filter(|(_, line)| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<LockFile, String> {
        LockFile::parse(Path::new("requirements.lock"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_with_and_without_hashes() {
        let text = "# made by uv\na==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    # via b\n\nb==2 ; os_name == \"nt\"  # why\n";
        let lock = parse(text).unwrap();
        let seen: Vec<_> = lock.requirements.iter().map(|r| (r.text.as_str(), r.hashed, r.pin())).collect();
        assert_eq!(
            seen,
            [("a==1.0 --hash=sha256:00 --hash=sha256:01", true, "a==1.0"), ("b==2 ; os_name == \"nt\"", false, "b==2"),]
        );
    }

    #[test]
    fn what_a_lock_may_not_hold() {
        for (text, message) in [
            ("a==1\n-e ./x\n", "requirements.lock`, line 2: an editable"),
            ("--index-url https://x\n", "line 1: `--index-url` is not taken"),
            ("a>=1\n", "line 1: `a>=1` is not pinned"),
            ("-r other.txt\n", "line 1: `-r` has no place"),
            ("a>=1 ; python_version == '3.11'\n", "is not pinned"),
            ("a==1.*\n", "is not pinned"),
            ("a @ git+https://x/a@main\n", "line 1: `git+https://x/a@main` may be another one tomorrow"),
            ("a @ ./a-1-py3-none-any.whl\n", "names no URL"),
            ("a==1\n./packages/a\n", "line 2: `./packages/a`: a wheel is written"),
            ("https://x/a-1-py3-none-any.whl\n", "a wheel is written `NAME @ URL`"),
            ("a @ git+ssh://git@x/a\n", "may be another one tomorrow"),
            ("a @ file:///home/me/a\n", "line 1: `file:///home/me/a` is a project and no wheel"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn direct_references() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let text = format!(
            "\u{feff}# made by poetry\na @ git+https://x/a@{commit}#egg=a\nb@ https://x/b-1.whl\nc @ file:///w/c%20c-1.whl ; os_name == 'posix'\n"
        );
        let lock = parse(&text).unwrap();
        let built: Vec<_> = lock.requirements.iter().map(Requirement::is_source).collect();
        assert_eq!(built, [true, false, false]);
        let files: Vec<_> = lock.requirements.iter().map(|requirement| local_file(&requirement.text)).collect();
        assert_eq!(files, [None, None, Some(PathBuf::from("/w/c c-1.whl"))]);
        let other = LockFile::parse(Path::new("a/uv.lock"), "version = 1\n").unwrap_err().to_string();
        assert!(other.contains("line 1") && other.contains("uv export"), "{other}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_lock_or_an_error_with_its_line(text in "(?s).{0,200}") {
            match parse(&text) {
                Ok(lock) => prop_assert!(lock.requirements.iter().all(|requirement| !requirement.text.contains('\n'))),
                Err(error) => prop_assert!(error.contains("line ")),
            }
        }

        #[test]
        fn written_locks_are_read(pins in vec(("[a-z][a-z0-9-]{0,9}", "[0-9]{1,3}(\\.[0-9]{1,2}){0,2}", vec("[0-9a-f]{4}", 0..3)), 0..6)) {
            let mut text = "# by hand\n".to_owned();
            for (name, version, hashes) in &pins {
                write!(text, "{name}=={version}").unwrap();
                for hash in hashes {
                    write!(text, " \\\n    --hash=sha256:{hash}").unwrap();
                }
                text += "\n    # via something\n";
            }
            let lock = parse(&text).unwrap();
            let read: Vec<_> = lock.requirements.iter().map(|it| (it.pin().to_owned(), it.text.matches("--hash=").count(), it.hashed)).collect();
            let wanted: Vec<_> =
                pins.iter().map(|(name, version, hashes)| (format!("{name}=={version}"), hashes.len(), !hashes.is_empty())).collect();
            prop_assert_eq!(read, wanted);
        }
    }
}
