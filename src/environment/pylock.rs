//! A lock file in the standard format, `pylock.toml` (PEP 751), taken apart into requirements.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/pylock-toml/>. Where a file says from where, the
//! installer's own indexes are asked all the same: its hash tells that it is the same file. What lies beside the lock
//! file is taken from there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::LazyLock;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerTree, VerbatimUrl};
use regex::{Captures, Regex};
use serde::Deserialize;
use toml::Spanned;

use super::lock::{LockFile, Requirement, Wanted};
use super::{Error, Facts, requirements};

/// Unknown keys are another version's, or another tool's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: Spanned<String>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    #[serde(default)]
    default_groups: Vec<String>,
    packages: Vec<Spanned<Package>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    vcs: Option<Vcs>,
    directory: Option<Directory>,
    archive: Option<Archive>,
    sdist: Option<Archive>,
    #[serde(default)]
    wheels: Vec<Archive>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vcs {
    r#type: String,
    url: Option<String>,
    path: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Directory {
    path: String,
}

#[derive(Debug, Deserialize)]
struct Archive {
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    subdirectory: Option<String>,
}

/// `pylock.toml`, `pylock.NAME.toml`
pub(super) fn is_named(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let inner = name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix("toml"));
    inner.is_some_and(|inner| inner.is_empty() || inner.len() > 1 && inner.ends_with('.'))
}

pub(super) fn parse(path: &Path, text: &str) -> Result<LockFile, Error> {
    let line_at = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let refuse = |at: usize, message: String| Error::LockInvalid { path: path.to_owned(), line: line_at(at), message };
    let document: Document = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        refuse(at, format!("this is no lock file of PEP 751: {}", error.message()))
    })?;
    let version = &document.lock_version;
    if version.get_ref().split('.').next() != Some("1") {
        let message = format!("the lock file is of version {}, and version 1 is what is known", version.get_ref());
        return Err(refuse(version.span().start, message));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut lock = LockFile { requirements: Vec::new(), find_links: Vec::new(), wanted: None };
    for package in &document.packages {
        let at = package.span().start;
        let package = package.get_ref();
        let requirement = requirement(package, &document.default_groups, folder, &mut lock.find_links);
        let (text, hashed) = requirement.map_err(|message| refuse(at, message))?;
        lock.requirements.push(Requirement { text, hashed, line: line_at(at) });
    }
    let asked = document.requires_python.as_ref().map(|asked| (line_at(asked.span().start), asked.get_ref().clone()));
    let environments = document.environments.iter().map(|marker| marker.get_ref().clone()).collect();
    let line = document.environments.first().map_or(1, |marker| line_at(marker.span().start));
    lock.wanted = Some(Wanted { python: asked, environments, line });
    Ok(lock)
}

/// Whether what the file was locked for is what `base` is.
pub(super) fn check(wanted: &Wanted, path: &Path, base: &Facts) -> Result<(), Error> {
    let refuse = |line: usize, message: String| Error::LockInvalid { path: path.to_owned(), line, message };
    if let Some((line, asked)) = &wanted.python {
        let specifiers = VersionSpecifiers::from_str(asked)
            .map_err(|_| refuse(*line, format!("`requires-python = \"{asked}\"` cannot be read")))?;
        let is = base.version_string();
        if Version::from_str(&is).is_ok_and(|is| !specifiers.contains(&is)) {
            return Err(refuse(
                *line,
                format!(
                    "the lock file is for Python {asked}, and this is Python {is}: `[environment] python-version` names another"
                ),
            ));
        }
    }
    let Some(markers) = requirements::markers(base) else { return Ok(()) };
    let holds = |marker: &String| {
        MarkerTree::parse_str::<VerbatimUrl>(marker).is_ok_and(|marker| marker.evaluate(&markers, &[]))
    };
    if wanted.environments.is_empty() || wanted.environments.iter().any(holds) {
        return Ok(());
    }
    let message =
        format!("none of the `environments` that the lock file is for is this one, Python {}", base.version_string());
    Err(refuse(wanted.line, message))
}

