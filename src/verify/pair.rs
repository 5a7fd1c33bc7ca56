//! Both sides, opened together, so that whatever one of them lacks the other does without too; as often as there are
//! lanes for them to run in.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::plan::{Plan, World};
use super::proof::Isolation;
use super::sandbox::{self, Join, View};
use super::side::{Counter, Opening, Side, Which};
use super::{Error, hidden};

/// What all sandboxes of one proof have in common.
pub(super) struct Ground<'a> {
    plan: &'a Plan,
    scratch: &'a Path,
    /// A folder that both sides see at the same place.
    pub shared: PathBuf,
    pub hidden: BTreeSet<PathBuf>,
    counters: [Counter; 2],
    copy: PathBuf,
    digest: String,
}

impl<'a> Ground<'a> {
    /// Copies the artifact.
    pub(super) fn new(plan: &'a Plan, scratch: &'a Path) -> Result<Self, Error> {
        let shared = shared(scratch)?;
        let (copy, digest) = copy_artifact(plan, scratch)?;
        let hidden = hidden::expand(&plan.hidden);
        Ok(Self { plan, scratch, shared, hidden, counters: Default::default(), copy, digest })
    }

    fn opening(&self, network: Join) -> Opening<'_> {
        let counters = self.counters.each_ref().map(Counter::clone);
        Opening { tool: &self.plan.tool, scratch: self.scratch, shared: &self.shared, network, counters }
    }

    /// The isolation, and the digest of what was tried.
    pub(super) fn describe(self, pair: &Pair) -> (Isolation, String) {
        let is_offline = pair.artifact.sandbox.is_offline();
        let partial = pair.artifact.sandbox.reason().map(ToOwned::to_owned);
        let mut notes = pair.artifact.sandbox.notes().to_vec();
        let environment = pair.environment.as_ref().and_then(|side| side.sandbox.reason());
        if let (Some(reason), None) = (environment, &partial) {
            notes.push(format!("the unpackaged application ran without namespaces: {reason}"));
        }
        let isolation = Isolation {
            hidden: if partial.is_none() { self.hidden.into_iter().collect() } else { Vec::new() },
            partial,
            network: if is_offline { "loopback alone" } else { "the machine's" }.to_owned(),
            notes,
        };
        (isolation, self.digest)
    }
}

/// Both sides with a sandbox each, which share a network of their own.
pub(super) struct Pair {
    /// Nothing where the artifact is proved away from its environment.
    pub environment: Option<Side>,
    pub artifact: Side,
}

impl Pair {
    /// Two of them see the same folders, and nothing of each other's network, processes and `/tmp`.
    pub(super) fn open(ground: &Ground<'_>) -> Result<Self, Error> {
        let plan = ground.plan;
        let wanted = if plan.limits.network { Join::Machine } else { Join::Loopback };
        let mut opening = ground.opening(wanted);
        let mut environment = plan.world.as_ref().map(|world| open_environment(plan, world, &opening)).transpose()?;
        if let Some(environment) = &environment {
            opening.network = environment.sandbox.joined();
        }
        let mut artifact = open_artifact(ground, &opening)?;
        if let (Some(open), Some(world)) = (&environment, &plan.world)
            && open.sandbox.is_offline() != artifact.sandbox.is_offline()
        {
            // They could not meet.
            opening.network = Join::Machine;
            environment = Some(open_environment(plan, world, &opening)?);
            artifact = open_artifact(ground, &opening)?;
        }
        artifact.may_write = artifact.sandbox.reason().is_some();
        if let Some(environment) = &mut environment {
            environment.may_write = artifact.may_write || environment.sandbox.reason().is_some();
            artifact.may_write = environment.may_write;
        }
        Ok(Self { environment, artifact })
    }

    /// Another one with nothing in `/tmp` and nothing that listens, where this one can be kept apart from it.
    pub(super) fn anew(&self, ground: &Ground<'_>) -> Result<Option<Self>, Error> {
        if !self.is_apart() {
            return Ok(None);
        }
        let mut pair = Self::open(ground)?;
        pair.artifact.interpreter.clone_from(&self.artifact.interpreter);
        Ok(Some(pair))
    }

