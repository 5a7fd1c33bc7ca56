//! What can be said on the command line.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Effects, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::audit::gate::Deny;
use crate::config::{Allowance, Overrides};
use crate::names::ModuleName;
use crate::verify::Limits;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default());

/// What all commands have stands behind what each has of its own.
const BEHIND: usize = 100;

/// Packs a Python application into one self-contained executable, and proves that it works.
#[derive(Debug, Parser)]
#[command(name = "packproof", version, styles = STYLES, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Say nothing but errors, findings and results
    #[arg(short, long, global = true, display_order = BEHIND)]
    pub(super) quiet: bool,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", display_order = BEHIND)]
    pub(super) color: Color,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the environment, audit it, pack it, and prove the artifact
    Build(Build),
    /// Look for imports that will break, without packing anything
    Audit(Audit),
    /// Show what imports what, by distribution or by module
    Graph(Graph),
    /// Show by which chain of imports something gets in
    Why(Why),
    /// Prove an artifact again: compare it with the environment that it came from
    Verify(Verify),
    /// Show what an artifact holds
    Inspect(Inspect),
    /// List the licences of everything that would be packed
    Licenses(Licenses),
    /// Print what a finding's code means
    Explain(Explain),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(super) fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::AlwaysAnsi,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// What is packed, and from which environment.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Folder with a packproof.toml or pyproject.toml, or a Python script
    #[arg(value_name = "DIR | SCRIPT", default_value = ".")]
    pub(crate) target: PathBuf,

    #[command(flatten)]
    pub(crate) options: SelectionOptions,
}

#[derive(Debug, Args)]
pub(crate) struct SelectionOptions {
    /// The environment: a virtual environment, or its interpreter
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,

    /// A further folder on `sys.path`, as `PYTHONPATH` would put it there; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Vec<PathBuf>,

    /// Run this package or module, as `python -m` does
    #[arg(long, value_name = "PKG", value_parser = module)]
    pub(crate) module: Option<ModuleName>,

    /// Leave out distributions that nothing imports or requires, as `[runner] prune = true` does
    #[arg(long)]
    pub(crate) prune: bool,

    /// Take a finding as it is, e.g. `missing-module:orjson`; may be given more than once
    #[arg(long, value_name = "CODE:SUBJECT", value_parser = allowance)]
    pub(crate) allow: Vec<Allowance>,
}

impl SelectionOptions {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            python: self.python.clone(),
            output: None,
            path: self.path.clone(),
            module: self.module.clone(),
            allow: self.allow.clone(),
            prune: self.prune,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Where the executable goes [default: dist/NAME in the project's folder]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// How much time is spent on making it small
    #[arg(long, value_name = "LEVEL", default_value = "fast")]
    pub(crate) compression: Compression,

    /// Also write the bill of materials (CycloneDX), which is in the artifact as `sbom.cdx.json`, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) sbom: Option<PathBuf>,

    /// Pack without proving; the artifact is then called what it is, not proved
    #[arg(long)]
    pub(crate) no_proof: bool,

    #[command(flatten)]
    pub(crate) proof: ProofOptions,
}

/// How strict the proof is, and who else is told.
#[derive(Debug, Args)]
pub(crate) struct ProofOptions {
    /// A proof without namespaces is a failed one
    #[arg(long)]
    pub(crate) require_isolation: bool,

    /// Give every import, script and start N times as long, on a machine that is slow
    #[arg(
        long,
        value_name = "N",
        env = "PACKPROOF_TIMEOUT_MULTIPLIER",
        hide_env_values = true,
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub(crate) timeout_multiplier: u32,

    /// Write the proof as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Append the proof as Markdown, e.g. to `$GITHUB_STEP_SUMMARY`
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
}

impl ProofOptions {
    pub(crate) fn limits(&self) -> Limits {
        let limits = Limits { require_isolation: self.require_isolation, ..Limits::default() };
        limits.times(self.timeout_multiplier)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    /// For local work: a build in seconds
    Fast,
    Balanced,
    /// For a release
    Small,
}

#[derive(Debug, Args)]
pub(crate) struct Licenses {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// How they are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Audit a folder of wheels for the platform that `--platform` names, instead of an application
    #[arg(long, value_name = "DIR", requires = "platform", conflicts_with_all = ["target", "python", "path", "module"])]
    pub(crate) wheels: Option<PathBuf>,

