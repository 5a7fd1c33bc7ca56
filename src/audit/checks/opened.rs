//! `opened-library`: a shared library that code opens by a name that cannot be followed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::place::{few, title};
use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};
use super::native::owner;
use crate::native::opened::Name;

/// Calls that are shown.
const SHOWN: usize = 5;

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let Some(native) = &context.native else { return };
    // Those that a hook speaks for are followed.
    let hooks = context.hooks.active(context.environment).filter(|hook| !hook.libraries.is_empty());
    let hooked: BTreeSet<String> =
        hooks.filter_map(|hook| context.environment.distribution(hook.distribution.as_str())).map(title).collect();
    // A distribution's calls are one finding.
    let mut by_owner: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    for (place, calls) in &native.planned.native.opened {
        let owner = owner(context, native, place);
        for call in calls.iter().filter(|_| !hooked.contains(&owner)) {
            let text = match &call.name {
                Name::Library(_) => continue,
                Name::Path(path) => format!("opens `{path}`"),
                Name::Searched(name) => format!("searches for `{name}`"),
                Name::Computed => "opens what it computes".to_owned(),
            };
            let evidence = Evidence { path: None, file: Some(place.clone()), line: Some(call.line), text };
            by_owner.entry(owner.clone()).or_default().push(evidence);
        }
    }
    for (owner, evidence) in by_owner {
        let evidence = few(evidence.into_iter(), SHOWN, |one| one);
        sink.push(
            FAR,
            Finding {
                code: "opened-library",
                severity: Severity::Info,
                subject: owner.clone(),
                message: format!("{owner} opens shared libraries that no analysis can follow"),
                evidence,
                cure: Some(
                    "nothing, if the system has them; else name them in a hook: `libraries = [\"libmagic.so.1\"]`"
                        .to_owned(),
                ),
            },
        );
    }
}
