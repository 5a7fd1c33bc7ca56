//! A lock file → an environment in the tool's cache.
//!
//! Made by uv where it is on PATH, else by venv and pip: wheels alone, no dependency resolution, hashes enforced
//! where the lock has them.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;

use super::key::key;
use super::lock::{LockFile, Requirement};
use super::{Again, Environment, Error, Facts, Note, find, pylock, standalone};
use crate::cache::{self, slot::Slot};
use crate::config::{Lock, PythonVersion};
use crate::progress::Progress;

/// Makes the environment that `lock` describes, or finds it made.
pub fn from_lock(lock: &Lock, progress: &dyn Progress) -> Result<(Environment, Again), Error> {
    let unreadable = |source| Error::LockUnreadable { path: lock.path.clone(), source };
    let bytes = fs::read(&lock.path).map_err(unreadable)?;
    let text = str::from_utf8(&bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let parsed = LockFile::parse(&lock.path, text)?;
    let is_unasked = |it: &&Requirement| it.is_source() && !it.name().is_some_and(|it| lock.allow_sdist.contains(&it));
    if let Some(requirement) = parsed.requirements.iter().find(is_unasked) {
        let message = format!(
            "`{}` would be built from source, which runs its code: name it in `[environment] allow-sdist`",
            requirement.pin()
        );
        return Err(Error::LockInvalid { path: lock.path.clone(), line: requirement.line, message });
    }

    let base = base(lock)?;
    if let Some(wanted) = &parsed.wanted {
        pylock::check(wanted, &lock.path, &base)?;
    }
    let installer = Installer::find(&base);
    let cache = cache::root().ok_or_else(|| Error::NotFound {
        looked: "the environment needs a cache folder, and neither PACKPROOF_TOOL_CACHE, XDG_CACHE_HOME nor HOME is \
                 set to an absolute path"
            .to_owned(),
    })?;
    let slot = Slot::claim(&cache.join("environments"), &key(lock, &bytes, &parsed, &base, &installer.identity())?)?;
    if !slot.is_filled() {
        progress.start(&format!("installing {} distributions", parsed.requirements.len()), 0);
        let made = slot.fill(|aside| {
            make(aside, lock, &parsed, &base, &installer)?;
            name_place(aside, slot.folder())
        });
        progress.finish();
        made?;
    }

    let python = slot.folder().join("bin").join("python");
    let (mut environment, again) = Environment::read_ahead(&python, Some(&cache))?;
    environment.notes.extend(parsed.requirements.iter().filter(|requirement| !requirement.hashed).map(unhashed));
    Ok((environment, again))
}

/// What the environment is made with.
fn base(lock: &Lock) -> Result<Facts, Error> {
    let Some(PythonVersion { version, asked_by }) = &lock.python_version else {
        return lock.distribution.as_deref().map_or_else(|| find::interpreter(None), standalone::open);
    };
    let found = match &lock.distribution {
        None => find::interpreter(Some(version)),
        Some(distribution) => {
            let base = standalone::open(distribution)?;
            let is = base.version_string();
            if find::satisfies(&is, version) { Ok(base) } else { Err(Error::AnotherVersion { is }) }
        }
    };
    found.map_err(|error| Error::NotAsAsked { asked_by, version: version.clone(), source: error.into() })
}

fn unhashed(requirement: &Requirement) -> Note {
    Note {
        code: "unhashed-lock",
        subject: requirement.pin().to_owned(),
        message: "the lock file has no hash for it, so that another file under the same version would be taken"
            .to_owned(),
    }
}

enum Installer {
    Uv {
        version: String,
    },
    /// The base interpreter's own pip, which can install into another environment since 22.3; where there is none,
    /// `ensurepip` puts one into the environment.
    Pip {
        version: Option<String>,
    },
}

impl Installer {
    fn find(base: &Facts) -> Self {
        let version = |command: &mut Command| {
            let output = command.stdin(Stdio::null()).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            // `uv 0.9.1 (…)`, `pip 23.2.1 from …`
            output.status.success().then(|| text.split_whitespace().nth(1).map(str::to_owned)).flatten()
        };
        if let Some(version) = version(Command::new("uv").arg("--version")) {
            return Self::Uv { version };
        }
        // Its dist-info says so too, in a thousandth of the time. In a virtual environment that is another's.
        let recorded = if base.is_virtual() { None } else { recorded_pip(base) };
        let version =
            recorded.or_else(|| version(Command::new(&base.base_executable).args(["-m", "pip", "--version"])));
        Self::Pip { version: version.filter(|version| can_install_elsewhere(version)) }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Uv { .. } => "uv",
            Self::Pip { .. } => "pip",
        }
    }

    fn identity(&self) -> String {
        match self {
            Self::Uv { version } => format!("uv {version}"),
            Self::Pip { version } => format!("pip {}", version.as_deref().unwrap_or("bundled, taken out")),
        }
    }

    fn make_venv(&self, folder: &Path, base: &Facts) -> Command {
        let mut command;
        match self {
            Self::Uv { .. } => {
                command = Command::new("uv");
                command.args(["venv", "--no-project", "--no-config", "--quiet", "--python"]).arg(&base.base_executable);
            }
            Self::Pip { version } => {
                command = Command::new(&base.base_executable);
                command.args(["-m", "venv"]);
                if version.is_some() {
                    command.arg("--without-pip");
                }
            }
        }
        command.arg(folder);
        command
    }

    fn install(&self, folder: &Path, base: &Facts) -> Command {
        let python = folder.join("bin").join("python");
        let mut command;
        match self {
            Self::Uv { .. } => {
                command = Command::new("uv");
                command.args(["pip", "install", "--quiet", "--no-progress", "--python"]).arg(python);
            }
            Self::Pip { version } => {
                let own = version.is_none();
                command = Command::new(if own { &python } else { &base.base_executable });
                command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
                if !own {
                    command.arg("--python").arg(&python);
                }
                command.args(["install", "--quiet", "--no-compile", "--no-warn-script-location"]);
            }
        }
        command.arg("--no-deps");
        command
    }
}

