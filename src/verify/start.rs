//! The start probe: the application is started as in production, waited for, and stopped; unpackaged first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::plan::{ApplicationFolder, Plan, StartProbe, World};
use super::proof::{Difference, Kind, Measured, Probe, seconds};
use super::sandbox::{Ask, Exit, Job, Seen, signal};
use super::side::{Ending, Side, Which, tail};
use super::{Error, leftover};
use crate::config::{Ready, Start};

/// Lines of output that a failure shows.
const TAIL: usize = 40;

/// How often a running application is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What one side's probe gave.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Probed {
    pub measured: Option<Measured>,
    /// What went wrong, and the last lines of the output.
    pub failure: Option<(String, String)>,
    pub seen: Seen,
    /// What it left in its home folder, the one for temporary files and its working folder.
    pub left: BTreeSet<String>,
}

impl Probed {
    fn describe(&self) -> String {
        self.failure.as_ref().map_or_else(|| "starts, gets ready and stops".to_owned(), |(what, _)| what.clone())
    }
}

/// Whether the environment has to show once more what it does.
pub(super) fn differ(environment: Option<&Probed>, artifact: &Probed) -> bool {
    artifact.failure.is_some() || leftover::beyond(environment.map(|it| &it.left), &artifact.left).next().is_some()
}

/// A failure that both sides share is the environment's, and is said to be.
pub(super) fn compare(
    name: &str,
    environment: Option<&Probed>,
    artifact: Option<&Probed>,
) -> (Probe, Option<Difference>) {
    let describe = |probed: Option<&Probed>| probed.map_or_else(|| "not started".to_owned(), Probed::describe);
    let probe = Probe { name: name.to_owned(), environment: describe(environment), artifact: describe(artifact) };
    let failure = |probed: Option<&Probed>| probed.and_then(|probed| probed.failure.clone());
    let (side, (_, output)) = match (failure(environment), failure(artifact)) {
        (Some(failure), _) => ("environment, so that nothing can be said of the artifact", failure),
        (None, Some(failure)) => ("artifact", failure),
        (None, None) => return (probe, None),
    };
    let difference = Difference {
        kind: Kind::Start,
        subject: name.to_owned(),
        because: vec!["[start]".to_owned()],
        also: Vec::new(),
        environment: probe.environment.clone(),
        artifact: probe.artifact.clone(),
        output: Some(format!("in the {side}:\n{output}")),
    };
    (probe, Some(difference))
}

/// The artifact by itself, where there is no environment for helpers to run in.
pub(super) fn run_alone(artifact: &mut Side, probe: &StartProbe, shared: &Path) -> Result<Probed, Error> {
    let filled = Filled::of(&probe.settings, shared, artifact.which)?;
    let command = [vec![artifact.program.display().to_string()], filled.settings.args.clone()].concat();
    let env = filled.settings.env.iter().cloned().collect();
    application(artifact, command, env, &filled)
}

/// Settings with a folder and a port of their own.
struct Filled {
    folder: PathBuf,
    settings: Start,
    stop: i32,
}

impl Filled {
    fn of(settings: &Start, shared: &Path, which: Which) -> Result<Self, Error> {
        let Some(stop) = signal::number(&settings.stop) else {
            return Err(Error::UnknownSignal { name: settings.stop.clone() });
        };
        let folder = shared.join(which.name()).join(&settings.name);
        // What an earlier start left there is not this one's.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        // In a network of the sandbox's own every port is free; in the machine's, this one is.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let fill = |text: &String| text.replace("{tmp}", &folder.to_string_lossy()).replace("{port}", &port);
        let mut settings = settings.clone();
        settings.args = settings.args.iter().map(fill).collect();
        settings.with = settings.with.iter().map(fill).collect();
        settings.env = settings.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        settings.ready = settings.ready.map(|ready| match ready {
            Ready::Text(_) | Ready::Regex(_) => ready,
            Ready::Tcp(address) => Ready::Tcp(fill(&address)),
            Ready::Unix(path) => Ready::Unix(fill(&path)),
            Ready::Http { url, status } => Ready::Http { url: fill(&url), status },
        });
        Ok(Self { folder, settings, stop })
    }
}

