//! What an import that fails is caught by.

use ruff_python_ast::{ExceptHandler, Expr, Stmt};

/// Whether a handler for `exceptions` sees a failed import. Names that are no known exception count as if they did.
pub(super) fn catches_import_error(exceptions: Option<&Expr>) -> bool {
    let Some(exceptions) = exceptions else { return true };
    let name = match exceptions {
        Expr::Tuple(tuple) => return tuple.elts.iter().any(|element| catches_import_error(Some(element))),
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return true,
    };
    match name {
        "ImportError" | "ModuleNotFoundError" | "Exception" | "BaseException" => true,
        _ => !["Error", "Exception", "Warning", "Interrupt", "Exit", "Iteration"].iter().any(|end| name.ends_with(end)),
    }
}

/// Whether a handler passes every failure on: at its end it raises, or ends the program, and nothing leaves it before.
pub(super) fn passes_on(body: &[Stmt]) -> bool {
    body.last().is_some_and(ends_in_failure) && !body.iter().any(|stmt| may_leave(stmt, false))
}

/// `in_loop`: of the handler's own, which `break` and `continue` do not lead out of.
fn may_leave(stmt: &Stmt, in_loop: bool) -> bool {
    let any = |body: &[Stmt]| body.iter().any(|stmt| may_leave(stmt, in_loop));
    let looped = |body: &[Stmt], after: &[Stmt]| body.iter().any(|stmt| may_leave(stmt, true)) || any(after);
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match stmt {
        Stmt::Return(_) => true,
        Stmt::Continue(_) | Stmt::Break(_) => !in_loop,
        Stmt::If(stmt) => any(&stmt.body) || stmt.elif_else_clauses.iter().any(|clause| any(&clause.body)),
        Stmt::With(stmt) => any(&stmt.body),
        Stmt::For(stmt) => looped(&stmt.body, &stmt.orelse),
        Stmt::While(stmt) => looped(&stmt.body, &stmt.orelse),
        Stmt::Try(stmt) => {
            let handles = |ExceptHandler::ExceptHandler(handler): &ExceptHandler| any(&handler.body);
            any(&stmt.body) || stmt.handlers.iter().any(handles) || any(&stmt.orelse) || any(&stmt.finalbody)
        }
        Stmt::Match(stmt) => stmt.cases.iter().any(|case| any(&case.body)),
        _ => false,
    })
}

fn ends_in_failure(last: &Stmt) -> bool {
    let Stmt::Expr(last) = last else { return last.is_raise_stmt() };
    let Expr::Call(call) = &*last.value else { return false };
    match &*call.func {
        Expr::Name(name) => ["exit", "quit"].contains(&name.id.as_str()),
        Expr::Attribute(attribute) => {
            let module = attribute.value.as_name_expr().map(|name| name.id.as_str());
            matches!((module, attribute.attr.as_str()), (Some("sys"), "exit") | (Some("os"), "_exit" | "abort"))
        }
        _ => false,
    }
}

/// `contextlib.suppress(ImportError)`, and what other libraries have for it.
pub(super) fn suppresses_import_error(context: &Expr) -> bool {
    let Expr::Call(call) = context else { return false };
    let name = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return false,
    };
    name == "suppress" && call.arguments.args.iter().any(|argument| catches_import_error(Some(argument)))
        // pytest.raises(ImportError) and its like.
        || name == "raises"
        // optuna's `try_import()`, haystack's `LazyImport("…")`, ag2's `optional_import_block()`.
        || name.to_ascii_lowercase().contains("import")
}
