//! [`ModuleGraph`] → what the layout needs to know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::environment::Environment;
use crate::graph::source::decode;
use crate::graph::{Dynamic, Import, ImportKind, ModuleGraph, ModuleKind, Origin, Reach};
use crate::hooks::Hooks;
use crate::layout::Reached;
use crate::names::DistName;
use crate::native::Opened;
use crate::native::opened::{self, Name};

pub fn reached(graph: &ModuleGraph, environment: &Environment, hooks: &Hooks) -> Reached {
    let application = graph.application_modules();
    let data = hooks
        .active(environment)
        .flat_map(|hook| hook.data.iter().map(|path| (hook.distribution.clone(), path.clone())));
    let data = data.collect();
    let headers = hooks.active(environment).any(|hook| hook.headers);
    let opened = opened(graph, environment, hooks);
    let mut reached = Reached { application, data, headers, opened, ..Reached::default() };
    for (id, module) in graph.modules() {
        let surely = graph.reach(id) == Reach::Sure;
        if surely && module.kind == ModuleKind::Extension {
            reached.extensions_surely.extend(module.file.as_ref().and_then(|file| fs_err::canonicalize(file).ok()));
        }
        match &module.origin {
            Origin::Stdlib => {
                reached.stdlib.insert(module.name.top_level().to_owned());
                if surely {
                    reached.stdlib_surely.insert(module.name.top_level().to_owned());
                }
            }
            Origin::Distribution(name) => _ = reached.distributions.insert(name.clone()),
            Origin::Application | Origin::Unowned => {}
        }
        // The standard library's own asks for whatever it is asked for.
        reached.asks_for_any_plugin |=
            module.origin != Origin::Stdlib && module.sites.iter().any(|site| site.what == Dynamic::EntryPoints(None));
    }
    reached.distributions.extend(distutils(graph, environment));
    reached
}

/// setuptools, where it stands for `distutils` from the start and something imports that.
fn distutils(graph: &ModuleGraph, environment: &Environment) -> Option<DistName> {
    let replaced = environment.facts.finders.iter().any(|finder| finder.class.starts_with("_distutils_hack."));
    let is_wanted = |import: &Import| {
        import.kind != ImportKind::TypeChecking
            && import.module.split('.').next() == Some("distutils")
            && graph.module(import.importer).origin != Origin::Stdlib
    };
    let wanted = replaced && graph.imports().iter().any(is_wanted);
    wanted.then(|| environment.distribution("setuptools").map(|dist| dist.name.clone())).flatten()
}

/// What opens libraries by name imports one of these, or is handed what does.
fn opens(module: &str) -> bool {
    matches!(module.split('.').next(), Some("ctypes" | "cffi" | "_cffi_backend"))
}

/// What of the reached modules opens libraries by name, and what hooks name; of a hook's the distribution's METADATA stands
/// for the code.
pub fn opened(graph: &ModuleGraph, environment: &Environment, hooks: &Hooks) -> BTreeMap<PathBuf, Vec<Opened>> {
    let imports = graph.imports().iter().filter(|import| import.kind != ImportKind::TypeChecking);
    let importers: BTreeSet<_> = imports.filter(|import| opens(&import.module)).map(|import| import.importer).collect();
    let modules = importers.into_iter().map(|id| graph.module(id)).filter(|module| module.origin != Origin::Stdlib);
    let mut found: BTreeMap<PathBuf, Vec<Opened>> = BTreeMap::new();
    for file in modules.filter_map(|module| module.file.clone()) {
        // What cannot be read has been told by the graph.
        let source = fs_err::read(&file).ok().and_then(|bytes| decode(bytes).ok());
        let calls = source.map(|source| opened::opened(&source)).unwrap_or_default();
        if !calls.is_empty() {
            found.insert(file, calls);
        }
    }
    for hook in hooks.active(environment).filter(|hook| !hook.libraries.is_empty()) {
        let Some(dist) = environment.distribution(hook.distribution.as_str()) else { continue };
        let names = hook.libraries.iter().map(|name| Opened { line: 0, name: Name::Library(name.clone()) });
        found.entry(dist.info.join("METADATA")).or_default().extend(names);
    }
    found
}