    /// What was run so far leaves nothing running.
    pub(super) fn sweep(&mut self) -> Result<(), Error> {
        for side in self.environment.iter_mut().chain([&mut self.artifact]) {
            side.sweep()?;
        }
        Ok(())
    }

    /// Whether what runs in another lane has another network and other processes, so that neither notices the other.
    pub(super) fn is_apart(&self) -> bool {
        self.environment.iter().chain([&self.artifact]).all(Side::is_apart)
    }
}

/// The environment's side by itself, in the network that it would have beside the artifact's.
pub(super) fn environment_alone(plan: &Plan, scratch: &Path, counters: &[Counter; 2]) -> Result<Side, Error> {
    let world = plan.world.as_ref().ok_or(Error::NoEnvironment)?;
    let network = if plan.limits.network { Join::Machine } else { Join::Loopback };
    let counters = counters.each_ref().map(Counter::clone);
    let opening = Opening { tool: &plan.tool, scratch, shared: &shared(scratch)?, network, counters };
    let mut side = open_environment(plan, world, &opening)?;
    side.may_write = side.sandbox.reason().is_some();
    Ok(side)
}

pub(super) fn shared(scratch: &Path) -> Result<PathBuf, Error> {
    let shared = scratch.join("shared");
    fs::create_dir_all(&shared)?;
    Ok(shared)
}

fn open_environment(plan: &Plan, world: &World, opening: &Opening<'_>) -> Result<Side, Error> {
    let mut borrowed = world.expose.clone();
    borrowed.extend([world.root.clone(), world.python.clone()]);
    borrowed.extend(plan.application.iter().map(|folder| folder.environment.clone()));
    // The folders of the system are there anyway, and nothing may stand in the way of the root itself.
    borrowed.retain(|path| path.exists() && path != Path::new("/") && !sandbox::is_system(path));
    let application = plan.application.iter().map(|folder| folder.environment.display().to_string()).collect();
    let bytecode = match &plan.kept {
        Some((folder, _)) => folder.join("pycache"),
        None => opening.scratch.join(Which::Environment.name()).join("pycache"),
    };
    fs::create_dir_all(&bytecode)?;
    let view = View { borrowed, writable: vec![bytecode.clone()], ..View::default() };
    let mut side = Side::open(Which::Environment, opening, world.python.clone(), application, view)?;
    side.without.clone_from(&world.without);
    side.known.push(bytecode.clone());
    side.bytecode = Some(bytecode);
    // Those of the system's too: where the environment lies is not what is looked for.
    side.known.extend(world.expose.iter().filter(|path| path.as_path() != Path::new("/")).cloned());
    Ok(side)
}

fn open_artifact(ground: &Ground<'_>, opening: &Opening<'_>) -> Result<Side, Error> {
    let application = ground.plan.application.iter().map(|folder| folder.artifact.clone()).collect();
    let view = View { hidden: ground.hidden.iter().cloned().collect(), ..View::default() };
    Side::open(Which::Artifact, opening, ground.copy.clone(), application, view)
}

/// The digest is that of the copy: of the bytes that are tried.
fn copy_artifact(plan: &Plan, scratch: &Path) -> Result<(PathBuf, String), Error> {
    let unreadable = |source| Error::Artifact { path: plan.artifact.clone(), source };
    let folder = scratch.join(Which::Artifact.name()).join("bin");
    fs::create_dir_all(&folder)?;
    let copy = folder.join(plan.artifact.file_name().unwrap_or(plan.name.as_ref()));
    fs::copy(&plan.artifact, &copy).map_err(unreadable)?;
    // What has been up and down again, as from a CI job to the next, has lost its permissions; it is bytes that are proved.
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    let digest = sha256(&copy)?;
    Ok((copy, digest))
}

/// Hexadecimal.
pub(super) fn sha256(path: &Path) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
    }
    Ok(digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
