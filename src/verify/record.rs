//! What an artifact carries of its own proof: what was expected when it was built, and the smoke scripts. With it the
//! artifact can be proved where its environment is not.

use std::io::Read as _;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::plan::{ApplicationFolder, ImportCheck, Libraries, Limits, Plan, StartProbe};
use super::{Error, Expected, Proof, SCHEMA, Unpackaged, prove_against};
use crate::config::Start;
use crate::progress::Progress;

/// JSON, compressed: most of it is names that are alike.
const ENTRY: &str = "expected.json.zst";
const SCRIPTS: &str = "smoke/";

/// The same for the same environment and application; it names no folder of the machine, and no time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    schema: String,
    name: String,
    /// Folders of the application's on `sys.path`, in the tree.
    application: Vec<String>,
    distributions: Vec<String>,
    #[serde(default)]
    libraries: Libraries,
    checks: Vec<ImportCheck>,
    expected: Expected,
    starts: Vec<Start>,
    inputs: std::collections::BTreeMap<String, String>,
    /// Stored as files of their own: number and name (`000-smoke.py`, as two may have the same), text.
    #[serde(skip)]
    scripts: Vec<(String, Vec<u8>)>,
}

impl Record {
    pub fn of(plan: &Plan, expected: &Expected) -> Result<Self, Error> {
        let scripts = plan.scripts.iter().enumerate().map(|(number, script)| {
            let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((format!("{number:03}-{name}"), fs::read(script)?))
        });
        Ok(Self {
            schema: SCHEMA.to_owned(),
            name: plan.name.clone(),
            application: plan.application.iter().map(|folder| folder.artifact.clone()).collect(),
            distributions: plan.distributions.clone(),
            libraries: plan.libraries.clone(),
            checks: super::left_out::split(&plan.imports).0,
            expected: expected.clone(),
            starts: plan.starts.iter().map(|probe| stored(&probe.settings)).collect(),
            inputs: plan.inputs.clone(),
            scripts: scripts.collect::<Result<_, Error>>()?,
        })
    }

    /// For the artifact's container: name, content.
    pub fn entries(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let json = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        let mut entries = vec![(ENTRY.to_owned(), zstd::encode_all(json.as_slice(), 12)?)];
        entries.extend(self.scripts.iter().map(|(name, text)| (format!("{SCRIPTS}{name}"), text.clone())));
        Ok(entries)
    }

    pub fn of_artifact(path: &Path) -> Result<Self, Error> {
        let none = || Error::NoRecord { path: path.to_owned() };
        let mut zip = zip::ZipArchive::new(fs::File::open(path)?).map_err(|_| none())?;
        let names: Vec<String> = zip.file_names().flatten().map(std::borrow::Cow::into_owned).collect();
        let mut read = |name: &str| {
            let mut bytes = Vec::new();
            let mut entry = zip.by_name(name).map_err(|_| none())?;
            entry.read_to_end(&mut bytes)?;
            Ok::<_, Error>(bytes)
        };
        let json = zstd::decode_all(read(ENTRY)?.as_slice())?;
        let mut record: Self =
            serde_json::from_slice(&json).map_err(|source| Error::ProofUnreadable { path: path.to_owned(), source })?;
        if record.schema != SCHEMA {
            return Err(none());
        }
        for name in names {
            if let Some(script) = name.strip_prefix(SCRIPTS).filter(|script| !script.contains('/')) {
                record.scripts.push((script.to_owned(), read(&name)?));
            }
        }
        record.scripts.sort();
        Ok(record)
    }
}

/// A start that cannot be tried away from its helpers is told by its name alone: nothing else is of use there, and its
/// environment may hold what is nobody's business.
fn stored(settings: &Start) -> Start {
    if settings.with.is_empty() {
        return settings.clone();
    }
    Start {
        name: settings.name.clone(),
        args: Vec::new(),
        env: Vec::new(),
        stdin: None,
        with: vec![String::new()],
        ready: None,
        output: None,
        ..settings.clone()
    }
}

/// The artifact against its own record: for a machine that has nothing else.
pub fn prove_alone(
    record: &Record,
    artifact: &Path,
    tool: &Path,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Proof, Error> {
    let folder = tempfile::tempdir()?;
    let mut scripts = Vec::new();
    for (number, (name, text)) in record.scripts.iter().enumerate() {
        // Theirs is in the name, which may be anything in an artifact of somebody else's.
        let name = name.split_once('-').map_or(name.as_str(), |(_, name)| name);
        let own = folder.path().join(number.to_string());
        fs::create_dir(&own)?;
        let path = own.join(Path::new(name).file_name().unwrap_or(name.as_ref()));
        fs::write(&path, text)?;
        scripts.push(path);
    }
    let folder = |artifact: &String| ApplicationFolder { environment: "/".into(), artifact: artifact.clone() };
    let plan = Plan {
        name: record.name.clone(),
        artifact: artifact.to_owned(),
        tool: tool.to_owned(),
        world: None,
        application: record.application.iter().map(folder).collect(),
        hidden: crate::cache::root().into_iter().collect(),
        imports: record.checks.clone(),
        scripts,
        // Tests need pytest, which the artifact need not hold.
        pytest: None,
        starts: record
            .starts
            .iter()
            .map(|settings| StartProbe { settings: settings.clone(), unpackaged: Vec::new() })
            .collect(),
        // What it does unpackaged is among what is expected, if it was started so at all.
        as_it_is: record.starts.is_empty().then(|| StartProbe::as_it_is(Vec::new())),
        files: std::collections::BTreeMap::new(),
        distributions: record.distributions.clone(),
        libraries: record.libraries.clone(),
        inputs: record.inputs.clone(),
        limits,
        kept: None,
        scratch: None,
    };
    prove_against(&plan, &Unpackaged { expected: record.expected.clone(), ..Unpackaged::default() }, progress)
}
