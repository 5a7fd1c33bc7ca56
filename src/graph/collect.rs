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
use super::data::{self, Folders};
use super::sites::Dynamic;
use super::source::Lines;
use super::syntax::{All, Asked, ImportKind, Names, Opaque, Probe, RawImport, Syntax};

pub(super) struct Collector<'a> {
    target: Arc<Target>,
    pub(super) lines: &'a Lines,
    main: bool,
    pub(super) kind: ImportKind,
    pub(super) scope: Scope<'a>,
    certainty: Certainty,
    /// The rest of the block is never reached.
    dead: bool,
    depth: u32,
    bound: FxHashSet<&'a str>,
    pub(super) registers: FxHashSet<&'a str>,
    pub(super) touched: FxHashSet<&'a str>,
    pub(super) patches: FxHashSet<(&'a str, &'a str)>,
    elsewhere: Vec<&'a str>,
    /// What imports bind, wherever they stand.
    imported: FxHashSet<&'a str>,
    /// Local names of what the recognised idioms are made of: `import sys as _sys`, `from sys import path`.
    pub(super) aliases: FxHashMap<&'a str, &'static str>,
    /// Module-level names for paths beside the code.
    pub(super) folders: Folders<'a>,
    pub(super) seen: Seen,
    pub(super) out: Syntax,
}

/// How surely the statement at hand is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
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
            elsewhere: Vec::new(),
            imported: FxHashSet::default(),
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
        self.out.data.sort_by_key(|site| (site.line, !site.certain));
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
        }
    }

    fn bind_target(&mut self, target: &'a Expr) {
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

    fn bind_members(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            if let Stmt::Assign(assign) = stmt {
                assign.targets.iter().for_each(|target| self.bind_target(target));
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
            let passes_on = matches!(handler.body.last(), Some(Stmt::Raise(_)));
            catches_import_error(handler.type_.as_deref()) && !passes_on
        });
        let kind = if guards { self.guarded() } else { self.kind };
        self.branch(kind, &stmt.body);
        for handler in &stmt.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            // The name is unbound again where the handler ends.
            self.branch(self.guarded(), &handler.body);
        }
        let kind = if guards { self.guarded() } else { self.kind };
        self.branch(kind, &stmt.orelse);
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

    fn import_statement(&mut self, stmt: &'a ast::StmtImport) {
        for alias in &stmt.names {
            let name = alias.name.as_str();
            self.imported.insert(alias.asname.as_ref().map_or(name, |name| name.as_str()));
            self.bind(
                alias.asname.as_ref().map_or_else(|| name.split('.').next().unwrap_or(name), |name| name.as_str()),
            );
            if let (Some(asname), Some(known)) = (&alias.asname, super::probe::known(name)) {
                self.aliases.insert(asname.as_str(), known);
            }
            self.import(stmt, self.kind, Asked::Absolute(name.into()), Names::Module);
        }
    }

    fn import_from_statement(&mut self, stmt: &'a ast::StmtImportFrom) {
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
                    && let Some(known) = super::probe::known_member(module, name)
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
        self.import(stmt, self.kind, asked, names);
    }

    fn delete_statement(&mut self, stmt: &'a ast::StmtDelete) {
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

    fn assigned_all(&mut self, value: &'a Expr, added: bool) {
        if !matches!(self.scope, Scope::Module) {
            return;
        }
        let mut all = if added { self.out.symbols.all.take().unwrap_or_default() } else { All::default() };
        read_all(value, &mut all);
        // Of two branches, the names of both count.
        if let (false, true, Some(before)) = (added, self.certainty > Certainty::Sure, &self.out.symbols.all) {
            all.names.extend(before.names.iter().cloned());
            all.open |= before.open;
        }
        self.out.symbols.all = Some(all);
    }

    /// What a value of this form means under this name, beyond that the name is bound.
    fn named(&mut self, target: &'a Expr, value: &'a Expr, folder: Option<&data::RelativePath>) {
        match target {
            Expr::Name(name) => {
                let name = name.id.as_str();
                if let Some(folder) = folder {
                    self.folders.insert(name, folder.clone());
                }
                if matches!(self.scope, Scope::Module) && super::sites::is_setting(name) {
                    self.settings(name, value);
                }
            }
            Expr::Subscript(subscript) if super::probe::is_environ(&subscript.value) => self.settings("", value),
            _ => {}
        }
    }

    fn assignment(&mut self, targets: &'a [Expr], value: &'a Expr) {
        self.visit_expr(value);
        let folder = matches!(self.scope, Scope::Module).then(|| data::path_of(value, &self.folders)).flatten();
        for target in targets {
            self.named(target, value, folder.as_ref());
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
            self.bind_target(target);
        }
    }

    fn expression_statement(&mut self, stmt: &'a ast::StmtExpr) {
        if let Expr::Call(call) = &*stmt.value
            && let Expr::Attribute(attribute) = &*call.func
            && is_name(&attribute.value, "__all__")
        {
            match (attribute.attr.as_str(), &*call.arguments.args) {
                ("append", [one]) => {
                    let mut all = self.out.symbols.all.take().unwrap_or_default();
                    match one {
                        Expr::StringLiteral(literal) => all.names.push(literal.value.to_str().into()),
                        _ => all.open = true,
                    }
                    self.out.symbols.all = Some(all);
                }
                ("extend", [more]) => self.assigned_all(more, true),
                ("remove" | "pop" | "clear" | "sort" | "insert" | "reverse", _) => {}
                _ => self.out.symbols.all.get_or_insert_default().open = true,
            }
        }
        self.visit_expr(&stmt.value);
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
                self.function(|this| this.body(&def.body));
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
            Stmt::AugAssign(stmt) => {
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
            Stmt::Expr(stmt) => self.expression_statement(stmt),
            Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    /// Every so many levels the stack is looked at, as the parser does.
    fn nested(&mut self, walk: impl FnOnce(&mut Self)) {
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

/// Whether a handler for `exceptions` sees a failed import. Names that are no known exception count as if they did.
fn catches_import_error(exceptions: Option<&Expr>) -> bool {
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

/// `contextlib.suppress(ImportError)`
fn suppresses_import_error(context: &Expr) -> bool {
    let Expr::Call(call) = context else { return false };
    let name = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return false,
    };
    name == "suppress" && call.arguments.args.iter().any(|argument| catches_import_error(Some(argument)))
        // pytest.raises(ImportError) and its like.
        || name == "raises"
}
