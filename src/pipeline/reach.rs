//! [`ModuleGraph`] → what the layout needs to know of it.

use crate::graph::{ModuleGraph, ModuleKind, Origin, Reach};
use crate::layout::Reached;

pub fn reached(graph: &ModuleGraph) -> Reached {
    let mut reached = Reached { application: graph.application_modules(), ..Reached::default() };
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
    }
    reached
}
