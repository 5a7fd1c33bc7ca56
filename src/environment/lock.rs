//! A lock file: pip's requirements format, every requirement pinned, with hashes or without.
//!
//! Source: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>. The requirements themselves are
//! the installer's to read; here a file is only taken apart into lines, so that those with hashes can be installed
//! with hashes enforced, and what a lock may not hold is refused with its line.

use std::path::Path;

use super::Error;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct LockFile {
    pub(super) requirements: Vec<Requirement>,
}

/// One logical line: `name==1.0 ; marker --hash=sha256:…`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Joined to one physical line.
    pub(super) text: String,
    pub(super) hashed: bool,
}

impl Requirement {
    /// `name==1.0`, for messages.
    pub(super) fn pin(&self) -> &str {
        self.text.split([' ', ';']).next().unwrap_or_default()
    }
}

impl LockFile {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut requirements = Vec::new();
        for (line, text) in logical_lines(text) {
            let refuse = |message: String| Err(Error::LockInvalid { path: path.to_owned(), line, message });
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
            let pinned = text.contains("==") || text.contains(" @ ");
            if !pinned {
                return refuse(format!("`{text}` is not pinned; a lock file names exact versions (`name==1.0`)"));
            }
            let hashed = text.contains("--hash=");
            requirements.push(Requirement { text, hashed });
        }
        Ok(Self { requirements })
    }
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
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
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
