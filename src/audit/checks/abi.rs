//! `wrong-abi`: an extension module for another Python, platform or machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::place::{few, title};
use super::super::{Context, Finding, Severity, Sink};
use crate::environment::Distribution;
use crate::graph::{Import, ModuleKind, Reach, Target};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    missing(context, sink);
    foreign_machine(context, sink);
    if context.is_whole {
        installed(context, sink);
    }
}

/// Extension modules that no import of a whole environment has led to: nothing says who will import them. One finding for
/// each distribution.
fn installed(context: &Context<'_>, sink: &mut Sink) {
    let facts = &context.environment.facts;
    let own = machine(&facts.base_executable);
    for dist in &context.environment.distributions {
        let listed: BTreeSet<&str> = dist.files.iter().map(|entry| entry.path.as_str()).collect();
        let mut broken: Vec<(PathBuf, &str)> = Vec::new();
        for entry in dist.files.iter().filter(|entry| entry.path.ends_with(".so") || entry.path.ends_with(".pyd")) {
            let file = dist.site.join(&entry.path);
            let (start, end) = tagged(&entry.path);
            if sink.foreign.contains(&file) || !is_tag(end) {
                continue;
            }
            // A module of the same name that can be loaded, in Python or machine code.
            let suffixes = facts.extension_suffixes.iter().chain(&facts.source_suffixes);
            let has_another = suffixes
                .clone()
                .any(|suffix| *suffix != format!(".{end}") && listed.contains(&*format!("{start}{suffix}")));
            let loads = facts.extension_suffixes.iter().any(|suffix| suffix[1..] == *end);
            let why = match (loads, machine(&file)) {
                (false, _) if has_another => continue,
                (false, _) => "is for another Python or platform",
                (true, found) if found.is_some() && found == own => continue,
                (true, Some(_)) => "was built for another machine",
                // What is missing, `record-mismatch` tells.
                (true, None) if !file.is_file() => continue,
                (true, None) => "is no ELF file",
            };
            broken.push((file, why));
        }
        if broken.is_empty() {
            continue;
        }
        let evidence = few(broken.iter(), 3, |(file, why)| context.places.evidence(file, 0, *why));
        sink.push(
            super::super::FAR,
            Finding {
                code: "wrong-abi",
                severity: Severity::Warning,
                subject: dist.name.to_string(),
                message: format!("{} has extension modules that this interpreter cannot load", title(dist)),
                evidence,
                cure: Some(format!("install {} for {}", dist.name, facts.python_name())),
            },
        );
    }
}

/// `a/b` and `cpython-311-x86_64-linux-gnu.so` of `a/b.cpython-311-x86_64-linux-gnu.so`.
fn tagged(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].find('.') {
        Some(dot) => (&path[..name + dot], &path[name + dot + 1..]),
        None => (path, ""),
    }
}

/// Whether a file's name ends as extension modules' do. A library beside them has a version or nothing before its end.
fn is_tag(end: &str) -> bool {
    ["cpython-", "cp3", "pypy", "abi3.", "abi3-", "abi3t.", "abi3t-"].iter().any(|start| end.starts_with(start))
}

