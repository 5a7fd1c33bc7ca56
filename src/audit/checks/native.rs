//! What native code asks of the system that the artifact will run on: `missing-library`, `glibc-floor`, `soname-conflict`,
//! and what is wrong with single files ([`super::elf`]).

use std::collections::{BTreeMap, BTreeSet};

use super::super::place::{listed, title};
use super::super::{Context, Evidence, FAR, Finding, Native, Severity, Sink};
use crate::format::ArchivePath;
use crate::layout::{Entry, Origin};
use crate::native::closure::LIB;
use crate::native::{ElfFile, Floor, GlibcVersion, code_and_data};

/// Culprits that are named.
const NAMED: usize = 3;

pub(in crate::audit) fn check(context: &Context<'_>, max_glibc: Option<&str>, sink: &mut Sink) {
    let Some(native) = &context.native else { return };
    missing(context, native, sink);
    floor(context, native, max_glibc, sink);
    conflicts(context, native, sink);
}

pub(super) fn entry<'a>(native: &Native<'a>, place: &str) -> Option<&'a Entry> {
    native.planned.layout.entries.get(&ArchivePath::new(place).ok()?)
}

/// `numpy 2.0.2`, `the interpreter`
pub(super) fn owner(context: &Context<'_>, native: &Native<'_>, place: &str) -> String {
    match entry(native, place).map(|entry| &entry.origin) {
        Some(Origin::Distribution(name)) => {
            context.environment.distribution(name.as_str()).map_or_else(|| name.to_string(), title)
        }
        Some(Origin::Interpreter) => "the interpreter".to_owned(),
        Some(Origin::Stdlib) => "the standard library".to_owned(),
        Some(Origin::Application) => "the application".to_owned(),
        Some(Origin::System) => "the build machine".to_owned(),
        Some(Origin::Packproof | Origin::Unowned) | None => "no distribution".to_owned(),
    }
}

pub(super) fn evidence(context: &Context<'_>, native: &Native<'_>, place: &str, text: &str) -> Evidence {
    Evidence {
        path: None,
        file: Some(place.to_owned()),
        line: None,
        text: format!("{text}, of {}", owner(context, native, place)),
    }
}

fn missing(context: &Context<'_>, native: &Native<'_>, sink: &mut Sink) {
    let closure = &native.planned.native.closure;
    // What was to be packed, and is not in the layout.
    let lost = closure.packed.iter().filter(|(name, _)| entry(native, &format!("{LIB}/{name}")).is_none());
    let lost = lost.map(|(name, library)| (name, &library.needed_by));
    for (name, needed_by) in closure.missing.iter().chain(lost) {
        let surely = needed_by.iter().any(|place| native.planned.native.surely.contains(place));
        let mut shown: Vec<_> = needed_by.iter().collect();
        // The most telling first.
        shown.sort_by_key(|place| !native.planned.native.surely.contains(*place));
        sink.push(
            if surely { 0 } else { FAR },
            Finding {
                code: "missing-library",
                severity: if surely { Severity::Error } else { Severity::Info },
                subject: name.clone(),
                message: if closure.missing.contains_key(name) {
                    format!("`{name}` is needed, and lies neither in the artifact nor on this machine")
                } else {
                    format!("`{name}` is needed, and was left out of the artifact")
                },
                evidence: shown
                    .into_iter()
                    .take(NAMED)
                    .map(|place| evidence(context, native, place, "needs it"))
                    .collect(),
                cure: Some(format!(
                    "install what brings `{name}` here, so that it is packed; or leave out what needs it"
                )),
            },
        );
    }
}

fn floor(context: &Context<'_>, native: &Native<'_>, max: Option<&str>, sink: &mut Sink) {
    let facts = &native.planned.native;
    let Some(version) = &facts.floor.version else { return };
    let max = max.and_then(GlibcVersion::parse);
    let above = |floor: &Floor| max.as_ref().zip(floor.version.as_ref()).is_some_and(|(max, floor)| floor > max);
    let severity = match (above(&facts.sure_floor), above(&facts.floor)) {
        (true, _) => Severity::Error,
        (false, true) => Severity::Warning,
        (false, false) => Severity::Info,
    };
    let mut message = format!("the artifact needs glibc {version} or newer, as {} does", manylinux(version));
    if let Some(max) = max.filter(|_| severity != Severity::Info) {
        message = format!("the artifact needs glibc {version} or newer, and `[audit] max-glibc` is {max}");
    }
    if let Some(sure) = facts.sure_floor.version.as_ref().filter(|sure| *sure != version) {
        message = format!("{message}; what every run loads needs {sure}");
    }
    let culprits = |floor: &Floor| floor.set_by.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let mut places = culprits(&facts.sure_floor);
    places.extend(culprits(&facts.floor));
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    let cure = (severity != Severity::Info).then(|| {
        "build on an older system or with an interpreter that was, or take wheels for an older manylinux".to_owned()
    });
    sink.push(
        FAR,
        Finding {
            code: "glibc-floor",
            severity,
            subject: "glibc".to_owned(),
            message,
            evidence: places.iter().map(|place| needs(context, native, place, &facts.files[place])).collect(),
            cure,
        },
    );
}

