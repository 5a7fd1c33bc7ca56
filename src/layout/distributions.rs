//! Installed distributions, whole: what lies in site-packages, and what RECORD lists outside of it.
//!
//! Everything that lies in site-packages is taken, whether a RECORD lists it or not: what can be imported in the
//! environment can be imported in the artifact. RECORD says whose it is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustc_hash::FxHashMap;

use super::application::Guard;
use super::builder::Builder;
use super::pathfile::{self, Places, normalise};
use super::walk::Trees;
use super::{Entry, Error, Origin, Source, below, walk};
use crate::config::Patterns;
use crate::environment::{Distribution, Environment, Facts, RecordEntry};
use crate::format::ArchivePath;
use crate::graph::Without;
use crate::names::DistName;

/// What virtualenv and uv put beside the distributions to make a virtual environment behave; the artifact's tree is
/// none.
const PLUMBING: &[&str] = &["_virtualenv.py", "_virtualenv.pth"];

pub(super) fn add(
    builder: &mut Builder,
    environment: &Environment,
    places: &Places,
    left_out: &BTreeSet<DistName>,
    name: &str,
    trees: &Trees,
    without: &Without,
) -> Result<(), Error> {
    let taking = Taking { owners: owners(environment), left_out, trees, without };
    let installed = |folder: &Path| environment.distributions.iter().any(|dist| dist.site == folder);
    let in_site = |folder: &Path| places.site.iter().any(|(site, _)| folder.starts_with(site));
    let further = places.further.iter().filter(|(folder, _)| installed(folder) && !in_site(folder));
    for (folder, place) in places.site.iter().chain(further) {
        if folder.is_dir() {
            site(builder, folder, place, places, &taking)?;
        }
    }
    for dist in environment.distributions.iter().filter(|dist| !left_out.contains(&dist.name)) {
        outside_site(builder, dist, &environment.facts, name)?;
    }
    editable_finders(builder, &environment.facts, places)
}

/// File → the distribution whose RECORD lists it.
fn owners(environment: &Environment) -> FxHashMap<OsString, &DistName> {
    let mut owners = FxHashMap::default();
    for dist in &environment.distributions {
        for file in &dist.files {
            owners.insert(place_of(dist, file).into_os_string(), &dist.name);
        }
    }
    owners
}

fn place_of(dist: &Distribution, file: &RecordEntry) -> PathBuf {
    let joined = dist.site.join(&file.path);
    if file.path.contains("..") { normalise(&joined) } else { joined }
}

/// What decides which files of a folder are taken.
struct Taking<'a> {
    owners: FxHashMap<OsString, &'a DistName>,
    left_out: &'a BTreeSet<DistName>,
    trees: &'a Trees,
    without: &'a Without,
}

fn site(
    builder: &mut Builder,
    folder: &Path,
    place: &ArchivePath,
    places: &Places,
    taking: &Taking<'_>,
) -> Result<(), Error> {
    let Taking { owners, left_out, trees, without } = taking;
    let keep = |path: &Path| {
        let text = path.to_str().unwrap_or_default();
        // pip renames what it is about to remove to `~name`.
        let half_removed = text.starts_with('~');
        let finder = text.starts_with("__editable__") && text.ends_with("_finder.py");
        let is_left_out = |file: &Path| {
            without.holds(file) || owners.get(file.as_os_str()).is_some_and(|owner| left_out.contains(*owner))
        };
        !half_removed
            && !finder
            && !PLUMBING.contains(&text)
            && !((!without.is_empty() || !left_out.is_empty()) && is_left_out(&folder.join(path)))
    };
    for found in trees.files(folder, &keep)? {
        let path = below(place.as_str(), &found.relative)?;
        let owner = owners.get(folder.join(&found.relative).as_os_str());
        let origin = owner.map_or(Origin::Unowned, |owner| Origin::Distribution((*owner).clone()));
        let Some(source) = adapted(found.source, &found.relative, folder, place, places)? else { continue };
        builder.add(path, Entry { source, mode: found.mode, origin })?;
    }
    Ok(())
}

/// What uv notes of a local project: when its files were changed.
const UV_NOTES: [&str; 2] = ["uv_build.json", "uv_cache.json"];

fn is_metadata(relative: &Path) -> bool {
    relative.parent().and_then(Path::extension).is_some_and(|extension| extension == "dist-info")
}

/// The few files that name the build machine, or a time of its.
fn adapted(
    source: Source,
    relative: &Path,
    folder: &Path,
    place: &ArchivePath,
    places: &Places,
) -> Result<Option<Source>, Error> {
    let Source::File(path) = &source else { return Ok(Some(source)) };
    let at_top = relative.components().count() == 1;
    let start_up = relative.extension().filter(|suffix| at_top && ["pth", "start"].iter().any(|it| it == suffix));
    if let Some(suffix) = start_up {
        let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
        let rewritten = if suffix == "pth" {
            pathfile::rewrite(&text, folder, place, places)?
        } else {
            pathfile::entry_points(&text)
        };
        if rewritten != text {
            let bytes = rewritten.into_bytes();
            return Ok(Some(Source::Patched { path: path.clone(), bytes, why: "folders of the build machine" }));
        }
    } else if relative.ends_with("direct_url.json") && fs::read_to_string(path)?.contains("\"file://") {
        // PEP 610 for a local project: it names a folder of the build machine, and says nothing else.
        return Ok(None);
    } else if UV_NOTES.iter().any(|name| relative.ends_with(name)) && is_metadata(relative) {
        return Ok(None);
    }
    Ok(Some(source))
}

