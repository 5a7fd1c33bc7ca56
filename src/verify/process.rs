//! One process of a side's that imports, and the file that it reports to.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::json;

use super::outcome::{Inventory, Line, Lost, Outcome, Report};
use super::plan::ImportCheck;
use super::side::{Ending, Side, tail};
use super::smoke::{Group, Run};
use super::{Error, SMOKE};
use crate::progress::Progress;

/// A process may take that many times what one import may, and is ended then, if it still reports: those that are left
/// are halved.
const WHOLE: u32 = 15;

/// A process that imports, and what it has reported so far.
pub(super) struct Process {
    pub group: Group,
    pub outcomes: Vec<(usize, Outcome, Vec<String>)>,
    pub inventory: Option<Inventory>,
    pub begun: Option<usize>,
    /// It came to its end and told everything.
    pub is_done: bool,
    /// It was ended for what it took as a whole.
    pub took_too_long: bool,
    id: u64,
    reader: Reader,
    output: PathBuf,
    started: Instant,
    last_heard: Instant,
    how: String,
    said: String,
}

impl Process {
    pub(super) fn start(side: &mut Side, group: Group, run: Run, checks: &[ImportCheck]) -> Result<Self, Error> {
        let Run { number, is_brief } = run;
        // What a later start leaves is not what imports have left.
        let cwd = side.fresh(if is_brief { "again-cwd" } else { "cwd" })?;
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
        // A later start is from the tree that is there, as most are.
        let folders = if is_brief { side.own_folders("again", true)? } else { side.folders(number) };
        let spec = json!({
            "path": side.application,
            "results": results,
            "nonce": nonce,
            "checks": listed,
            // The folders of a second run are called as those of the first.
            "labels": {
                "<cwd>": [cwd],
                "<scratch>/home": [folders.home],
                "<scratch>/tmp": [folders.temporary],
                "<scratch>": [side.folder],
            },
            "known": known,
            "litter": side.shared_folders(),
            "brief": is_brief,
            "posing": side.is_posing,
            "without": side.without,
        });
        fs::write(&specification, serde_json::to_vec(&spec).map_err(std::io::Error::from)?)?;
        // Opened before the process starts, which unlinks the name.
        let reader = Reader::new(&results, nonce)?;
        let (job, output) = side.python(&[&script, &specification], cwd, &folders)?;
        let id = side.sandbox.run(job)?;
        Ok(Self {
            group,
            outcomes: Vec::new(),
            inventory: None,
            begun: None,
            is_done: false,
            took_too_long: false,
            id,
            reader,
            output,
            started: Instant::now(),
            last_heard: Instant::now(),
            how: String::new(),
            said: String::new(),
        })
    }

    /// Takes what there is to read; true once the process has ended.
    pub(super) fn poll(
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
                Report::Done { .. } => self.is_done = true,
            }
        }
        let ending = match exit {
            Some(exit) => Ending::Exited(exit),
            None if self.last_heard.elapsed() > limit => {
                side.kill(self.id)?;
                Ending::TooLong(limit)
            }
            None if self.started.elapsed() > limit * WHOLE => {
                side.kill(self.id)?;
                self.took_too_long = true;
                Ending::TooLong(limit * WHOLE)
            }
            None => return Ok(false),
        };
        self.how = ending.to_string();
        self.said = side.normalise(&tail(Path::new(&self.output), 20));
        Ok(true)
    }

    pub(super) fn lost(&self) -> Lost {
        Lost { how: self.how.clone(), output: self.said.clone() }
    }
}

/// Takes whole lines that carry the nonce; whatever else stands in the file says nothing.
pub(super) struct Reader {
    file: fs::File,
    offset: u64,
    rest: Vec<u8>,
    nonce: String,
}

impl Reader {
    pub(super) fn new(results: &Path, nonce: String) -> Result<Self, Error> {
        Ok(Self { file: fs::File::open(results)?, offset: 0, rest: Vec::new(), nonce })
    }

    pub(super) fn read(&mut self) -> Result<Vec<Report>, Error> {
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
