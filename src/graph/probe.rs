//! Idioms in expressions: imports by call, changes to `sys.modules` and `globals()`, searches of `sys.path`.

use ruff_python_ast::name::UnqualifiedName;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, CmpOp, Expr, InterpolatedStringElement, Stmt};
use ruff_text_size::Ranged;

use super::collect::{Collector, Scope, is_name};
use super::data::{self, Base, DataSite, Usage};
use super::sites::{self, Dynamic, Site};
use super::syntax::{ANY, Asked, ImportKind, Names, Opaque};

/// The canonical name where `module` is one that idioms are made of.
pub(super) fn known(module: &str) -> Option<&'static str> {
    ["sys", "importlib", "importlib.util", "builtins", "pkgutil"].into_iter().find(|known| *known == module)
}

pub(super) fn known_member(module: &str, name: &str) -> Option<&'static str> {
    match (module, name) {
        ("sys", "path") => Some("sys.path"),
        ("sys", "modules") => Some("sys.modules"),
        ("sys", "meta_path") => Some("sys.meta_path"),
        ("importlib", "import_module") => Some("import_module"),
        _ => None,
    }
}

/// Reading these of `globals()` changes nothing.
const HARMLESS: [&str; 6] = ["get", "keys", "values", "items", "copy", "__contains__"];
const PATH_CHANGES: [&str; 8] = ["append", "insert", "extend", "remove", "pop", "clear", "reverse", "sort"];

impl<'a> Collector<'a> {
    /// Whether `expr` is `sys.NAME`, under whatever local name.
    fn is_sys(&self, expr: &Expr, wanted: &str) -> bool {
        match expr {
            Expr::Attribute(attribute) => {
                attribute.attr.as_str() == wanted
                    && attribute.value.as_name_expr().is_some_and(|name| {
                        let name = name.id.as_str();
                        self.aliases.get(name).copied().unwrap_or(name) == "sys"
                    })
            }
            Expr::Name(name) => {
                self.aliases.get(name.id.as_str()).and_then(|alias| alias.strip_prefix("sys.")) == Some(wanted)
            }
            _ => false,
        }
    }

    /// Takes note of `expr`; true where what lies below has been looked at too.
    pub(super) fn idiom(&mut self, expr: &'a Expr) -> bool {
        if self.data(expr) {
            return true;
        }
        match expr {
            Expr::Call(call) => self.call(call),
            Expr::Attribute(_) | Expr::Name(_) => {
                if self.is_sys(expr, "path") {
                    let line = self.lines.at(expr.start());
                    self.seen.path_read.get_or_insert(line);
                } else if self.is_sys(expr, "meta_path") || self.is_sys(expr, "path_hooks") {
                    self.out.symbols.open_submodules = true;
                }
                false
            }
            Expr::Subscript(subscript) => {
                if self.is_sys(&subscript.value, "modules") {
                    match &*subscript.slice {
                        Expr::StringLiteral(literal) => _ = self.touched.insert(literal.value.to_str()),
                        key if is_name(key, "__name__") => self.opaque(Opaque::ReplacesItself),
                        _ => {}
                    }
                }
                if let Some(what) = sites::of_subscript(subscript) {
                    self.site(expr, what);
                }
                if is_namespace(&subscript.value, self.in_module()) {
                    self.visit_expr(&subscript.slice);
                    return true;
                }
                false
            }
            Expr::Compare(compare) => {
                // `x in globals()` and `folder in sys.path` look at nothing else.
                if let ([CmpOp::In | CmpOp::NotIn], [container]) = (&*compare.ops, &*compare.comparators)
                    && (is_namespace(container, true) || self.is_sys(container, "path"))
                {
                    self.visit_expr(&compare.left);
                    return true;
                }
                false
            }
            _ => false,
        }
    }

    fn in_module(&self) -> bool {
        matches!(self.scope, Scope::Module)
    }

    pub(super) fn called_for_its_effect(&mut self, statement: &Expr) {
        if let Expr::Call(call) = statement
            && self.in_module()
            && let Some(function) = UnqualifiedName::from_expr(&call.func)
        {
            self.out.symbols.effects.push(function.to_string().into());
        }
    }