/// A module that no finder has, while a file of its name with another tag lies in its place.
fn missing(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let mut by_file: BTreeMap<PathBuf, (&Distribution, String, Vec<&Import>)> = BTreeMap::new();
    let others = other_tags(context);
    if others.is_empty() {
        return;
    }
    for import in graph.imports() {
        let Target::Missing { .. } = import.target else { continue };
        if let Some((dist, file)) = others.get(&*import.module) {
            by_file.entry(file.clone()).or_insert((dist, import.module.to_string(), Vec::new())).2.push(import);
        }
    }
    for import in graph.imports() {
        // `from package import _speedups`
        let (Target::Module(id), crate::graph::Names::Listed(names)) = (import.target, &import.names) else { continue };
        for name in names {
            let full = format!("{}.{name}", graph.module(id).name);
            if let (Some((dist, file)), None) = (others.get(&full), graph.find(&full)) {
                by_file.entry(file.clone()).or_insert((dist, full.clone(), Vec::new())).2.push(import);
            }
        }
    }
    for (file, (dist, module, mut imports)) in by_file {
        imports.sort_by_key(|import| (graph.import_reach(import), graph.distance(import.importer), import.line));
        let Some(surest) = imports.first().map(|import| graph.import_reach(import)) else { continue };
        sink.foreign.insert(file.clone());
        let severity = match surest {
            Reach::Sure => Severity::Error,
            Reach::Possible => Severity::Warning,
            // What stands in for it is slower, and works.
            Reach::Guarded => Severity::Info,
        };
        let mut evidence = vec![context.places.evidence(
            &file,
            0,
            format!(
                "of {}; this interpreter loads `{}`",
                title(dist),
                context.environment.facts.extension_suffixes.join("`, `")
            ),
        )];
        evidence
            .extend(imports.iter().take(2).map(|import| context.places.import(import, format!("imports `{module}`"))));
        for import in &imports {
            sink.explain(import);
        }
        sink.push(
            imports.first().map_or(super::super::FAR, |import| graph.distance(import.importer)),
            Finding {
                code: "wrong-abi",
                severity,
                subject: module.clone(),
                message: format!("`{module}` is there for another Python or platform alone"),
                evidence,
                cure: Some(format!("install {} for {}", dist.name, context.environment.facts.python_name())),
            },
        );
    }
}

/// Module → its file, for extension modules whose tag is none of the interpreter's.
fn other_tags<'a>(context: &Context<'a>) -> BTreeMap<String, (&'a Distribution, PathBuf)> {
    let mut others = BTreeMap::new();
    for dist in &context.environment.distributions {
        for entry in dist.files.iter().filter(|entry| entry.path.ends_with(".so") || entry.path.ends_with(".pyd")) {
            let (folder, file) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            let Some((stem, tag)) = file.split_once('.') else { continue };
            let loads = context.environment.facts.extension_suffixes.iter().any(|suffix| suffix[1..] == *tag);
            // A library beside the modules has a version or nothing between its name and its end.
            if loads || !is_tag(tag) {
                continue;
            }
            let module =
                if folder.is_empty() { stem.to_owned() } else { format!("{}.{stem}", folder.replace('/', ".")) };
            others.insert(module, (dist, dist.site.join(&entry.path)));
        }
    }
    others
}

/// A reached extension module whose ELF header names another machine than the interpreter's.
fn foreign_machine(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    let Some(own) = machine(&context.environment.facts.base_executable) else { return };
    for (id, module) in graph.modules().filter(|(_, module)| module.kind == ModuleKind::Extension) {
        let Some(file) = module.file.as_deref() else { continue };
        let what = match machine(file) {
            Some(machine) if machine == own => continue,
            Some(_) => "was built for another machine",
            None if file.is_file() => "is no ELF file",
            // Inside a zip file.
            None => continue,
        };
        sink.foreign.insert(file.to_owned());
        let severity = match graph.reach(id) {
            Reach::Sure => Severity::Error,
            Reach::Possible => Severity::Warning,
            Reach::Guarded => Severity::Info,
        };
        sink.push(
            graph.distance(id),
            Finding {
                code: "wrong-abi",
                severity,
                subject: module.name.to_string(),
                message: format!("the extension module `{}` {what}", module.name),
                evidence: vec![context.places.evidence(
                    file,
                    0,
                    format!("of {}", context.places.owner(&module.origin)),
                )],
                cure: Some("install its distribution again, for this platform".to_owned()),
            },
        );
    }
}

/// Class, byte order and `e_machine` of an ELF file; nothing for other files.
fn machine(file: &Path) -> Option<[u8; 4]> {
    let mut header = [0; 20];
    fs_err::File::open(file).ok()?.read_exact(&mut header).ok()?;
    header.starts_with(b"\x7fELF").then_some([header[4], header[5], header[18], header[19]])
}
