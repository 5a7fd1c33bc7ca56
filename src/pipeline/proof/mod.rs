//! [`Project`] and [`Planned`] → [`verify::Plan`]: which imports are tried, what the environment's side sees, and what
//! the artifact must do without.

mod imports;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use imports::imports;
pub use kept::STAGING;

use super::Project;
use crate::cache;
use crate::config::{Entry, EnvironmentSource};
use crate::environment::Distribution;
use crate::layout::{self, Planned, Source};
use crate::native::closure::Packed;
use crate::native::{Why, opened};
use crate::verify::{self, ApplicationFolder, Limits, Pytest, StartProbe, World};

/// `tool` is the packproof binary, which the sandbox is made of.
pub fn proof_plan(project: &Project, planned: &Planned, artifact: &Path, tool: &Path) -> verify::Plan {
    let config = &project.config;
    let mut world = world(project);
    // Where the environment finds what is packed: `/opt/openssl`, or what ld.so.conf names.
    let folders = planned.native.closure.packed.values().filter_map(|library| library.file.parent());
    let outside = folders.filter(|it| *it != Path::new("/") && !verify::sandbox::is_system(it)).map(Path::to_owned);
    world.expose.extend(outside.collect::<BTreeSet<_>>());
    let application = application(project, planned);
    let mut hidden: BTreeSet<PathBuf> = world.expose.iter().cloned().collect();
    hidden.insert(config.root.clone());
    hidden.extend(application.iter().map(|folder| folder.environment.clone()));
    hidden.extend(cache::root());
    let left_out: BTreeSet<&str> = planned.left_out.iter().map(|left| left.what.as_str()).collect();
    // What the environment has, not what the layout says that it holds: a distribution that was forgotten is missed.
    let names = project.environment.distributions.iter().map(|dist| dist.name.to_string());
    let distributions = names.filter(|name| !left_out.contains(name.as_str()));
    verify::Plan {
        name: config.runner.name.clone(),
        artifact: artifact.to_owned(),
        tool: tool.to_owned(),
        kept: kept::key(project, planned, &world, artifact).zip(cache::root()).map(|(key, folder)| (folder, key)),
        world: Some(world),
        application,
        hidden: hidden.into_iter().collect(),
        imports: imports(project, &left_out),
        scripts: config.smoke.scripts.clone(),
        pytest: pytest(project),
        starts: config
            .starts
            .iter()
            .map(|settings| StartProbe { settings: settings.clone(), unpackaged: unpackaged(&config.runner.entry) })
            .collect(),
        as_it_is: config.starts.is_empty().then(|| StartProbe::as_it_is(unpackaged(&config.runner.entry))),
        files: files(planned),
        distributions: distributions.collect(),
        libraries: libraries(planned),
        inputs: inputs(project),
        limits: Limits::default(),
        scratch: None,
    }
}

/// What no RECORD speaks for: the application's files, the standard library's, and what lies beside distributions.
fn files(planned: &Planned) -> BTreeMap<String, PathBuf> {
    let is_unrecorded = |origin: &layout::Origin| {
        matches!(origin, layout::Origin::Application | layout::Origin::Stdlib | layout::Origin::Unowned)
    };
    let unrecorded = planned.layout.entries.iter().filter(|(_, entry)| is_unrecorded(&entry.origin));
    let files = unrecorded.filter_map(|(place, entry)| match &entry.source {
        Source::File(source) => Some((place.to_string(), source.clone())),
        Source::Patched { .. }
        | Source::Relocated { .. }
        | Source::Generated(_)
        | Source::Bytecode { .. }
        | Source::Link(_)
        | Source::EmptyFolder => None,
    });
    files.collect()
}

fn libraries(planned: &Planned) -> verify::Libraries {
    let closure = &planned.native.closure;
    let file_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names = |(name, library): (&String, &Packed)| [Some(name.clone()), file_name(&library.file)];
    let packed = closure.packed.iter().flat_map(names);
    let asked: BTreeSet<String> = planned.native.opened.values().flat_map(|calls| opened::libraries(calls)).collect();
    let opened = closure.packed.iter().filter(|(name, _)| asked.contains(*name)).flat_map(names);
    let mut left_to_system = BTreeSet::new();
    let stated = closure.from_system.iter().filter_map(|(name, left)| match &left.why {
        Why::License(license) => {
            left_to_system.insert(name.clone());
            let needed_by: Vec<&str> =
                left.needed_by.iter().map(|place| place.rsplit('/').next().unwrap_or(place)).collect();
            Some(format!(
                "`{name}` is not packed, being {license}: {} can be imported only where the system has it",
                needed_by.join(", ")
            ))
        }
        Why::Policy(_) | Why::NotImported(_) | Why::Drivers | Why::Floor | Why::Program => None,
    });
    let mut stated: Vec<String> = stated.collect();
    let roots = planned.layout.entries.values().any(|entry| layout::changes_roots(&entry.source));
    if roots {
        stated.push("`ssl` also finds the certificates of systems that have them elsewhere".to_owned());
    }
    let changed = roots.then(|| "ssl".to_owned()).into_iter().collect();
    verify::Libraries {
        packed: packed.flatten().collect(),
        opened: opened.flatten().collect(),
        left: left_to_system,
        programs: closure.programs.clone(),
        stated,
        changed,
    }
}