    fn call(&mut self, call: &'a ast::ExprCall) -> bool {
        if self.in_module() && call.arguments.args.iter().any(|argument| is_name(argument, "__name__")) {
            self.out.symbols.passes_name = true;
            if call.arguments.args.iter().any(Expr::is_bytes_literal_expr) {
                // PyArmor's `__pyarmor__(__name__, __file__, b"…")` runs the bytes as the module.
                self.opaque(Opaque::Exec);
            }
        }
        // Whoever is given the list may put a finder on it; what only reads it has a copy, or its length, made.
        if call.arguments.args.iter().any(|argument| self.is_sys(argument, "meta_path")) {
            let reads = ["any", "enumerate", "filter", "iter", "len", "list", "map", "next", "reversed", "tuple"];
            let is_read = matches!(&*call.func, Expr::Name(name) if reads.contains(&name.id.as_str()));
            if !is_read {
                self.out.symbols.installs_finder = true;
                self.site(call, Dynamic::Finder);
            }
        }
        if let Some(what) = sites::of_call(call) {
            self.site(call, what);
        }
        match &*call.func {
            Expr::Name(name) => {
                let id = name.id.as_str();
                match self.aliases.get(id).copied().unwrap_or(id) {
                    "import_module" | "__import__" => self.import_call(call),
                    "addsitedir" => self.search_path_changed(call),
                    "setattr" => self.attribute_set(call),
                    "exec" if self.in_module() || call.arguments.args.iter().any(|arg| is_namespace(arg, false)) => {
                        self.opaque(Opaque::Exec);
                        self.seen.loads = true;
                    }
                    "exec" => self.seen.loads = true,
                    "globals" | "vars" | "locals" if is_namespace_call(call, self.in_module()) => {
                        self.opaque(Opaque::GlobalsChanged);
                    }
                    "open" | "isfile" | "exists" | "isdir" | "listdir" | "scandir" | "glob" => self.seen.files = true,
                    "spec_from_file_location" | "SourceFileLoader" | "FileFinder" => {
                        (self.seen.files, self.seen.loads) = (true, true);
                    }
                    _ => {}
                }
                for (at, argument) in call.arguments.args.iter().enumerate() {
                    if let Some(local) = last_name(argument).filter(|_| self.fillers.contains(&(id, at))) {
                        self.patches.insert((local, ANY));
                    }
                }
                false
            }
            Expr::Attribute(attribute) => self.method_call(call, attribute),
            _ => false,
        }
    }

    /// `setattr(module, name, value)`
    fn attribute_set(&mut self, call: &'a ast::ExprCall) {
        if let [object, attribute, ..] = &*call.arguments.args
            && let Some(local) = last_name(object)
        {
            let attribute = attribute.as_string_literal_expr().map_or(ANY, |literal| literal.value.to_str());
            self.patches.insert((local, attribute));
        }
    }

    fn search_path_changed(&mut self, call: &ast::ExprCall) {
        let line = self.lines.at(call.start());
        self.out.symbols.changes_path.get_or_insert(line);
        self.site(call, Dynamic::SearchPath);
    }

    fn method_call(&mut self, call: &'a ast::ExprCall, attribute: &'a ast::ExprAttribute) -> bool {
        let method = attribute.attr.as_str();
        let receiver = &*attribute.value;
        match method {
            "import_module" | "__import__" => self.import_call(call),
            "exists" | "isfile" | "isdir" | "listdir" | "scandir" | "is_file" | "is_dir" | "iterdir" | "glob"
            | "rglob" | "iter_modules" | "walk" => self.seen.files = true,
            "spec_from_file_location" | "SourceFileLoader" | "FileFinder" | "load_source" | "find_module" => {
                (self.seen.files, self.seen.loads) = (true, true);
            }
            "exec_module" | "load_module" | "run_path" => self.seen.loads = true,
            // `IntEnum._convert_` makes its members names of the module.
            "_convert_" | "_convert" => self.opaque(Opaque::GlobalsChanged),
            _ => {}
        }
        // `site.addsitedir`
        if method == "addsitedir" || self.is_sys(receiver, "path") && PATH_CHANGES.contains(&method) {
            self.search_path_changed(call);
            self.visit_arguments(&call.arguments);
            return true;
        }
        if let ("setdefault", true, [_, value]) = (method, is_environ(receiver), &*call.arguments.args) {
            self.settings("", value);
        }
        if self.is_sys(receiver, "meta_path") && matches!(method, "append" | "insert" | "extend") {
            self.out.symbols.installs_finder = true;
            self.site(call, Dynamic::Finder);
        }
        if self.is_sys(receiver, "modules") {
            match (method, call.arguments.args.first()) {
                ("setdefault", Some(key)) => self.registered(key),
                ("update" | "setdefault", _) => {
                    self.out.symbols.open_submodules = true;
                    self.site(call, Dynamic::Registers(None));
                }
                ("get", Some(key)) if is_name(key, "__name__") => self.opaque(Opaque::ReplacesItself),
                _ => {}
            }
        }
        if is_name(receiver, "__path__") {
            self.out.symbols.open_submodules = true;
            self.site(call, Dynamic::ExtendsPath);
        }
        if HARMLESS.contains(&method) && is_namespace(receiver, true) {
            self.visit_arguments(&call.arguments);
            return true;
        }
        false
    }

