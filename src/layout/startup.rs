//! What packproof itself adds to the tree: the start-up code, and the script that calls an entry function.

use std::collections::BTreeSet;
use std::path::Path;

use super::builder::Builder;
use super::interpreter::stdlib_place;
use super::pathfile::{self, Places};
use super::{Entry, Error, Origin, Source};
use crate::config::{Collector, Config, Entry as ConfigEntry};
use crate::environment::Facts;
use crate::format::ArchivePath;
use crate::names::ModuleName;

/// What every tree's start-up code begins with. Only what this application needs follows: each start pays for it.
const HOOK: &str = include_str!("startup/hook.py");
const SCRIPT: &str = include_str!("startup/script.py");
const MODULE: &str = include_str!("startup/module.py");
const COLLECTOR: &str = include_str!("startup/collector.py");
const ONCE: &str = include_str!("startup/once.py");
const UNCUSTOMIZED: &str = include_str!("startup/uncustomized.py");

/// `site` reads it as it would a virtual environment's, and leaves the user's site-packages alone, in every child that
/// `sys.executable` starts as well, before a line of them has run. As there is no `home` in it, nothing else makes an
/// environment of the tree: prefix and base prefix stay one. Tried on 3.9 to 3.15.
const USER_SITE_OFF: &str = "include-system-site-packages = false\n";

/// What the launcher tells the interpreter to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartEntry {
    Script(ArchivePath),
    Module(ModuleName),
}

pub(super) fn add(builder: &mut Builder, config: &Config, facts: &Facts, places: &Places) -> Result<StartEntry, Error> {
    let further = further(builder, config, facts, places);
    let code = startup_code(builder, config, facts, places)?;
    let mut generated = |path: ArchivePath, text: String| {
        let source = Source::Generated(text.into_bytes());
        builder.add(path, Entry { source, mode: 0o644, origin: Origin::Packproof })
    };
    // Whatever the environment had: packages of the user who starts the artifact would go before those that it was proved with.
    generated(ArchivePath::new("pyvenv.cfg")?, USER_SITE_OFF.to_owned())?;
    if let Some(site) = places.main_site() {
        // Where the interpreter has looked before, for its codecs: no other folder need be listed to find it.
        generated(stdlib_place(facts, &facts.stdlib)?.join("_packproof.py")?, code)?;
        // `site` reads .pth files in the order of their names.
        generated(site.join("00_packproof.pth")?, "import _packproof\n".to_owned())?;
        if !further.is_empty() {
            generated(site.join("zz_packproof.pth")?, further)?;
        }
    }
    match &config.runner.entry {
        ConfigEntry::Script(script) => {
            let outside = || Error::Outside { path: script.clone() };
            Ok(StartEntry::Script(places.of(script)?.ok_or_else(outside)?))
        }
        ConfigEntry::Module(module) => Ok(StartEntry::Module(module.clone())),
        ConfigEntry::Function { module, function } => {
            let path = ArchivePath::new("app/__packproof_entry__.py")?;
            generated(path.clone(), call(module, function))?;
            Ok(StartEntry::Script(path))
        }
    }
}

/// Whether the interpreter reads `.pth` files there: in the base's site-packages, which the environment sees, and the user's.
fn is_site(facts: &Facts, folder: &Path) -> bool {
    let base = facts.base_site_packages.iter().any(|site| facts.base_prefix.join(site) == folder);
    base || facts.user_site.as_deref() == Some(folder)
}

/// A line of a `.pth` file that reads those in a folder.
fn add_site(place: &ArchivePath) -> String {
    let place = serde_json::Value::from(place.as_str());
    format!("import os, site, sys; site.addsitedir(os.path.join(sys.prefix, {place}))")
}

/// Lines for the folders of `sys.path` that no packed `.pth` file names, one each. What is not packed needs none: `site`
/// would look for it at each start.
fn further(builder: &Builder, config: &Config, facts: &Facts, places: &Places) -> String {
    let Some(site) = places.main_site() else { return String::new() };
    let is_pth = |path: &ArchivePath| path.parent().as_ref() == Some(site) && path.as_str().ends_with(".pth");
    let mut named = BTreeSet::new();
    for (_, entry) in builder.paths().filter(|(path, _)| is_pth(path)) {
        // What cannot be read the packing tells.
        let Ok(Some(bytes)) = entry.source.content() else { continue };
        named.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    let folders = places
        .further
        .iter()
        .filter(|(folder, place)| !config.runner.path.contains(folder) && builder.holds_folder(place));
    let lines = folders.map(
        |(folder, place)| {
            if is_site(facts, folder) { add_site(place) } else { pathfile::relative(site, place) }
        },
    );
    lines.filter(|line| !named.contains(line)).fold(String::new(), |text, line| text + &line + "\n")
}

/// Whether anything in the tree might be what `site` imports last.
fn is_customized(builder: &Builder) -> bool {
    let is_it = |part: &str| part.split('.').next() == Some("sitecustomize");
    builder.paths().any(|(path, _)| path.as_str().split('/').any(is_it))
}

fn startup_code(builder: &Builder, config: &Config, facts: &Facts, places: &Places) -> Result<String, Error> {
    let mut folders = Vec::new();
    for folder in &config.runner.path {
        folders.extend(places.of(folder)?.map(|place| place.to_string()));
    }
    // JSON's strings and lists are Python's too.
    let mut code = HOOK.replace("@PATH@", &serde_json::Value::from(folders).to_string());
    match &config.runner.entry {
        ConfigEntry::Script(_) | ConfigEntry::Function { .. } => code += SCRIPT,
        ConfigEntry::Module(_) => {
            let application = places.of(&config.root)?.map_or_else(String::new, String::from);
            code += &MODULE.replace("@APPLICATION@", &serde_json::Value::from(application).to_string());
        }
    }
    // From 3.15 on `site` itself sees to that.
    if facts.version < [3, 15, 0] {
        code += ONCE;
    }
    if !is_customized(builder) {
        code += UNCUSTOMIZED;
    }
    match config.startup.gc {
        Collector::Default => {}
        Collector::Relaxed => code += COLLECTOR,
    }
    Ok(code + "_start()\n")
}

/// As the console script that an installer would write. The guard is for multiprocessing, whose children import
/// the main script anew.
fn call(module: &ModuleName, function: &str) -> String {
    let imported = function.split('.').next().unwrap_or(function);
    format!(
        "import sys\n\nfrom {module} import {imported}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_functions() {
        let code = call(&ModuleName::new("a.b").unwrap(), "Command.run");
        assert!(code.contains("from a.b import Command\n") && code.ends_with("sys.exit(Command.run())\n"), "{code}");
    }
}