/// pytest is brought along from the environment, with its plugins and what these require there; the artifact need not
/// hold it.
fn pytest(project: &Project) -> Option<Pytest> {
    use pep508_rs::{Requirement, VerbatimUrl};
    let paths = project.config.smoke.pytest.clone();
    if paths.is_empty() {
        return None;
    }
    let environment = &project.environment;
    let is_plugin = |dist: &&Distribution| dist.entry_points.iter().any(|point| point.group == "pytest11");
    let plugins = environment.distributions.iter().filter(is_plugin).map(|dist| dist.name.to_string());
    let mut wanted: Vec<String> = std::iter::once("pytest".to_owned()).chain(plugins).collect();
    let mut known = BTreeSet::new();
    let mut files = Vec::new();
    while let Some(name) = wanted.pop() {
        let Some(dist) = environment.distribution(&name).filter(|_| known.insert(name.clone())) else { continue };
        for file in &dist.files {
            let source = dist.site.join(&file.path);
            let is_inside = !file.path.starts_with("..") && !file.path.starts_with('/');
            if is_inside && !file.path.contains("__pycache__") && source.is_file() {
                files.push((source, PathBuf::from(&file.path)));
            }
        }
        let requirements = dist.requires.iter().filter_map(|text| text.parse::<Requirement<VerbatimUrl>>().ok());
        wanted.extend(requirements.map(|requirement| requirement.name.to_string()));
    }
    Some(Pytest { paths, files })
}

/// SHA-256 of what the user wrote, and of the list of what was installed.
fn inputs(project: &Project) -> BTreeMap<String, String> {
    use sha2::Digest as _;
    let digest = |bytes: &[u8]| {
        let hash = sha2::Sha256::digest(bytes);
        hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    let mut inputs = BTreeMap::new();
    let root = &project.config.root;
    let mut files = vec![root.join("packproof.toml"), root.join("pyproject.toml")];
    if let EnvironmentSource::Lock(lock) = &project.config.environment {
        files.push(lock.path.clone());
    }
    for file in files {
        if let (Ok(bytes), Some(name)) = (fs_err::read(&file), file.file_name()) {
            inputs.insert(name.to_string_lossy().into_owned(), digest(&bytes));
        }
    }
    let mut installed = format!("python=={}\n", project.environment.facts.version_string());
    for dist in &project.environment.distributions {
        let _ = writeln!(installed, "{}=={}", dist.name, dist.version);
    }
    inputs.insert("installed".to_owned(), digest(installed.as_bytes()));
    inputs
}

fn world(project: &Project) -> World {
    let facts = &project.environment.facts;
    let prefixes =
        [&facts.prefix, &facts.exec_prefix, &facts.base_prefix, &facts.base_exec_prefix, &project.config.root];
    let mut expose: BTreeSet<PathBuf> = facts.path.iter().chain(prefixes).cloned().collect();
    expose.extend(project.environment.distributions.iter().filter_map(|dist| dist.editable.clone()));
    for finder in &facts.finders {
        expose.extend(finder.mapping.values().cloned());
        expose.extend(finder.namespaces.values().flatten().cloned());
    }
    World {
        python: facts.executable.clone(),
        expose: expose.into_iter().collect(),
        root: project.config.root.clone(),
        without: project.graph.without().paths(),
    }
}

fn application(project: &Project, planned: &Planned) -> Vec<ApplicationFolder> {
    let folder = |folder: PathBuf| {
        let place = planned.places.iter().find_map(|(path, place)| {
            let relative = folder.strip_prefix(path).ok()?.to_str()?;
            Some(if relative.is_empty() { place.to_string() } else { format!("{place}/{relative}") })
        })?;
        Some(ApplicationFolder { environment: folder, artifact: place })
    };
    application_folders(project).into_iter().filter_map(folder).collect()
}

/// `sys.path[0]`, then the folders of `[runner] path`.
fn application_folders(project: &Project) -> Vec<PathBuf> {
    let config = &project.config;
    let first = match &config.runner.entry {
        Entry::Script(script) => script.parent().unwrap_or(&config.root).to_owned(),
        Entry::Module(_) | Entry::Function { .. } => config.root.clone(),
    };
    std::iter::once(first).chain(config.runner.path.iter().cloned()).collect()
}

/// What comes after the interpreter to start the application in its environment.
fn unpackaged(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Script(script) => vec![script.display().to_string()],
        Entry::Module(module) => vec!["-m".to_owned(), module.to_string()],
        Entry::Function { module, function } => {
            let imported = function.split('.').next().unwrap_or(function);
            vec!["-c".to_owned(), format!("import sys; from {module} import {imported}; sys.exit({function}())")]
        }
    }
}