    /// A target of an assignment that is no plain name.
    pub(super) fn stored(&mut self, target: &'a Expr) {
        match target {
            Expr::Subscript(subscript) if self.is_sys(&subscript.value, "modules") => self.registered(&subscript.slice),
            Expr::Subscript(subscript) if is_namespace(&subscript.value, self.in_module()) => {
                match (&*subscript.slice, self.in_module()) {
                    (Expr::StringLiteral(key), true) => self.bind(key.value.to_str()),
                    _ => self.opaque(Opaque::GlobalsChanged),
                }
            }
            Expr::Subscript(subscript) if self.is_sys(&subscript.value, "meta_path") => {
                self.out.symbols.installs_finder = true;
            }
            Expr::Attribute(_) if self.is_sys(target, "meta_path") => self.out.symbols.installs_finder = true,
            Expr::Subscript(subscript) if self.is_sys(&subscript.value, "path") => {
                let line = self.lines.at(target.start());
                self.out.symbols.changes_path.get_or_insert(line);
                self.site(target, Dynamic::SearchPath);
            }
            Expr::Attribute(_) if self.is_sys(target, "path") => {
                let line = self.lines.at(target.start());
                self.out.symbols.changes_path.get_or_insert(line);
                self.site(target, Dynamic::SearchPath);
            }
            Expr::Attribute(attribute) if attribute.attr.as_str() == "__path__" => {
                self.out.symbols.open_submodules = true;
                self.site(target, Dynamic::ExtendsPath);
            }
            Expr::Attribute(attribute) => {
                if let Expr::Name(local) = &*attribute.value {
                    self.patches.insert((local.id.as_str(), attribute.attr.as_str()));
                }
                visitor::walk_expr(self, target);
            }
            other => visitor::walk_expr(self, other),
        }
    }

    /// `sys.modules[key] = …`
    fn registered(&mut self, key: &'a Expr) {
        self.seen.replaces = true;
        match key {
            Expr::StringLiteral(literal) => {
                self.registers.insert(literal.value.to_str());
                self.site(key, Dynamic::Registers(Some(literal.value.to_str().into())));
            }
            _ if is_name(key, "__name__") => {
                self.opaque(Opaque::ReplacesItself);
                self.site(key, Dynamic::ReplacesItself);
            }
            _ => {
                self.site(key, Dynamic::Registers(None));
                self.out.symbols.open_submodules = true;
                self.out.symbols.writes_modules = true;
            }
        }
    }

    /// Names of modules in a setting.
    pub(super) fn settings(&mut self, setting: &str, value: &'a Expr) {
        for text in sites::dotted(setting, value) {
            self.site(value, Dynamic::Dotted(text.into()));
        }
    }

    pub(super) fn site(&mut self, at: impl Ranged, what: Dynamic) {
        if self.kind != ImportKind::TypeChecking {
            let line = self.lines.at(at.start());
            self.out.sites.push(Site { line, what });
        }
    }

    /// A path beside the code, or what a call opens there; true where nothing else lies below.
    fn data(&mut self, expr: &'a Expr) -> bool {
        for path in expr.as_call_expr().map(data::served).unwrap_or_default() {
            self.out.data.push(DataSite { line: self.lines.at(expr.start()), path, usage: Usage::Served });
        }
        let opened = expr.as_call_expr().and_then(|call| data::opened(call, &self.folders));
        let is_opened = opened.is_some();
        let named = || matches!(expr, Expr::Call(_) | Expr::BinOp(_)).then(|| data::path_of(expr, &self.folders))?;
        let Some(path) = opened.or_else(named).filter(|path| !path.parts.is_empty()) else {
            // `__file__ + ".d/" + name` is the beginning of a name, and no path.
            let added = expr.as_bin_op_expr().filter(|sum| sum.op == ast::Operator::Add);
            let begun = added.filter(|sum| data::path_of(&sum.left, &self.folders).is_some());
            if let Some(sum) = begun {
                self.visit_expr(&sum.right);
            }
            return begun.is_some();
        };
        if let (Base::Package(package), ImportKind::Unconditional | ImportKind::Deferred | ImportKind::Guarded) =
            (&path.base, self.kind)
        {
            // importlib.resources and pkgutil import it.
            self.import(expr, ImportKind::Dynamic, package.clone(), Names::Module);
        }
        let line = self.lines.at(expr.start());
        let is_certain = is_opened && path.is_sure && self.in_module() && self.is_certain();
        let usage = if is_certain { Usage::Opened } else { Usage::Named };
        self.out.data.push(DataSite { line, path, usage });
        !is_opened
    }

