//! What was found out: the proof, as it is written beside the artifact.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Error;
use super::sandbox::Seen;

/// The predicate's type; changes with every change of a field's meaning.
pub const SCHEMA: &str = "https://packproof.dev/proof/v1";

/// Source: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The file: a statement about the artifact's bytes, ready for an envelope that signs it (DSSE).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: serde_json::Map<String, serde_json::Value>,
}

/// Everything but [`Run`] is the same for the same artifact and environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    pub schema: String,
    /// Of packproof.
    pub tool_version: String,
    pub subject: Subject,
    pub verdict: Verdict,
    /// What went into the build → its SHA-256.
    pub inputs: BTreeMap<String, String>,
    pub isolation: Isolation,
    pub imports: Imports,
    pub scripts: Vec<Script>,
    pub start: Start,
    pub probes: Vec<Probe>,
    pub escape: Escape,
    /// Each of them is enough for a failed proof.
    pub differences: Vec<Difference>,
    pub run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Proved,
    PartiallyIsolated,
    NotProved,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub name: String,
    /// Algorithm → hexadecimal digest, as an in-toto statement has it.
    pub digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Why the artifact may have seen more than it should; nothing for full isolation.
    pub partial: Option<String>,
    /// What did not exist while the artifact ran.
    pub hidden: Vec<PathBuf>,
    pub network: String,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imports {
    /// Modules, and entry points.
    pub checked: usize,
    /// Import statements that these stand for.
    pub statements: usize,
    pub same: usize,
    /// Among `same`: fail in both, e.g. an optional dependency that is not there.
    pub fail_alike: usize,
    /// Among `fail_alike`: the process crashes, hangs or ends, in both.
    pub lost_alike: usize,
    /// Which these are, and how their processes end.
    #[serde(default)]
    pub ended: Vec<LeftOut>,
    /// Starts of the artifact's interpreter whose modules were compared: they must be the same in each.
    #[serde(default)]
    pub starts: usize,
    /// What differs from one run to the next in the environment itself, or in the artifact; counted nowhere.
    pub unstable: Vec<String>,
    /// Not run, by rule, or not compared, since this system lacks a library that the artifact leaves to it.
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    pub module: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    pub name: String,
    pub environment: String,
    pub artifact: String,
}

/// One `[start]`, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub name: String,
    pub environment: String,
    pub artifact: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The configuration has no `[start]`, and starting the application as it is was not tried.
    NotConfigured,
    /// The configuration has no `[start]`; the application was started as it is, and did in both worlds the same.
    AsItIs,
    Passed,
    Failed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Escape {
    pub modules: usize,
    pub mapped_files: usize,
    /// Libraries that the artifact took from the system.
    pub system_libraries: Vec<String>,
    /// Among them, those that no table of packproof's vouches for.
    pub unlisted: Vec<String>,
    /// What the artifact does without where the system has none, e.g. a library whose licence forbids to pack it.
    #[serde(default)]
    pub stated: Vec<String>,
    /// Files of the system that were opened while importing → by whom.
    pub system_files: BTreeMap<String, String>,
    /// Programs of the system that were started while importing → by whom.
    pub programs: BTreeMap<String, String>,
    /// Files of the tree that are written while importing, in the environment as well.
    pub written: Vec<String>,
    /// Hosts that were called while importing → by whom; in vain, as there is no network.
    pub hosts: BTreeMap<String, String>,
}

/// Something that is not in the artifact as it is in the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub kind: Kind,
    /// A module, a script, a variable, a file.
    pub subject: String,
    /// Where it is imported, or what asked for it.
    pub because: Vec<String>,
    /// Further subjects with which it is the same.
    pub also: Vec<String>,
    pub environment: String,
    pub artifact: String,
    /// The last lines that were printed, where they say something.
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Import,
    Origin,
    RequiredImport,
    /// Loaded as something else than a hook asserts.
    Asserted,
    NoResult,
    Code,
    Source,
    Library,
    Names,
    Warning,
    Resources,
    Distribution,
    Record,
    EntryPoints,
    Script,
    Start,
    Escape,
    /// Files outside the tree and the known folders.
    Opened,
    /// Programs.
    Started,
    /// Hosts.
    Network,
    ChildEnvironment,
    /// The tree itself, changed while the artifact ran.
    Tree,
    Leftover,
    /// One of the application's, as it lies in the artifact.
    File,
    /// Partial, where full was asked for.
    Isolation,
}

