//! Names that a module binds on other targets alone: in the branches that the condition rules out here.

use ruff_python_ast::{Expr, Stmt};

/// What the statements of a branch bind, branches in it included; imports and calls in it do not count.
pub(super) fn names<'a>(body: &'a [Stmt], found: &mut Vec<&'a str>) {
    for stmt in body {
        match stmt {
            Stmt::FunctionDef(def) => found.push(def.name.as_str()),
            Stmt::ClassDef(def) => found.push(def.name.as_str()),
            Stmt::Assign(assign) => found.extend(assign.targets.iter().filter_map(name)),
            Stmt::AnnAssign(assign) => found.extend(name(&assign.target)),
            Stmt::Import(import) => {
                found.extend(import.names.iter().map(|alias| alias.asname.as_ref().unwrap_or(&alias.name).as_str()));
            }
            Stmt::ImportFrom(import) => {
                found.extend(import.names.iter().map(|alias| alias.asname.as_ref().unwrap_or(&alias.name).as_str()));
            }
            Stmt::If(stmt) => {
                names(&stmt.body, found);
                stmt.elif_else_clauses.iter().for_each(|clause| names(&clause.body, found));
            }
            Stmt::Try(stmt) => names(&stmt.body, found),
            // Whatever else binds a name there is rare enough.
            _ => {}
        }
    }
}

fn name(target: &Expr) -> Option<&str> {
    target.as_name_expr().map(|name| name.id.as_str())
}
