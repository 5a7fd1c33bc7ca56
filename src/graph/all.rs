//! `__all__`: what a module says that `import *` gives.

use ruff_python_ast::{self as ast, Expr};

use super::collect::{Certainty, Collector, Scope, is_name};
use super::syntax::All;

impl<'a> Collector<'a> {
    pub(super) fn assigned_all(&mut self, value: &'a Expr, added: bool) {
        if !matches!(self.scope, Scope::Module) {
            return;
        }
        let mut all = if added { self.all_so_far() } else { All::default() };
        read_all(value, &mut all);
        // Of two branches, the names of both count.
        if !added && self.certainty > Certainty::Sure {
            let mut before = self.out.symbols.all.take().unwrap_or_default();
            before.names.append(&mut all.names);
            before.open |= all.open;
            all = before;
        }
        self.out.symbols.all = Some(all);
    }

    /// What is added to where nothing was assigned came from elsewhere: `from ._core import __all__`.
    fn all_so_far(&mut self) -> All {
        self.out.symbols.all.take().unwrap_or(All { names: Vec::new(), open: true })
    }

    /// `__all__.extend(…)` and its like.
    pub(super) fn changed_all(&mut self, value: &'a Expr) {
        if let Expr::Call(call) = value
            && let Expr::Attribute(attribute) = &*call.func
            && is_name(&attribute.value, "__all__")
        {
            match (attribute.attr.as_str(), &*call.arguments.args) {
                ("append", [one]) | ("insert", [_, one]) => {
                    let mut all = self.all_so_far();
                    match one {
                        Expr::StringLiteral(literal) => all.names.push(literal.value.to_str().into()),
                        _ => all.open = true,
                    }
                    self.out.symbols.all = Some(all);
                }
                ("extend", [more]) if matches!(self.scope, Scope::Module) => self.assigned_all(more, true),
                ("remove" | "pop" | "clear" | "sort" | "reverse", _) => {}
                _ => self.out.symbols.all.get_or_insert_default().open = true,
            }
        }
    }
}

/// Adds what `value` lists to `all`: lists, tuples, sums of them, and what cannot be read as such.
fn read_all(value: &Expr, all: &mut All) {
    let elements = match value {
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::Set(set) => &set.elts,
        // A left-nested sum of a thousand terms is written by no one.
        Expr::BinOp(sum) if sum.op == ast::Operator::Add => {
            stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
                read_all(&sum.left, all);
                read_all(&sum.right, all);
            });
            return;
        }
        _ => {
            all.open = true;
            return;
        }
    };
    for element in elements {
        match element {
            Expr::StringLiteral(literal) => all.names.push(literal.value.to_str().into()),
            _ => all.open = true,
        }
    }
}
