//! `cargo build`, and whether what it made is the module that it should be.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use goblin::elf::Elf;

use super::Error;
use super::packages::Described;
use crate::config::Crate;
use crate::environment::Facts;
use crate::names::ModuleName;

/// Lines of the compiler's that are shown.
const SHOWN: usize = 25;

pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// Gives the shared library that Cargo made.
pub(super) fn compile(wanted: &Crate, described: &Described, facts: &Facts, target: &Path) -> Result<PathBuf, Error> {
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--lib", "--message-format", "json", "--manifest-path"]);
    command.arg(wanted.path.join("Cargo.toml")).arg("--target-dir").arg(target);
    if described.locked {
        command.arg("--locked");
    }
    if !wanted.features.is_empty() {
        command.arg("--features").arg(wanted.features.join(","));
    }
    flags(&mut command, described, target);
    // For which Python: pyo3, and bindings before it.
    command.env("PYO3_PYTHON", &facts.executable).env("PYTHON_SYS_EXECUTABLE", &facts.executable);
    // The same path may be another Python than the last time.
    let signature = format!("{} {}", facts.base_executable.display(), facts.version_string());
    command.env("PYO3_ENVIRONMENT_SIGNATURE", signature);
    // Cargo reads its configuration from the working directory upwards.
    command.current_dir(&wanted.path).stdin(Stdio::null());
    let output = command.output().map_err(|source| Error::NoCargo {
        cargo: cargo().to_string_lossy().into_owned(),
        path: wanted.path.clone(),
        source,
    })?;

    let mut library = None;
    let mut complaints = String::new();
    for message in Message::parse_stream(&output.stdout[..]) {
        match message.map_err(Error::Messages)? {
            Message::CompilerArtifact(artifact) if artifact.package_id == described.id => {
                let found = artifact.filenames.into_iter().find(|file| file.extension() == Some("so"));
                library = found.map(cargo_metadata::camino::Utf8PathBuf::into_std_path_buf).or(library);
            }
            Message::CompilerMessage(message) if message.message.level == DiagnosticLevel::Error => {
                complaints.push_str(message.message.rendered.as_deref().unwrap_or_default());
            }
            _ => {}
        }
    }
    match library {
        Some(library) if output.status.success() => Ok(library),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let message = last_lines(if complaints.is_empty() { &said } else { &complaints });
            Err(Error::Compile { name: described.name.clone(), message })
        }
    }
}

/// No path of the build machine goes into panic messages and debugging information. Flags of the user's own in
/// variables and in `[build]` are added to; those of a `[target]` table hide these.
fn flags(command: &mut Command, described: &Described, target: &Path) {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    // rustc takes the last prefix that fits.
    let prefixes = [(home.as_deref(), "/cargo"), (Some(&*described.workspace), "/crate"), (Some(target), "/target")];
    let remaps: Vec<String> = prefixes
        .into_iter()
        .filter_map(|(path, name)| Some(format!("--remap-path-prefix={}={name}", path?.display())))
        .collect();
    let given = std::env::var("CARGO_ENCODED_RUSTFLAGS").ok().or_else(|| {
        let flags = std::env::var("RUSTFLAGS").ok()?;
        Some(flags.split_whitespace().collect::<Vec<_>>().join("\x1f"))
    });
    if let Some(given) = given.filter(|flags| !flags.is_empty()) {
        command.env("CARGO_ENCODED_RUSTFLAGS", format!("{given}\x1f{}", remaps.join("\x1f")));
    } else {
        // A list of JSON strings is one of TOML's, too.
        let list = serde_json::Value::from(remaps);
        command.arg("--config").arg(format!("build.rustflags={list}"));
    }
}

/// Python calls `PyInit_NAME` of a module's library.
pub(super) fn check(name: &str, module: &ModuleName, library: &[u8]) -> Result<(), Error> {
    let found = inits(library);
    if found.iter().any(|found| found == module.last()) {
        return Ok(());
    }
    let found = if found.is_empty() {
        "has no `PyInit_…`, which Python calls".to_owned()
    } else {
        format!("has `PyInit_{}`", found.join("`, `PyInit_"))
    };
    Err(Error::NoModule { name: name.to_owned(), module: module.clone(), found })
}

/// The modules whose `PyInit_…` a library defines.
fn inits(library: &[u8]) -> Vec<String> {
    let Ok(elf) = Elf::parse(library) else { return Vec::new() };
    let defined = elf.dynsyms.iter().filter(|symbol| symbol.st_shndx != 0);
    let mut found: Vec<String> = defined
        .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name)?.strip_prefix("PyInit_").map(str::to_owned))
        .collect();
    found.sort();
    found
}