impl Installer {
    /// Takes out what the environment was made with, and the lock does not name: elsewhere another installer makes it.
    fn leave(&self, folder: &Path, parsed: &LockFile) -> Result<(), Error> {
        let named: Vec<_> = parsed.requirements.iter().filter_map(Requirement::name).collect();
        let is_left = |seed: &&&str| !named.iter().any(|name| name.as_str() == **seed);
        let seeds: Vec<_> = SEEDS.iter().filter(is_left).collect();
        if !matches!(self, Self::Pip { version: None }) || seeds.is_empty() {
            return Ok(());
        }
        let mut command = Command::new(folder.join("bin").join("python"));
        // What is not there pip passes over.
        command
            .args(["-m", "pip", "--disable-pip-version-check", "--no-input", "uninstall", "--quiet", "--yes"])
            .args(seeds);
        run(self, &mut command)
    }
}

/// What venv and virtualenv put into every environment that they make; pip, which can take out the others, last.
pub(crate) const SEEDS: [&str; 3] = ["setuptools", "wheel", "pip"];

fn recorded_pip(base: &Facts) -> Option<String> {
    let entries = base.path.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.find_map(|name| Some(name.strip_prefix("pip-")?.strip_suffix(".dist-info")?.to_owned()))
}

fn can_install_elsewhere(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (22, 3)
}

fn make(folder: &Path, lock: &Lock, parsed: &LockFile, base: &Facts, installer: &Installer) -> Result<(), Error> {
    run(installer, &mut installer.make_venv(folder, base))?;

    // An installer enforces hashes for all or for none, so each kind is installed by itself.
    for hashed in [true, false] {
        let lines: Vec<_> =
            parsed.requirements.iter().filter(|r| r.hashed == hashed).map(|r| r.text.as_str()).collect();
        if lines.is_empty() {
            continue;
        }
        let list = folder.join(if hashed { "hashed.txt" } else { "unhashed.txt" });
        fs::write(&list, lines.join("\n") + "\n")?;
        let mut command = installer.install(folder, base);
        if hashed {
            command.arg("--require-hashes");
        }
        if lock.allow_sdist.is_empty() {
            command.args(["--only-binary", ":all:"]);
        } else {
            // Those may be built, and are taken as wheels where there are any.
            let names = parsed.requirements.iter().filter_map(Requirement::name);
            for name in names.filter(|name| !lock.allow_sdist.contains(name)) {
                command.arg("--only-binary").arg(name.as_str());
            }
        }
        command.arg("-r").arg(&list);
        for folder in &parsed.find_links {
            command.arg("--find-links").arg(folder);
        }
        run(installer, with_indexes(&mut command, lock))?;
        fs::remove_file(list)?;
    }
    if !lock.editable.is_empty() {
        let mut command = installer.install(folder, base);
        for project in &lock.editable {
            command.arg("-e").arg(project);
        }
        run(installer, with_indexes(&mut command, lock))?;
    }
    installer.leave(folder, parsed)?;
    compile(folder)
}

