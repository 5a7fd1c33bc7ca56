//! The application's own crates as parts of its graph.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::graph::rails;
use crate::crates::{Crates, Package};

/// Of an application without any.
pub(super) static NONE: Crates = Crates { built: Vec::new(), packages: BTreeMap::new() };

fn title(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

fn modules<'a>(crates: &'a Crates, key: &str) -> Vec<&'a str> {
    crates.built.iter().filter(|built| built.package == key).map(|built| built.module.as_str()).collect()
}

/// A tree for each of the application's own, marked as in the tree of distributions.
pub(super) fn text(crates: &Crates, depth: usize) -> String {
    let mut out = String::new();
    let mut shown = BTreeSet::new();
    for built in &crates.built {
        let Some(package) = crates.packages.get(&built.package) else { continue };
        let _ = writeln!(out, "crate {}  the module `{}`", title(package), built.module);
        below(&mut out, crates, package, "", depth, &mut shown);
    }
    out
}

fn below(out: &mut String, crates: &Crates, from: &Package, indent: &str, depth: usize, shown: &mut BTreeSet<String>) {
    if depth == 0 || !shown.insert(from.key()) {
        return;
    }
    let needs: Vec<&Package> = from.needs.iter().filter_map(|key| crates.packages.get(key)).collect();
    for (at, package) in needs.iter().enumerate() {
        let (branch, rail) = rails(at + 1 == needs.len());
        let mark = if shown.contains(&package.key()) && !package.needs.is_empty() { " (*)" } else { "" };
        let _ = writeln!(out, "{indent}{branch}{}{mark}", title(package));
        below(out, crates, package, &format!("{indent}{rail}"), depth - 1, shown);
    }
}

/// Every crate with what it links, and the modules that are made of it.
pub(super) fn json(crates: &Crates) -> Value {
    let row = |(key, package): (&String, &Package)| {
        json!({
            "name": package.name, "version": package.version, "license": package.license,
            "needs": package.needs, "modules": modules(crates, key),
        })
    };
    crates.packages.iter().map(row).collect()
}

/// Pairs of names, the application's first.
pub(super) fn edges(crates: &Crates, application: &str) -> Vec<(String, String)> {
    let name = |key: &String| crates.packages.get(key).map(|package| format!("crate {}", title(package)));
    let own = crates.built.iter().filter_map(|built| Some((application.to_owned(), name(&built.package)?)));
    let linked = crates
        .packages
        .iter()
        .flat_map(|(key, package)| package.needs.iter().filter_map(move |need| Some((name(key)?, name(need)?))));
    own.chain(linked).collect()
}

/// How crates called `name` get in, the shortest way from each module that links them; empty where none is.
pub(super) fn chains(crates: &Crates, name: &str) -> String {
    let mut text = String::new();
    for (key, package) in crates.packages.iter().filter(|(_, package)| package.name == name) {
        let _ = writeln!(
            text,
            "the crate {} gets in, linked into an extension module of the application\n",
            title(package)
        );
        for built in &crates.built {
            if let Some(way) = way(crates, &built.package, key) {
                let way: Vec<String> = way.iter().filter_map(|key| crates.packages.get(key)).map(title).collect();
                let _ = writeln!(text, "  the module `{}`: {}", built.module, way.join(" → "));
            }
        }
    }
    text
}

/// Breadth first.
fn way(crates: &Crates, from: &str, to: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut open = std::collections::VecDeque::from([vec![from.to_owned()]]);
    while let Some(way) = open.pop_front() {
        let at = way.last()?.clone();
        if at == to {
            return Some(way);
        }
        if seen.insert(at.clone()) {
            let needs = crates.packages.get(&at).into_iter().flat_map(|package| &package.needs);
            open.extend(needs.map(|need| way.iter().cloned().chain([need.clone()]).collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::crates::Built;
    use crate::names::ModuleName;

    fn sample() -> Crates {
        let package = |name: &str, needs: &[&str]| {
            let needs = needs.iter().map(|need| format!("{need}@1.0.0")).collect();
            Package { name: name.to_owned(), version: "1.0.0".to_owned(), license: None, checksum: None, needs }
        };
        let packages = [package("fast", &["py", "c"]), package("py", &["c"]), package("c", &[])];
        let module = ModuleName::new("fast").unwrap();
        let built = vec![Built { module, file: PathBuf::new(), package: "fast@1.0.0".to_owned() }];
        Crates { built, packages: packages.into_iter().map(|it| (it.key(), it)).collect() }
    }

    #[test]
    fn a_tree_and_the_shortest_way() {
        assert_eq!(
            text(&sample(), 9),
            "crate fast 1.0.0  the module `fast`\n├── c 1.0.0\n└── py 1.0.0\n    └── c 1.0.0\n"
        );
        assert!(chains(&sample(), "c").ends_with("the module `fast`: fast 1.0.0 → c 1.0.0\n"));
        assert!(chains(&sample(), "other").is_empty());
    }
}
