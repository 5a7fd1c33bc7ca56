//! Import statements.

use ruff_python_ast as ast;

use super::collect::{Collector, Scope};
use super::probe;
use super::syntax::{Asked, ImportKind, Names};

impl<'a> Collector<'a> {
    pub(super) fn import_statement(&mut self, stmt: &'a ast::StmtImport) {
        for alias in &stmt.names {
            let name = alias.name.as_str();
            self.imported.insert(alias.asname.as_ref().map_or(name, |name| name.as_str()));
            self.bind(
                alias.asname.as_ref().map_or_else(|| name.split('.').next().unwrap_or(name), |name| name.as_str()),
            );
            if let (Some(asname), Some(known)) = (&alias.asname, probe::known(name)) {
                self.aliases.insert(asname.as_str(), known);
            }
            let kind = self.when(stmt.is_lazy, name);
            self.import(stmt, kind, Asked::Absolute(name.into()), Names::Module);
        }
    }

    pub(super) fn import_from_statement(&mut self, stmt: &'a ast::StmtImportFrom) {
        let module = stmt.module.as_ref().map_or("", |module| module.as_str());
        let star = stmt.names.iter().any(|alias| alias.name.as_str() == "*");
        if star {
            if matches!(self.scope, Scope::Module) && self.kind != ImportKind::TypeChecking {
                self.out.symbols.stars.push(self.out.imports.len() as u32);
            }
        } else {
            for alias in &stmt.names {
                let name = alias.name.as_str();
                let local = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
                self.bind(local);
                self.imported.insert(local);
                if stmt.level == 0
                    && let Some(known) = probe::known_member(module, name)
                {
                    self.aliases.insert(local, known);
                }
            }
        }
        let asked = if stmt.level == 0 {
            Asked::Absolute(module.into())
        } else {
            Asked::Relative { level: stmt.level, rest: module.into() }
        };
        let names = if star {
            Names::Star
        } else {
            Names::Listed(stmt.names.iter().map(|alias| alias.name.as_str().into()).collect())
        };
        let kind = self.when(stmt.is_lazy, if stmt.level == 0 { module } else { "" });
        self.import(stmt, kind, asked, names);
    }

    /// A lazy import takes place when what it binds is first used (PEP 810).
    fn when(&self, is_lazy: bool, module: &str) -> ImportKind {
        let is_listed = || matches!(self.scope, Scope::Module) && self.lazy_modules.contains(module);
        match self.kind {
            ImportKind::Unconditional if is_lazy || is_listed() => ImportKind::Deferred,
            kind => kind,
        }
    }

    /// `__lazy_modules__ = ["x", "y.z"]`, which older interpreters take for a name like any other.
    pub(super) fn listed_lazy(&mut self, value: &'a ast::Expr) {
        if self.target.version < [3, 15, 0] {
            return;
        }
        let (ast::Expr::List(ast::ExprList { elts, .. })
        | ast::Expr::Tuple(ast::ExprTuple { elts, .. })
        | ast::Expr::Set(ast::ExprSet { elts, .. })) = value
        else {
            return;
        };
        self.lazy_modules.extend(elts.iter().filter_map(|name| Some(name.as_string_literal_expr()?.value.to_str())));
    }
}
