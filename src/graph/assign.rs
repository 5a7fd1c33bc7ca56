//! What is bound, changed and taken back by assignments, and what a value means under the name that it gets.

use ruff_python_ast::visitor::Visitor as _;
use ruff_python_ast::{self as ast, Expr, Stmt};

use super::collect::{Certainty, Collector, Scope, is_name};
use super::data;
use super::sites::Dynamic;
use super::syntax::All;

impl<'a> Collector<'a> {
    pub(super) fn bind_target(&mut self, target: &'a Expr) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str()),
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                self.nested(|this| elts.iter().for_each(|element| this.bind_target(element)));
            }
            Expr::Starred(starred) => self.nested(|this| this.bind_target(&starred.value)),
            // Anything else is changed, not bound.
            other => self.stored(other),
        }
    }

    pub(super) fn bind_members(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            if let Stmt::Assign(assign) = stmt {
                assign.targets.iter().for_each(|target| self.bind_target(target));
            }
        }
    }

    pub(super) fn delete_statement(&mut self, stmt: &'a ast::StmtDelete) {
        for target in &stmt.targets {
            match target {
                Expr::Name(name) if matches!(self.scope, Scope::Module) && self.certainty == Certainty::Sure => {
                    self.bound.remove(name.id.as_str());
                }
                Expr::Name(_) => {}
                other => self.visit_expr(other),
            }
        }
    }

    /// What a value of this form means under this name, beyond that the name is bound.
    fn named(&mut self, target: &'a Expr, value: &'a Expr, folder: Option<&data::RelativePath>) {
        match target {
            Expr::Name(name) => {
                let name = name.id.as_str();
                if let Some(folder) = folder {
                    let is_sure = folder.is_sure && self.certainty == Certainty::Sure;
                    self.folders.insert(name, data::RelativePath { is_sure, ..folder.clone() });
                }
                if matches!(self.scope, Scope::Module) && super::sites::is_setting(name) {
                    self.settings(name, value);
                }
            }
            Expr::Subscript(subscript) if super::probe::is_environ(&subscript.value) => self.settings("", value),
            _ => {}
        }
    }

    pub(super) fn assignment(&mut self, targets: &'a [Expr], value: &'a Expr) {
        self.visit_expr(value);
        let folder = matches!(self.scope, Scope::Module).then(|| data::path_of(value, &self.folders)).flatten();
        for target in targets {
            if is_name(target, "__all__") {
                self.assigned_all(value, false);
            }
            if let Expr::Tuple(tuple) = target {
                // `__getattr__, __dir__, __all__ = lazy_loader.attach(...)`
                if tuple.elts.iter().any(|element| is_name(element, "__all__")) {
                    self.out.symbols.all = Some(All { names: Vec::new(), open: true });
                }
            }
            if is_name(target, "__path__") {
                self.out.symbols.open_submodules = true;
                self.site(target, Dynamic::ExtendsPath);
            }
            if is_name(target, "__lazy_modules__") {
                self.listed_lazy(value);
            }
            self.bind_target(target);
            self.named(target, value, folder.as_ref());
        }
    }

    pub(super) fn augmented_assignment(&mut self, stmt: &'a ast::StmtAugAssign) {
        self.visit_expr(&stmt.value);
        if is_name(&stmt.target, "__all__") {
            self.assigned_all(&stmt.value, true);
        }
        if is_name(&stmt.target, "__path__") {
            self.out.symbols.open_submodules = true;
            self.site(&*stmt.target, Dynamic::ExtendsPath);
        }
        self.bind_target(&stmt.target);
    }
}
