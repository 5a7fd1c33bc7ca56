//! A PyInstaller hook → the TOML that would say the same, as far as it can be told.

use std::path::Path;

use ruff_python_ast::{Expr, Mod, Stmt};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

/// What to do about the hook in `file`.
pub fn translation(file: &Path) -> String {
    let module = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("hook-"));
    let imports = fs_err::read_to_string(file).map(|text| hidden_imports(&text)).unwrap_or_default();
    match (module, imports.is_empty()) {
        (Some(module), false) => {
            let listed: Vec<_> = imports.iter().map(|name| format!("\"{name}\"")).collect();
            format!(
                "in a file of its own: `distribution = \"{}\"`, `reason = \"…\"`, `implicit-imports = [{}]`",
                module.split('.').next().unwrap_or(module).replace('_', "-"),
                listed.join(", ")
            )
        }
        (_, _) => "remove it where the proof passes without".to_owned(),
    }
}

/// String literals in `hiddenimports = [...]`, and in `hiddenimports += [...]`.
fn hidden_imports(text: &str) -> Vec<String> {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let Mod::Module(module) = parsed.syntax() else { return Vec::new() };
    let mut found = Vec::new();
    for stmt in &module.body {
        let value = match stmt {
            Stmt::Assign(assign) if assign.targets.iter().any(is_hidden_imports) => &assign.value,
            Stmt::AugAssign(assign) if is_hidden_imports(&assign.target) => &assign.value,
            _ => continue,
        };
        if let Expr::List(list) = &**value {
            let literals = list.elts.iter().filter_map(|element| element.as_string_literal_expr());
            found.extend(literals.map(|literal| literal.value.to_str().to_owned()));
        }
    }
    found
}

fn is_hidden_imports(target: &Expr) -> bool {
    target.as_name_expr().is_some_and(|name| name.id.as_str() == "hiddenimports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_imports_of_a_hook() {
        let text = "from PyInstaller.utils.hooks import collect_submodules\nhiddenimports = ['a.b', 'c']\nhiddenimports += ['d'] \nhiddenimports += collect_submodules('e')\nif (";
        assert_eq!(hidden_imports(text), ["a.b", "c", "d"]);
    }
}
