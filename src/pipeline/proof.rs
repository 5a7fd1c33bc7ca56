//! [`Project`] and [`Planned`] → [`verify::Plan`]: which imports are tried, what the environment's side sees, and what
//! the artifact must do without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Project;
use crate::cache;
use crate::config::{Entry, EnvironmentSource};
use crate::environment::Distribution;
use crate::graph::{self, Edge, Module, Names};
use crate::layout::{self, Planned, Source};
use crate::native::Why;
use crate::verify::{self, ApplicationFolder, EntryPoint, ImportCheck, Limits, Pytest, StartProbe, World};

/// `tool` is the packproof binary, which the sandbox is made of.
pub fn proof_plan(project: &Project, planned: &Planned, artifact: &Path, tool: &Path) -> verify::Plan {
    let config = &project.config;
    let world = world(project);
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
        kept: key(project, planned, &world, artifact).zip(cache::root()).map(|(key, folder)| (folder, key)),
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

/// Those of the application's files that are packed as they are.
fn files(planned: &Planned) -> BTreeMap<String, PathBuf> {
    let own = planned.layout.entries.iter().filter(|(_, entry)| entry.origin == layout::Origin::Application);
    let plain = own.filter_map(|(place, entry)| match &entry.source {
        Source::File(source) => Some((place.to_string(), source.clone())),
        Source::Patched { .. }
        | Source::Generated(_)
        | Source::Bytecode { .. }
        | Source::Link(_)
        | Source::EmptyFolder => None,
    });
    plain.filter(|(_, source)| !is_native(source)).collect()
}

/// Native code may be stripped and relocated.
fn is_native(file: &Path) -> bool {
    let mut start = [0; 4];
    fs_err::File::open(file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start)).is_ok()
        && start == *b"\x7fELF"
}

