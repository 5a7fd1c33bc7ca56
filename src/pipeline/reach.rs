//! [`ModuleGraph`] → what the layout needs to know of it.

use crate::graph::{ModuleGraph, Origin};
use crate::layout::Reached;

pub fn reached(graph: &ModuleGraph) -> Reached {
    let mut reached = Reached { application: graph.application_modules(), ..Reached::default() };
    for (_, module) in graph.modules() {
        match &module.origin {
            Origin::Stdlib => _ = reached.stdlib.insert(module.name.top_level().to_owned()),
            Origin::Distribution(name) => _ = reached.distributions.insert(name.clone()),
            Origin::Application | Origin::Unowned => {}
        }
    }
    reached
}