/// The proof runs the environment where it cannot be written to: what is not compiled now would be at every start.
fn compile(folder: &Path) -> Result<(), Error> {
    let python = folder.join("bin").join("python");
    let mut command = Command::new(&python);
    // Sources that do not compile are no reason to stop, here as in any installation.
    command.args(["-m", "compileall", "-q", "-j", "0"]).arg(folder.join("lib"));
    let ran = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.map(drop).map_err(|source| Error::Spawn { program: python.display().to_string(), source })
}

fn with_indexes<'a>(command: &'a mut Command, lock: &Lock) -> &'a mut Command {
    match lock.indexes.as_deref() {
        None => {}
        Some([]) => _ = command.arg("--no-index"),
        Some([first, others @ ..]) => {
            command.arg("--index-url").arg(first);
            for url in others {
                command.arg("--extra-index-url").arg(url);
            }
        }
    }
    for folder in &lock.find_links {
        command.arg("--find-links").arg(folder);
    }
    command
}

fn run(installer: &Installer, command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    // The variables that make an installer work elsewhere than it is told to.
    command
        .env_remove("VIRTUAL_ENV")
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .env_remove("PIP_REQUIRE_VIRTUALENV");
    let output = command.stdin(Stdio::null()).output().map_err(|source| Error::Spawn { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    let lines: Vec<_> = words.lines().collect();
    Err(Error::InstallFailed {
        installer: installer.name().to_owned(),
        status: output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string()),
        stderr: lines[lines.len().saturating_sub(20)..].join("\n"),
        hint: without_wheel(&words).map(|name| {
            format!(
                "\nif `{name}` has no wheel for this Python and machine, `[environment] allow-sdist = [\"{name}\"]` has it built from source, \
                 which runs its code"
            )
        }),
    })
}

/// The distribution of which pip or uv found no wheel. pip says the same of one of which it found nothing at all.
fn without_wheel(words: &str) -> Option<&str> {
    let rest = ["No matching distribution found for ", "Wheels are required for `"]
        .into_iter()
        .find_map(|sign| words.split_once(sign))?
        .1;
    let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && !"-_.".contains(char)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| !name.is_empty())
}

/// Tells the scripts in `aside` that they will lie in `folder`.
fn name_place(aside: &Path, folder: &Path) -> Result<(), Error> {
    let (old, new) = (aside.to_string_lossy().into_owned(), folder.to_string_lossy().into_owned());
    for entry in fs::read_dir(aside.join("bin"))? {
        let path = entry?.path();
        if !fs::symlink_metadata(&path)?.is_file() {
            continue;
        }
        // Binaries hold no path of the environment, and are no UTF-8.
        let Ok(text) = String::from_utf8(fs::read(&path)?) else { continue };
        if text.contains(&old) {
            fs::write(&path, text.replace(&old, &new))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_version_that_is_not_there_is_told_with_who_asks_for_it() {
        let lock = Lock {
            path: PathBuf::from("requirements.lock"),
            python_version: Some(PythonVersion { version: "3.99".into(), asked_by: "`.python-version`" }),
            distribution: None,
            editable: Vec::new(),
            allow_sdist: Vec::new(),
            indexes: None,
            find_links: Vec::new(),
        };
        let error = base(&lock).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(error.to_string(), "`.python-version` asks for Python 3.99");
        assert!(cause.starts_with("no Python 3.99 found"), "{cause}");
    }

    #[test]
    fn what_has_no_wheel_is_read_out_of_what_installers_say() {
        let pip = "ERROR: No matching distribution found for crcmod==1.7\n";
        let uv = "hint: Wheels are required for `crcmod` because building from source is disabled";
        assert_eq!([pip, uv, "ERROR: No space left"].map(without_wheel), [Some("crcmod"), Some("crcmod"), None]);
    }

    #[test]
    fn pip_installs_elsewhere_since_22_3() {
        assert!(can_install_elsewhere("22.3") && can_install_elsewhere("23.0.1"));
        assert!(!can_install_elsewhere("22.2.2") && !can_install_elsewhere("odd"));
    }
}