    /// As in a wheel's name: `manylinux_2_28_x86_64`, `musllinux_1_2_x86_64`, `macosx_11_0_arm64`, `win_amd64` …
    #[arg(long, value_name = "TAG", requires = "wheels")]
    pub(crate) platform: Option<String>,

    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: AuditFormat,

    /// Fail on these too: `warnings`, or a finding's code; may be given more than once
    #[arg(long, value_name = "WHAT", value_parser = deny)]
    pub(crate) deny: Vec<Deny>,

    /// An audit saved with `--format json`: only what is new since then is told, and fails, warnings too
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Show every finding, information too
    #[arg(long)]
    pub(crate) all: bool,

    /// Run nothing but the interpreter's own facts: names of extension modules then stay untold
    #[arg(long = "static")]
    pub(crate) no_child: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    Text,
    Json,
    /// For code scanning
    Sarif,
    /// Annotations in GitHub Actions
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) selection: Selection,

    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: GraphFormat,

    /// Module by module, not by distribution
    #[arg(long)]
    pub(crate) modules: bool,

    /// Instead, list where modules are found, or what is found is changed, when the application runs
    #[arg(long, conflicts_with_all = ["modules", "format", "depth"])]
    pub(crate) dynamic: bool,

    /// How many levels of the tree are shown [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhyFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Text,
    Json,
    Dot,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// A module, `module:name`, a distribution, a shared library, or a data file
    pub(crate) name: String,

    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: WhyFormat,

    /// The project's folder, or the script
    #[arg(value_name = "DIR | SCRIPT", default_value = ".")]
    pub(crate) target: PathBuf,

    #[command(flatten)]
    pub(crate) options: SelectionOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The executable
    pub(crate) artifact: PathBuf,

    /// What it was built from: the project's folder, or the script. Without it the artifact is compared with what was
    /// recorded when it was built
    #[arg(value_name = "DIR | SCRIPT")]
    pub(crate) target: Option<PathBuf>,

    /// Run nothing: check that this proof is about this artifact, and green
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "junit", "summary"])]
    pub(crate) proof: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) options: SelectionOptions,

    #[command(flatten)]
    pub(crate) proving: ProofOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The executable
    pub(crate) artifact: PathBuf,

    /// What its size is made of, by distribution and by kind, instead of the list of files
    #[arg(long)]
    pub(crate) sizes: bool,

    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// E.g. `module-shadowed`; without one, all codes are listed
    pub(crate) code: Option<String>,
}

fn module(text: &str) -> Result<ModuleName, String> {
    ModuleName::new(text).map_err(|error| error.to_string())
}

fn allowance(text: &str) -> Result<Allowance, String> {
    let (code, subject) =
        text.split_once(':').ok_or("a code and a subject are wanted, e.g. `missing-module:orjson`")?;
    known(code)?;
    Ok(Allowance { code: code.to_owned(), subject: subject.to_owned(), reason: "--allow".to_owned() })
}

fn deny(text: &str) -> Result<Deny, String> {
    if text == "warnings" {
        return Ok(Deny::Warnings);
    }
    known(text)?;
    Ok(Deny::Code(text.to_owned()))
}

fn known(code: &str) -> Result<(), String> {
    if crate::audit::CODES.iter().any(|(known, _)| *known == code) {
        Ok(())
    } else {
        Err(format!("`{code}` is no finding's code; `packproof explain` lists them"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn allowances() {
        assert_eq!(allowance("missing-module:a:b").unwrap().subject, "a:b");
        assert!(allowance("missing-module").is_err() && allowance("odd:x").unwrap_err().contains("explain"));
    }
}
