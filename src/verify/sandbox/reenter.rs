//! The sandbox's own side: what the re-executed tool does before anything else.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::processes::{descendants, kill_descendants, look, peak_memory, sweep};
use super::protocol::{Event, Exit, Job, Join, Request, Role, Spec, VARIABLE};
use super::{network, root};

/// What a service started as root commonly has; no mounting, no tracing, no devices.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW);

/// Returns at once in an ordinary start of the tool. In a sandbox's process it does not return.
#[expect(clippy::exit, reason = "this process is the sandbox's, not the tool's")]
pub fn reenter() {
    let Some(spec) = std::env::var_os(VARIABLE) else { return };
    let Ok(spec) = serde_json::from_slice::<Spec>(spec.as_encoded_bytes()) else { return };
    close_inherited();
    if spec.role == Role::Init {
        // The signal follows the parent's thread: set for the tool's own child, it would end a sandbox that a
        // thread opened for another one to use. A tool that ends is seen by the end of the input.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    }
    let code = match spec.role {
        Role::Outer => outer(spec).unwrap_or_else(|error| refuse(&error)),
        Role::Init => match init(&spec) {
            Ok(notes) => serve(notes),
            Err(error) => refuse(&error),
        },
        Role::Bare => {
            // A terminal's signals are the tool's. Its end is the end of this process's input, at which all jobs end.
            let _ = rustix::process::setsid();
            // Whatever loses its parent becomes this process's child, to be found when the run ends.
            let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
            serve(Vec::new())
        }
    };
    std::process::exit(code);
}

/// What whoever started the tool had open (a lock that a script holds, make's job server) is not the application's: it
/// would be found in use on one side alone, and a folder among it is a way out of the sandbox.
#[expect(unsafe_code, reason = "descriptors that came with the start have no owner in Rust")]
fn close_inherited() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: nothing has been opened yet but the listing, which is closed again.
        unsafe { libc::close(descriptor) };
    }
}

fn refuse(error: &io::Error) -> i32 {
    send(&Event::Refused { reason: error.to_string() });
    0
}

fn send(event: &Event) {
    let mut stdout = io::stdout().lock();
    // A tool that went away needs no answer.
    let _ = serde_json::to_writer(&mut stdout, event).map_err(io::Error::from).and_then(|()| writeln!(stdout));
    let _ = stdout.flush();
}

fn outer(mut spec: Spec) -> io::Result<i32> {
    let mut spaces = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    let mut is_inside = false;
    match spec.network {
        Join::Machine => {}
        Join::Loopback => spaces |= UnshareFlags::NEWNET,
        Join::Sandbox(process) => is_inside = network::join(process)?,
    }
    let user = rustix::process::getuid();
    let group = rustix::process::getgid();
    if is_inside {
        unshare(spaces)?;
        keep_over_exec()?;
    } else if !user.is_root() || unshare(spaces).is_err() {
        // Real root needs no user namespace; root in a container may not be allowed the others without one.
        unshare(spaces | UnshareFlags::NEWUSER).map_err(|error| io::Error::new(error.kind(), refusal(&error)))?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{0} {0} 1\n", user.as_raw()))?;
        fs::write("/proc/self/gid_map", format!("{0} {0} 1\n", group.as_raw()))?;
        keep_over_exec()?;
    }
    if spec.network == Join::Loopback {
        network::raise_loopback()?;
    }
    spec.role = Role::Init;
    let status = Command::new("/proc/self/exe").env(VARIABLE, serde_json::to_string(&spec)?).status()?;
    Ok(status.code().unwrap_or(1))
}

fn refusal(error: &io::Error) -> String {
    if error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error()) {
        // https://man7.org/linux/man-pages/man7/namespaces.7.html, "The /proc/sys/user directory"
        return "no more namespaces are allowed, see /proc/sys/user/max_user_namespaces".to_owned();
    }
    format!("the kernel refuses namespaces: {error}")
}

