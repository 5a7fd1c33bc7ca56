//! The walk over one module's syntax tree.
//!
//! Statements are listed one by one, so that syntax which the parser learns anew breaks the build here instead
//! of being passed over.

use std::sync::Arc;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, ExceptHandler, Expr, Pattern, Stmt};
use ruff_text_size::Ranged;
use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::{Target, Truth, evaluate};
use super::data::Folders;
use super::guard::{catches_import_error, passes_on, suppresses_import_error};
use super::source::Lines;
use super::syntax::{ANY, Asked, ImportKind, Names, Opaque, Probe, RawImport, Syntax};

pub(super) struct Collector<'a> {
    pub(super) target: Arc<Target>,
    pub(super) lines: &'a Lines,
    main: bool,
    pub(super) kind: ImportKind,
    pub(super) scope: Scope<'a>,
    pub(super) certainty: Certainty,
    /// The rest of the block is never reached.
    dead: bool,
    depth: u32,
    pub(super) bound: FxHashSet<&'a str>,
    pub(super) registers: FxHashSet<&'a str>,
    pub(super) touched: FxHashSet<&'a str>,
    pub(super) patches: FxHashSet<(&'a str, &'a str)>,
    /// Functions of the module that set attributes of a parameter, and which.
    pub(super) fillers: FxHashSet<(&'a str, usize)>,
    elsewhere: Vec<&'a str>,
    /// What imports bind, wherever they stand.
    pub(super) imported: FxHashSet<&'a str>,
    /// What `__lazy_modules__` lists.
    pub(super) lazy_modules: FxHashSet<&'a str>,
    /// Local names of what the recognised idioms are made of: `import sys as _sys`, `from sys import path`.
    pub(super) aliases: FxHashMap<&'a str, &'static str>,
    /// Module-level names for paths beside the code.
    pub(super) folders: Folders<'a>,
    pub(super) seen: Seen,
    pub(super) out: Syntax,
}

/// How surely the statement at hand is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    Sure,
    /// Inside a branch, loop or `try`: a `del` there may not happen.
    Conditional,
    /// Inside a branch whose condition cannot be decided here: a function in it may not exist.
    Optional,
}

/// What the probe recogniser has met.
#[derive(Default)]
pub(super) struct Seen {
    pub path_read: Option<u32>,
    pub files: bool,
    pub loads: bool,
    pub replaces: bool,
}

pub(super) enum Scope<'a> {
    Module,
    Class,
    /// With the names that it declares global.
    Function(FxHashSet<&'a str>),
}

impl<'a> Collector<'a> {
    pub(super) fn new(target: &Arc<Target>, lines: &'a Lines, main: bool) -> Self {
        Self {
            target: Arc::clone(target),
            lines,
            main,
            kind: ImportKind::Unconditional,
            scope: Scope::Module,
            certainty: Certainty::Sure,
            dead: false,
            depth: 0,
            bound: FxHashSet::default(),
            registers: FxHashSet::default(),
            touched: FxHashSet::default(),
            patches: FxHashSet::default(),
            fillers: FxHashSet::default(),
            elsewhere: Vec::new(),
            imported: FxHashSet::default(),
            lazy_modules: FxHashSet::default(),
            aliases: FxHashMap::default(),
            folders: Folders::default(),
            seen: Seen::default(),
            out: Syntax::default(),
        }
    }

    pub(super) fn collect(mut self, body: &'a [Stmt]) -> Syntax {
        self.body(body);
        let mut bound: Box<[Box<str>]> = self.bound.iter().map(|name| Box::from(*name)).collect();
        bound.sort_unstable();
        let mut registers: Box<[Box<str>]> = self.registers.iter().map(|name| Box::from(*name)).collect();
        registers.sort_unstable();
        if bound.binary_search_by(|name| (**name).cmp("__getattr__")).is_ok() {
            self.opaque(Opaque::ModuleGetattr);
        }
        let imported = &self.imported;
        let patches = self.patches.iter().filter(|(local, _)| imported.contains(local));
        let mut patches: Vec<(Box<str>, Box<str>)> =
            patches.map(|(local, attribute)| ((*local).into(), (*attribute).into())).collect();
        patches.sort_unstable();
        self.out.symbols.patches = patches;
        let mut elsewhere: Vec<Box<str>> = self.elsewhere.iter().map(|name| Box::from(*name)).collect();
        elsewhere.sort_unstable();
        self.out.symbols.elsewhere = elsewhere.into();
        self.out.data.sort_by_key(|site| (site.line, site.usage));
        self.out.data.dedup_by(|later, earlier| later.line == earlier.line && later.path == earlier.path);
        self.out.symbols.bound = bound;
        self.out.symbols.registers = registers;
        let mut touched: Vec<Box<str>> = self.touched.iter().map(|name| Box::from(*name)).collect();
        touched.sort_unstable();
        self.out.symbols.touched = touched.into();
        if let (Some(line), true) = (self.seen.path_read, self.seen.files) {
            let literals = super::probe::Literals::of(body);
            self.out.probe = Some(Probe {
                line,
                loads: self.seen.loads,
                replaces: self.seen.replaces,
                literals: literals.texts,
                own_name: literals.own_name,
            });
        }
        self.out
    }

