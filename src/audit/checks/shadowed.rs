//! `module-shadowed`: two modules of one name, and an import that wants the one that lost.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::place::listed;
use super::super::{Context, Finding, Severity, Sink};
use crate::graph::{Import, ImportKind, Lookup, Module, ModuleId, ModuleKind, Names, Origin, Reach, Rival, Target};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for (id, rivals) in context.graph.shadowing() {
        let winner = context.graph.module(id);
        for rival in rivals {
            let wanted = wanted(context, id, rival);
            if !wanted.is_empty() {
                report(context, sink, id, rival, &wanted);
            } else if matches!((&winner.origin, &rival.origin), (Origin::Distribution(a), Origin::Distribution(b)) if a != b)
            {
                unused(context, sink, id, rival);
            }
        }
    }
}

/// An import that the winner cannot serve and the rival could.
struct Wanted<'a> {
    import: &'a Import,
    names: Vec<&'a str>,
}

fn wanted<'a>(context: &Context<'a>, id: ModuleId, rival: &Rival) -> Vec<Wanted<'a>> {
    let graph = context.graph;
    let top = graph.module(id).name.as_str();
    // One that looks for its rival makes way for it; what another one that replaces itself gives cannot be told.
    let searches = graph.module(id).probe.is_some();
    let imports = graph.imports().iter().filter(|import| import.kind != ImportKind::TypeChecking);
    imports
        .filter_map(|import| match (import.target, &import.names) {
            (Target::Module(target), Names::Listed(names)) if target == id => {
                let lacking = |name: &&str| {
                    let found = if searches { graph.lookup_as_written(id, name) } else { graph.lookup(id, name) };
                    found == Lookup::NotBound && (rival.binds(name) || has_inside(rival, name))
                };
                let names: Vec<_> = names.iter().map(|name| &**name).filter(lacking).collect();
                (!names.is_empty()).then_some(Wanted { import, names })
            }
            (Target::Missing { within: Some(within) } | Target::Module(within), _)
                if within == id && import.module.len() > top.len() && import.module.starts_with(top) =>
            {
                let inner = import.module[top.len() + 1..].split('.').next().unwrap_or_default();
                has_inside(rival, inner).then(|| Wanted { import, names: vec![inner] })
            }
            _ => None,
        })
        .collect()
}

fn has_inside(rival: &Rival, name: &str) -> bool {
    rival.locations.iter().any(|folder| folder.join(name).is_dir() || folder.join(format!("{name}.py")).is_file())
}

fn report(context: &Context<'_>, sink: &mut Sink, id: ModuleId, rival: &Rival, wanted: &[Wanted<'_>]) {
    let graph = context.graph;
    let winner = graph.module(id);
    let top = winner.name.as_str();
    let rescue = winner
        .probe
        .as_ref()
        .filter(|probe| (probe.loads || probe.replaces) && rival.kind == ModuleKind::SingleFile && probe.may_find(top));
    let surest = wanted.iter().map(|wanted| graph.import_reach(wanted.import)).min().unwrap_or(Reach::Guarded);
    let severity = match (rescue, surest) {
        (Some(_), _) => Severity::Warning,
        (None, Reach::Sure | Reach::Possible) => Severity::Error,
        // Both ways of a guard are meant to work.
        (None, Reach::Guarded) => Severity::Info,
    };
    let (loser, found) = (shape(top, rival.kind), shape(top, winner.kind));
    let mut evidence = vec![
        context.places.evidence(
            winner.file.as_deref().unwrap_or(Path::new(top)),
            0,
            format!("{} has it as {found}, which is found first", context.places.owner(&winner.origin)),
        ),
        context.places.evidence(
            &rival.file,
            0,
            format!("{} has it as {loser}, which is shadowed", context.places.owner(&rival.origin)),
        ),
    ];
    let mut by_reach: Vec<_> = wanted.iter().collect();
    by_reach.sort_by_key(|wanted| {
        (graph.import_reach(wanted.import), graph.distance(wanted.import.importer), wanted.import.importer)
    });
    for wanted in by_reach.iter().take(3) {
        let Wanted { import, names } = wanted;
        let text = format!("imports {}, which {found} does not define", listed(names.iter().copied(), 4));
        evidence.push(context.places.import(import, text));
    }
    if let (Some(probe), Some(file)) = (rescue, &winner.file) {
        let text = format!("searches `sys.path` for `{top}.py` at run time: the only reason why this works");
        evidence.push(context.places.evidence(file, probe.line, text));
    }
    let all: BTreeSet<&str> = wanted.iter().flat_map(|wanted| wanted.names.iter().copied()).collect();
    let message = match rescue {
        Some(_) => format!(
            "`{top}` is two modules, and the one that is found first works for {} only by making way at run time",
            listed(all, 3)
        ),
        None => format!("`{top}` is two modules, and the one that is found first does not define {}", listed(all, 3)),
    };
    let cure = match rescue {
        Some(_) => format!(
            "it holds where `{top}.py` lies on the disk beside the package, as in the artifact; remove {} where nothing else needs it",
            context.places.owner(&winner.origin)
        ),
        None => cure(context, winner, rival),
    };
    let distance =
        wanted.iter().map(|wanted| graph.distance(wanted.import.importer)).min().unwrap_or(super::super::FAR);
    for wanted in wanted {
        sink.explain(wanted.import);
    }
    sink.push(
        distance,
        Finding { code: "module-shadowed", severity, subject: top.to_owned(), message, evidence, cure: Some(cure) },
    );
}

fn cure(context: &Context<'_>, winner: &Module, rival: &Rival) -> String {
    match (&winner.origin, &rival.origin) {
        (Origin::Application, _) => format!("rename the application's `{}`", winner.name),
        (Origin::Distribution(_), Origin::Distribution(_)) => format!(
            "install only one of {} and {}",
            context.places.owner(&rival.origin),
            context.places.owner(&winner.origin)
        ),
        _ => format!(
            "remove one of the two, or change the order of `sys.path`: `{}` of {} comes first",
            winner.name,
            context.places.owner(&winner.origin)
        ),
    }
}

/// Nothing that is reached wants the loser.
fn unused(context: &Context<'_>, sink: &mut Sink, id: ModuleId, rival: &Rival) {
    let winner = context.graph.module(id);
    let top = winner.name.as_str();
    let file = winner.file.as_deref().unwrap_or(Path::new(top));
    sink.push(
        context.graph.distance(id),
        Finding {
            code: "module-shadowed",
            severity: Severity::Info,
            subject: top.to_owned(),
            message: format!("`{top}` is two modules; no import that is reached needs the one that is shadowed"),
            evidence: vec![
                context.places.evidence(file, 0, format!("of {}, found first", context.places.owner(&winner.origin))),
                context.places.evidence(&rival.file, 0, format!("of {}", context.places.owner(&rival.origin))),
            ],
            cure: None,
        },
    );
}

/// `` the package `x/` ``
fn shape(top: &str, kind: ModuleKind) -> String {
    match kind {
        ModuleKind::SingleFile => format!("the file `{top}.py`"),
        ModuleKind::Package => format!("the package `{top}/`"),
        ModuleKind::Namespace => format!("the namespace package `{top}/`"),
        ModuleKind::Extension => format!("the extension module `{top}`"),
        ModuleKind::Builtin | ModuleKind::Frozen => format!("the built-in module `{top}`"),
    }
}
