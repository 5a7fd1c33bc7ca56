//! Every import on one side: many in a process, and alone where a process did not live to report.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::json;

use super::outcome::{Inventory, Line, Lost, Outcome, Report};
use super::plan::ImportCheck;
use super::side::{Ending, Side, tail};
use super::{Error, SMOKE};
use crate::progress::Progress;

/// Enough that what the imports share is loaded once, few enough that a process stays within a few gigabytes.
const GROUP: usize = 20_000;
/// One core each; more would share them.
const AT_ONCE: usize = 2;

/// One run of every check on one side, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Smoke {
    pub outcomes: Vec<Outcome>,
    /// Check → what it warned of.
    pub warnings: BTreeMap<usize, Vec<String>>,
    /// One for each process that came to its end.
    pub inventories: Vec<Inventory>,
    /// Processes that came to the end of their imports and did not live to tell what they had loaded.
    pub unfinished: Vec<Lost>,
}

/// Runs of one side in the same sandbox, each with folders of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    /// The number of the first.
    pub first: usize,
    pub count: usize,
}

/// Checks of one run that share a process.
struct Group {
    run: usize,
    checks: Vec<usize>,
}

/// The same as often as asked, as far as possible at the same time. `limit` is for one import.
pub(super) fn run(
    side: &mut Side,
    checks: &[ImportCheck],
    limit: Duration,
    Runs { first, count: runs }: Runs,
    progress: &dyn Progress,
) -> Result<Vec<Smoke>, Error> {
    let mut outcomes: Vec<Vec<Option<Outcome>>> = vec![vec![None; checks.len()]; runs];
    let mut found: Vec<Smoke> = (0..runs).map(|_| Smoke::default()).collect();
    let all: Vec<usize> = (0..checks.len()).collect();
    let mut waiting: VecDeque<Group> =
        (0..runs).flat_map(|run| all.chunks(GROUP).map(move |ids| Group { run, checks: ids.to_vec() })).collect();
    let mut active: Vec<Process> = Vec::new();
    loop {
        if waiting.is_empty() && active.is_empty() {
            // Without an import, or where none came back, the interpreter itself is still to be tried.
            let bare = |smoke: &Smoke| smoke.inventories.is_empty() && smoke.unfinished.is_empty();
            waiting.extend((0..runs).filter(|run| bare(&found[*run])).map(|run| Group { run, checks: Vec::new() }));
            if waiting.is_empty() {
                break;
            }
        }
        while active.len() < AT_ONCE
            && let Some(group) = waiting.pop_front()
        {
            let number = first + group.run;
            active.push(Process::start(side, group, number, checks)?);
        }
        let mut at = 0;
        while at < active.len() {
            let pause = Duration::from_millis(50) / active.len() as u32;
            if !active[at].poll(side, limit, pause, progress)? {
                at += 1;
                continue;
            }
            let process = active.swap_remove(at);
            let (of, run) = (&mut outcomes[process.group.run], process.group.run);
            for (id, outcome, warnings) in &process.outcomes {
                if let Some(place) = of.get_mut(*id) {
                    *place = Some(outcome.clone());
                    found[run].warnings.insert(*id, warnings.clone());
                }
            }
            found[run].inventories.extend(process.inventory.clone());
            waiting.extend(process.follow_up(of, &mut found[run].unfinished));
        }
    }
    for (smoke, outcomes) in found.iter_mut().zip(outcomes) {
        let never = || Outcome::Lost(Lost { how: "it was never run".into(), output: String::new() });
        smoke.outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(never)).collect();
    }
    Ok(found)
}

/// A process that imports, and what it has reported so far.
struct Process {
    group: Group,
    id: u64,
    reader: Reader,
    output: PathBuf,
    last_heard: Instant,
    outcomes: Vec<(usize, Outcome, Vec<String>)>,
    inventory: Option<Inventory>,
    begun: Option<usize>,
    is_done: bool,
    how: String,
    said: String,
}