    /// Whether it is importlib's own `import_module`, and no other function of that name.
    fn is_import_module(&self, function: &Expr) -> bool {
        let is_it = |local: &str, known: &str| self.aliases.get(local).is_some_and(|alias| *alias == known);
        match function {
            Expr::Name(name) => is_it(&name.id, "import_module"),
            Expr::Attribute(attribute) => attribute.value.as_name_expr().is_some_and(|name| {
                let is_named = name.id.as_str() == "importlib" && self.imported.contains("importlib");
                attribute.attr.as_str() == "import_module" && (is_named || is_it(&name.id, "importlib"))
            }),
            _ => false,
        }
    }

    fn import_call(&mut self, call: &'a ast::ExprCall) {
        match call.arguments.find_argument_value("name", 0).and_then(asked) {
            Some(module) => {
                // A statement in other words. What a relative name is relative to may be told by another argument.
                let is_plain = matches!(module, Asked::Absolute(_)) && self.is_import_module(&call.func);
                let kind = match self.kind {
                    ImportKind::TypeChecking => ImportKind::TypeChecking,
                    _ if is_plain && self.in_module() && self.is_certain() => ImportKind::Unconditional,
                    _ => ImportKind::Dynamic,
                };
                self.import(call, kind, module, Names::Module);
            }
            None => self.site(call, Dynamic::Import),
        }
    }
}

/// `c` of `a.b.c`
fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        _ => None,
    }
}

/// `os.environ`
pub(super) fn is_environ(expr: &Expr) -> bool {
    is_name(expr, "environ") || expr.as_attribute_expr().is_some_and(|attribute| attribute.attr.as_str() == "environ")
}

/// `globals()`, and in module scope `vars()` and `locals()`.
fn is_namespace(expr: &Expr, in_module: bool) -> bool {
    expr.as_call_expr().is_some_and(|call| is_namespace_call(call, in_module))
}

fn is_namespace_call(call: &ast::ExprCall, in_module: bool) -> bool {
    call.arguments.is_empty()
        && call.func.as_name_expr().is_some_and(|name| match name.id.as_str() {
            "globals" => true,
            "vars" | "locals" => in_module,
            _ => false,
        })
}

/// The module that `import_module(argument)` asks for, where that can be read.
fn asked(argument: &Expr) -> Option<Asked> {
    match argument {
        Expr::StringLiteral(literal) => absolute_or_relative(literal.value.to_str()),
        Expr::FString(string) => {
            let mut elements = string.value.elements();
            let own = own(elements.next()?.as_interpolation()?.expression.as_ref())?;
            let mut rest = String::new();
            for element in elements {
                match element {
                    InterpolatedStringElement::Literal(literal) => rest.push_str(&literal.value),
                    InterpolatedStringElement::Interpolation(_) => return None,
                }
            }
            own_and(own, &rest)
        }
        Expr::BinOp(sum) if sum.op == ast::Operator::Add => {
            own_and(own(&sum.left)?, sum.right.as_string_literal_expr()?.value.to_str())
        }
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Own {
    Name,
    Package,
}

fn own(expr: &Expr) -> Option<Own> {
    match expr.as_name_expr()?.id.as_str() {
        "__name__" => Some(Own::Name),
        "__package__" => Some(Own::Package),
        _ => None,
    }
}

fn own_and(own: Own, rest: &str) -> Option<Asked> {
    match own {
        Own::Name => Some(Asked::OwnName(rest.into())),
        Own::Package => rest.strip_prefix('.').map(|rest| Asked::Relative { level: 1, rest: rest.into() }),
    }
}

fn absolute_or_relative(name: &str) -> Option<Asked> {
    let rest = name.trim_start_matches('.');
    let level = (name.len() - rest.len()) as u32;
    if level > 0 {
        return Some(Asked::Relative { level, rest: rest.into() });
    }
    name.split('.').all(crate::names::is_identifier).then(|| Asked::Absolute(name.into()))
}

/// String literals of a module that searches the path, to tell what it searches for.
#[derive(Default)]
pub(super) struct Literals {
    pub texts: Vec<Box<str>>,
    pub own_name: bool,
}

impl Literals {
    pub(super) fn of(body: &[Stmt]) -> Self {
        let mut literals = Self::default();
        for stmt in body {
            literals.visit_stmt(stmt);
        }
        literals.texts.sort_unstable();
        literals.texts.dedup();
        literals
    }
}

impl<'a> Visitor<'a> for Literals {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        stacker::maybe_grow(128 * 1024, 1024 * 1024, || visitor::walk_stmt(self, stmt));
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::StringLiteral(literal) => {
                let text = literal.value.to_str();
                if text.strip_suffix(".py").unwrap_or(text).split('.').all(crate::names::is_identifier) {
                    self.texts.push(text.into());
                }
            }
            Expr::Name(name) if name.id.as_str() == "__name__" => self.own_name = true,
            _ => stacker::maybe_grow(128 * 1024, 1024 * 1024, || visitor::walk_expr(self, expr)),
        }
    }
}
