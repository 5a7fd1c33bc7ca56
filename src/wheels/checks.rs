//! What is wrong with wheels for a platform: `incompatible-wheel`, `record-mismatch`, `distribution-overlap`, and of their
//! native code `foreign-machine`, `missing-library`, `glibc-floor`, `minimum-os` and what the audit of an artifact says too.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{self, Unreadable, Wheel};
use super::tag::Platform;
use super::{NativeFile, libraries};
use crate::audit::{Evidence, Finding, Severity, Told, is_meant_to_be_imported, told_of_elf};
use crate::native::{GlibcVersion, machine_name};

/// Places that are shown of one cause.
const SHOWN: usize = 3;

/// Everything that is found, in no order.
pub fn check(wheels: &[Wheel], broken: &[Unreadable], target: &Platform) -> Vec<Finding> {
    let mut found: Vec<Finding> = broken.iter().map(unreadable).collect();
    found.extend(incompatible(wheels, target));
    // A wheelhouse may hold wheels for several platforms.
    let fitting: Vec<&Wheel> = wheels.iter().filter(|wheel| fits(wheel, target)).collect();
    let house = libraries::House::of(&fitting);
    for wheel in &fitting {
        found.extend(tags(wheel));
        found.extend(record(wheel));
        found.extend(machines(wheel, target));
        found.extend(house.missing(wheel, target));
        found.extend(floors(wheel, target));
        found.extend(traits(wheel));
    }
    found.extend(overlaps(&fitting));
    found
}

fn fits(wheel: &Wheel, target: &Platform) -> bool {
    wheel.platforms.iter().any(|platform| target.takes(platform))
}

pub(super) fn title(wheel: &Wheel) -> String {
    format!("{} {}", wheel.name.distribution, wheel.name.version)
}

pub(super) fn finding(
    code: &'static str,
    severity: Severity,
    wheel: &Wheel,
    message: String,
    mut evidence: Vec<(String, String)>,
    cure: &str,
) -> Finding {
    let more = evidence.len().saturating_sub(SHOWN);
    evidence.truncate(SHOWN);
    let place = |(path, text): (String, String)| Evidence {
        path: None,
        file: Some(if path.is_empty() { wheel.file_name.clone() } else { path }),
        line: None,
        text,
    };
    let mut evidence: Vec<Evidence> = evidence.into_iter().map(place).collect();
    if more > 0 {
        evidence.push(Evidence { path: None, file: None, line: None, text: format!("and {more} more files") });
    }
    let subject = wheel.name.distribution.to_string();
    Finding { code, severity, subject, message, evidence, cure: Some(cure.to_owned()) }
}

fn unreadable(broken: &Unreadable) -> Finding {
    Finding {
        code: "uninspectable",
        severity: Severity::Error,
        subject: broken.file_name.clone(),
        message: format!("`{}` cannot be read as a wheel", broken.file_name),
        evidence: vec![Evidence {
            path: None,
            file: Some(broken.file_name.clone()),
            line: None,
            text: broken.message.clone(),
        }],
        cure: Some("download it again".to_owned()),
    }
}

/// Distributions of which no wheel installs on the platform.
fn incompatible(wheels: &[Wheel], target: &Platform) -> Vec<Finding> {
    let mut by_release: BTreeMap<(&str, &str), Vec<&Wheel>> = BTreeMap::new();
    for wheel in wheels {
        by_release.entry((wheel.name.distribution.as_str(), &wheel.name.version)).or_default().push(wheel);
    }
    let lacking = by_release.into_values().filter(|wheels| !wheels.iter().any(|wheel| fits(wheel, target)));
    lacking
        .map(|wheels| Finding {
            code: "incompatible-wheel",
            severity: Severity::Error,
            subject: wheels[0].name.distribution.to_string(),
            message: format!("{} has no wheel here that installs on {target}", title(wheels[0])),
            evidence: wheels
                .iter()
                .take(SHOWN)
                .map(|wheel| Evidence {
                    path: None,
                    file: Some(wheel.file_name.clone()),
                    line: None,
                    text: format!("is for {}", wheel.name.platforms.join(", ")),
                })
                .collect(),
            cure: Some(format!(
                "download it for that platform: `pip download --platform {target} --only-binary :all:`"
            )),
        })
        .collect()
}