fn libraries(planned: &Planned) -> verify::Libraries {
    let closure = &planned.native.closure;
    let file_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let packed = closure.packed.iter().flat_map(|(name, library)| [Some(name.clone()), file_name(&library.file)]);
    let stated = closure.from_system.iter().filter_map(|(name, left)| match &left.why {
        Why::License(license) => {
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
    verify::Libraries { packed: packed.flatten().collect(), stated, changed }
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

/// Names everything that the environment's side depends on, with the tool and the script that asks.
fn key(project: &Project, planned: &Planned, world: &World, artifact: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(verify::SMOKE.as_bytes());
    // The tool itself, and what an installer of the system's changes: its programs and libraries.
    let tool = std::env::current_exe().ok();
    let system =
        ["/etc/ld.so.cache", "/var/lib/dpkg/status", "/usr/bin", "/usr/local/bin", "/usr/lib", "/usr/local/lib"];
    for path in tool.iter().map(PathBuf::as_path).chain(system.map(Path::new)) {
        part(&metadata(path).unwrap_or_default());
    }
    let left_out: BTreeSet<&str> = planned.left_out.iter().map(|left| left.what.as_str()).collect();
    part(&serde_json::to_vec(&imports(project, &left_out)).ok()?);
    part(&serde_json::to_vec(&project.environment.facts).ok()?);
    // Scripts and tests may lie anywhere.
    for script in project.config.smoke.scripts.iter().chain(&project.config.smoke.pytest) {
        for file in walkdir::WalkDir::new(script).sort_by_file_name().into_iter().flatten() {
            part(file.path().as_os_str().as_encoded_bytes());
            part(&metadata(file.path()).filter(|_| file.file_type().is_file()).unwrap_or_default());
        }
    }
    part(format!("{:?} {:?}", project.config.starts, project.config.runner.entry).as_bytes());
    part(world.root.as_os_str().as_encoded_bytes());
    part(format!("{:?}", world.without).as_bytes());
    let sources: Vec<(&str, &Path)> = planned
        .layout
        .entries
        .iter()
        .filter_map(|(path, entry)| match &entry.source {
            Source::File(source) | Source::Patched { path: source, .. } => Some((path.as_str(), source.as_path())),
            Source::Generated(_) | Source::Bytecode { .. } | Source::Link(_) | Source::EmptyFolder => None,
        })
        .collect();
    let facts: Vec<_> = sources.par_iter().map(|(_, source)| metadata(source)).collect();
    for ((path, _), facts) in sources.into_iter().zip(facts) {
        part(path.as_bytes());
        part(&facts?);
    }
    for (_, module) in project.graph.modules() {
        // What the application imports and the layout does not hold, e.g. by a rule.
        if let Some(file) = module.file.as_deref().filter(|_| module.editable) {
            part(&metadata(file)?);
        }
    }
    // What it reads, and what it looks for in vain, too.
    let folders: BTreeSet<PathBuf> = application_folders(project).into_iter().chain([world.root.clone()]).collect();
    for folder in &folders {
        for (path, facts) in files_of(folder, artifact)? {
            part(path.as_os_str().as_encoded_bytes());
            part(&facts);
        }
    }
    Some(hasher.finalize().to_hex()[..32].to_owned())
}

/// Starts the name of the folder that an artifact lies in until it is proved.
pub const STAGING: &str = ".packproof-staging-";

/// Size, time and inode.
fn metadata(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::MetadataExt as _;
    let it = fs_err::metadata(path).ok()?;
    let facts = [it.size(), it.mtime().cast_unsigned(), it.mtime_nsec().cast_unsigned(), it.ino()];
    Some(facts.map(u64::to_le_bytes).concat())
}

/// More files than that are walked in no time that anybody would call none: nothing is kept then.
const MOST_FILES: usize = 100_000;

/// Every file below a folder of the application's, in order, but for what tools write there: an environment's files are
/// known by its distributions, and a build's own results change with each build.
fn files_of(folder: &Path, artifact: &Path) -> Option<Vec<(PathBuf, Vec<u8>)>> {
    const OF_TOOLS: [&str; 8] =
        ["__pycache__", ".git", ".hg", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", "node_modules"];
    let is_staging =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(STAGING.as_bytes()));
    // Until it is proved it lies in a folder beside its place.
    let place = artifact.parent().filter(|parent| is_staging(parent)).and_then(Path::parent);
    let results = match (place, artifact.file_name()) {
        (Some(place), Some(name)) => place.join(name),
        (Some(_) | None, _) => artifact.to_owned(),
    };
    let result_names =
        ["", ".proof.json", ".unproved", ".unproved.proof.json"].map(|end| format!("{}{end}", results.display()));
    let is_wanted = |entry: &walkdir::DirEntry| {
        let is_folder = entry.depth() > 0 && entry.file_type().is_dir();
        let of_tools = is_folder && OF_TOOLS.iter().any(|name| entry.file_name() == *name);
        let environment = is_folder && entry.path().join("pyvenv.cfg").exists();
        let built = is_folder && entry.path() == folder.join("dist") || is_staging(entry.path());
        let result = result_names.iter().any(|name| entry.path() == Path::new(name));
        !of_tools && !environment && !built && !result
    };
    let walk = walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().filter_entry(is_wanted);
    let mut files = Vec::new();
    for entry in walk.flatten() {
        // A folder's own time changes with whatever is not wanted in it.
        let facts = if entry.file_type().is_dir() { Vec::new() } else { metadata(entry.path()).unwrap_or_default() };
        files.push((entry.into_path(), facts));
        if files.len() > MOST_FILES {
            return None;
        }
    }
    Some(files)
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

/// What is asked for by name first, then every import that the graph holds, those of the application's own modules
/// first, then every entry point of a distribution.
fn imports(project: &Project, left_out: &BTreeSet<&str>) -> Vec<ImportCheck> {
    let config = &project.config;
    let mut checks = Vec::new();
    if let Entry::Module(module) | Entry::Function { module, .. } = &config.runner.entry {
        let names = match &config.runner.entry {
            Entry::Function { function, .. } => function.split('.').take(1).map(str::to_owned).collect(),
            Entry::Script(_) | Entry::Module(_) => Vec::new(),
        };
        checks.push(ImportCheck::of(module.to_string(), names, "[runner] entry", true));
    }
    for import in &config.smoke.imports {
        checks.push(ImportCheck::of(import.module.to_string(), import.names.clone(), "[smoke] imports", true));
    }
    for module in &config.runner.hidden_imports {
        checks.push(ImportCheck::of(module.to_string(), Vec::new(), "[runner] hidden-imports", true));
    }
    for hook in project.hooks.active(&project.environment) {
        let reached = hook.assertions.iter().filter(|asserted| project.graph.find(asserted.name.as_str()).is_some());
        checks.extend(reached.map(|asserted| ImportCheck {
            asserted: Some(asserted.kind),
            ..ImportCheck::of(asserted.name.to_string(), Vec::new(), format!("a hook for {}", hook.distribution), false)
        }));
    }
    // An installed application is its distribution.
    let installed =
        entry_module(project).map(|module| &module.origin).filter(|origin| **origin != graph::Origin::Stdlib);
    let is_own = |module: &Module| module.editable || installed.is_some_and(|origin| *origin == module.origin);
    let edges = project.graph.edges().filter(|edge| edge.line > 0 && !edge.module.is_empty());
    let (own, others): (Vec<Edge<'_>>, Vec<Edge<'_>>) = edges.partition(|edge| is_own(edge.importer));
    checks.extend(own.iter().chain(&others).map(|edge| check(project, edge)));
    // An installer that the layout leaves out has nothing to be called by.
    for dist in project.environment.distributions.iter().filter(|dist| !left_out.contains(dist.name.as_str())) {
        let because = format!("an entry point of {}", dist.name);
        checks.extend(dist.entry_points.iter().map(|point| ImportCheck {
            entry_point: Some(EntryPoint {
                group: point.group.clone(),
                name: point.name.clone(),
                value: point.value.clone(),
            }),
            ..ImportCheck::of(String::new(), Vec::new(), because.clone(), false)
        }));
    }
    checks
}

fn entry_module(project: &Project) -> Option<&Module> {
    match &project.config.runner.entry {
        Entry::Script(_) => None,
        Entry::Module(module) | Entry::Function { module, .. } => {
            project.graph.find(module.as_str()).map(|id| project.graph.module(id))
        }
    }
}

fn check(project: &Project, edge: &Edge<'_>) -> ImportCheck {
    let names = match edge.names {
        Names::Module | Names::Star => Vec::new(),
        Names::Listed(names) => names.iter().map(ToString::to_string).collect(),
    };
    ImportCheck::of(edge.module, names, way(project, edge), false)
}

/// Steps; of a longer one the middle is left out.
const LONGEST_WAY: usize = 6;

/// `main.py:12 → worker.sandbox:8 → daytona:5`: each place imports the module of the next, the last what is asked for.
fn way(project: &Project, edge: &Edge<'_>) -> String {
    let place = |module: &Module, line: u32| {
        let file = module.file.as_deref().map(|file| file.strip_prefix(&project.config.root));
        match file {
            Some(Ok(relative)) if module.editable => format!("{}:{line}", relative.display()),
            Some(Ok(_) | Err(_)) | None => format!("{}:{line}", module.name),
        }
    };
    let mut places = Vec::new();
    if let Some(id) = project.graph.find(edge.importer.name.as_str()) {
        let steps = project.graph.why(id).into_iter().filter(|step| step.line > 0);
        places.extend(steps.map(|step| place(project.graph.module(step.importer), step.line)));
    }
    places.push(place(edge.importer, edge.line));
    if places.len() > LONGEST_WAY {
        let end = places.len() - LONGEST_WAY / 2;
        places.splice(LONGEST_WAY / 2..end, ["…".to_owned()]);
    }
    places.join(" → ")
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
