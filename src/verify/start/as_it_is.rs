//! A start that nobody has configured.

use std::time::Duration;

use super::application::finish;
use super::sign::read;
use super::{TAIL, with_python_path};
use crate::verify::Error;
use crate::verify::plan::{ApplicationFolder, StartProbe};
use crate::verify::sandbox::{Exit, Job, Seen};
use crate::verify::side::{Ending, Side, tail};

/// How long an application that is started as it is may run, before it counts as one that runs on.
pub(in crate::verify) const AS_IT_IS: Duration = Duration::from_secs(8);

/// What an application does that nobody said anything about: started without arguments and input, does it end, and how,
/// or does it run on? Gives that, and what it said.
pub(in crate::verify) fn as_it_is(
    side: &mut Side,
    unpackaged: Option<(&StartProbe, &[ApplicationFolder])>,
    limit: Duration,
) -> Result<(String, String, Seen), Error> {
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
    let said = tail(&output, TAIL);
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
    Ok((did, said, side.sandbox.seen(id)))
}

/// The type of the exception that a traceback at the end of `output` is about.
fn raised(output: &str) -> Option<&str> {
    let (_, traceback) = output.rsplit_once("Traceback (most recent call last):\n")?;
    let line = traceback.lines().find(|line| !line.starts_with(' '))?;
    Some(line.split_once(':').map_or(line, |(name, _)| name)).filter(|name| !name.is_empty())
}

pub(in crate::verify) const RUNS_ON: &str = "runs on";
