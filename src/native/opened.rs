//! Shared libraries that Python code opens by name: `ctypes.CDLL("libfoo.so.1")`, `ffi.dlopen(…)`, `find_library("foo")`.
//!
//! Only what a call says itself is taken: a literal. Where the name is computed, that alone is told.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged as _;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opened {
    /// From 1.
    pub line: u32,
    pub name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// As the dynamic loader takes it: `libfoo.so.1`.
    Library(String),
    /// A file: `/usr/lib/libfoo.so`.
    Path(String),
    /// `ctypes.util.find_library("foo")`: the system that it runs on is asked.
    Searched(String),
    /// Something that is known only when it runs.
    Computed,
}

/// What opens a library by its first argument.
const OPENERS: [&str; 4] = ["CDLL", "PyDLL", "LoadLibrary", "dlopen"];
const SEARCH: &str = "find_library";

/// Calls in a module's source; nothing where it cannot be read as Python.
pub fn opened(source: &str) -> Vec<Opened> {
    let can = source.contains(SEARCH) || OPENERS.iter().any(|name| source.contains(name));
    // Other things are called so too; these two are what opens libraries.
    if !can || !(source.contains("ctypes") || source.contains("cffi") || source.contains("ffi.")) {
        return Vec::new();
    }
    // A tree is walked, and frees itself, by recursion.
    let stack = source.len().saturating_mul(BYTES_A_LEVEL).min(MOST_STACK);
    stacker::maybe_grow(stack, stack, || {
        let Ok(module) = ruff_python_parser::parse_module(source) else { return Vec::new() };
        let mut collector = Collector { source, found: Vec::new() };
        for statement in module.suite() {
            collector.visit_stmt(statement);
        }
        collector.found.sort();
        collector.found.dedup();
        collector.found
    })
}

/// A level for each byte of the source at worst.
const BYTES_A_LEVEL: usize = 1024;
const MOST_STACK: usize = 4 << 30;

/// The names that the dynamic loader would be given.
pub fn libraries(calls: &[Opened]) -> Vec<String> {
    let names = calls.iter().filter_map(|call| match &call.name {
        Name::Library(name) => Some(name.clone()),
        Name::Path(_) | Name::Searched(_) | Name::Computed => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

struct Collector<'a> {
    source: &'a str,
    found: Vec<Opened>,
}

impl<'a> Visitor<'a> for Collector<'_> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && let Some(name) = name(call)
        {
            let before = &self.source[..usize::from(call.range().start())];
            let line = before.matches('\n').count() as u32 + 1;
            self.found.push(Opened { line, name });
        }
        walk_expr(self, expression);
    }
}

fn name(call: &ExprCall) -> Option<Name> {
    let called = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return None,
    };
    let searches = called == SEARCH;
    if !searches && !OPENERS.contains(&called) {
        return None;
    }
    match call.arguments.args.first() {
        // The process itself.
        None | Some(Expr::NoneLiteral(_)) => None,
        Some(Expr::StringLiteral(text)) => {
            let text = text.value.to_str();
            if searches {
                return Some(Name::Searched(text.to_owned()));
            }
            // Another system's library is opened on that system alone.
            let is_ours = text.contains(".so");
            is_ours.then(
                || {
                    if text.contains('/') { Name::Path(text.to_owned()) } else { Name::Library(text.to_owned()) }
                },
            )
        }
        // What is searched for is opened next.
        Some(Expr::Call(inner)) if name(inner).is_some() => None,
        Some(_) => Some(Name::Computed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_says() {
        let source = "import ctypes, ctypes.util\n\
                      a = ctypes.CDLL('libfoo.so.1')\n\
                      b = ctypes.cdll.LoadLibrary('/opt/libbar.so')\n\
                      c = ctypes.CDLL(ctypes.util.find_library('magic'))\n\
                      def d(name):\n    return ctypes.CDLL(name), ctypes.CDLL(None), ctypes.CDLL('msvcrt.dll')\n";
        let found: Vec<_> = opened(source).into_iter().map(|it| (it.line, it.name)).collect();
        let wanted = [
            (2, Name::Library("libfoo.so.1".to_owned())),
            (3, Name::Path("/opt/libbar.so".to_owned())),
            (4, Name::Searched("magic".to_owned())),
            (6, Name::Computed),
        ];
        assert_eq!(found, wanted);
        assert!(opened("shelf.dlopen('x.so')").is_empty() && opened("ctypes.CDLL('x.so'").is_empty());
    }
}