/// A line of pip's requirements format, and whether it has hashes; or what is wrong with the package.
fn requirement(
    package: &Package,
    groups: &[String],
    folder: &Path,
    find_links: &mut Vec<PathBuf>,
) -> Result<(String, bool), String> {
    let Package { name, .. } = package;
    let odd = |text: &str| text.is_empty() || text.contains(|char: char| char.is_whitespace() || char.is_control());
    if odd(name) || package.version.as_deref().is_some_and(odd) {
        return Err(format!("`{name}` is no name and version of a distribution"));
    }
    let mut files: Vec<&Archive> = Vec::new();
    let what = if let Some(directory) = &package.directory {
        return Err(format!(
            "`{name}` is a project in the folder `{}`; it belongs into `[environment] editable`, or is the application \
             itself, which `uv export --no-emit-project` leaves out",
            directory.path
        ));
    } else if let Some(vcs) = &package.vcs {
        let url = place(vcs.url.as_deref(), vcs.path.as_deref(), folder)?;
        let part = vcs.subdirectory.as_ref().map_or(String::new(), |folder| format!("#subdirectory={folder}"));
        format!("{name} @ {}+{url}@{}{part}", vcs.r#type, vcs.commit_id)
    } else if let Some(archive) = &package.archive {
        files.push(archive);
        let url = place(archive.url.as_deref(), archive.path.as_deref(), folder)?;
        let part = archive.subdirectory.as_ref().map_or(String::new(), |folder| format!("#subdirectory={folder}"));
        format!("{name} @ {url}{part}")
    } else {
        files.extend(package.wheels.iter().chain(&package.sdist));
        let version = package.version.as_ref().ok_or_else(|| format!("`{name}` has no version"))?;
        if files.is_empty() {
            return Err(format!("`{name}` has neither wheels nor a source distribution"));
        }
        for file in files.iter().filter(|file| file.url.is_none()) {
            let path = file.path.as_ref().ok_or_else(|| format!("a file of `{name}` has neither `url` nor `path`"))?;
            let within = folder.join(path).parent().map_or_else(|| folder.to_owned(), Path::to_owned);
            if !find_links.contains(&within) {
                find_links.push(within);
            }
        }
        format!("{name}=={version}")
    };
    if what.contains(['\n', '\r']) {
        return Err(format!("a place of `{name}` goes over several lines"));
    }
    // What an installer checks; the others are weak, or not known to all.
    let is_strong = |hash: &(&String, &String)| matches!(hash.0.as_str(), "sha256" | "sha384" | "sha512");
    let is_plain = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hashes: Vec<_> = files.iter().flat_map(|file| file.hashes.iter().filter(is_strong)).collect();
    if let Some((_, odd)) = hashes.iter().find(|(_, hash)| !is_plain(hash)) {
        return Err(format!("`{odd}` is no hash of a file of `{name}`"));
    }
    // One without would be refused beside others that have some.
    let is_hashed = !files.is_empty() && files.iter().all(|file| file.hashes.iter().any(|hash| is_strong(&hash)));
    let marker = match &package.marker {
        None => String::new(),
        Some(marker) => {
            let decided = decided(marker, groups);
            MarkerTree::parse_str::<VerbatimUrl>(&decided)
                .map_err(|_| format!("`{name}` has a marker that cannot be read: `{marker}`"))?;
            format!(" ; {}", decided.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    };
    let hashes = hashes.iter().filter(|_| is_hashed).map(|(kind, hash)| format!(" --hash={kind}:{hash}"));
    Ok((hashes.fold(what + &marker, |text, hash| text + &hash), is_hashed))
}

fn place(url: Option<&str>, path: Option<&str>, folder: &Path) -> Result<String, String> {
    match (url, path) {
        (Some(url), _) => Ok(url.to_owned()),
        (None, Some(path)) => {
            let path = std::path::absolute(folder.join(path)).map_err(|error| error.to_string())?;
            Ok(format!("file://{}", path.display()))
        }
        (None, None) => Err("it has neither `url` nor `path`".to_owned()),
    }
}

/// `'docs' in extras` and `'dev' in dependency_groups`, which no other marker has: no extra is asked for, and the groups are
/// those that the file says are installed without asking.
fn decided(marker: &str, groups: &[String]) -> String {
    static ASKED: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?:'([^']*)'|"([^"]*)")\s+(not\s+)?in\s+(extras|dependency_groups)\b"#;
        Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
    });
    let answer = |found: &Captures<'_>| {
        let name = found.get(1).or_else(|| found.get(2)).map_or("", |name| name.as_str());
        let is_in = &found[4] == "dependency_groups" && groups.iter().any(|group| group == name);
        if is_in == found.get(3).is_none() { "python_version >= '3'" } else { "python_version < '3'" }
    };
    ASKED.replace_all(marker, answer).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LockFile, String> {
        parse(Path::new("/p/pylock.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn names_of_the_standard_format() {
        let names = ["pylock.toml", "a/pylock.dev.toml", "pylock..toml", "pylock.lock", "mypylock.toml", "uv.lock"];
        assert_eq!(names.map(|name| is_named(Path::new(name))), [true, true, false, false, false, false]);
    }

    #[test]
    fn packages_of_every_kind() {
        let text = r#"
lock-version = "1.0"
created-by = "hand"
default-groups = ["main"]
[[packages]]
name = "a"
version = "1.0"
marker = "python_full_version >= '3.11' and ('main' in dependency_groups or 'x' in extras)"
index = "https://pypi.org/simple"
sdist = { url = "https://x/a-1.0.tar.gz", size = 1, hashes = { sha256 = "00" } }
wheels = [{ url = "https://x/a-1.0-py3-none-any.whl", upload-time = 2026-11-01T11:20:05Z, hashes = { sha256 = "01", md5 = "02" } }]
[[packages]]
name = "b"
version = "2"
wheels = [{ path = "wheels/b-2-py3-none-any.whl", hashes = { sha512 = "03" } }]
[[packages]]
name = "c"
vcs = { type = "git", url = "https://x/c", commit-id = "0123456789abcdef0123456789abcdef01234567", subdirectory = "py" }
[[packages]]
name = "d"
archive = { path = "d-1.zip", hashes = { sha256 = "04" } }
[[packages]]
name = "e"
version = "1"
wheels = [{ url = "https://x/e-1-py3-none-any.whl", hashes = { sha256 = "05" } }, { url = "https://x/e-1-cp311-none-any.whl" }]
"#;
        let lock = read(text).unwrap();
        let read: Vec<_> = lock.requirements.iter().map(|it| (it.text.as_str(), it.hashed, it.line)).collect();
        let a = "a==1.0 ; python_full_version >= '3.11' and (python_version >= '3' or python_version < '3') --hash=sha256:01 --hash=sha256:00";
        let c = "c @ git+https://x/c@0123456789abcdef0123456789abcdef01234567#subdirectory=py";
        assert_eq!(
            read,
            [
                (a, true, 5),
                ("b==2 --hash=sha512:03", true, 12),
                (c, false, 16),
                ("d @ file:///p/d-1.zip --hash=sha256:04", true, 19),
                ("e==1", false, 22),
            ]
        );
        assert_eq!(lock.find_links, [PathBuf::from("/p/wheels")]);
        assert!(lock.requirements[2].is_source() && lock.requirements[3].is_source());
    }

    #[test]
    fn what_is_no_such_file() {
        let package = |rest: &str| format!("lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\n{rest}");
        for (text, wanted) in [
            ("a==1\n".to_owned(), "line 1: this is no lock file of PEP 751"),
            ("lock-version = \"2.0\"\npackages = []\n".to_owned(), "line 1: the lock file is of version 2.0"),
            (package("directory = { path = \".\", editable = true }"), "line 2: `a` is a project in the folder `.`"),
            (package("version = \"1\""), "line 2: `a` has neither wheels nor"),
            (package("wheels = [{ url = \"https://x/a.whl\" }]"), "line 2: `a` has no version"),
            (package("version = \"1\"\nwheels = [{ name = \"a.whl\" }]"), "has neither `url` nor `path`"),
            (package("version = \"1 --index-url=https://x\""), "is no name and version"),
            (
                package("version = \"1\"\nmarker = \"odd\"\nwheels = [{ url = \"u\" }]"),
                "marker that cannot be read: `odd`",
            ),
            (package("version = \"1\"\nwheels = [{ url = \"u\", hashes = { sha256 = \"0 -r x\" } }]"), "is no hash"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains("`/p/pylock.toml`, line ") && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn groups_and_extras_that_nobody_asked_for() {
        let groups = ["dev".to_owned()];
        let yes = "python_version >= '3'";
        let no = "python_version < '3'";
        for (marker, wanted) in [
            ("'dev' in dependency_groups", yes),
            ("\"dev\" not in dependency_groups", no),
            ("'docs' in dependency_groups", no),
            ("'dev' in extras", no),
            ("'dev' not  in extras", yes),
            ("sys_platform in 'linux'", "sys_platform in 'linux'"),
        ] {
            assert_eq!(decided(marker, &groups), wanted);
        }
    }
}
