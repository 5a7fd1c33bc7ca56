//! Places where a module finds others in a way that no import statement tells: entry points, walks through packages,
//! dotted names in settings.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Site {
    pub line: u32,
    pub what: Dynamic,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dynamic {
    /// An import whose module is computed.
    Import,
    /// Of a group, where that can be told.
    EntryPoints(Option<Box<str>>),
    /// `pkgutil.iter_modules`, of its own package or of another one.
    Walk { own: bool },
    /// Attributes that are imported when they are asked for: `lazy_loader.attach` and its like.
    Lazy,
    /// A string that has the form of a module's or an object's name, in what looks like settings.
    Dotted(Box<str>),
    /// It puts a module into `sys.modules`, under a name that can be told or not.
    Registers(Option<Box<str>>),
    /// It puts something else into `sys.modules` in its own place.
    ReplacesItself,
    /// It changes the `__path__` of a package.
    ExtendsPath,
    /// It changes `sys.path`.
    SearchPath,
    /// It puts a finder of its own on `sys.meta_path`.
    Finder,
}

impl Dynamic {
    /// Whether it changes what imports find from then on.
    pub fn changes_imports(&self) -> bool {
        match self {
            Self::Registers(_) | Self::ReplacesItself | Self::ExtendsPath | Self::SearchPath | Self::Finder => true,
            Self::Import | Self::EntryPoints(_) | Self::Walk { .. } | Self::Lazy | Self::Dotted(_) => false,
        }
    }
}

/// One such place of a module, and what is there for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DynamicSite {
    pub line: u32,
    pub what: Dynamic,
    /// Entry points as `name = module`, or modules; nothing where it cannot be told.
    pub holds: Vec<Box<str>>,
}

/// What a call says of itself.
pub(super) fn of_call(call: &ast::ExprCall) -> Option<Dynamic> {
    let arguments = &call.arguments;
    let text = |expr: &Expr| expr.as_string_literal_expr().map(|literal| Box::from(literal.value.to_str()));
    let group = |name: &str, at| arguments.find_argument_value(name, at).and_then(text);
    match name_of(&call.func)? {
        "entry_points" if !arguments.is_empty() => Some(Dynamic::EntryPoints(group("group", usize::MAX))),
        "iter_entry_points" | "load_setuptools_entrypoints" => Some(Dynamic::EntryPoints(group("group", 0))),
        "ExtensionManager" | "NamedExtensionManager" | "EnabledExtensionManager" | "DriverManager" | "HookManager" => {
            // stevedore's
            group("namespace", 0).map(|group| Dynamic::EntryPoints(Some(group)))
        }
        "get" | "select" if is_entry_points(&call.func) => Some(Dynamic::EntryPoints(group("group", 0))),
        "iter_modules" | "walk_packages" => {
            let path = arguments.find_argument_value("path", 0);
            Some(Dynamic::Walk { own: path.is_some_and(|path| super::collect::is_name(path, "__path__")) })
        }
        "attach" | "attach_stub" | "lazy_import"
            if arguments.args.first().is_some_and(|it| super::collect::is_name(it, "__name__")) =>
        {
            Some(Dynamic::Lazy)
        }
        _ => None,
    }
}

/// `entry_points()["group"]`
pub(super) fn of_subscript(subscript: &ast::ExprSubscript) -> Option<Dynamic> {
    let called = subscript.value.as_call_expr().filter(|call| name_of(&call.func) == Some("entry_points"))?;
    let group = subscript.slice.as_string_literal_expr()?.value.to_str();
    called.arguments.is_empty().then(|| Dynamic::EntryPoints(Some(group.into())))
}

fn is_entry_points(method: &Expr) -> bool {
    let receiver = method.as_attribute_expr().and_then(|attribute| attribute.value.as_call_expr());
    receiver.is_some_and(|call| name_of(&call.func) == Some("entry_points") && call.arguments.is_empty())
}

fn name_of(function: &Expr) -> Option<&str> {
    match function {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        _ => None,
    }
}

/// Whether a name is a setting's by its spelling.
pub(super) fn is_setting(name: &str) -> bool {
    name.len() > 2
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Strings in a setting's value that may name a module: `a.b`, and `a` alone where the setting lists applications.
pub(super) fn dotted<'a>(setting: &str, value: &'a Expr) -> Vec<&'a str> {
    struct Strings<'a>(Vec<&'a str>, u32);
    impl<'a> Visitor<'a> for Strings<'a> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            match expr {
                Expr::StringLiteral(literal) => self.0.push(literal.value.to_str()),
                Expr::List(_) | Expr::Tuple(_) | Expr::Set(_) | Expr::Dict(_) | Expr::BinOp(_) if self.1 < 32 => {
                    self.1 += 1;
                    visitor::walk_expr(self, expr);
                    self.1 -= 1;
                }
                _ => {}
            }
        }
    }
    let mut strings = Strings(Vec::new(), 0);
    strings.visit_expr(value);
    let is_module = |text: &&str| {
        (text.contains('.') || setting.ends_with("APPS")) && text.split('.').all(crate::names::is_identifier)
    };
    strings.0.into_iter().filter(is_module).collect()
}