/// The policy that wheels of this glibc version bear.
fn manylinux(version: &GlibcVersion) -> String {
    format!("manylinux_{}", version.to_string().replace('.', "_"))
}

fn needs(context: &Context<'_>, native: &Native<'_>, place: &str, elf: &ElfFile) -> Evidence {
    let mut wanted = Vec::new();
    if let Some((_, need)) = elf.glibc() {
        wanted.push(match &need.symbol {
            Some(symbol) => format!("{} for `{symbol}`", need.version),
            None => need.version.clone(),
        });
    }
    for prefix in ["GLIBCXX_", "CXXABI_"] {
        wanted.extend(elf.highest(prefix).map(|version| format!("{prefix}{version}")));
    }
    evidence(context, native, place, &format!("needs {}", wanted.join(", ")))
}

/// Two different libraries of one name: which of them a process gets is decided by what it imports first.
fn conflicts(context: &Context<'_>, native: &Native<'_>, sink: &mut Sink) {
    let facts = &native.planned.native;
    let wanted: BTreeSet<&str> = facts.files.values().flat_map(|elf| &elf.needed).map(String::as_str).collect();
    let python = loaded_into_python(native);
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (place, elf) in facts.files.iter().filter(|(place, _)| python.contains(*place)) {
        if let Some(soname) = elf.soname.as_deref().filter(|soname| wanted.contains(soname)) {
            by_name.entry(soname).or_default().push(place);
        }
    }
    for (soname, places) in by_name.into_iter().filter(|(_, places)| places.len() > 1) {
        let owners: BTreeSet<String> = places.iter().map(|place| owner(context, native, place)).collect();
        let contents: BTreeSet<_> = places.iter().map(|place| content(native, place)).collect();
        if owners.len() < 2 || contents.len() < 2 {
            continue;
        }
        sink.push(
            FAR,
            Finding {
                code: "soname-conflict",
                severity: Severity::Warning,
                subject: soname.to_owned(),
                message: format!(
                    "{} bring different libraries that are all called `{soname}`",
                    listed(owners.iter().map(String::as_str), NAMED)
                ),
                evidence: places
                    .iter()
                    .take(NAMED)
                    .map(|place| evidence(context, native, place, "one of them"))
                    .collect(),
                cure: Some(
                    "take releases of the two that name their libraries apart, as `auditwheel repair` does".to_owned(),
                ),
            },
        );
    }
    for (name, places) in &facts.closure.conflicts {
        sink.push(
            FAR,
            Finding {
                code: "soname-conflict",
                severity: Severity::Warning,
                subject: name.clone(),
                message: format!("`{name}` is another file for one part of the application than for another"),
                evidence: places
                    .iter()
                    .take(NAMED)
                    .map(|place| evidence(context, native, place, "its run path leads to one of them"))
                    .collect(),
                cure: Some(
                    "the artifact holds one of them; mend the run paths of what was built from source".to_owned(),
                ),
            },
        );
    }
}

/// What the interpreter's process may load: all but programs (semgrep's core, node) and what they alone need, which meets
/// nothing of Python's.
fn loaded_into_python(native: &Native<'_>) -> BTreeSet<String> {
    let facts = &native.planned.native;
    let needed: BTreeSet<&String> = facts.closure.edges.values().flatten().collect();
    let is_interpreter = |place: &str| entry(native, place).is_some_and(|entry| entry.origin == Origin::Interpreter);
    let roots = facts
        .files
        .iter()
        .filter(|(place, elf)| is_interpreter(place) || elf.interpreter.is_none() && !needed.contains(*place));
    facts.closure.with_libraries(roots.map(|(place, _)| place.clone()))
}

/// What makes it another library than one of the same name.
fn content(native: &Native<'_>, place: &str) -> Option<[u8; 32]> {
    let entry =
        native.planned.layout.entries.iter().find(|(path, _)| path.as_str() == place).map(|(_, entry)| entry)?;
    let bytes = fs_err::read(entry.source.file()?).ok()?;
    let sections = code_and_data(&bytes);
    if sections.is_empty() {
        return Some(*blake3::hash(&bytes).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    for section in sections {
        hasher.update(section);
    }
    Some(*hasher.finalize().as_bytes())
}