impl Process {
    fn start(side: &mut Side, group: Group, number: usize, checks: &[ImportCheck]) -> Result<Self, Error> {
        let cwd = side.fresh("cwd")?;
        let folder = side.fresh("smoke")?;
        let script = folder.join("smoke.py");
        let specification = folder.join("smoke.json");
        let results = folder.join("results");
        let nonce = nonce()?;
        fs::write(&script, SMOKE)?;
        fs::write(&results, "")?;
        let listed: Vec<_> = group
            .checks
            .iter()
            .map(|id| match &checks[*id].entry_point {
                Some(point) => json!({"id": id, "group": point.group, "name": point.name, "value": point.value}),
                None => json!({"id": id, "module": checks[*id].module, "names": checks[*id].names}),
            })
            .collect();
        let mut known = vec![side.folder.clone()];
        known.extend(side.known.iter().cloned());
        let [home, temporary] = side.folders(number);
        let spec = json!({
            "path": side.application,
            "results": results,
            "nonce": nonce,
            "checks": listed,
            // The folders of a second run are called as those of the first.
            "labels": {
                "<cwd>": [cwd],
                "<scratch>/home": [home],
                "<scratch>/tmp": [temporary],
                "<scratch>": [side.folder],
            },
            "known": known,
            "litter": side.shared_folders(),
        });
        fs::write(&specification, serde_json::to_vec(&spec).map_err(std::io::Error::from)?)?;
        // Opened before the process starts, which unlinks the name.
        let reader = Reader { file: fs::File::open(&results)?, offset: 0, rest: Vec::new(), nonce };
        let (job, output) = side.python(&[&script, &specification], cwd, number)?;
        let id = side.sandbox.run(job)?;
        Ok(Self {
            group,
            id,
            reader,
            output,
            last_heard: Instant::now(),
            outcomes: Vec::new(),
            inventory: None,
            begun: None,
            is_done: false,
            how: String::new(),
            said: String::new(),
        })
    }

    /// Takes what there is to read; true once the process has ended.
    fn poll(
        &mut self,
        side: &mut Side,
        limit: Duration,
        pause: Duration,
        progress: &dyn Progress,
    ) -> Result<bool, Error> {
        // Asked before reading: what was written before the end is then all there.
        let exit = side.sandbox.wait(self.id, pause)?;
        for report in self.reader.read()? {
            self.last_heard = Instant::now();
            match report {
                Report::Begin { id } => self.begun = Some(id),
                Report::Outcome { id, outcome, warnings } => {
                    self.outcomes.push((id, outcome, warnings));
                    progress.advance(1);
                }
                Report::Inventory(inventory) => self.inventory = Some(*inventory),
                Report::Done => self.is_done = true,
            }
        }
        let ending = match exit {
            Some(exit) => Ending::Exited(exit),
            None if self.last_heard.elapsed() > limit => {
                side.kill(self.id)?;
                Ending::TooLong(limit)
            }
            None => return Ok(false),
        };
        self.how = ending.to_string();
        self.said = side.normalise(&tail(Path::new(&self.output), 20));
        Ok(true)
    }

    /// The import that had begun gets a process to itself; those behind it start anew without it.
    fn follow_up(self, outcomes: &mut [Option<Outcome>], unfinished: &mut Vec<Lost>) -> Vec<Group> {
        if self.is_done {
            return Vec::new();
        }
        let Group { run, checks } = self.group;
        let missing: Vec<usize> = checks.iter().copied().filter(|id| outcomes[*id].is_none()).collect();
        if let Some(culprit) = self.begun.filter(|id| outcomes[*id].is_none() && checks.len() > 1) {
            let others = missing.into_iter().filter(|id| *id != culprit).collect();
            let groups = [vec![culprit], others].map(|checks| Group { run, checks });
            return groups.into_iter().filter(|group| !group.checks.is_empty()).collect();
        }
        let lost = Lost { how: self.how, output: self.said };
        if missing.is_empty() {
            unfinished.push(lost.clone());
        }
        // None begun: nothing can be imported at all.
        for id in missing {
            outcomes[id] = Some(Outcome::Lost(lost.clone()));
        }
        Vec::new()
    }
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

/// Known to nobody but this process and the script that it starts.
pub(super) fn nonce() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
