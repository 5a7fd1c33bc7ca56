//! One check a file.

pub(super) mod abi;
pub(super) mod data;
pub(super) mod editable;
pub(super) mod elf;
pub(super) mod entry_point;
pub(super) mod hook;
pub(super) mod inventory;
pub(super) mod kind;
pub(super) mod license;
pub(super) mod module;
pub(super) mod name;
pub(super) mod native;
pub(super) mod note;
pub(super) mod opened;
pub(super) mod overlap;
pub(super) mod probe;
pub(super) mod record;
pub(super) mod requirement;
pub(super) mod shadowed;
pub(super) mod source;
pub(super) mod undeclared;
pub(super) mod unused;

use crate::graph::{Import, ImportKind, Reach};

use super::{Context, Severity};

/// What a failing import means for the application; nothing where it does not matter.
///
/// A distribution's deferred imports are of things that it may well do without, unless `possible` says otherwise.
fn severity(context: &Context<'_>, import: &Import, possible: Option<Severity>) -> Option<Severity> {
    if import.kind == ImportKind::TypeChecking {
        return None;
    }
    match context.graph.import_reach(import) {
        Reach::Sure => Some(Severity::Error),
        Reach::Possible => possible,
        Reach::Guarded => None,
    }
}
