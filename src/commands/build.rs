//! `packproof build`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fs_err as fs;

use crate::cleanup::Scratch;
use crate::cli::{self, Printer};
use crate::pack::{self, Compression};
use crate::pipeline::{self, Choices, Project, STAGING};
use crate::progress::Progress;
use crate::report::findings::{self, Extent};
use crate::report::{self, build};
use crate::verify::{self, Proof, Record};

use super::Outcome;

pub(crate) fn run(arguments: &cli::Build, printer: Printer, progress: &dyn Progress) -> anyhow::Result<Outcome> {
    let selection = &arguments.selection;
    let mut overrides = selection.options.overrides();
    overrides.output = arguments.output.clone().filter(|output| !is_folder(output));
    let mut project = Project::open(&selection.target, &overrides, progress)?;
    let output = output(arguments.output.as_deref(), &project)?;

    project.ask();
    let plan = project.plan()?;
    let audit = project.audit(Some(&plan));
    if audit.errors() > 0 {
        printer.result(&findings::text(&audit, Extent::Screen));
        printer.result("not built: mend what the errors name, or take them as they are with `--allow CODE:SUBJECT`\n");
        return Ok(Outcome::Bad);
    }
    if audit.warnings() > 0 {
        printer.say(&findings::text(&audit, Extent::Screen));
        printer.say("\n");
    }

    let staging = Staging::beside(&output)?;
    let mut spec = pipeline::pack_spec(&project, &plan, Choices { compression: level(arguments), threads: None })?;
    let to_prove = if arguments.no_proof {
        None
    } else {
        let tool = std::env::current_exe().context("cannot find packproof's own executable")?;
        let mut wanted = pipeline::proof_plan(&project, &plan.planned, &staging.artifact, &tool);
        wanted.limits = arguments.proof.limits();
        // Before anything is packed, as the artifact carries it.
        let unpackaged = project.times.take("unpackaged", || verify::expect(&wanted, progress))?;
        spec.stored = Record::of(&wanted, &unpackaged.expected)?.entries()?;
        Some((wanted, unpackaged))
    };
    let mut packed = pack::pack(&plan.planned.layout, &spec, &staging.artifact, progress)?;
    project.times.extend(packed.times.drain(..));

    let proof = match &to_prove {
        None => None,
        Some((wanted, unpackaged)) => {
            Some(project.times.take("proof", || verify::prove_against(wanted, unpackaged, progress))?)
        }
    };
    packed.path = staging.settle(&output, proof.as_ref())?;
    if let (Some(file), Some(sbom)) = (&arguments.sbom, &spec.sbom) {
        fs::write(file, sbom)?;
    }
    if let Some(proof) = &proof {
        super::verify::tell(proof, &arguments.proof)?;
    }
    printer.say(&build::summary(&build::Built {
        project: &project,
        plan: &plan,
        packed: &packed,
        audit: &audit,
        proof: proof.as_ref(),
    }));
    let proved = proof.as_ref().is_none_or(Proof::is_proved);
    if let Some(proof) = proof.filter(|_| !proved) {
        printer.result(&report::proof::render(&proof));
        printer.result(&format!("not proved: the artifact was left at `{}`, to look into\n", packed.path.display()));
        return Ok(Outcome::Bad);
    }
    printer.data(&format!("{}\n", packed.path.display()));
    Ok(Outcome::Good)
}

fn level(arguments: &cli::Build) -> Compression {
    match arguments.compression {
        cli::Compression::Fast => Compression::Fast,
        cli::Compression::Balanced => Compression::Balanced,
        cli::Compression::Small => Compression::Small,
    }
}

/// `-o dist/` and `-o dist` where that is a folder: the artifact goes into it.
fn is_folder(output: &Path) -> bool {
    output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn output(wanted: Option<&Path>, project: &Project) -> anyhow::Result<PathBuf> {
    let name = &project.config.runner.name;
    let output = match wanted {
        None => project.config.root.join("dist").join(name),
        Some(folder) if is_folder(folder) => std::path::absolute(folder)?.join(name),
        Some(file) => std::path::absolute(file)?,
    };
    if output.is_dir() {
        bail!("the executable would go to `{}`, which is a folder; choose another place with `-o`", output.display());
    }
    Ok(output)
}

/// Where an artifact lies until it is proved, so that nothing unproved ever bears its name.
struct Staging {
    folder: Scratch,
    artifact: PathBuf,
    /// Locked for as long as this build runs.
    _held: fs::File,
}

impl Staging {
    fn beside(output: &Path) -> anyhow::Result<Self> {
        let parent = output.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        sweep(parent);
        let folder =
            Scratch::new_in(parent, STAGING).with_context(|| format!("cannot write to `{}`", parent.display()))?;
        let held = fs::File::open(folder.path())?;
        // A file system without locks: nobody can take another's for abandoned there either.
        drop(held.file().try_lock());
        let artifact = folder.path().join(output.file_name().unwrap_or_default());
        Ok(Self { folder, artifact, _held: held })
    }

    /// Proved, or nobody asked for a proof: under the name that was wanted. Else beside it, and what was there stays.
    fn settle(self, output: &Path, proof: Option<&Proof>) -> anyhow::Result<PathBuf> {
        let failed = proof.is_some_and(|proof| !proof.is_proved());
        let place = if failed { unproved(output) } else { output.to_owned() };
        let (aside, proof_path) = (Proof::path_for(&self.artifact), Proof::path_for(&place));
        if let Some(proof) = proof {
            proof.write(&aside)?;
        }
        fs::rename(&self.artifact, &place)?;
        // Until now the earlier artifact had its proof. It is about other bytes, and says so by their digest.
        let replaced = match proof {
            Some(_) => fs::rename(&aside, &proof_path),
            None => fs::remove_file(&proof_path),
        };
        match replaced {
            Err(error) if proof.is_some() || error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        if !failed {
            for stale in [unproved(output), Proof::path_for(&unproved(output))] {
                // Of an earlier build that failed.
                drop(fs::remove_file(stale));
            }
        }
        drop(self.folder);
        Ok(place)
    }
}

/// Removes what builds left behind that were killed.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let abandoned =
            name.as_encoded_bytes().strip_prefix(STAGING.as_bytes()).is_some_and(|end| end.len() == Scratch::RANDOM)
                && entry.metadata().is_ok_and(|folder| folder.is_dir() && is_old(&folder))
                && fs::File::open(entry.path()).is_ok_and(|folder| folder.file().try_lock().is_ok());
        if abandoned {
            // What cannot be removed is somebody else's, and in nobody's way.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// A build that has just begun may not hold its lock yet.
fn is_old(folder: &std::fs::Metadata) -> bool {
    let age = folder.modified().ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > std::time::Duration::from_mins(1))
}

/// `NAME.unproved`
fn unproved(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".unproved");
    output.with_file_name(name)
}