    pub(super) fn opaque(&mut self, cause: Opaque) {
        self.out.symbols.opaque.get_or_insert(cause);
    }

    pub(super) fn import(&mut self, at: impl Ranged, kind: ImportKind, module: Asked, names: Names) {
        let line = self.lines.at(at.start());
        self.out.imports.push(RawImport { line, kind, module, names });
    }

    fn body(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            if self.dead {
                return;
            }
            self.visit_stmt(stmt);
        }
    }

    /// A block that may not be run, or not to its end.
    fn branch(&mut self, kind: ImportKind, body: &'a [Stmt]) {
        let before = (self.kind, self.certainty, self.dead);
        self.kind = kind;
        self.certainty = self.certainty.max(Certainty::Conditional);
        self.body(body);
        (self.kind, self.certainty, self.dead) = before;
    }

    /// Expressions that may not be looked at.
    fn conditional(&mut self, expressions: &[&'a Expr]) {
        let before = self.certainty;
        self.certainty = before.max(Certainty::Conditional);
        for expression in expressions {
            self.visit_expr(expression);
        }
        self.certainty = before;
    }

    /// A block for whose condition only the run decides.
    fn optional(&mut self, body: &'a [Stmt]) {
        let before = std::mem::replace(&mut self.certainty, Certainty::Optional);
        self.branch(self.guarded(), body);
        self.certainty = before;
    }

    /// Whether the statement at hand is carried out whenever the module is imported, and nothing catches its failure.
    pub(super) fn is_certain(&self) -> bool {
        self.kind == ImportKind::Unconditional && self.certainty == Certainty::Sure
    }

    fn guarded(&self) -> ImportKind {
        match self.kind {
            ImportKind::TypeChecking => ImportKind::TypeChecking,
            ImportKind::Unconditional | ImportKind::Deferred | ImportKind::Guarded | ImportKind::Dynamic => {
                ImportKind::Guarded
            }
        }
    }

    fn function(&mut self, walk: impl FnOnce(&mut Self)) {
        let deferred = match self.kind {
            ImportKind::TypeChecking => ImportKind::TypeChecking,
            _ if self.certainty == Certainty::Optional => ImportKind::Guarded,
            ImportKind::Unconditional | ImportKind::Deferred | ImportKind::Guarded | ImportKind::Dynamic => {
                ImportKind::Deferred
            }
        };
        let kind = std::mem::replace(&mut self.kind, deferred);
        let scope = std::mem::replace(&mut self.scope, Scope::Function(FxHashSet::default()));
        let dead = self.dead;
        walk(self);
        (self.kind, self.scope, self.dead) = (kind, scope, dead);
    }

    pub(super) fn bind(&mut self, name: &'a str) {
        let here = match &self.scope {
            Scope::Module => true,
            Scope::Class => false,
            Scope::Function(globals) => globals.contains(name),
        };
        if here && self.kind != ImportKind::TypeChecking {
            self.bound.insert(name);
            if let Some(path) = self.folders.get_mut(name) {
                path.is_sure = false;
            }
        }
    }

    fn condition(&mut self, test: &'a Expr) -> Truth {
        self.visit_expr(test);
        evaluate(test, &self.target, self.main)
    }

    fn if_statement(&mut self, stmt: &'a ast::StmtIf) {
        let first = (Some(&*stmt.test), &stmt.body[..]);
        let clauses = stmt.elif_else_clauses.iter().map(|clause| (clause.test.as_ref(), &clause.body[..]));
        let outer = self.kind;
        let mut open = false;
        for (test, body) in std::iter::once(first).chain(clauses) {
            let truth = test.map_or(Truth::Always, |test| self.condition(test));
            match truth {
                Truth::Never if matches!(self.scope, Scope::Module) => {
                    super::elsewhere::names(body, &mut self.elsewhere);
                }
                Truth::Never => {}
                Truth::TypeChecking => self.branch(ImportKind::TypeChecking, body),
                Truth::Open => {
                    open = true;
                    self.optional(body);
                }
                Truth::Always | Truth::NotTypeChecking if open => {
                    self.optional(body);
                    break;
                }
                Truth::Always | Truth::NotTypeChecking => {
                    self.body(body);
                    break;
                }
            }
        }
        self.kind = outer;
    }

    fn try_statement(&mut self, stmt: &'a ast::StmtTry) {
        let guards = stmt.handlers.iter().any(|handler| {
            let ExceptHandler::ExceptHandler(handler) = handler;
            catches_import_error(handler.type_.as_deref()) && !passes_on(&handler.body)
        });
        let kind = if guards { self.guarded() } else { self.kind };
        self.branch(kind, &stmt.body);
        for handler in &stmt.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            // The name is unbound again where the handler ends. A function in it may not exist.
            self.optional(&handler.body);
        }
        if guards {
            self.optional(&stmt.orelse);
        } else {
            self.branch(self.kind, &stmt.orelse);
        }
        self.body(&stmt.finalbody);
    }

    fn with_statement(&mut self, stmt: &'a ast::StmtWith) {
        let mut kind = self.kind;
        for item in &stmt.items {
            self.visit_expr(&item.context_expr);
            if let Some(target) = &item.optional_vars {
                self.bind_target(target);
            }
            if suppresses_import_error(&item.context_expr) {
                kind = self.guarded();
            }
        }
        self.branch(kind, &stmt.body);
    }

    fn statement(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(def) => {
                def.decorator_list.iter().for_each(|decorator| self.visit_expr(&decorator.expression));
                self.visit_parameters(&def.parameters);
                if let Some(returns) = &def.returns {
                    self.visit_expr(returns);
                }
                self.bind(def.name.as_str());
                let around = std::mem::take(&mut self.patches);
                self.function(|this| this.body(&def.body));
                // What a parameter is, the calls tell.
                for (at, parameter) in def.parameters.iter_non_variadic_params().enumerate() {
                    if self.patches.remove(&(parameter.name().as_str(), ANY)) {
                        self.fillers.insert((def.name.as_str(), at));
                    }
                }
                self.patches.extend(around);
            }
            Stmt::ClassDef(def) => {
                // `enum.global_enum` makes the members names of the module.
                let spreads = def
                    .decorator_list
                    .iter()
                    .any(|decorator| is_attribute_or_name(&decorator.expression, "global_enum"));
                def.decorator_list.iter().for_each(|decorator| self.visit_expr(&decorator.expression));
                if let Some(arguments) = &def.arguments {
                    self.visit_arguments(arguments);
                }
                self.bind(def.name.as_str());
                if spreads {
                    self.bind_members(&def.body);
                }
                let scope = std::mem::replace(&mut self.scope, Scope::Class);
                let dead = self.dead;
                self.body(&def.body);
                (self.scope, self.dead) = (scope, dead);
            }
            Stmt::Return(stmt) => {
                if let Some(value) = &stmt.value {
                    self.visit_expr(value);
                }
                self.dead = true;
            }
            Stmt::Raise(stmt) => {
                stmt.exc.iter().chain(&stmt.cause).for_each(|expr| self.visit_expr(expr));
                self.dead = true;
            }
            Stmt::Break(_) | Stmt::Continue(_) => self.dead = true,
            Stmt::Delete(stmt) => self.delete_statement(stmt),
            Stmt::TypeAlias(stmt) => self.bind_target(&stmt.name),
            Stmt::Assign(stmt) => self.assignment(&stmt.targets, &stmt.value),
            Stmt::AugAssign(stmt) => self.augmented_assignment(stmt),
            Stmt::AnnAssign(stmt) => {
                self.visit_expr(&stmt.annotation);
                // An annotation alone binds nothing.
                if let Some(value) = &stmt.value {
                    self.assignment(std::slice::from_ref(&stmt.target), value);
                }
            }
            Stmt::For(stmt) => {
                self.visit_expr(&stmt.iter);
                self.bind_target(&stmt.target);
                self.branch(self.kind, &stmt.body);
                self.branch(self.kind, &stmt.orelse);
            }
            Stmt::While(stmt) => {
                if !matches!(self.condition(&stmt.test), Truth::Never | Truth::TypeChecking) {
                    self.branch(self.kind, &stmt.body);
                }
                self.branch(self.kind, &stmt.orelse);
            }
            Stmt::If(stmt) => self.if_statement(stmt),
            Stmt::With(stmt) => self.with_statement(stmt),
            Stmt::Match(stmt) => {
                self.visit_expr(&stmt.subject);
                for case in &stmt.cases {
                    self.visit_pattern(&case.pattern);
                    if let Some(guard) = &case.guard {
                        self.visit_expr(guard);
                    }
                    self.optional(&case.body);
                }
            }
            Stmt::Try(stmt) => self.try_statement(stmt),
            Stmt::Assert(stmt) => {
                // `assert sys.platform == "win32"` ends a module that is for Windows alone.
                self.dead = self.condition(&stmt.test) == Truth::Never;
            }
            Stmt::Import(stmt) => self.import_statement(stmt),
            Stmt::ImportFrom(stmt) => self.import_from_statement(stmt),
            Stmt::Global(stmt) => {
                if let Scope::Function(globals) = &mut self.scope {
                    globals.extend(stmt.names.iter().map(ast::Identifier::as_str));
                }
            }
            Stmt::Expr(stmt) => {
                self.changed_all(&stmt.value);
                self.called_for_its_effect(&stmt.value);
                self.visit_expr(&stmt.value);
            }
            Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    /// Every so many levels the stack is looked at, as the parser does.
    pub(super) fn nested(&mut self, walk: impl FnOnce(&mut Self)) {
        self.depth += 1;
        if self.depth.is_multiple_of(16) {
            stacker::maybe_grow(256 * 1024, 4 * 1024 * 1024, || walk(self));
        } else {
            walk(self);
        }
        self.depth -= 1;
    }
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.nested(|this| this.statement(stmt));
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.nested(|this| match expr {
            // The commonest, and nothing lies below them.
            Expr::StringLiteral(_) | Expr::NumberLiteral(_) | Expr::NoneLiteral(_) | Expr::BooleanLiteral(_) => {}
            Expr::Named(named) => {
                this.visit_expr(&named.value);
                this.bind_target(&named.target);
            }
            // Only one of them is looked at, or some.
            Expr::If(choice) => {
                this.visit_expr(&choice.test);
                this.conditional(&[&choice.body, &choice.orelse]);
            }
            Expr::BoolOp(chain) => {
                if let [first, rest @ ..] = &*chain.values {
                    this.visit_expr(first);
                    for value in rest {
                        this.conditional(&[value]);
                    }
                }
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    this.visit_parameters(parameters);
                }
                let kind = this.kind;
                if kind == ImportKind::Unconditional {
                    this.kind = ImportKind::Deferred;
                }
                this.visit_expr(&lambda.body);
                this.kind = kind;
            }
            _ => {
                if !this.idiom(expr) {
                    visitor::walk_expr(this, expr);
                }
            }
        });
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(pattern) => pattern.name.as_ref(),
            Pattern::MatchStar(pattern) => pattern.name.as_ref(),
            Pattern::MatchMapping(pattern) => pattern.rest.as_ref(),
            Pattern::MatchValue(_)
            | Pattern::MatchSingleton(_)
            | Pattern::MatchSequence(_)
            | Pattern::MatchClass(_)
            | Pattern::MatchOr(_) => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str());
        }
        self.nested(|this| visitor::walk_pattern(this, pattern));
    }
}

pub(super) fn is_name(expr: &Expr, wanted: &str) -> bool {
    expr.as_name_expr().is_some_and(|name| name.id.as_str() == wanted)
}

fn is_attribute_or_name(expr: &Expr, wanted: &str) -> bool {
    is_name(expr, wanted) || expr.as_attribute_expr().is_some_and(|attribute| attribute.attr.as_str() == wanted)
}
