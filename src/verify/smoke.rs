//! Every import on one side: many in a process, and alone where a process did not live to report.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::json;

use super::outcome::{Inventory, Line, Lost, Outcome, Report};
use super::plan::ImportCheck;
use super::side::{Ending, Side, tail};
use super::{Error, SMOKE};
use crate::progress::Progress;

/// Of one side, in the order of the checks.
pub(super) struct Smoke {
    pub outcomes: Vec<Outcome>,
    /// One for each process that came to its end.
    pub inventories: Vec<Inventory>,
}

/// How one process ended.
struct Process {
    outcomes: Vec<(usize, Outcome)>,
    inventory: Option<Inventory>,
    begun: Option<usize>,
    is_done: bool,
    how: String,
    output: String,
}

pub(super) fn run(
    side: &mut Side,
    checks: &[ImportCheck],
    limit: Duration,
    progress: &dyn Progress,
) -> Result<Smoke, Error> {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; checks.len()];
    let mut inventories = Vec::new();
    let mut groups = VecDeque::from([(0..checks.len()).collect::<Vec<usize>>()]);
    while let Some(group) = groups.pop_front() {
        let process = one_process(side, &group, checks, limit, progress)?;
        for (id, outcome) in process.outcomes {
            if let Some(place) = outcomes.get_mut(id) {
                *place = Some(outcome);
            }
        }
        inventories.extend(process.inventory);
        if process.is_done {
            continue;
        }
        let missing: Vec<usize> = group.iter().copied().filter(|id| outcomes[*id].is_none()).collect();
        // The one that had begun gets a process to itself; those behind it start anew without it.
        let culprit = process.begun.filter(|id| outcomes[*id].is_none());
        match culprit {
            Some(culprit) if group.len() > 1 => {
                groups.push_back(vec![culprit]);
                groups.push_back(missing.into_iter().filter(|id| *id != culprit).collect());
                groups.retain(|group| !group.is_empty());
            }
            _ => {
                // All reported, but the process did not: what it held at its end is not known, so the last import
                // is answerable. None begun: nothing can be imported at all.
                let blamed = if missing.is_empty() { group.last().copied().into_iter().collect() } else { missing };
                for id in blamed {
                    outcomes[id] =
                        Some(Outcome::Lost(Lost { how: process.how.clone(), output: process.output.clone() }));
                }
            }
        }
    }
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| {
            outcome.unwrap_or_else(|| Outcome::Lost(Lost { how: "it was never run".into(), output: String::new() }))
        })
        .collect();
    Ok(Smoke { outcomes, inventories })
}

fn one_process(
    side: &mut Side,
    group: &[usize],
    checks: &[ImportCheck],
    limit: Duration,
    progress: &dyn Progress,
) -> Result<Process, Error> {
    let cwd = side.fresh("cwd")?;
    let folder = side.fresh("smoke")?;
    let script = folder.join("smoke.py");
    let specification = folder.join("smoke.json");
    let results = folder.join("results");
    let nonce = nonce()?;
    fs::write(&script, SMOKE)?;
    fs::write(&results, "")?;
    let listed: Vec<_> =
        group.iter().map(|id| json!({"id": id, "module": checks[*id].module, "names": checks[*id].names})).collect();
    let spec = json!({
        "path": side.application,
        "results": results,
        "nonce": nonce,
        "checks": listed,
        "labels": {"<cwd>": [cwd], "<scratch>": [side.folder]},
    });
    fs::write(&specification, serde_json::to_vec(&spec).map_err(std::io::Error::from)?)?;
    // Opened before the process starts, which unlinks the name.
    let mut reader = Reader { file: fs::File::open(&results)?, offset: 0, rest: Vec::new(), nonce };
    let (job, output) = side.python(&[&script, &specification], cwd)?;
    let id = side.sandbox.run(job)?;

    let mut process = Process {
        outcomes: Vec::new(),
        inventory: None,
        begun: None,
        is_done: false,
        how: String::new(),
        output: String::new(),
    };
    let mut last_heard = Instant::now();
    let ending = loop {
        let exit = side.sandbox.wait(id, Duration::from_millis(50))?;
        for report in reader.read()? {
            last_heard = Instant::now();
            match report {
                Report::Begin { id } => process.begun = Some(id),
                Report::Outcome { id, outcome } => {
                    process.outcomes.push((id, outcome));
                    progress.advance(1);
                }
                Report::Inventory(inventory) => process.inventory = Some(inventory),
                Report::Done => process.is_done = true,
            }
        }
        if let Some(exit) = exit {
            break Ending::Exited(exit);
        }
        if last_heard.elapsed() > limit {
            side.kill(id)?;
            break Ending::TooLong(limit);
        }
    };
    process.how = ending.to_string();
    process.output = side.normalise(&tail(Path::new(&output), 20));
    Ok(process)
}

/// Takes whole lines that carry the nonce; whatever else stands in the file says nothing.
struct Reader {
    file: fs::File,
    offset: u64,
    rest: Vec<u8>,
    nonce: String,
}

impl Reader {
    fn read(&mut self) -> Result<Vec<Report>, Error> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.offset += self.file.read_to_end(&mut self.rest)? as u64;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        Ok(lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
            .filter(|line| line.nonce == self.nonce)
            .map(|line| line.report)
            .collect())
    }
}

fn nonce() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
