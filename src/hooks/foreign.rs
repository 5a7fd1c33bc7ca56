//! A PyInstaller hook → the TOML that would say the same, as far as it can be told.
//!
//! Told are lists of literals and calls of `collect_submodules` with one. Its `datas`, `binaries` and metadata need nothing in
//! their place: distributions are packed whole.

use std::path::Path;

use ruff_python_ast::{Expr, ExprBinOp, Mod, Operator, Stmt};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

/// What to do about the hook in `file`.
pub fn translation(file: &Path) -> String {
    let module = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("hook-"));
    let says = fs_err::read_to_string(file).map(|text| read(&text)).unwrap_or_default();
    let quoted = |names: &[String], before: &str| {
        names.iter().map(|name| format!("\"{before}{name}\"")).collect::<Vec<_>>().join(", ")
    };
    let mut cures = Vec::new();
    if let (Some(module), false) = (module, says.imports.is_empty()) {
        cures.push(format!(
            "in a file of its own: `distribution = \"{}\"`, `reason = \"…\"`, `implicit-imports = [{}]`",
            module.split('.').next().unwrap_or(module).replace('_', "-"),
            quoted(&says.imports, "")
        ));
    }
    if !says.excluded.is_empty() {
        cures.push(format!("in packproof.toml: `[runner] exclude = [{}]`", quoted(&says.excluded, "module:")));
    }
    if cures.is_empty() { "remove it where the proof passes without".to_owned() } else { cures.join("; ") }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Says {
    imports: Vec<String>,
    excluded: Vec<String>,
}

/// What is assigned or added to `hiddenimports` and `excludedimports`.
fn read(text: &str) -> Says {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let Mod::Module(module) = parsed.syntax() else { return Says::default() };
    let mut says = Says::default();
    for stmt in &module.body {
        let (target, value) = match stmt {
            Stmt::Assign(assign) => (assign.targets.first(), &assign.value),
            Stmt::AugAssign(assign) => (Some(&*assign.target), &assign.value),
            _ => continue,
        };
        match target.and_then(Expr::as_name_expr).map(|name| name.id.as_str()) {
            Some("hiddenimports") => names(value, &mut says.imports, 0),
            Some("excludedimports") => names(value, &mut says.excluded, 0),
            _ => {}
        }
    }
    says
}

/// Deeper than anybody adds lists, and shallow enough for any stack.
const DEPTH: u32 = 64;

fn names(value: &Expr, found: &mut Vec<String>, depth: u32) {
    match value {
        Expr::List(list) => {
            let literals = list.elts.iter().filter_map(|element| element.as_string_literal_expr());
            found.extend(literals.map(|literal| literal.value.to_str().to_owned()));
        }
        Expr::BinOp(ExprBinOp { left, op: Operator::Add, right, .. }) if depth < DEPTH => {
            names(left, found, depth + 1);
            names(right, found, depth + 1);
        }
        Expr::Call(call) => {
            let is_collect = match &*call.func {
                Expr::Name(name) => name.id.as_str() == "collect_submodules",
                Expr::Attribute(attribute) => attribute.attr.as_str() == "collect_submodules",
                _ => false,
            };
            let package = call.arguments.args.first().and_then(Expr::as_string_literal_expr);
            if let (true, Some(package)) = (is_collect, package) {
                found.push(format!("{}.*", package.value.to_str()));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_says() {
        let text = "from PyInstaller.utils.hooks import collect_submodules\nhiddenimports = ['a.b', 'c'] + ['x']\nhiddenimports += ['d'] \nhiddenimports += collect_submodules('e')\nexcludedimports = ['tkinter']\ndatas = []\nif (";
        let says = read(text);
        assert_eq!(says.imports, ["a.b", "c", "x", "d", "e.*"]);
        assert_eq!(says.excluded, ["tkinter"]);
    }
}
