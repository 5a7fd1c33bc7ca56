//! Programs that an application needs beside it to start, run from the environment.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::TAIL;
use super::filled::Filled;
use crate::config::Start;
use crate::verify::Error;
use crate::verify::plan::World;
use crate::verify::sandbox::Job;
use crate::verify::side::{Side, tail};

/// One that has been started.
pub(super) struct Helper {
    pub id: u64,
    /// As it is written in the configuration.
    pub command: String,
    pub output: PathBuf,
}

impl Helper {
    pub(super) fn start(side: &mut Side, command: &str, written: &str, world: &World) -> Result<Self, Error> {
        let output = side.fresh("helper")?.with_extension("output");
        let job = job(side, command, written, world, &output)?;
        Ok(Self { id: side.sandbox.run(job)?, command: written.to_owned(), output })
    }
}

fn job(side: &Side, command: &str, written: &str, world: &World, output: &Path) -> Result<Job, Error> {
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
pub(super) fn meet(
    side: &mut Side,
    helpers: &[Helper],
    written: &Start,
    filled: &Filled,
) -> Result<Option<(String, String)>, Error> {
    let read: Vec<&String> = written.env.iter().map(|(_, value)| value).chain(&written.args).collect();
    let begun = Instant::now();
    let limit = Duration::from_secs(filled.settings.timeout);
    for Helper { id, command, output } in helpers {
        for name in meeting_files(command).into_iter().filter(|name| read.iter().any(|text| text.contains(name))) {
            let file = filled.folder.join(name.trim_start_matches("{tmp}/"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_to_meet_in() {
        assert_eq!(meeting_files("python f.py --port-file {tmp}/port --x={tmp}/y 3"), ["{tmp}/port", "{tmp}/y"]);
        assert_eq!(meeting_files("python f.py {tmp}/"), Vec::<String>::new());
    }
}
