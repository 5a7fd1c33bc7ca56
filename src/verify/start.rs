//! The start probe: the application is started as in production, waited for, and stopped; unpackaged first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::Error;
use super::plan::{ApplicationFolder, Plan, StartProbe, World};
use super::proof::{Difference, Kind, Measured, seconds};
use super::sandbox::{Exit, Job, signal};
use super::side::{Ending, Side, Which, tail};
use crate::config::Start;

/// Lines of output that a failure shows.
const TAIL: usize = 40;

/// What one side's probe gave.
pub(super) struct Probed {
    pub measured: Option<Measured>,
    /// What went wrong, and the last lines of the output.
    pub failure: Option<(String, String)>,
}

impl Probed {
    fn describe(&self) -> String {
        self.failure.as_ref().map_or_else(|| "starts, gets ready and stops".to_owned(), |(what, _)| what.clone())
    }
}

/// A failure that both sides share is the environment's, and is said to be.
pub(super) fn compare(environment: &Probed, artifact: Option<&Probed>) -> Option<Difference> {
    let (side, failure) = match (&environment.failure, artifact.and_then(|probed| probed.failure.as_ref())) {
        (Some(failure), _) => ("environment, so that nothing can be said of the artifact", failure),
        (None, Some(failure)) => ("artifact", failure),
        (None, None) => return None,
    };
    Some(Difference {
        kind: Kind::Start,
        subject: "start".to_owned(),
        because: vec!["[start]".to_owned()],
        also: Vec::new(),
        environment: environment.describe(),
        artifact: artifact.map_or_else(|| "not started".to_owned(), Probed::describe),
        output: Some(format!("in the {side}:\n{}", failure.1)),
    })
}

/// `target` runs the application; nothing: the environment's own side does. Helpers run on the environment's side.
pub(super) fn run(
    environment: &mut Side,
    target: Option<&mut Side>,
    probe: &StartProbe,
    plan: &Plan,
    shared: &Path,
) -> Result<Probed, Error> {
    let settings = &probe.settings;
    let world = plan.world.as_ref().ok_or(Error::NoEnvironment)?;
    let Some(stop) = signal::number(&settings.stop) else {
        return Err(Error::UnknownSignal { name: settings.stop.clone() });
    };
    let which = target.as_ref().map_or(Which::Environment, |side| side.which);
    let folder = shared.join(which.name());
    fs::create_dir_all(&folder)?;
    let fill = |text: &str| text.replace("{tmp}", &folder.to_string_lossy());

    let mut helpers = Vec::new();
    for command in &settings.with {
        let output = environment.folder.join(format!("helper-{}-{}", which.name(), helpers.len()));
        let job = helper_job(environment, &fill(command), command, world, &output)?;
        helpers.push(Helper { id: environment.sandbox.run(job)?, command: command.clone(), output });
    }
    let mut probed = if let Some(failure) = meet(environment, &helpers, settings, &folder)? {
        Probed { measured: None, failure: Some(failure) }
    } else {
        let env = settings.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        let arguments: Vec<String> = settings.args.iter().map(|argument| fill(argument)).collect();
        if let Some(side) = target {
            let command = [vec![side.program.display().to_string()], arguments].concat();
            application(side, command, env, settings, stop)?
        } else {
            let python = environment.program.display().to_string();
            let options = environment.interpreter_options();
            let command = [vec![python], options, probe.unpackaged.clone(), arguments].concat();
            application(environment, command, with_python_path(env, probe, &plan.application), settings, stop)?
        }
    };
    for helper in helpers {
        let Some(exit) = environment.sandbox.wait(helper.id, Duration::ZERO)? else {
            environment.kill(helper.id)?;
            continue;
        };
        if let Some((what, last)) = &mut probed.failure {
            *what = format!("{what}; its helper `{}` had ended ({exit})", helper.command);
            *last = format!("{last}\nthe helper's last lines:\n{}", tail(&helper.output, TAIL));
        }
    }
    Ok(probed)
}

struct Helper {
    id: u64,
    command: String,
    output: PathBuf,
}

/// `[runner] path` does for the artifact what this variable does for `python main.py`. With `-m` and `-c` Python
/// looks in the current folder, which is an empty one here, so that the application's own has to be named too.
fn with_python_path(
    mut env: BTreeMap<String, String>,
    probe: &StartProbe,
    application: &[ApplicationFolder],
) -> BTreeMap<String, String> {
    let has_folder = probe.unpackaged.first().is_some_and(|first| !first.starts_with('-'));
    let folders = application.iter().skip(usize::from(has_folder));
    let folders: Vec<String> = folders.map(|folder| folder.environment.display().to_string()).collect();
    if !folders.is_empty() {
        env.entry("PYTHONPATH".to_owned()).or_insert_with(|| folders.join(":"));
    }
    env
}

