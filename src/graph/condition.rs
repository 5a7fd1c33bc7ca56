//! Tests of `if` statements, decided for the target: the interpreter's version and platform, not this machine's.

use ruff_python_ast::{self as ast, CmpOp, Expr, UnaryOp};

use crate::environment::Facts;

/// What conditions ask about.
#[derive(Debug, Clone)]
pub struct Target {
    pub version: [u32; 3],
    /// `sys.platform`
    pub platform: String,
    /// `os.name`
    pub os_name: String,
    /// `platform.system()`
    pub system: String,
}

impl Target {
    pub fn of(facts: &Facts) -> Self {
        let marker = |name: &str| facts.markers.get(name).cloned().unwrap_or_default();
        Self {
            version: facts.version,
            platform: marker("sys_platform"),
            os_name: marker("os_name"),
            system: marker("platform_system"),
        }
    }
}

/// How a condition's branches are to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Always,
    Never,
    /// False when it runs, true for a type checker.
    TypeChecking,
    /// True when it runs; its other branch is the type checker's.
    NotTypeChecking,
    Open,
}

impl Truth {
    fn at_run_time(self) -> Option<bool> {
        match self {
            Self::Always | Self::NotTypeChecking => Some(true),
            Self::Never | Self::TypeChecking => Some(false),
            Self::Open => None,
        }
    }

    fn of(value: bool) -> Self {
        if value { Self::Always } else { Self::Never }
    }

    fn not(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::TypeChecking => Self::NotTypeChecking,
            Self::NotTypeChecking => Self::TypeChecking,
            Self::Open => Self::Open,
        }
    }
}

/// Whether `test` holds in the target. `main` says whether the module runs as `__main__`.
pub(super) fn evaluate(test: &Expr, target: &Target, main: bool) -> Truth {
    let recurse = |expr: &Expr| stacker::maybe_grow(64 * 1024, 1024 * 1024, || evaluate(expr, target, main));
    match test {
        Expr::BooleanLiteral(literal) => Truth::of(literal.value),
        Expr::NumberLiteral(ast::ExprNumberLiteral { value: ast::Number::Int(int), .. }) => {
            Truth::of(int.as_u64() != Some(0))
        }
        Expr::Name(name) => named(name.id.as_str()),
        Expr::Attribute(attribute) => named(attribute.attr.as_str()),
        Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => recurse(&unary.operand).not(),
        Expr::BoolOp(bool_op) => {
            // `and` stops at the first that is false, `or` at the first that is true.
            let stops_at = bool_op.op == ast::BoolOp::Or;
            let truths: Vec<_> = bool_op.values.iter().map(recurse).collect();
            if let Some(stop) = truths.iter().find(|truth| truth.at_run_time() == Some(stops_at)) {
                return *stop;
            }
            if truths.contains(&Truth::Open) {
                return Truth::Open;
            }
            truths.last().copied().unwrap_or(Truth::Open)
        }
        Expr::Compare(compare) => match (&*compare.ops, &*compare.comparators) {
            ([op], [right]) => compared(&compare.left, *op, right, target, main),
            _ => Truth::Open,
        },
        Expr::Call(call) => started(call, target),
        _ => Truth::Open,
    }
}

fn named(name: &str) -> Truth {
    match name {
        "TYPE_CHECKING" | "MYPY" => Truth::TypeChecking,
        "__debug__" => Truth::Always,
        _ => Truth::Open,
    }
}

/// `sys.platform.startswith("win")`, with a tuple too.
fn started(call: &ast::ExprCall, target: &Target) -> Truth {
    let Expr::Attribute(attribute) = &*call.func else { return Truth::Open };
    let Some(text) = text_of(&attribute.value, target) else { return Truth::Open };
    let ([argument], "startswith") = (&*call.arguments.args, attribute.attr.as_str()) else { return Truth::Open };
    strings(argument).map_or(Truth::Open, |prefixes| Truth::of(prefixes.iter().any(|prefix| text.starts_with(prefix))))
}

fn compared(left: &Expr, op: CmpOp, right: &Expr, target: &Target, main: bool) -> Truth {
    if let (Expr::Name(name), Expr::StringLiteral(value)) = (left, right)
        && name.id.as_str() == "__name__"
        && value.value.to_str() == "__main__"
    {
        return if op == CmpOp::Eq { Truth::of(main) } else { Truth::Open };
    }
    if let Some(text) = text_of(left, target) {
        let Some(values) = strings(right) else { return Truth::Open };
        let is_in = values.contains(&text);
        return match op {
            CmpOp::Eq | CmpOp::In | CmpOp::Is => Truth::of(is_in),
            CmpOp::NotEq | CmpOp::NotIn | CmpOp::IsNot => Truth::of(!is_in),
            CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => Truth::Open,
        };
    }
    let (Some(have), Some(wanted)) = (version_of(left, target), numbers(right)) else { return Truth::Open };
    // A whole version_info has five parts, so that it is greater than any shorter tuple that it begins with.
    let order = have.as_slice().cmp(wanted.as_slice());
    match op {
        CmpOp::Lt => Truth::of(order.is_lt()),
        CmpOp::LtE => Truth::of(order.is_le()),
        CmpOp::Gt => Truth::of(order.is_gt()),
        CmpOp::GtE => Truth::of(order.is_ge()),
        CmpOp::Eq => Truth::of(order.is_eq()),
        CmpOp::NotEq => Truth::of(order.is_ne()),
        CmpOp::Is | CmpOp::IsNot | CmpOp::In | CmpOp::NotIn => Truth::Open,
    }
}