/// Installers go by the name, and what is installed tells the tags of WHEEL.
fn tags(wheel: &Wheel) -> Option<Finding> {
    let name = &wheel.name;
    let mut named = BTreeSet::new();
    for (python, abi) in name.pythons.iter().flat_map(|python| name.abis.iter().map(move |abi| (python, abi))) {
        named.extend(name.platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
    }
    // Some tools write several in one line, as in the name.
    let mut written = BTreeSet::new();
    for tag in &wheel.tags {
        let mut parts = tag.splitn(3, '-').map(|part| part.split('.').collect::<Vec<_>>());
        let (Some(pythons), Some(abis), Some(platforms)) = (parts.next(), parts.next(), parts.next()) else { continue };
        for (python, abi) in pythons.iter().flat_map(|python| abis.iter().map(move |abi| (python, abi))) {
            written.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    let other: Vec<&str> = written.difference(&named).map(String::as_str).collect();
    (!other.is_empty()).then(|| {
        finding(
            "incompatible-wheel",
            Severity::Warning,
            wheel,
            format!("the WHEEL file of {} names other tags than its file name", title(wheel)),
            vec![(String::new(), format!("its WHEEL has {}", other.join(", ")))],
            "take the wheel as its project published it; tools such as `wheel tags` change both",
        )
    })
}

fn record(wheel: &Wheel) -> Option<Finding> {
    const UNLISTED: [&str; 3] = ["RECORD", "RECORD.jws", "RECORD.p7s"];
    let Some(record) = &wheel.record else {
        let evidence = vec![(String::new(), "holds no RECORD".to_owned())];
        let message = format!("{} has no RECORD", title(wheel));
        return Some(finding("record-mismatch", Severity::Error, wheel, message, evidence, "download it again"));
    };
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for entry in record {
        listed.insert(entry.path.as_str());
        match (wheel.files.get(&entry.path), &entry.hash) {
            (None, _) => wrong.push((entry.path.clone(), "is missing")),
            (Some(file), Some(hash)) if hash.starts_with("sha256=") && file.hash != hash.trim_end_matches('=') => {
                wrong.push((entry.path.clone(), "is not what RECORD says"));
            }
            (Some(file), _) if entry.size.is_some_and(|size| size != file.size) => {
                wrong.push((entry.path.clone(), "has another size than RECORD says"));
            }
            (Some(_), _) => {}
        }
    }
    let broken = !wrong.is_empty();
    let is_known =
        |path: &str| listed.contains(path) || UNLISTED.iter().any(|name| path.ends_with(&format!(".dist-info/{name}")));
    let unlisted = wheel.files.keys().filter(|path| !is_known(path));
    wrong.extend(
        unlisted.map(|path| (path.clone(), "is not listed in RECORD, and would stay behind when it is removed")),
    );
    (!wrong.is_empty()).then(|| {
        finding(
            "record-mismatch",
            if broken { Severity::Error } else { Severity::Warning },
            wheel,
            format!("{} does not hold what its RECORD lists", title(wheel)),
            wrong.into_iter().map(|(path, text)| (path, text.to_owned())).collect(),
            "download it again; where that changes nothing, the wheel was published so",
        )
    })
}

/// Of one file, for which machines it is where it is not for the platform's.
fn foreign(file: &NativeFile, target: &Platform) -> Option<String> {
    let wanted = target.machines();
    match (file, target) {
        (NativeFile::Elf(elf), Platform::Linux { machine, .. } | Platform::Musl { machine, .. }) => {
            let right = libraries::elf_machine(machine).is_none_or(|number| number == elf.machine);
            (!right).then(|| format!("is for {}", machine_name(elf.machine)))
        }
        (NativeFile::Mach(file), Platform::Macos { .. }) => {
            let has: Vec<&str> = file.slices.iter().map(|slice| slice.machine.as_str()).collect();
            let right = wanted.iter().all(|machine| has.contains(machine));
            (!right).then(|| format!("is for {}", has.join(" and ")))
        }
        (NativeFile::Pe(file), Platform::Windows { machine }) => {
            (file.machine != *machine).then(|| format!("is for {}", file.machine))
        }
        (NativeFile::Elf(_), _) => Some("is for Linux".to_owned()),
        (NativeFile::Mach(_), _) => Some("is for macOS".to_owned()),
        (NativeFile::Pe(_), _) => Some("is for Windows".to_owned()),
    }
}

fn machines(wheel: &Wheel, target: &Platform) -> Option<Finding> {
    let foreign: Vec<(String, String)> =
        wheel.native.iter().filter_map(|(path, file)| Some((path.clone(), foreign(file, target)?))).collect();
    if foreign.is_empty() {
        return None;
    }
    // What a wheel for any platform brings for some of them is chosen when it runs.
    let any = wheel.platforms.contains(&Platform::Any);
    let none_is_right = foreign.len() == wheel.native.len() && !any;
    Some(finding(
        "foreign-machine",
        if none_is_right { Severity::Error } else { Severity::Info },
        wheel,
        format!("{} holds native code that does not run on {target}", title(wheel)),
        foreign,
        if none_is_right {
            "take another wheel: the tags of this one promise what it does not hold"
        } else {
            "nothing, if it is there for other platforms"
        },
    ))
}

/// The oldest system that a wheel's files run on, against the platform's and against what its own tags promise.
fn floors(wheel: &Wheel, target: &Platform) -> Option<Finding> {
    let promised = wheel.platforms.iter().filter(|platform| target.takes(platform));
    let needs: Vec<(&String, (u32, u32), String)> = wheel
        .native
        .iter()
        .filter(|(_, file)| foreign(file, target).is_none())
        .filter_map(|(path, file)| {
            let (version, told) = floor(file, target)?;
            Some((path, version, told))
        })
        .collect();
    let highest = needs.iter().map(|(_, version, _)| *version).max()?;
    let (limit, promised, code) = match target {
        Platform::Linux { glibc, .. } => {
            let promised = promised.filter_map(|platform| match platform {
                Platform::Linux { glibc, .. } => *glibc,
                Platform::Any | Platform::Musl { .. } | Platform::Macos { .. } | Platform::Windows { .. } => None,
            });
            (*glibc, promised.min(), "glibc-floor")
        }
        Platform::Macos { version, .. } => {
            let promised = promised.filter_map(|platform| match platform {
                Platform::Macos { version, .. } => Some(*version),
                Platform::Any | Platform::Linux { .. } | Platform::Musl { .. } | Platform::Windows { .. } => None,
            });
            (Some(*version), promised.min(), "minimum-os")
        }
        Platform::Any | Platform::Musl { .. } | Platform::Windows { .. } => return None,
    };
    let above = |limit: Option<(u32, u32)>| limit.is_some_and(|limit| highest > limit);
    let severity = match (above(limit), above(promised)) {
        (true, _) => Severity::Error,
        (false, true) => Severity::Warning,
        (false, false) => return None,
    };
    let shown = needs.into_iter().filter(|(_, version, _)| *version == highest);
    let what = if code == "glibc-floor" { "glibc" } else { "macOS" };
    let (major, minor) = highest;
    let against = if severity == Severity::Error { "the platform has" } else { "its own tag promises" };
    Some(finding(
        code,
        severity,
        wheel,
        format!("{} needs {what} {major}.{minor}, which is newer than {against}", title(wheel)),
        shown.map(|(path, _, told)| (path.clone(), told)).collect(),
        "take a wheel for the older system, or another release",
    ))
}

fn floor(file: &NativeFile, target: &Platform) -> Option<((u32, u32), String)> {
    match file {
        NativeFile::Elf(elf) => {
            let (version, need) = elf.glibc()?;
            let told = match &need.symbol {
                Some(symbol) => format!("needs {} for `{symbol}`", need.version),
                None => format!("needs {}", need.version),
            };
            Some((major_minor(&version)?, told))
        }
        NativeFile::Mach(file) => {
            let wanted = target.machines();
            let slices = file.slices.iter().filter(|slice| wanted.contains(&slice.machine.as_str()));
            // There is no older macOS for this machine, whatever a tag for both says.
            let own =
                |slice: &&crate::native::macho::Slice| !(slice.machine == "arm64" && slice.minimum_os <= Some((11, 0)));
            let version = slices.filter(own).filter_map(|slice| slice.minimum_os).max()?;
            Some((version, format!("was built for macOS {}.{}", version.0, version.1)))
        }
        NativeFile::Pe(_) => None,
    }
}

fn major_minor(version: &GlibcVersion) -> Option<(u32, u32)> {
    let text = version.to_string();
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// What the audit of an artifact says of single ELF files.
fn traits(wheel: &Wheel) -> Vec<Finding> {
    let mut found: BTreeMap<(&'static str, Severity), Vec<(String, Told)>> = BTreeMap::new();
    for (path, file) in &wheel.native {
        let NativeFile::Elf(elf) = file else { continue };
        for told in told_of_elf(elf) {
            found.entry((told.code, told.severity)).or_default().push((path.clone(), told));
        }
    }
    found
        .into_iter()
        .map(|((code, severity), files)| {
            let (message, cure) = files.first().map_or(("", ""), |(_, told)| (told.message, told.cure));
            let message = format!("{} {message}", title(wheel));
            finding(code, severity, wheel, message, files.into_iter().map(|(path, it)| (path, it.text)).collect(), cure)
        })
        .collect()
}

/// Two wheels, and the paths that both install, with what is shown of each.
type Clash<'a> = (&'a Wheel, &'a Wheel, Vec<(String, String)>);

/// Two distributions that install one path with different content.
fn overlaps(wheels: &[&Wheel]) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, (&Wheel, &str)> = BTreeMap::new();
    let mut clashes: BTreeMap<(&str, &str), Clash<'_>> = BTreeMap::new();
    for wheel in wheels {
        for (path, stored) in &wheel.files {
            let Some(path) = read::installed(path).filter(|path| is_meant_to_be_imported(path)) else { continue };
            match owners.get(path) {
                None => _ = owners.insert(path, (wheel, &stored.hash)),
                Some((first, hash)) => {
                    let names = (first.name.distribution.as_str(), wheel.name.distribution.as_str());
                    if names.0 != names.1 && *hash != stored.hash {
                        let clash = clashes.entry(names).or_insert_with(|| (first, wheel, Vec::new()));
                        clash.2.push((path.to_owned(), "is in both".to_owned()));
                    }
                }
            }
        }
    }
    clashes
        .into_values()
        .map(|(first, second, files)| {
            let message =
                format!("{} and {} install the same paths with different content", title(first), title(second));
            let cure = "install only one of the two: which of them wins depends on the order of installation";
            let mut found = finding("distribution-overlap", Severity::Warning, first, message, files, cure);
            found.subject = format!("{},{}", first.name.distribution, second.name.distribution);
            found
        })
        .collect()
}