fn helper_job(side: &Side, command: &str, written: &str, world: &World, output: &Path) -> Result<Job, Error> {
    let mut argv = shlex::split(command)
        .filter(|argv| !argv.is_empty())
        .ok_or_else(|| Error::HelperUnreadable { command: written.to_owned() })?;
    if matches!(argv[0].as_str(), "python" | "python3") {
        argv[0] = world.python.display().to_string();
    }
    let mut env = side.variables("helper-home")?;
    if let (Some(folder), Some(path)) = (world.python.parent(), env.get_mut("PATH")) {
        *path = format!("{}:{path}", folder.display());
    }
    Ok(Job { argv, env, cwd: world.root.clone(), stdout: output.to_owned(), stderr: output.to_owned() })
}

/// Waits for the files in `{tmp}` that a helper is told to write and that the application is told to read. Gives
/// what went wrong.
fn meet(
    side: &mut Side,
    helpers: &[Helper],
    settings: &Start,
    folder: &Path,
) -> Result<Option<(String, String)>, Error> {
    let read: Vec<&String> = settings.env.iter().map(|(_, value)| value).chain(&settings.args).collect();
    let begun = Instant::now();
    let limit = Duration::from_secs(settings.timeout);
    for Helper { id, command, output } in helpers {
        for name in meeting_files(command).into_iter().filter(|name| read.iter().any(|text| text.contains(name))) {
            let file = folder.join(name.trim_start_matches("{tmp}/"));
            // An empty file is one that is still being written.
            while !fs::metadata(&file).is_ok_and(|it| it.len() > 0 || !it.is_file()) {
                let what = match side.sandbox.wait(*id, Duration::from_millis(20))? {
                    Some(exit) => format!("the helper `{command}` ended ({exit}) before it wrote `{name}`"),
                    None if begun.elapsed() > limit => {
                        format!("the helper `{command}` did not write `{name}` in {} s", limit.as_secs())
                    }
                    None => continue,
                };
                return Ok(Some((what, tail(output, TAIL))));
            }
        }
    }
    Ok(None)
}

/// `{tmp}/port` of `python frontend.py --port-file {tmp}/port`.
fn meeting_files(command: &str) -> Vec<String> {
    let words = shlex::split(command).unwrap_or_default();
    words
        .iter()
        .filter_map(|word| word.find("{tmp}/").map(|at| word[at..].to_owned()))
        .filter(|name| name.len() > "{tmp}/".len())
        .collect()
}

fn application(
    side: &mut Side,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    settings: &Start,
    stop: i32,
) -> Result<Probed, Error> {
    let limit = Duration::from_secs(settings.timeout);
    let cwd = side.fresh("start")?;
    let output = side.folder.join("start-output");
    let mut variables = side.variables("start-home")?;
    variables.extend(env);
    let job = Job { argv, env: variables, cwd, stdout: output.clone(), stderr: output.clone() };
    let begun = Instant::now();
    let id = side.sandbox.run(job)?;
    let failed = |what: String| Ok(Probed { measured: None, failure: Some((what, tail(&output, TAIL))) });

    let Some(ready) = &settings.ready else {
        // Nothing says when it is up: a program that does its work and ends.
        let ending = side.finish(id, limit)?;
        let seconds_to_ready = seconds(begun.elapsed());
        return match ending {
            Ending::Exited(Exit::Code(code)) if code == settings.exit_code => {
                Ok(Probed { measured: Some(Measured { seconds_to_ready, peak_memory_kib: None }), failure: None })
            }
            ending => failed(format!("{ending}, expected exit status {}", settings.exit_code)),
        };
    };
    let seconds_to_ready = loop {
        let exit = side.sandbox.wait(id, Duration::from_millis(10))?;
        let said = String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).contains(ready.as_str());
        match exit {
            Some(exit) if said => return failed(format!("said `{ready}`, then ended at once ({exit})")),
            Some(exit) => return failed(format!("ended ({exit}) before it said `{ready}`")),
            None if said => break seconds(begun.elapsed()),
            None if begun.elapsed() > limit => {
                side.kill(id)?;
                return failed(format!("did not say `{ready}` in {} s", limit.as_secs()));
            }
            None => {}
        }
    };
    // Long enough to see a program that says that it is ready, and dies.
    if let Some(exit) = side.sandbox.wait(id, Duration::from_millis(300))? {
        return failed(format!("said `{ready}`, then ended ({exit})"));
    }
    side.sandbox.signal(id, stop)?;
    let Some(exit) = side.sandbox.wait(id, limit)? else {
        side.kill(id)?;
        return failed(format!("still running {} s after {}", limit.as_secs(), settings.stop));
    };
    if exit != Exit::Code(settings.exit_code) {
        return failed(format!("after {}: {exit}, expected exit status {}", settings.stop, settings.exit_code));
    }
    let peak_memory_kib = side.sandbox.peak_memory(id).filter(|kib| *kib > 0);
    Ok(Probed { measured: Some(Measured { seconds_to_ready, peak_memory_kib }), failure: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_to_meet_in() {
        assert_eq!(meeting_files("python f.py --port-file {tmp}/port --x={tmp}/y 3"), ["{tmp}/port", "{tmp}/y"]);
        assert_eq!(meeting_files("python f.py {tmp}/"), Vec::<String>::new());
    }
}
