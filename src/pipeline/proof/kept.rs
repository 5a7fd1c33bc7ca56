//! What the environment's side depends on → the name under which what it showed is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{application_folders, imports};
use crate::layout::Planned;
use crate::pipeline::Project;
use crate::verify::{self, World};

/// Names everything that the environment's side depends on, with the tool and the script that asks.
pub(super) fn key(project: &Project, planned: &Planned, world: &World, artifact: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(verify::SMOKE.as_bytes());
    // The tool itself, and what an installer of the system's changes: its programs and libraries.
    let tool = std::env::current_exe().ok();
    let system =
        ["/etc/ld.so.cache", "/var/lib/dpkg/status", "/usr/bin", "/usr/local/bin", "/usr/lib", "/usr/local/lib"];
    for path in tool.iter().map(PathBuf::as_path).chain(system.map(Path::new)) {
        part(&metadata(path).unwrap_or_default());
    }
    let left_out: BTreeSet<&str> = planned.left_out.iter().map(|left| left.what.as_str()).collect();
    part(&serde_json::to_vec(&imports(project, &left_out)).ok()?);
    part(&serde_json::to_vec(&project.environment.facts).ok()?);
    // Scripts and tests may lie anywhere.
    for script in project.config.smoke.scripts.iter().chain(&project.config.smoke.pytest) {
        for file in walkdir::WalkDir::new(script).sort_by_file_name().into_iter().flatten() {
            part(file.path().as_os_str().as_encoded_bytes());
            part(&metadata(file.path()).filter(|_| file.file_type().is_file()).unwrap_or_default());
        }
    }
    part(format!("{:?} {:?}", project.config.starts, project.config.runner.entry).as_bytes());
    part(world.root.as_os_str().as_encoded_bytes());
    part(format!("{:?}", world.without).as_bytes());
    let sources: Vec<(&str, &Path)> =
        planned.layout.entries.iter().filter_map(|(path, entry)| Some((path.as_str(), entry.source.file()?))).collect();
    let facts: Vec<_> = sources.par_iter().map(|(_, source)| metadata(source)).collect();
    for ((path, _), facts) in sources.into_iter().zip(facts) {
        part(path.as_bytes());
        part(&facts?);
    }
    for (_, module) in project.graph.modules() {
        // What the application imports and the layout does not hold, e.g. by a rule.
        if let Some(file) = module.file.as_deref().filter(|_| module.editable) {
            part(&metadata(file)?);
        }
    }
    // What it reads, and what it looks for in vain, too.
    let folders: BTreeSet<PathBuf> = application_folders(project).into_iter().chain([world.root.clone()]).collect();
    for folder in &folders {
        for (path, facts) in files_of(folder, artifact)? {
            part(path.as_os_str().as_encoded_bytes());
            part(&facts);
        }
    }
    Some(hasher.finalize().to_hex()[..32].to_owned())
}

/// Starts the name of the folder that an artifact lies in until it is proved.
pub const STAGING: &str = ".packproof-staging-";

/// Size, time and inode.
fn metadata(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::MetadataExt as _;
    let it = fs_err::metadata(path).ok()?;
    let facts = [it.size(), it.mtime().cast_unsigned(), it.mtime_nsec().cast_unsigned(), it.ino()];
    Some(facts.map(u64::to_le_bytes).concat())
}

/// More files than that are walked in no time that anybody would call none: nothing is kept then.
const MOST_FILES: usize = 100_000;

/// Every file below a folder of the application's, in order, but for what tools write there: an environment's files are
/// known by its distributions, and a build's own results change with each build.
fn files_of(folder: &Path, artifact: &Path) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    const OF_TOOLS: [&str; 8] =
        ["__pycache__", ".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", "node_modules"];
    let is_staging =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(STAGING.as_bytes()));
    // Until it is proved it lies in a folder beside its place.
    let place = artifact.parent().filter(|parent| is_staging(parent)).and_then(Path::parent);
    let results = match (place, artifact.file_name()) {
        (Some(place), Some(name)) => place.join(name),
        (Some(_) | None, _) => artifact.to_owned(),
    };
    let result_names =
        ["", ".proof.json", ".unproved", ".unproved.proof.json"].map(|end| format!("{}{end}", results.display()));
    let is_wanted = |entry: &walkdir::DirEntry| {
        let is_folder = entry.depth() > 0 && entry.file_type().is_dir();
        let of_tools = is_folder && OF_TOOLS.iter().any(|name| entry.file_name() == *name);
        let environment = is_folder && entry.path().join("pyvenv.cfg").exists();
        let built = is_folder && entry.path() == folder.join("dist") || is_staging(entry.path());
        let result = result_names.iter().any(|name| entry.path() == Path::new(name));
        !of_tools && !environment && !built && !result
    };
    let walk = walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().filter_entry(is_wanted);
    let mut files = Vec::new();
    for entry in walk.flatten() {
        // A folder's own time changes with whatever is not wanted in it.
        let facts = if entry.file_type().is_dir() { Vec::new() } else { metadata(entry.path()).unwrap_or_default() };
        files.push((entry.into_path(), facts));
        if files.len() > MOST_FILES {
            return None;
        }
    }
    Some(files)
}