#[expect(unsafe_code, reason = "rustix marks unshare unsafe for the flag FILES, which is not used")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: without `FILES` no descriptor table is split from that of another thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// An exec by anybody but uid 0 takes all capabilities away that are not ambient.
fn keep_over_exec() -> io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable = sets.permitted;
    rustix::thread::set_capabilities(None, sets)?;
    for capability in [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP, CapabilitySet::DAC_OVERRIDE] {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

fn init(spec: &Spec) -> io::Result<Vec<String>> {
    let notes = root::enter(&spec.mount_point, &spec.view)?;
    drop_privileges()?;
    Ok(notes)
}

/// After this nothing in the sandbox can take a cover off again.
///
/// `no_new_privs` stays unset: root without capabilities gains nothing from a setuid file, and in a user namespace
/// uid 0 is not mapped; but a program that looks at the flag would see a difference.
fn drop_privileges() -> io::Result<()> {
    let has = rustix::thread::capabilities(None)?;
    let kept = if rustix::process::getuid().is_root() { has.permitted & KEPT } else { CapabilitySet::empty() };
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !kept.contains(capability) && rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability)?;
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// The jobs that run. Nothing but the reaper waits for children, since orphans become this process's too.
#[derive(Default)]
struct Jobs {
    running: Mutex<BTreeMap<i32, u64>>,
    started: Condvar,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, u64>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pid(&self, id: u64) -> Option<Pid> {
        self.lock().iter().find(|(_, job)| **job == id).and_then(|(pid, _)| Pid::from_raw(*pid))
    }
}

/// Until the tool closes its end. In a PID namespace of its own everything ends with this process.
fn serve(notes: Vec<String>) -> i32 {
    let jobs = Arc::new(Jobs::default());
    let reaper = Arc::clone(&jobs);
    std::thread::spawn(move || reap(&reaper));
    send(&Event::Opened { notes });
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Request::Run { id, job }) => run(&jobs, id, &job),
            Ok(Request::Signal { id, signal }) => {
                if let (Some(pid), Some(signal)) = (jobs.pid(id), Signal::from_named_raw(signal)) {
                    let processes = 1 + descendants(pid.as_raw_nonzero().get()).len() as u64;
                    send(&Event::Memory { id, kib: peak_memory(pid), processes });
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
            Ok(Request::Ask { number, ask }) => {
                std::thread::spawn(move || {
                    let answer = super::ask::ask(&ask).map_err(|error| error.to_string());
                    send(&Event::Answer { number, answer });
                });
            }
            Ok(Request::Look { id }) => {
                let seen = jobs.pid(id).map(look).unwrap_or_default();
                send(&Event::Seen { id, seen });
            }
            Ok(Request::Sweep { number }) => {
                let left = sweep(|| jobs.lock().keys().copied().collect());
                send(&Event::Swept { number, left });
            }
            Ok(Request::Kill { id }) => {
                if let Some(pid) = jobs.pid(id) {
                    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
            Err(_) => break,
        }
    }
    kill_descendants();
    0
}

fn run(jobs: &Jobs, id: u64, job: &Job) {
    // Held over the start, so that the reaper cannot see the end of a process that is not in the table yet.
    let mut running = jobs.lock();
    match start(job) {
        Ok(pid) => {
            running.insert(pid, id);
            jobs.started.notify_all();
        }
        Err(error) => send(&Event::NotStarted { id, reason: error.to_string() }),
    }
}

#[expect(clippy::cast_possible_wrap, reason = "a process id is positive")]
fn start(job: &Job) -> io::Result<i32> {
    let [program, arguments @ ..] = job.argv.as_slice() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&job.env)
        .current_dir(&job.cwd)
        .stdin(match &job.stdin {
            Some(path) => Stdio::from(fs::File::open(path)?.into_parts().0),
            None => Stdio::null(),
        })
        .stdout(append(&job.stdout)?)
        .stderr(append(&job.stderr)?)
        .process_group(0)
        .spawn()?;
    Ok(child.id() as i32)
}

fn append(path: &Path) -> io::Result<Stdio> {
    Ok(Stdio::from(fs::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0))
}

fn reap(jobs: &Jobs) {
    loop {
        let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::empty()) else {
            let running = jobs.lock();
            if running.is_empty() {
                drop(jobs.started.wait(running));
            }
            continue;
        };
        let Some(id) = jobs.lock().remove(&pid.as_raw_nonzero().get()) else { continue };
        // What a job leaves running in its group is not part of the next one.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let status = ExitStatus::from_raw(status.as_raw());
        let exit = match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or_default()),
        };
        send(&Event::Exited { id, exit });
    }
}