fn text_of<'a>(expr: &Expr, target: &'a Target) -> Option<&'a str> {
    match expr {
        Expr::Attribute(attribute) => {
            match (attribute.value.as_name_expr().map(|name| name.id.as_str()), attribute.attr.as_str()) {
                (Some("sys" | "_sys"), "platform") => Some(&target.platform),
                (Some("os" | "_os"), "name") => Some(&target.os_name),
                (None, "name") if is_attribute(&attribute.value, "sys", "implementation") => Some("cpython"),
                _ => None,
            }
        }
        Expr::Call(call) if is_attribute(&call.func, "platform", "system") => Some(&target.system),
        Expr::Call(call) if is_attribute(&call.func, "platform", "python_implementation") => Some("CPython"),
        _ => None,
    }
}

fn version_of(expr: &Expr, target: &Target) -> Option<Vec<u64>> {
    let whole = |expr: &Expr| is_attribute(expr, "sys", "version_info") || is_attribute(expr, "_sys", "version_info");
    let version = target.version.map(u64::from);
    match expr {
        // releaselevel "final" and serial stand behind the numbers.
        _ if whole(expr) => Some([version.as_slice(), &[u64::MAX, 0]].concat()),
        Expr::Attribute(attribute) if whole(&attribute.value) => match attribute.attr.as_str() {
            "major" => Some(vec![version[0]]),
            "minor" => Some(vec![version[1]]),
            "micro" => Some(vec![version[2]]),
            _ => None,
        },
        Expr::Subscript(subscript) if whole(&subscript.value) => match &*subscript.slice {
            Expr::Slice(slice) if slice.lower.is_none() && slice.step.is_none() => {
                let upper = usize::try_from(number(slice.upper.as_deref()?)?).ok()?;
                version.get(..upper).map(<[u64]>::to_vec)
            }
            index => version.get(usize::try_from(number(index)?).ok()?).map(|part| vec![*part]),
        },
        _ => None,
    }
}

fn is_attribute(expr: &Expr, value: &str, attr: &str) -> bool {
    expr.as_attribute_expr().is_some_and(|attribute| {
        attribute.attr.as_str() == attr && attribute.value.as_name_expr().is_some_and(|name| name.id.as_str() == value)
    })
}

fn number(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::NumberLiteral(ast::ExprNumberLiteral { value: ast::Number::Int(int), .. }) => int.as_u64(),
        _ => None,
    }
}

fn numbers(expr: &Expr) -> Option<Vec<u64>> {
    match expr {
        Expr::Tuple(tuple) => tuple.elts.iter().map(number).collect(),
        _ => number(expr).map(|one| vec![one]),
    }
}

fn strings(expr: &Expr) -> Option<Vec<&str>> {
    let elements = match expr {
        Expr::StringLiteral(literal) => return Some(vec![literal.value.to_str()]),
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::List(list) => &list.elts,
        Expr::Set(set) => &set.elts,
        _ => return None,
    };
    elements.iter().map(|element| element.as_string_literal_expr().map(|literal| literal.value.to_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::graph) fn linux_311() -> Target {
        Target {
            version: [3, 11, 7],
            platform: "linux".to_owned(),
            os_name: "posix".to_owned(),
            system: "Linux".to_owned(),
        }
    }

    fn truth(test: &str) -> Truth {
        let parsed = ruff_python_parser::parse_expression(test).unwrap();
        evaluate(parsed.expr(), &linux_311(), false)
    }

    #[test]
    fn versions_and_platforms_of_the_target() {
        for always in [
            "sys.version_info >= (3, 11)",
            "sys.version_info > (3, 11)",
            "sys.version_info[0] == 3",
            "sys.version_info[:2] == (3, 11)",
            "sys.version_info.minor < 12",
            "sys.platform == 'linux'",
            "sys.platform.startswith(('lin', 'freebsd'))",
            "sys.platform in ('linux', 'darwin')",
            "os.name != 'nt'",
            "platform.system() == 'Linux'",
            "not sys.platform == 'win32'",
            "sys.version_info >= (3, 8) and sys.platform != 'win32'",
            "anything or True",
        ] {
            assert_eq!(truth(always), Truth::Always, "{always}");
        }
        for never in
            ["sys.version_info < (3, 9)", "sys.platform == 'win32'", "__name__ == '__main__'", "False and x", "0"]
        {
            assert_eq!(truth(never), Truth::Never, "{never}");
        }
    }

    #[test]
    fn what_only_a_type_checker_sees() {
        assert_eq!(truth("TYPE_CHECKING"), Truth::TypeChecking);
        assert_eq!(truth("typing.TYPE_CHECKING"), Truth::TypeChecking);
        assert_eq!(truth("not t.TYPE_CHECKING"), Truth::NotTypeChecking);
        assert_eq!(truth("TYPE_CHECKING or debug"), Truth::Open);
        assert_eq!(truth("sys.version_info < other"), Truth::Open);
    }
}