impl Kind {
    /// As the file has it.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What differs from one run to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Seconds since 1970.
    pub started: u64,
    /// Stage → seconds.
    pub seconds: BTreeMap<String, f64>,
    /// The first start probe's, unpackaged.
    pub environment: Option<Measured>,
    /// The first start probe's, unpacking included.
    pub artifact: Option<Measured>,
    /// Start probe → files and programs of the system that its processes had to do with when they were looked at.
    #[serde(default)]
    pub in_use: BTreeMap<String, Seen>,
    /// Of the further start probes, by name: unpackaged, and packed.
    pub further: BTreeMap<String, (Option<Measured>, Option<Measured>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub seconds_to_ready: f64,
    /// Of the first process, at the stop signal.
    pub peak_memory_kib: Option<u64>,
    /// The first one and those that it has started, at the stop signal.
    pub processes: Option<u64>,
}

impl Difference {
    pub(super) fn subjects(&self) -> impl Iterator<Item = (Kind, &str)> {
        std::iter::once(&self.subject).chain(&self.also).map(|subject| (self.kind, subject.as_str()))
    }

    /// Takes the name of the scratch folder out, which is another one each time.
    pub(super) fn hide(&mut self, scratch: &Path) {
        let scratch = scratch.to_string_lossy();
        let clean = |text: &mut String| *text = text.replace(&*scratch, "<scratch>");
        clean(&mut self.subject);
        clean(&mut self.environment);
        clean(&mut self.artifact);
        self.output.as_mut().map(clean);
    }
}

/// Whole milliseconds: more would be noise, and is not read back as it was written.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Proof {
    pub fn is_proved(&self) -> bool {
        self.verdict != Verdict::NotProved
    }

    /// `NAME.proof.json` beside the artifact.
    pub fn path_for(artifact: &Path) -> PathBuf {
        let mut name = artifact.file_name().unwrap_or_default().to_owned();
        name.push(".proof.json");
        artifact.with_file_name(name)
    }

    /// All of the file or nothing of it.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)
            .map_err(|source| Error::ProofNotWritten { path: path.to_owned(), source })?;
        let written = self
            .statement()
            .and_then(|statement| serde_json::to_writer_pretty(&mut file, &statement))
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(file))
            .and_then(|()| {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))
            })
            .and_then(|()| file.persist(path).map_err(|error| error.error));
        written.map(drop).map_err(|source| Error::ProofNotWritten { path: path.to_owned(), source })
    }

    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path)?;
        Self::of_statement(&bytes).map_err(|source| Error::ProofUnreadable { path: path.to_owned(), source })
    }

    fn statement(&self) -> serde_json::Result<Statement> {
        let mut predicate = match serde_json::to_value(self)? {
            serde_json::Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        };
        predicate.remove("schema");
        predicate.remove("subject");
        Ok(Statement {
            kind: STATEMENT.to_owned(),
            subject: vec![self.subject.clone()],
            predicate_type: self.schema.clone(),
            predicate,
        })
    }

    fn of_statement(bytes: &[u8]) -> serde_json::Result<Self> {
        use serde::de::Error as _;
        let statement: Statement = serde_json::from_slice(bytes)?;
        let [subject] = statement.subject.as_slice() else {
            return Err(serde_json::Error::custom("one subject is wanted"));
        };
        if statement.kind != STATEMENT || statement.predicate_type != SCHEMA {
            return Err(serde_json::Error::custom(format!(
                "a statement of type {STATEMENT} with a predicate of type {SCHEMA} is wanted"
            )));
        }
        let mut fields = statement.predicate;
        fields.insert("schema".to_owned(), statement.predicate_type.into());
        fields.insert("subject".to_owned(), serde_json::to_value(subject)?);
        serde_json::from_value(fields.into())
    }

    /// Whether it is about the bytes of `artifact`.
    pub fn belongs_to(&self, artifact: &Path) -> Result<bool, Error> {
        let digest =
            super::pair::sha256(artifact).map_err(|source| Error::Artifact { path: artifact.to_owned(), source })?;
        Ok(self.subject.digest.get("sha256") == Some(&digest))
    }
}
