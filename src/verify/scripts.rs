//! The user's own smoke scripts, each run on both sides.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::outcome::{Inventory, Report};
use super::plan::Pytest;
use super::process::Reader;
use super::proof::{Difference, Kind, Script as Told};
use super::side::{Ending, Side, tail};
use super::{Error, SMOKE, leftover};
use crate::progress::Progress;
use crate::verify::sandbox::Exit;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ran {
    ending: Ending,
    /// The script itself, not something in the middle of it, ended the process.
    came_to_its_end: bool,
    /// Tests of pytest's.
    #[serde(default)]
    passed: usize,
    output: String,
    /// What it had loaded, opened, started and called, where it came to its end.
    pub inventory: Option<Inventory>,
    /// What it left in its home folder, the one for temporary files and its working folder, and whether a process goes on.
    pub left: BTreeSet<String>,
}

impl Ran {
    pub(super) fn is_good(&self) -> bool {
        self.ending == Ending::Exited(Exit::Code(0))
    }

    fn describe(&self) -> String {
        if self.is_good() && !self.came_to_its_end {
            return format!("{}, before it came to its end", self.ending);
        }
        match self.passed {
            0 => self.ending.to_string(),
            passed => format!("{}, {passed} passed", self.ending),
        }
    }
}

/// One script of the user's, or pytest on some files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script<'a> {
    File(&'a Path),
    Pytest(&'a Pytest),
}

impl Script<'_> {
    pub(super) fn name(self) -> String {
        match self {
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Pytest(_) => "pytest".to_owned(),
        }
    }
}

impl Script<'_> {
    /// Two scripts may have one name.
    pub(super) fn key(self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Pytest(_) => self.name(),
        }
    }
}

/// Copies `script` to the side's folder and runs it as `__main__`, with the application's folders on `sys.path`.
pub(super) fn run(side: &mut Side, script: Script<'_>, limit: Duration, progress: &dyn Progress) -> Result<Ran, Error> {
    let cwd = side.fresh("script-cwd")?;
    let folder = side.fresh("script")?;
    let runner = folder.join("packproof-smoke.py");
    let specification = folder.join("packproof-smoke.json");
    let results = folder.join("packproof-results");
    fs::write(&runner, SMOKE)?;
    fs::write(&results, "")?;
    let nonce = super::process::nonce()?;
    let mut reader = Reader::new(&results, nonce.clone())?;
    let folders = side.own_folders("script", true)?;
    let mut known = vec![side.folder.clone()];
    known.extend(side.known.iter().cloned());
    let mut spec = json!({
        "path": side.application,
        "results": results,
        "nonce": nonce,
        "labels": {"<cwd>": [cwd], "<scratch>": [side.folder]},
        "known": known,
        "litter": [],
        "without": side.without,
    });
    match script {
        Script::File(path) => {
            let copy = folder.join(path.file_name().unwrap_or_default());
            fs::copy(path, &copy)?;
            spec["script"] = json!(copy);
        }
        Script::Pytest(pytest) => {
            let mut copies = Vec::new();
            for (number, path) in pytest.paths.iter().enumerate() {
                let mut copy = folder.join(path.file_name().unwrap_or_default());
                if copies.contains(&copy) {
                    copy = folder.join(format!("also-{number}")).join(path.file_name().unwrap_or_default());
                    fs::create_dir_all(copy.parent().unwrap_or(&folder))?;
                }
                copy_all(path, &copy)?;
                copies.push(copy);
            }
            // Brought along for the run: what the artifact itself holds comes first.
            let brought = folder.join("packproof-pytest");
            for (file, place) in &pytest.files {
                let place = brought.join(place);
                fs::create_dir_all(place.parent().unwrap_or(&brought))?;
                fs::copy(file, place)?;
            }
            spec["pytest"] = json!(copies);
            spec["plugins"] = json!([brought]);
        }
    }
    fs::write(&specification, serde_json::to_vec(&spec).map_err(std::io::Error::from)?)?;
    let (job, output) = side.python(&[&runner, &specification], cwd.clone(), &folders)?;
    let id = side.sandbox.run(job)?;
    let ending = side.finish(id, limit)?;
    let runs_on = side.sweep()?;
    progress.advance(1);
    let mut ran = Ran {
        ending,
        came_to_its_end: false,
        passed: 0,
        output: side.normalise(&tail(&output, 40)),
        inventory: None,
        left: leftover::in_folders(&[(&folders.home, "<home>"), (&folders.temporary, "<tmp>"), (&cwd, "<cwd>")]),
    };
    ran.left.extend((runs_on && ran.is_good()).then(|| leftover::RUNNING.to_owned()));
    for report in reader.read()? {
        match report {
            Report::Inventory(inventory) => ran.inventory = Some(*inventory),
            Report::Done { passed } => (ran.came_to_its_end, ran.passed) = (true, passed),
            Report::Begin { .. } | Report::Outcome { .. } => {}
        }
    }
    Ok(ran)
}

fn copy_all(from: &Path, to: &Path) -> Result<(), Error> {
    let walk = walkdir::WalkDir::new(from).follow_links(true);
    let walk = walk.into_iter().filter_entry(|entry| entry.file_name() != "__pycache__");
    for entry in walk.flatten() {
        let place = match entry.path().strip_prefix(from) {
            Ok(relative) if !relative.as_os_str().is_empty() => to.join(relative),
            Ok(_) | Err(_) => to.to_owned(),
        };
        if entry.file_type().is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Whether the environment has to show once more what it does.
pub(super) fn differ(script: Script<'_>, environment: Option<&Ran>, artifact: &Ran) -> bool {
    compare(script.name(), environment, artifact).1.is_some()
        || leftover::beyond(environment.map(|it| &it.left), &artifact.left).next().is_some()
}

/// The same exit status is not enough: a script that fails proves nothing.
pub(super) fn compare(name: String, environment: Option<&Ran>, artifact: &Ran) -> (Told, Option<Difference>) {
    let result = Told {
        name: name.clone(),
        environment: environment.map_or_else(|| "not run here".to_owned(), Ran::describe),
        artifact: artifact.describe(),
    };
    // What ends its process itself does so in both worlds.
    let ends_alike =
        environment.map_or(artifact.came_to_its_end, |ran| ran.came_to_its_end == artifact.came_to_its_end);
    let skips = environment.is_some_and(|ran| artifact.passed < ran.passed);
    let (side, output) = match environment.filter(|ran| !ran.is_good()) {
        Some(environment) => ("environment", &environment.output),
        None if artifact.is_good() && ends_alike && !skips => return (result, None),
        None => ("artifact", &artifact.output),
    };
    let difference = Difference {
        kind: Kind::Script,
        subject: name,
        because: vec!["[smoke] scripts".to_owned()],
        also: Vec::new(),
        environment: result.environment.clone(),
        artifact: result.artifact.clone(),
        output: Some(format!("in the {side}:\n{output}")),
    };
    (result, Some(difference))
}
