//! What Debian's package database says about a file: its package, the version, and the licence.
//!
//! Source: dpkg-query(1) for `/var/lib/dpkg/info/*.list`, and
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/> for `copyright`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fs_err as fs;

use crate::cache;
use crate::cache::stamped::Stamped;

/// The package database of the build machine; empty on other systems.
#[derive(Debug)]
pub struct Packages {
    info: PathBuf,
    docs: PathBuf,
    status: PathBuf,
    release: PathBuf,
    /// Shared libraries alone: file → package. Read when the first file is asked for.
    owners: OnceLock<BTreeMap<PathBuf, String>>,
    versions: OnceLock<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `debian`, or a distribution made from it.
    pub vendor: String,
    pub name: String,
    pub version: Option<String>,
    /// An SPDX expression, where `copyright` gives one that can be read as such.
    pub license: Option<String>,
}

impl Packages {
    pub fn of_this_machine() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        Self {
            info: root.join("var/lib/dpkg/info"),
            docs: root.join("usr/share/doc"),
            status: root.join("var/lib/dpkg/status"),
            release: root.join("etc/os-release"),
            owners: OnceLock::new(),
            versions: OnceLock::new(),
        }
    }

    /// The package that brought a file, links followed.
    pub fn of(&self, file: &Path) -> Option<Package> {
        let owners = self.owners.get_or_init(|| {
            // dpkg writes its status anew whenever it changes what is installed.
            let kept = Stamped::open(cache::root().as_deref(), "dpkg", &[self.info.as_os_str().as_encoded_bytes()]);
            let read = kept.get_or(&self.status, || Ok::<_, Infallible>(owners(&self.info)));
            kept.save();
            read.unwrap_or_else(|never| match never {})
        });
        // Since `/lib` is a link to `/usr/lib`, a package may still list the former.
        let unmerged = file.strip_prefix("/usr").ok().map(|rest| Path::new("/").join(rest));
        let name = owners.get(file).or_else(|| owners.get(&unmerged?))?.clone();
        let versions = self.versions.get_or_init(|| versions(&fs::read_to_string(&self.status).unwrap_or_default()));
        let copyright = fs::read_to_string(self.docs.join(&name).join("copyright")).unwrap_or_default();
        let release = fs::read_to_string(&self.release).unwrap_or_default();
        let vendor = release.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or("debian");
        let vendor = vendor.trim_matches('"').to_owned();
        Some(Package { vendor, version: versions.get(&name).cloned(), license: license(&copyright), name })
    }
}

fn owners(info: &Path) -> BTreeMap<PathBuf, String> {
    let mut owners = BTreeMap::new();
    for entry in fs::read_dir(info).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".list") else { continue };
        let package = name.split(':').next().unwrap_or(name);
        let Ok(list) = fs::read_to_string(entry.path()) else { continue };
        for line in list.lines().filter(|line| line.contains(".so")) {
            owners.insert(PathBuf::from(line), package.to_owned());
        }
    }
    owners
}

fn versions(status: &str) -> BTreeMap<String, String> {
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    status
        .split("\n\n")
        .filter_map(|paragraph| Some((field(paragraph, "Package:")?, field(paragraph, "Version:")?)))
        .collect()
}

/// The licence of `Files: *`, with Debian's short names as SPDX has them.
fn license(copyright: &str) -> Option<String> {
    let paragraph = copyright.split("\n\n").find(|paragraph| {
        paragraph.lines().any(|line| line.strip_prefix("Files:").is_some_and(|files| files.trim() == "*"))
    })?;
    let text = paragraph.lines().find_map(|line| line.strip_prefix("License:"))?.trim();
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    let expression = words.join(" ");
    spdx::Expression::parse(&expression).is_ok().then_some(expression)
}

fn word(word: &str) -> String {
    match word {
        "and" => return "AND".to_owned(),
        "or" => return "OR".to_owned(),
        "Expat" => return "MIT".to_owned(),
        "BSD-3-clause" => return "BSD-3-Clause".to_owned(),
        "BSD-2-clause" => return "BSD-2-Clause".to_owned(),
        _ => {}
    }
    let (name, later) = word.strip_suffix('+').map_or((word, false), |name| (name, true));
    let Some((family, version)) = name.split_once('-').filter(|(family, _)| matches!(*family, "GPL" | "LGPL" | "AGPL"))
    else {
        return word.to_owned();
    };
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    format!("{family}-{version}-{}", if later { "or-later" } else { "only" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let of = |text: &str| license(&format!("Format: x\n\nFiles: *\nCopyright: y\nLicense: {text}\n"));
        assert_eq!(of("GPL-3+").as_deref(), Some("GPL-3.0-or-later"));
        assert_eq!(of("LGPL-2.1 or Expat").as_deref(), Some("LGPL-2.1-only OR MIT"));
        assert_eq!(of("something of their own"), None);
        assert_eq!(license("Files: debian/*\nLicense: GPL-3+\n"), None);
    }

    #[test]
    fn a_file_and_its_package() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("var/lib/dpkg/info/libx1:amd64.list", "/.\n/lib/libx.so.1.2\n");
        write("var/lib/dpkg/status", "Package: other\nVersion: 1\n\nPackage: libx1\nStatus: ok\nVersion: 2:1.2-3\n\n");
        write("usr/share/doc/libx1/copyright", "Files: *\nLicense: Expat\n");
        let packages = Packages::below(root.path());
        let found = packages.of(Path::new("/usr/lib/libx.so.1.2")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_deref()), ("libx1", Some("2:1.2-3")));
        assert_eq!(found.license.as_deref(), Some("MIT"));
        assert_eq!(packages.of(Path::new("/usr/lib/liby.so")), None);
    }
}
