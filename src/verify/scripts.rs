//! The user's own smoke scripts, each run on both sides.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde_json::json;

use super::proof::{Difference, Kind, Script};
use super::side::{Ending, Side, tail};
use super::{Error, SMOKE};
use crate::progress::Progress;
use crate::verify::sandbox::Exit;

pub(super) struct Ran {
    ending: Ending,
    output: String,
}

/// Copies `script` to the side's folder and runs it as `__main__`, with the application's folders on `sys.path`.
pub(super) fn run(side: &mut Side, script: &Path, limit: Duration, progress: &dyn Progress) -> Result<Ran, Error> {
    let cwd = side.fresh("cwd")?;
    let folder = side.fresh("script")?;
    let copy = folder.join(script.file_name().unwrap_or_default());
    let runner = folder.join("packproof-smoke.py");
    let specification = folder.join("packproof-smoke.json");
    fs::copy(script, &copy)?;
    fs::write(&runner, SMOKE)?;
    let spec = json!({"path": side.application, "script": copy});
    fs::write(&specification, serde_json::to_vec(&spec).map_err(std::io::Error::from)?)?;
    let (job, output) = side.python(&[&runner, &specification], cwd)?;
    let id = side.sandbox.run(job)?;
    let ending = side.finish(id, limit)?;
    progress.advance(1);
    Ok(Ran { ending, output: side.normalise(&tail(&output, 40)) })
}

/// The same exit status is not enough: a script that fails proves nothing.
pub(super) fn compare(script: &Path, environment: Option<&Ran>, artifact: &Ran) -> (Script, Option<Difference>) {
    let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let result = Script {
        name: name.clone(),
        environment: environment.map_or_else(|| "not run here".to_owned(), |ran| ran.ending.to_string()),
        artifact: artifact.ending.to_string(),
    };
    let good = Ending::Exited(Exit::Code(0));
    let (side, output) = match environment.filter(|ran| ran.ending != good) {
        Some(environment) => ("environment", &environment.output),
        None if artifact.ending == good => return (result, None),
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
