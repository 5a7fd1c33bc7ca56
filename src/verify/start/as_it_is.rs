//! A start that nobody has configured.

use std::path::Path;
use std::time::Duration;

use super::application::finish;
use super::said::Said;
use super::sign::read;
use super::{TAIL, with_python_path};
use crate::verify::Error;
use crate::verify::plan::{ApplicationFolder, Plan, StartProbe};
use crate::verify::sandbox::{Exit, Job, Seen};
use crate::verify::side::{Ending, Side, tail};

/// How long an application that is started as it is may run, before it counts as one that runs on.
pub(in crate::verify) const AS_IT_IS: Duration = Duration::from_secs(8);

/// What an application does that nobody said anything about.
pub(in crate::verify) struct Showed {
    /// Whether it ends, and how, or runs on.
    pub did: String,
    /// The last lines of what it printed.
    pub tail: String,
    /// Of one that ends well.
    pub said: Option<Said>,
    pub seen: Seen,
}

/// Started without arguments and input. `names` are what the program may call itself in either world.
pub(in crate::verify) fn as_it_is(
    side: &mut Side,
    unpackaged: Option<(&StartProbe, &[ApplicationFolder])>,
    names: &[String],
    limit: Duration,
) -> Result<Showed, Error> {
    let cwd = side.fresh("as-it-is")?;
    let output = cwd.with_extension("output");
    let folders = side.unpacked("as-it-is")?;
    let mut env = side.variables(&folders)?;
    let mut argv = vec![side.program.display().to_string()];
    if let Some((probe, application)) = unpackaged {
        argv.extend(side.interpreter_options());
        argv.extend(probe.unpackaged.iter().cloned());
        env = with_python_path(env, probe, application);
    }
    let job = Job { argv, env, cwd, stdin: None, stdout: output.clone(), stderr: output.clone() };
    let id = side.sandbox.run(job)?;
    let ending = finish(side, id, limit)?;
    let runs_on = side.sweep()?;
    let said = matches!(ending, Ending::Exited(Exit::Code(0))) && !runs_on;
    let said = said.then(|| Said::of(&read(&output), names));
    let mut did = match ending {
        // The status is 1 for whatever was raised.
        Ending::Exited(Exit::Code(1)) if let Some(exception) = raised(&read(&output)) => {
            format!("ends with {}, for {exception}", Exit::Code(1))
        }
        Ending::Exited(exit) => format!("ends with {exit}"),
        Ending::TooLong(_) => RUNS_ON.to_owned(),
    };
    if runs_on && matches!(ending, Ending::Exited(_)) {
        did.push_str(", and leaves a process running");
    }
    Ok(Showed { did, tail: tail(&output, TAIL), said, seen: side.sandbox.seen(id) })
}

/// What the application may call itself, unpackaged and packed: by `sys.argv[0]`, as a rule.
pub(in crate::verify) fn names(plan: &Plan, probe: &StartProbe) -> Vec<String> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = [plan.artifact.as_path()].into_iter().chain(probe.unpackaged.iter().map(Path::new)).filter_map(name);
    own.chain([plan.name.as_str(), "-c", "__main__.py"].map(str::to_owned)).collect()
}

/// The type of the exception that a traceback at the end of `output` is about.
fn raised(output: &str) -> Option<&str> {
    let (_, traceback) = output.rsplit_once("Traceback (most recent call last):\n")?;
    let line = traceback.lines().find(|line| !line.starts_with(' '))?;
    Some(line.split_once(':').map_or(line, |(name, _)| name)).filter(|name| !name.is_empty())
}

pub(in crate::verify) const RUNS_ON: &str = "runs on";
