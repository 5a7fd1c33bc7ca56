//! One side's application: started, waited for, looked at meanwhile, and stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::filled::Filled;
use super::sign::{Sign, read, regex};
use super::{Probed, TAIL};
use crate::config::Start;
use crate::verify::proof::{Measured, seconds};
use crate::verify::sandbox::{Exit, Job};
use crate::verify::side::{Ending, Side, tail};
use crate::verify::{Error, leftover};

/// How often a running application is looked at.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn application(
    side: &mut Side,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    filled: &Filled,
) -> Result<Probed, Error> {
    let settings = &filled.settings;
    let cwd = side.fresh("start")?;
    let output = cwd.with_extension("output");
    let stdin = match &settings.stdin {
        Some(text) => {
            let path = cwd.with_extension("input");
            fs::write(&path, text)?;
            Some(path)
        }
        None => None,
    };
    // With an empty cache: an artifact unpacks itself, as at its very first start.
    let folders = side.own_folders("start", false)?;
    let mut variables = side.variables(&folders)?;
    variables.extend(env);
    let job = Job { argv, env: variables, cwd: cwd.clone(), stdin, stdout: output.clone(), stderr: output.clone() };
    let begun = Instant::now();
    let id = side.sandbox.run(job)?;
    let passed = pass(side, id, filled, begun, &output)?;
    let runs_on = side.sweep()?;
    let mut left = leftover::in_folders(&[(&folders.home, "<home>"), (&folders.temporary, "<tmp>"), (&cwd, "<cwd>")]);
    // What was ended in the middle could not see to its children.
    left.extend((runs_on && passed.is_ok()).then(|| leftover::RUNNING.to_owned()));
    let seen = side.sandbox.seen(id);
    let (measured, failure) = match passed {
        Ok(seconds_to_ready) => {
            let peak_memory_kib = side.sandbox.peak_memory(id).filter(|kib| *kib > 0);
            (Some(Measured { seconds_to_ready, peak_memory_kib, processes: side.sandbox.processes(id) }), None)
        }
        Err(what) => (None, Some((what, tail(&output, TAIL)))),
    };
    Ok(Probed { measured, failure, seen, left })
}

/// Seconds until it was ready, or what went wrong.
fn pass(
    side: &mut Side,
    id: u64,
    filled: &Filled,
    begun: Instant,
    output: &Path,
) -> Result<Result<f64, String>, Error> {
    let settings = &filled.settings;
    let limit = Duration::from_secs(settings.timeout);
    let seconds_to_ready = match wait_until_ready(side, id, settings, begun, output)? {
        Ok(seconds) => seconds,
        Err(what) => return Ok(Err(what)),
    };
    if settings.ready.is_some() {
        side.sandbox.look(id)?;
        side.sandbox.signal(id, filled.stop)?;
        let Some(exit) = side.sandbox.wait(id, limit)? else {
            side.kill(id)?;
            return Ok(Err(format!("still running {} s after {}", limit.as_secs(), settings.stop)));
        };
        if !is_wanted(exit, settings.exit_code) {
            let (stop, wanted) = (&settings.stop, settings.exit_code);
            let cure = match exit {
                Exit::Signal(signal) => format!(" (`exit-code = {}` is what a shell calls that)", 128 + signal),
                Exit::Code(_) => String::new(),
            };
            return Ok(Err(format!("after {stop}: {exit}, expected exit status {wanted}{cure}")));
        }
    }
    if let Some(pattern) = &settings.output
        && !regex(pattern)?.is_match(&read(output))
    {
        return Ok(Err(format!("its output does not match `{pattern}`")));
    }
    Ok(Ok(seconds_to_ready))
}

/// As a shell tells it: 128 and the number of the signal that ended it. Servers raise the one that stopped them again.
fn is_wanted(exit: Exit, wanted: i32) -> bool {
    match exit {
        Exit::Code(code) => code == wanted,
        Exit::Signal(signal) => 128 + signal == wanted,
    }
}

/// As [`Side::finish`], looking at what runs meanwhile.
pub(super) fn finish(side: &mut Side, id: u64, limit: Duration) -> Result<Ending, Error> {
    let end = Instant::now() + limit;
    // The first looks soon: it may be over quickly.
    let mut pause = Duration::from_millis(20);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Some(exit) = side.sandbox.wait(id, pause.min(left))? {
            return Ok(Ending::Exited(exit));
        }
        if left.is_zero() {
            side.kill(id)?;
            return Ok(Ending::TooLong(limit));
        }
        side.sandbox.look(id)?;
        pause = (pause * 2).min(LOOK);
    }
}

/// Seconds, or what went wrong. Without `ready` it is the end that is waited for.
fn wait_until_ready(
    side: &mut Side,
    id: u64,
    settings: &Start,
    begun: Instant,
    output: &Path,
) -> Result<Result<f64, String>, Error> {
    let limit = Duration::from_secs(settings.timeout);
    let Some(ready) = &settings.ready else {
        let ending = finish(side, id, limit)?;
        let seconds_to_end = seconds(begun.elapsed());
        return Ok(match ending {
            Ending::Exited(exit) if is_wanted(exit, settings.exit_code) => Ok(seconds_to_end),
            ending => Err(format!("{ending}, expected exit status {}", settings.exit_code)),
        });
    };
    let sign = Sign::of(ready)?;
    let mut looked = begun;
    let seconds_to_ready = loop {
        if looked.elapsed() > LOOK {
            side.sandbox.look(id)?;
            looked = Instant::now();
        }
        let exit = side.sandbox.wait(id, sign.pause)?;
        let seen = sign.seen(side, output)?;
        match exit {
            Some(exit) if seen => return Ok(Err(format!("{}, then ended at once ({exit})", sign.did))),
            Some(exit) => return Ok(Err(format!("ended ({exit}) before it {}", sign.did))),
            None if seen => break seconds(begun.elapsed()),
            None if begun.elapsed() > limit => {
                side.kill(id)?;
                return Ok(Err(format!("{} in {} s", sign.did_not, limit.as_secs())));
            }
            None => {}
        }
    };
    // Long enough to see a program that says that it is ready, and dies.
    if let Some(exit) = side.sandbox.wait(id, Duration::from_millis(300))? {
        return Ok(Err(format!("{}, then ended ({exit})", sign.did)));
    }
    Ok(Ok(seconds_to_ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_by_a_signal_has_the_number_that_a_shell_gives_it() {
        assert!(is_wanted(Exit::Signal(15), 143) && is_wanted(Exit::Code(143), 143) && is_wanted(Exit::Code(0), 0));
        assert!(!is_wanted(Exit::Signal(15), 0) && !is_wanted(Exit::Signal(15), 15) && !is_wanted(Exit::Code(1), 0));
    }
}
