//! What is odd about single ELF files: `executable-stack`, `text-relocations`, `absolute-run-path`, `foreign-machine`,
//! `cpu-features`, `unhardened`.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::{Context, FAR, Finding, Native, Severity, Sink};
use super::native::{evidence, owner};
use crate::native::{ElfFile, HOST_MACHINE, Isa, machine_name};

/// One check: its code, and what it says of a file, if anything.
struct Check {
    code: &'static str,
    severity: fn(&ElfFile) -> Severity,
    /// What is said of a distribution's files, all of one kind.
    message: &'static str,
    /// What is said of one file.
    told: fn(&ElfFile) -> Option<String>,
    cure: &'static str,
}

const CHECKS: &[Check] = &[
    Check {
        code: "executable-stack",
        severity: |_| Severity::Warning,
        message: "wants a stack that code can run on, which glibc 2.41 and hardened kernels refuse to a library",
        told: |elf| elf.traits.executable_stack.then(|| "asks for an executable stack".to_owned()),
        cure: "take a newer release, or build it from source with `-z noexecstack`",
    },
    Check {
        code: "text-relocations",
        severity: |_| Severity::Warning,
        message: "has code that the loader must write to, which hardened systems refuse",
        told: |elf| elf.traits.text_relocations.then(|| "has text relocations".to_owned()),
        cure: "take a newer release, or build it from source with `-fPIC`",
    },
    Check {
        code: "foreign-machine",
        severity: |_| Severity::Info,
        message: "holds native code for another machine",
        told: |elf| (elf.machine != HOST_MACHINE).then(|| format!("is for {}", machine_name(elf.machine))),
        cure: "nothing, if it is there for other platforms; it is packed as data",
    },
    Check {
        code: "cpu-features",
        severity: |elf| if elf.isa > Some(Isa::V2) { Severity::Warning } else { Severity::Info },
        message: "needs a newer processor than the oldest of its kind",
        told: |elf| elf.isa.filter(|isa| *isa > Isa::V1).map(|isa| format!("needs {isa}")),
        cure: "know the machines that it will run on, or take a build for plain x86-64",
    },
    Check {
        code: "unhardened",
        severity: |_| Severity::Info,
        message: "was linked without what makes an exploit harder",
        told: unhardened,
        cure: "nothing that packproof could do; a newer release may be linked otherwise",
    },
];

/// What is odd about one file wherever it is.
pub(crate) struct Told {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: &'static str,
    /// Of the file.
    pub(crate) text: String,
    pub(crate) cure: &'static str,
}

/// Of a file that is for the platform, which this machine need not be.
pub(crate) fn told(elf: &ElfFile) -> Vec<Told> {
    let checks = CHECKS.iter().filter(|check| check.code != "foreign-machine");
    checks
        .filter_map(|check| {
            let told = (check.told)(elf)?;
            let severity = (check.severity)(elf);
            Some(Told { code: check.code, severity, message: check.message, text: told, cure: check.cure })
        })
        .collect()
}

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let Some(native) = &context.native else { return };
    for check in CHECKS {
        // A distribution's files are one finding.
        let mut by_owner: BTreeMap<(Severity, String), Vec<(&str, String)>> = BTreeMap::new();
        for (place, elf) in &native.planned.native.files {
            // `wrong-abi` has spoken of an extension module that is imported.
            let told_before =
                check.code == "foreign-machine" && source(native, place).is_some_and(|it| sink.foreign.contains(it));
            if let Some(told) = (check.told)(elf).filter(|_| !told_before) {
                let key = ((check.severity)(elf), owner(context, native, place));
                by_owner.entry(key).or_default().push((place, told));
            }
        }
        for ((severity, owner), files) in by_owner {
            push(context, native, sink, check.code, severity, &owner, check.message, &files, check.cure);
        }
    }
    absolute_run_paths(context, native, sink);
}

fn source<'a>(native: &Native<'a>, place: &str) -> Option<&'a Path> {
    super::native::entry(native, place)?.source.file()
}

/// What is left of them: folders that do not exist here, so that nothing was found there.
fn absolute_run_paths(context: &Context<'_>, native: &Native<'_>, sink: &mut Sink) {
    let mut by_owner: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for (path, entry) in &native.planned.layout.entries {
        let Some(elf) = native.planned.native.files.get(path.as_str()) else { continue };
        if entry.source.change().is_some_and(|why| why.contains("run path")) {
            continue;
        }
        let absolute: Vec<&str> =
            elf.run_paths().iter().map(String::as_str).filter(|path| !path.starts_with('$')).collect();
        if !absolute.is_empty() {
            let told = format!("searches `{}`", absolute.join("`, `"));
            by_owner.entry(owner(context, native, path.as_str())).or_default().push((path.as_str(), told));
        }
    }
    for (owner, files) in by_owner {
        let message = "searches for libraries in folders of the machine that it was built on";
        let cure = "take a newer release; whoever can write to such a folder where the artifact runs can lend it code";
        push(context, native, sink, "absolute-run-path", Severity::Info, &owner, message, &files, cure);
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one finding")]
fn push(
    context: &Context<'_>,
    native: &Native<'_>,
    sink: &mut Sink,
    code: &'static str,
    severity: Severity,
    owner: &str,
    message: &str,
    files: &[(&str, String)],
    cure: &str,
) {
    const NAMED: usize = 3;
    let mut shown: Vec<_> =
        files.iter().take(NAMED).map(|(place, told)| evidence(context, native, place, told)).collect();
    if let Some(more) = files.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let text = format!("and {more} more files");
        shown.push(super::super::Evidence { path: None, file: None, line: None, text });
    }
    sink.push(
        FAR,
        Finding {
            code,
            severity,
            subject: owner.to_owned(),
            message: format!("{owner} {message}"),
            evidence: shown,
            cure: Some(cure.to_owned()),
        },
    );
}

fn unhardened(elf: &ElfFile) -> Option<String> {
    if elf.machine != HOST_MACHINE {
        return None;
    }
    let traits = elf.traits;
    let lacks = [
        (!traits.relro, "read-only relocations (RELRO)"),
        (!traits.position_independent, "a place that changes from run to run (PIE)"),
    ];
    let lacks: Vec<_> = lacks.into_iter().filter(|(lacking, _)| *lacking).map(|(_, what)| what).collect();
    (!lacks.is_empty()).then(|| format!("lacks {}", lacks.join(" and ")))
}
