//! What a build did, in a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::numbers::{bytes, seconds, thousands};
use super::{findings, proof as proof_report};
use crate::audit::Report;
use crate::layout::{Origin, Planned};
use crate::licenses::Kind;
use crate::names::DistName;
use crate::native::{Closure, Floor, Why};
use crate::pack::Packed;
use crate::pipeline::{Plan, Project};
use crate::verify::Proof;

/// Everything that a build knows at its end.
#[derive(Debug, Clone, Copy)]
pub struct Built<'a> {
    pub project: &'a Project,
    pub plan: &'a Plan,
    pub packed: &'a Packed,
    pub audit: &'a Report,
    /// Nothing where it was not asked for.
    pub proof: Option<&'a Proof>,
}

/// A line for each subject.
pub fn summary(built: &Built<'_>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(built, &mut text);
    text
}

fn write(built: &Built<'_>, f: &mut String) -> std::fmt::Result {
    let Built { project, plan, packed, audit, proof } = built;
    let distributions =
        plan.licenses.components.iter().filter(|component| component.kind == Kind::Distribution).count();
    let reached = project.graph.modules().count() as u64;
    writeln!(
        f,
        "  packed     Python {}, {} distributions, {} modules reached, {} files",
        project.environment.facts.version_string(),
        distributions,
        thousands(reached),
        thousands(packed.files)
    )?;
    writeln!(f, "  size       {}, {} unpacked", bytes(packed.size), bytes(packed.unpacked))?;
    write_native(plan, f)?;
    for left_out in plan.planned.left_out.iter().take(LISTED) {
        writeln!(f, "  left out   {}: {}", left_out.what, left_out.why)?;
    }
    if let Some(more) = plan.planned.left_out.len().checked_sub(LISTED).filter(|more| *more > 0) {
        writeln!(f, "  left out   {more} more, for the same reasons")?;
    }
    write_unreached(plan, f)?;
    writeln!(f, "  findings   {}", findings::summary(audit))?;
    match proof {
        Some(proof) => writeln!(f, "  proof      {}", proof_report::line(proof))?,
        None => writeln!(f, "  proof      NOT PROVED: it was not asked for (--no-proof)")?,
    }
    let times: Vec<_> = project.times.iter().map(|(stage, time)| format!("{stage} {}", seconds(time))).collect();
    writeln!(f, "  time       {}", times.join(", "))
}

/// Below that nobody cares.
const WORTH_TELLING: u64 = 1_000_000;

/// What `--prune` would leave out.
fn write_unreached(plan: &Plan, f: &mut String) -> std::fmt::Result {
    let Planned { layout, unreached, .. } = &plan.planned;
    let is_one = |origin: &Origin| matches!(origin, Origin::Distribution(name) if unreached.contains(name));
    let entries = layout.entries.values().filter(|entry| is_one(&entry.origin));
    let files = entries.filter_map(|entry| fs_err::metadata(entry.source.file()?).ok());
    let size: u64 = files.map(|file| file.len()).sum();
    if size < WORTH_TELLING {
        return Ok(());
    }
    let names: Vec<&str> = unreached.iter().take(LISTED).map(DistName::as_str).collect();
    let more = unreached.len().checked_sub(LISTED).filter(|more| *more > 0);
    let more = more.map_or(String::new(), |more| format!(" and {more} more"));
    writeln!(
        f,
        "  unneeded   {}{more} ({}): nothing imports or requires them; `--prune` leaves such out",
        names.join(", "),
        bytes(size)
    )
}

/// Things of one kind that are listed by name.
const LISTED: usize = 3;

fn write_native(plan: &Plan, f: &mut String) -> std::fmt::Result {
    let native = &plan.planned.native;
    let (whole, surely) = (&native.floor, &native.sure_floor);
    match (&surely.version, &whole.version) {
        (Some(version), _) => writeln!(f, "  needs      glibc {version} or newer ({})", set_by(surely))?,
        (None, _) => writeln!(f, "  needs      any glibc")?,
    }
    if let Some(version) = whole.version.as_ref().filter(|_| whole.version != surely.version) {
        writeln!(f, "  needs      glibc {version} for what not every run loads ({})", set_by(whole))?;
    }
    for (what, names) in libraries(&native.closure) {
        writeln!(f, "  libraries  {what}: {}", names.join(", "))?;
    }
    Ok(())
}

/// `set by a.so, b.so and 3 more`
fn set_by(floor: &Floor) -> String {
    let names: Vec<&str> = floor.set_by.iter().map(|path| file_name(path)).collect();
    format!("set by {}", first_of(&names))
}

fn first_of(names: &[&str]) -> String {
    let shown = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What became of the libraries that the tree needs, with names up to their version.
fn libraries(closure: &Closure) -> Vec<(String, Vec<String>)> {
    let mut left: BTreeMap<&Why, Vec<String>> = BTreeMap::new();
    for (name, library) in &closure.from_system {
        left.entry(&library.why).or_default().push(name.clone());
    }
    let mut told = Vec::new();
    if !closure.packed.is_empty() {
        told.push(("packed, of the build machine".to_owned(), closure.packed.keys().cloned().collect()));
    }
    let (mut from_system, mut by_programs) = (Vec::new(), Vec::new());
    for (why, names) in left {
        match why {
            Why::Policy(_) | Why::Drivers | Why::Floor => from_system.extend(names),
            Why::Program => by_programs = names,
            Why::License(license) => {
                let what =
                    format!("not packed ({license}; `[licenses] allow` takes them), used where the system has them");
                told.push((what, names));
            }
            // Nobody will look for them.
            Why::NotImported(_) => {}
        }
    }
    if !from_system.is_empty() {
        from_system.sort();
        told.push(("taken from the system".to_owned(), from_system));
    }
    if !by_programs.is_empty() {
        let needed_by =
            by_programs.iter().filter_map(|name| closure.from_system.get(name)).flat_map(|it| &it.needed_by);
        let programs: BTreeSet<&str> = needed_by.map(|place| file_name(place)).collect();
        let programs: Vec<&str> = programs.into_iter().collect();
        told.push((format!("taken from the system by programs ({})", first_of(&programs)), by_programs));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Left;

    #[test]
    fn what_programs_take_from_the_system_is_told_apart() {
        let left = |why, by: &[&str]| Left { why, needed_by: by.iter().map(|place| (*place).to_owned()).collect() };
        let from_system = [
            ("libGL.so.1", left(Why::Policy("a driver".into()), &["lib/python3/site-packages/x.so"])),
            ("libgcc_s.so.1", left(Why::Program, &["bin/ruff", "bin/uv"])),
        ];
        let from_system = from_system.map(|(name, left)| (name.to_owned(), left)).into();
        let told = libraries(&Closure { from_system, ..Closure::default() });
        let lines: Vec<_> = told.iter().map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        let programs = "taken from the system by programs (ruff, uv): libgcc_s.so.1";
        assert_eq!(lines, ["taken from the system: libGL.so.1", programs]);
    }
}