/// Scripts, manual pages, headers, `share/`: RECORD names them relative to site-packages, and they go to the same
/// place below the artifact's prefix.
fn outside_site(builder: &mut Builder, dist: &Distribution, facts: &Facts, name: &str) -> Result<(), Error> {
    for file in &dist.files {
        let path = place_of(dist, file);
        let inside = path.starts_with(&dist.site);
        let Ok(relative) = path.strip_prefix(&facts.prefix) else { continue };
        if inside || !path.is_file() || relative.components().any(|part| part.as_os_str() == "__pycache__") {
            continue;
        }
        let target = below("", relative)?;
        // The interpreter is named after the application, and so is, often, its console script.
        if target.as_str() == format!("bin/{name}") || builder.contains(&target) {
            continue;
        }
        let mode = walk::mode_of(&path)?;
        let source = script(&path, &target, facts)?;
        builder.add(target, Entry { source, mode, origin: Origin::Distribution(dist.name.clone()) })?;
    }
    Ok(())
}

/// Data that hooks name, at the same place below the artifact's prefix.
pub(super) fn data<'a>(
    builder: &mut Builder,
    data: impl Iterator<Item = &'a (DistName, PathBuf)>,
    facts: &Facts,
) -> Result<(), Error> {
    for (dist, relative) in data {
        let from = facts.prefix.join(relative);
        let mut add = |relative: &Path, source, mode| -> Result<(), Error> {
            let target = below("", relative)?;
            // A RECORD may have come to list it.
            if !builder.contains(&target) {
                builder.add(target, Entry { source, mode, origin: Origin::Distribution(dist.clone()) })?;
            }
            Ok(())
        };
        if from.is_dir() {
            for found in walk::files(&from, &|_: &Path| true)? {
                add(&relative.join(&found.relative), found.source, found.mode)?;
            }
        } else if from.is_file() {
            add(relative, Source::File(from.clone()), walk::mode_of(&from)?)?;
        }
        // That it is not there the audit tells.
    }
    Ok(())
}

/// A script's first lines name the environment's interpreter by its absolute path. In the artifact a line of shell
/// finds the one beside the script; Python reads the same line as a string.
fn script(path: &Path, target: &ArchivePath, facts: &Facts) -> Result<Source, Error> {
    let bytes = fs::read(path)?;
    let unchanged = Source::File(path.to_owned());
    let Some(text) = bytes.starts_with(b"#!").then(|| String::from_utf8(bytes).ok()).flatten() else {
        return Ok(unchanged);
    };
    let prefix = facts.prefix.to_string_lossy();
    let head: Vec<&str> = text.splitn(4, '\n').collect();
    // `/usr` is the prefix of a shell's scripts as well.
    let program = Path::new(head[0].trim_start_matches("#!").split_whitespace().next().unwrap_or_default());
    let is_python = program.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"python"));
    let direct = is_python && program.starts_with(&facts.prefix);
    // The form that installers choose for long paths and for relocatable environments.
    let through_shell = head.get(1).is_some_and(|line| line.starts_with("'''exec'") && line.contains(prefix.as_ref()));
    let body = match (direct, through_shell) {
        (true, _) => text.split_once('\n').map_or("", |(_, rest)| rest),
        (false, true) => head.get(3).copied().unwrap_or_default(),
        (false, false) => return Ok(unchanged),
    };
    let bin = ArchivePath::new("bin")?;
    let interpreter = match target.parent().map(|folder| pathfile::relative(&folder, &bin)).as_deref() {
        None => format!("bin/{}", facts.python_name()),
        Some(".") => facts.python_name(),
        Some(way) => format!("{way}/{}", facts.python_name()),
    };
    let text = format!(
        "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'{interpreter}' \"$0\" \"$@\"\n' '''\n{body}"
    );
    Ok(Source::Patched { path: path.to_owned(), bytes: text.into_bytes(), why: "interpreter's path" })
}

/// PEP 660 by setuptools' finder: what its table maps is packed in site-packages, under the mapped name.
fn editable_finders(builder: &mut Builder, facts: &Facts, places: &Places) -> Result<(), Error> {
    let Some(site) = places.main_site() else { return Ok(()) };
    for finder in &facts.finders {
        let portions = finder.namespaces.iter().flat_map(|(name, portions)| portions.iter().map(move |p| (name, p)));
        for (package, source) in finder.mapping.iter().chain(portions) {
            let place = site.join(&package.replace('.', "/"))?;
            if source.is_file() {
                let name = source.file_name().unwrap_or_default().to_string_lossy();
                let place =
                    place.parent().map_or_else(|| ArchivePath::new(name.as_ref()), |parent| parent.join(&name))?;
                let mode = walk::mode_of(source)?;
                builder
                    .add(place, Entry { source: Source::File(source.clone()), mode, origin: Origin::Application })?;
            } else if source.is_dir() {
                let guard = Guard::new(source);
                for found in walk::files(source, &|path: &Path| guard.lets_through(path, &Patterns::default()))? {
                    let path = below(place.as_str(), &found.relative)?;
                    let entry = Entry { source: found.source, mode: found.mode, origin: Origin::Application };
                    builder.add(path, entry)?;
                }
            }
        }
    }
    Ok(())
}
