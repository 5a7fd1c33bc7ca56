//! Files that a module names relative to itself or to a package: `Path(__file__).parent / "x"`, `files("pkg") / "x"`,
//! `pkgutil.get_data(__name__, "x")`.
//!
//! Followed are literals, the usual ways to join them, and names that the module binds to such a path. What is computed
//! otherwise is passed over.

use ruff_python_ast::{self as ast, Expr, Operator};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::syntax::Asked;

/// Deeper than anybody joins paths, and shallow enough for any stack.
const DEPTH: u32 = 24;

/// Parts of a path: a program may make each out of the last one, and no file lies that deep.
const LONGEST: usize = 128;

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Base {
    /// The module's own file.
    File,
    /// The folder of a package.
    Package(Asked),
}

/// A path that can be told without running anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RelativePath {
    pub base: Base,
    /// How many folders above the base.
    pub up: u32,
    /// What comes below that.
    pub parts: Vec<Box<str>>,
    /// No name that it was made of may stand for something else.
    pub is_sure: bool,
}

/// A place that names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataSite {
    pub line: u32,
    pub path: RelativePath,
    pub usage: Usage,
}

/// What a module does with a path that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Usage {
    /// It is opened for reading whenever the module is imported, and nothing catches a failure.
    Opened,
    /// A web framework takes from the folder what it is asked for, where there is one.
    Served,
    /// Nobody knows.
    Named,
}

/// Local names that stand for such paths.
pub(super) type Folders<'a> = FxHashMap<&'a str, RelativePath>;

impl RelativePath {
    fn of(base: Base) -> Self {
        Self { base, up: 0, parts: Vec::new(), is_sure: true }
    }

    fn parent(mut self) -> Self {
        if self.parts.pop().is_none() {
            self.up += 1;
        }
        self
    }

    fn join(mut self, text: &str) -> Option<Self> {
        if text.starts_with('/') || text.contains(['\0', '\\']) {
            return None;
        }
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => self = self.parent(),
                part if self.parts.len() < LONGEST => self.parts.push(part.into()),
                _ => return None,
            }
        }
        Some(self)
    }

    fn join_all<'e>(self, parts: impl IntoIterator<Item = &'e Expr>) -> Option<Self> {
        parts.into_iter().try_fold(self, |path, part| path.join(literal(part)?))
    }
}

/// The path that `expr` stands for.
pub(super) fn path_of(expr: &Expr, folders: &Folders<'_>) -> Option<RelativePath> {
    evaluate(expr, folders, 0)
}

fn evaluate(expr: &Expr, folders: &Folders<'_>, depth: u32) -> Option<RelativePath> {
    if depth > DEPTH {
        return None;
    }
    let path = |expr: &Expr| evaluate(expr, folders, depth + 1);
    match expr {
        Expr::Name(name) if name.id.as_str() == "__file__" => Some(RelativePath::of(Base::File)),
        Expr::Name(name) => folders.get(name.id.as_str()).cloned(),
        Expr::Attribute(attribute) if attribute.attr.as_str() == "parent" => Some(path(&attribute.value)?.parent()),
        Expr::Subscript(subscript) => {
            let attribute = subscript.value.as_attribute_expr().filter(|it| it.attr.as_str() == "parents")?;
            let Expr::NumberLiteral(ast::ExprNumberLiteral { value: ast::Number::Int(count), .. }) = &*subscript.slice
            else {
                return None;
            };
            let count = count.as_u64().filter(|count| *count < u64::from(DEPTH))?;
            Some((0..=count).fold(path(&attribute.value)?, |path, _| path.parent()))
        }
        Expr::BinOp(ast::ExprBinOp { left, op: Operator::Div, right, .. }) => path(left)?.join(literal(right)?),
        Expr::BinOp(ast::ExprBinOp { left, op: Operator::Add, right, .. }) => {
            path(left)?.join(literal(right)?.strip_prefix('/')?)
        }
        Expr::Call(call) => called(call, &path),
        _ => None,
    }
}

