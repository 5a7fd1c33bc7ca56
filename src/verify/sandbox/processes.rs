//! What the sandbox sees of the processes in it, by way of `/proc`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Signal};

use super::protocol::{Seen, is_system};

/// `VmHWM`, in KiB.
pub(super) fn peak_memory(pid: Pid) -> u64 {
    fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        })
        .unwrap_or_default()
}

/// What has lost its parent may end by itself, as a helper does that reads to the end of a pipe.
const LINGER: Duration = Duration::from_secs(1);

const LOOK: Duration = Duration::from_millis(10);

pub(super) fn kill_descendants() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    kill_all(|| descendants(own));
}

/// Ends everything that belongs to none of `jobs`: what jobs that are over have started in groups of their own. Gives how
/// many processes did not end by themselves.
pub(super) fn sweep(jobs: impl Fn() -> Vec<i32>) -> usize {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let strays = || {
        let jobs = jobs();
        let table = Table::read();
        table
            .below(own)
            .into_iter()
            .filter(|pid| !jobs.iter().any(|job| pid == job || table.is_below(*pid, *job)))
            .collect()
    };
    let end = Instant::now() + LINGER;
    let mut left: Vec<i32> = strays();
    while !left.is_empty() && Instant::now() < end {
        std::thread::sleep(LOOK);
        left = strays();
    }
    if !left.is_empty() {
        kill_all(strays);
    }
    left.len()
}

/// Orphans come to this process, so that a few rounds find whatever forks in between.
fn kill_all(find: impl Fn() -> Vec<i32>) {
    for _ in 0..100 {
        let found = find();
        if found.is_empty() {
            return;
        }
        for pid in found.into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
}

pub(super) fn descendants(own: i32) -> Vec<i32> {
    Table::read().below(own)
}

/// Every process that lives, and its parent.
struct Table(BTreeMap<i32, i32>);

impl Table {
    fn read() -> Self {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            // The name in parentheses may hold anything; state and parent follow the last one.
            let Some((_, rest)) = stat.rsplit_once(')') else { continue };
            let mut fields = rest.split_whitespace();
            if let (Some(state), Some(parent)) = (fields.next(), fields.next().and_then(|it| it.parse::<i32>().ok()))
                && state != "Z"
            {
                parents.insert(pid, parent);
            }
        }
        Self(parents)
    }

    fn is_below(&self, mut pid: i32, ancestor: i32) -> bool {
        while let Some(parent) = self.0.get(&pid) {
            if *parent == ancestor {
                return true;
            }
            pid = *parent;
        }
        false
    }

    fn below(&self, ancestor: i32) -> Vec<i32> {
        self.0.keys().copied().filter(|pid| self.is_below(*pid, ancestor)).collect()
    }
}

/// Of a job's first process and all that it has started. No process notices, and none need be Python; what is opened and
/// closed again between two looks is not seen.
pub(super) fn look(first: Pid) -> Seen {
    let mut seen = Seen::default();
    let first = first.as_raw_nonzero().get();
    for pid in std::iter::once(first).chain(descendants(first)) {
        let of = Path::new("/proc").join(pid.to_string());
        let Ok(program) = fs::read_link(of.join("exe")) else { continue };
        seen.programs.insert(program.to_string_lossy().into_owned());
        // What a program of the system's loads (`fc-list`, say) is its own business.
        if is_system(&program) {
            continue;
        }
        for line in fs::read(of.join("maps")).unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Some(file) = mapped_file(&String::from_utf8_lossy(line)) {
                seen.mapped.insert(file.to_owned());
            }
        }
        for descriptor in fs::read_dir(of.join("fd")).into_iter().flatten().flatten() {
            let file = fs::read_link(descriptor.path()).map(|path| path.to_string_lossy().into_owned());
            seen.open.extend(file.into_iter().filter(|file| file.starts_with('/')));
        }
    }
    seen
}

/// `/lib/x.so` of `7f0-7f1 r-xp 00000000 fe:00 17   /lib/x.so`, where a file is mapped.
fn mapped_file(line: &str) -> Option<&str> {
    let mut rest = line;
    for _ in 0..5 {
        rest = rest.trim_start().split_once(' ')?.1;
    }
    Some(rest.trim_start()).filter(|file| file.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = "7f0000-7f1000 r-xp 00000000 fe:00 17                   /lib/a file.so";
        assert_eq!(mapped_file(line), Some("/lib/a file.so"));
        assert_eq!(mapped_file("7f0000-7f1000 rw-p 00000000 00:00 0 "), None);
        assert_eq!(mapped_file("7ffc00-7ffd00 rw-p 00000000 00:00 0                          [stack]"), None);
    }

    #[test]
    fn this_process_sees_itself() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let seen = look(rustix::process::getpid());
        let own = std::env::current_exe().unwrap().display().to_string();
        assert!(seen.mapped.contains(&own) && seen.programs.contains(&own), "{seen:?}");
        assert!(seen.open.contains(&file.path().display().to_string()));
    }
}