/// `target` runs the application; nothing: the environment's own side does. Helpers run on the environment's side.
pub(super) fn run(
    environment: &mut Side,
    target: Option<&mut Side>,
    probe: &StartProbe,
    plan: &Plan,
) -> Result<Probed, Error> {
    let world = plan.world.as_ref().ok_or(Error::NoEnvironment)?;
    let shared = environment.shared.clone();
    let which = target.as_ref().map_or(Which::Environment, |side| side.which);
    let filled = Filled::of(&probe.settings, &shared, which)?;
    let settings = &filled.settings;

    let mut helpers = Vec::new();
    for (command, written) in settings.with.iter().zip(&probe.settings.with) {
        let output = environment.fresh("helper")?.with_extension("output");
        let job = helper_job(environment, command, written, world, &output)?;
        helpers.push(Helper { id: environment.sandbox.run(job)?, command: written.clone(), output });
    }
    let mut probed = if let Some(failure) = meet(environment, &helpers, &probe.settings, &filled.folder)? {
        Probed { failure: Some(failure), ..Probed::default() }
    } else {
        let env = settings.env.iter().cloned().collect();
        if let Some(side) = target {
            let command = [vec![side.program.display().to_string()], settings.args.clone()].concat();
            application(side, command, env, &filled)?
        } else {
            let python = environment.program.display().to_string();
            let options = environment.interpreter_options();
            let command = [vec![python], options, probe.unpackaged.clone(), settings.args.clone()].concat();
            application(environment, command, with_python_path(env, probe, &plan.application), &filled)?
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
    let mut env = side.variables(&side.own_folders("helper", false)?)?;
    if let (Some(folder), Some(path)) = (world.python.parent(), env.get_mut("PATH")) {
        *path = format!("{}:{path}", folder.display());
    }
    Ok(Job { argv, env, cwd: world.root.clone(), stdin: None, stdout: output.to_owned(), stderr: output.to_owned() })
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
    let left = leftover::in_folders(&[(&folders.home, "<home>"), (&folders.temporary, "<tmp>"), (&cwd, "<cwd>")]);
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
        if exit != Exit::Code(settings.exit_code) {
            let (stop, wanted) = (&settings.stop, settings.exit_code);
            return Ok(Err(format!("after {stop}: {exit}, expected exit status {wanted}")));
        }
    }
    if let Some(pattern) = &settings.output
        && !regex(pattern)?.is_match(&read(output))
    {
        return Ok(Err(format!("its output does not match `{pattern}`")));
    }
    Ok(Ok(seconds_to_ready))
}

/// How long an application that is started as it is may run, before it counts as one that runs on.
pub(super) const AS_IT_IS: Duration = Duration::from_secs(8);

/// What an application does that nobody said anything about: started without arguments and input, does it end, and how,
/// or does it run on? Gives that, and what it said.
pub(super) fn as_it_is(
    side: &mut Side,
    unpackaged: Option<(&StartProbe, &[ApplicationFolder])>,
    limit: Duration,
) -> Result<(String, String, Seen), Error> {
    let cwd = side.fresh("as-it-is")?;
    let output = cwd.with_extension("output");
    let mut env = side.variables(&side.own_folders("as-it-is", true)?)?;
    let mut argv = vec![side.program.display().to_string()];
    if let Some((probe, application)) = unpackaged {
        argv.extend(side.interpreter_options());
        argv.extend(probe.unpackaged.iter().cloned());
        env = with_python_path(env, probe, application);
    }
    let job = Job { argv, env, cwd, stdin: None, stdout: output.clone(), stderr: output.clone() };
    let id = side.sandbox.run(job)?;
    let ending = finish(side, id, limit)?;
    let said = tail(&output, TAIL);
    let did = match ending {
        // The status is 1 for whatever was raised.
        Ending::Exited(Exit::Code(1)) if let Some(exception) = raised(&said) => {
            format!("ends with {}, for {exception}", Exit::Code(1))
        }
        Ending::Exited(exit) => format!("ends with {exit}"),
        Ending::TooLong(_) => RUNS_ON.to_owned(),
    };
    Ok((did, said, side.sandbox.seen(id)))
}

/// The type of the exception that a traceback at the end of `output` is about.
fn raised(output: &str) -> Option<&str> {
    let (_, traceback) = output.rsplit_once("Traceback (most recent call last):\n")?;
    let line = traceback.lines().find(|line| !line.starts_with(' '))?;
    Some(line.split_once(':').map_or(line, |(name, _)| name)).filter(|name| !name.is_empty())
}

pub(super) const RUNS_ON: &str = "runs on";

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
            Ending::Exited(Exit::Code(code)) if code == settings.exit_code => Ok(seconds_to_end),
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

/// What is looked for, and how it is called.
struct Sign {
    look: Look,
    pause: Duration,
    did: String,
    did_not: String,
}

enum Look {
    Output(Regex),
    Ask(Ask, u16),
}

impl Sign {
    fn of(ready: &Ready) -> Result<Self, Error> {
        let said = |pattern: &str, shown: &str| {
            Ok(Self {
                look: Look::Output(regex(pattern)?),
                pause: Duration::from_millis(10),
                did: format!("said `{shown}`"),
                did_not: format!("did not say `{shown}`"),
            })
        };
        let answered = |ask: Ask, status: u16, shown: &str| {
            Ok(Self {
                look: Look::Ask(ask, status),
                pause: Duration::from_millis(50),
                did: format!("answered at `{shown}`"),
                did_not: format!("did not answer at `{shown}`"),
            })
        };
        match ready {
            Ready::Text(text) => said(&regex::escape(text), text),
            Ready::Regex(pattern) => said(pattern, pattern),
            Ready::Tcp(address) => answered(Ask::Tcp(address.clone()), 0, address),
            Ready::Unix(path) => answered(Ask::Unix(path.into()), 0, path),
            Ready::Http { url, status } => {
                answered(Ask::Http(url.clone()), *status, &format!("{url} with status {status}"))
            }
        }
    }

    fn seen(&self, side: &mut Side, output: &Path) -> Result<bool, Error> {
        Ok(match &self.look {
            Look::Output(pattern) => pattern.is_match(&read(output)),
            Look::Ask(ask, wanted) => side.sandbox.ask(ask.clone())? == Ok(*wanted),
        })
    }
}

/// A configuration's patterns were tried when it was read; those of an artifact's record were not.
fn regex(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|source| Error::Pattern { pattern: pattern.to_owned(), source })
}

fn read(output: &Path) -> String {
    String::from_utf8_lossy(&fs::read(output).unwrap_or_default()).into_owned()
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