fn called(call: &ast::ExprCall, path: &dyn Fn(&Expr) -> Option<RelativePath>) -> Option<RelativePath> {
    let arguments = &*call.arguments.args;
    let function = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => {
            let function = attribute.attr.as_str();
            match function {
                "resolve" | "absolute" | "expanduser" if arguments.is_empty() => return path(&attribute.value),
                "joinpath" => return path(&attribute.value)?.join_all(arguments),
                "with_name" => return path(&attribute.value)?.parent().join_all(arguments),
                _ => function,
            }
        }
        _ => return None,
    };
    let (first, rest) = arguments.split_first()?;
    match function {
        "Path" | "PurePath" | "join" => path(first)?.join_all(rest),
        "abspath" | "realpath" | "normpath" | "fspath" | "str" if rest.is_empty() => path(first),
        "dirname" if rest.is_empty() => Some(path(first)?.parent()),
        "files" if rest.is_empty() => Some(RelativePath::of(Base::Package(package(first)?))),
        "resource_filename" => Some(RelativePath::of(Base::Package(package(first)?)).join_all(rest)?),
        _ => None,
    }
}

/// What a call opens for reading, where that can be told: the path, which the call takes as its argument or as its
/// receiver.
pub(super) fn opened(call: &ast::ExprCall, folders: &Folders<'_>) -> Option<RelativePath> {
    let arguments = &*call.arguments.args;
    match &*call.func {
        Expr::Name(name) if name.id.as_str() == "open" => {
            let reads = call
                .arguments
                .find_argument_value("mode", 1)
                .is_none_or(|mode| literal(mode).is_some_and(|mode| mode.starts_with('r') && !mode.contains('+')));
            path_of(arguments.first()?, folders).filter(|_| reads)
        }
        // A shared library beside the code.
        Expr::Name(ast::ExprName { id: name, .. })
        | Expr::Attribute(ast::ExprAttribute { attr: ast::Identifier { id: name, .. }, .. })
            if matches!(name.as_str(), "CDLL" | "PyDLL" | "LoadLibrary" | "dlopen") =>
        {
            path_of(arguments.first()?, folders)
        }
        Expr::Attribute(attribute) => match (attribute.attr.as_str(), arguments) {
            ("read_text" | "read_bytes" | "open", []) => path_of(&attribute.value, folders),
            (
                "get_data" | "read_text" | "read_binary" | "open_text" | "open_binary" | "resource_string"
                | "resource_stream",
                [owner, name],
            ) => RelativePath::of(Base::Package(package(owner)?)).join(literal(name)?),
            _ => None,
        },
        Expr::Name(name) => match (name.id.as_str(), arguments) {
            ("get_data" | "read_text" | "read_binary" | "open_text" | "open_binary", [owner, name]) => {
                RelativePath::of(Base::Package(package(owner)?)).join(literal(name)?)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Folders of templates and static files: Flask has them beside the module that it is given the name of, unless told otherwise; a
/// blueprint where it is told so.
pub(super) fn served(call: &ast::ExprCall) -> Vec<RelativePath> {
    let function = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return Vec::new(),
    };
    let (owner, defaults) = match function {
        "Flask" | "Quart" | "APIFlask" => (0, [Some("static"), Some("templates")]),
        "Blueprint" | "APIBlueprint" => (1, [None, None]),
        _ => return Vec::new(),
    };
    let arguments = &call.arguments;
    let is_own = |owner: &Expr| owner.as_name_expr().is_some_and(|name| name.id.as_str() == "__name__");
    if !arguments.find_argument_value("import_name", owner).is_some_and(is_own) {
        return Vec::new();
    }
    let folders = ["static_folder", "template_folder"].into_iter().zip(defaults);
    let named = folders.filter_map(|(keyword, default)| match arguments.find_keyword(keyword) {
        Some(given) => literal(&given.value),
        None => default,
    });
    named.filter_map(|name| RelativePath::of(Base::File).parent().join(name)).collect()
}

fn literal(expr: &Expr) -> Option<&str> {
    expr.as_string_literal_expr().map(|literal| literal.value.to_str())
}

fn package(expr: &Expr) -> Option<Asked> {
    match expr {
        Expr::Name(name) if name.id.as_str() == "__name__" => Some(Asked::OwnName("".into())),
        Expr::Name(name) if name.id.as_str() == "__package__" => Some(Asked::Relative { level: 1, rest: "".into() }),
        _ => {
            let name = literal(expr)?;
            name.split('.').all(crate::names::is_identifier).then(|| Asked::Absolute(name.into()))
        }
    }
}
