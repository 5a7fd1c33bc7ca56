//! From a folder or script, and what the command line lays over it, to a [`Config`].

use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;
use toml::Spanned;

use super::beside::{Command, Declared, source_folder};
use super::{
    Allowance, Audit, Config, Crate, Entry, Error, Exclude, Licenses, Overrides, Patterns, Runner, Smoke, SmokeImport,
    Startup, raw,
};
use crate::format::is_name;
use crate::names::ModuleName;
use crate::native::GlibcVersion;

impl Config {
    /// `target` is a project's folder, or a script; a script needs no configuration file.
    pub fn load(target: &Path, overrides: &Overrides) -> Result<Self, Error> {
        let target = fs::canonicalize(target).map_err(|source| Error::Target { path: target.to_owned(), source })?;
        let script = target.is_file().then(|| target.clone());
        if script.as_ref().is_some_and(|script| is_archive(script)) {
            return Err(Error::Archive { path: target });
        }
        let root = match &script {
            Some(script) => script.parent().unwrap_or(Path::new("/")).to_owned(),
            None => target,
        };
        let file = File::read(&root)?;
        let raw = file.parse()?;
        Resolver { root: &root, file: &file }.resolve(raw, script, overrides)
    }
}

const MAIN: &str = "__main__.py";

/// A zip application (PEP 441): any text may stand before the archive.
fn is_archive(file: &Path) -> bool {
    let is_source = file.extension().is_some_and(|extension| extension == "py" || extension == "pyw");
    !is_source && fs::File::open(file).is_ok_and(|file| zip::ZipArchive::new(file).is_ok())
}

/// A configuration file's text, and where it came from.
pub(super) struct File {
    path: PathBuf,
    text: String,
}

#[derive(Deserialize)]
struct Pyproject {
    tool: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    packproof: Option<raw::Raw>,
}

impl File {
    /// `packproof.toml` before `pyproject.toml`; a project may have neither.
    fn read(root: &Path) -> Result<Self, Error> {
        for name in ["packproof.toml", "pyproject.toml"] {
            let path = root.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => return Ok(Self { path, text }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Unreadable { path, source }),
            }
        }
        Ok(Self { path: root.join("packproof.toml"), text: String::new() })
    }

    fn parse(&self) -> Result<raw::Raw, Error> {
        let parsed = if self.path.ends_with("pyproject.toml") {
            toml::from_str::<Pyproject>(&self.text)
                .map(|pyproject| pyproject.tool.and_then(|tool| tool.packproof).unwrap_or_default())
        } else {
            toml::from_str(&self.text)
        };
        parsed.map_err(|error| Error::Syntax { path: self.path.clone(), error: Box::new(error) })
    }

    pub(super) fn invalid(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        let before = self.text.get(..span.start).unwrap_or_default();
        Error::Invalid {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            text: self.text.lines().nth(before.matches('\n').count()).unwrap_or_default().trim().to_owned(),
            message: message.into(),
        }
    }
}

/// As in a console script, it may be an attribute of an attribute.
pub(super) fn is_function(name: &str) -> bool {
    name.split('.').all(crate::names::is_identifier)
}

pub(super) struct Resolver<'a> {
    pub(super) root: &'a Path,
    pub(super) file: &'a File,
}

impl Resolver<'_> {
    fn resolve(&self, raw: raw::Raw, script: Option<PathBuf>, overrides: &Overrides) -> Result<Config, Error> {
        let declared = Declared::read(self.root);
        let mut path = self.folders(&raw.runner.path)?;
        let (entry, command) = if let Some(entry) = self.entry(&raw.runner, script, overrides)? {
            (entry, None)
        } else if let Some(script) = self.main_of_folder(&declared) {
            (Entry::Script(script), None)
        } else {
            let Command { name, module, function } = self.command(&raw.runner, &declared)?;
            path.extend(source_folder(self.root, &module).filter(|folder| !path.contains(folder)));
            (Entry::Function { module, function }, Some(name))
        };
        let name = self.name(&raw.runner, &entry, command, overrides)?;
        for folder in &overrides.path {
            path.push(fs::canonicalize(folder).map_err(|source| Error::Target { path: folder.clone(), source })?);
        }
        let mut audit = self.audit(raw.audit, declared)?;
        audit.allow.extend(overrides.allow.iter().cloned());
        Ok(Config {
            root: self.root.to_owned(),
            runner: Runner {
                name,
                entry,
                path,
                include: self.patterns(&raw.runner.include)?,
                exclude: self.exclude(&raw.runner.exclude)?,
                prune: raw.runner.prune || overrides.prune,
                hidden_imports: self.modules(&raw.runner.hidden_imports)?,
                hooks: self.folders(&raw.runner.hooks)?,
                interpreter: raw.runner.interpreter.unwrap_or(true),
                strip: raw.runner.strip,
            },
            environment: self.environment(raw.environment, &raw.python, overrides)?,
            audit,
            licenses: self.licenses(raw.licenses)?,
            crates: self.crates(&raw.crates)?,
            smoke: self.smoke(&raw.smoke)?,
            startup: Startup { gc: raw.startup.gc },
            starts: self.starts(raw.start)?,
        })
    }

    /// What `[project.scripts]` says, where nothing else does.
    fn command(&self, runner: &raw::Runner, declared: &Declared) -> Result<Command, Error> {
        let artifact = runner.name.as_ref().map(|name| name.get_ref().as_str());
        declared.command(artifact).map_err(|commands| {
            let shown = commands.iter().take(5).map(|Command { name, module, function }| {
                format!("\n  entry = \"{module}:{function}\"  # `{name}` of `[project.scripts]`")
            });
            Error::NoEntry { root: self.root.to_owned(), commands: shown.collect() }
        })
    }

    /// What `python DIR` would run, where the project installs no command.
    fn main_of_folder(&self, declared: &Declared) -> Option<PathBuf> {
        let main = self.root.join(MAIN);
        (declared.has_no_command() && main.is_file()).then_some(main)
    }

    /// What the command line or the configuration names.
    fn entry(
        &self,
        runner: &raw::Runner,
        script: Option<PathBuf>,
        overrides: &Overrides,
    ) -> Result<Option<Entry>, Error> {
        if let Some(module) = &overrides.module {
            return Ok(Some(Entry::Module(module.clone())));
        }
        if let Some(script) = script {
            return Ok(Some(Entry::Script(script)));
        }
        let Some(entry) = &runner.entry else { return Ok(None) };
        let text = entry.get_ref();
        let module = |name: &str| {
            ModuleName::new(name).map_err(|error| {
                let forms = "an entry is a script (`main.py`), a function (`package.module:main`) or a package \
                             with `__main__.py`";
                self.file.invalid(entry.span(), format!("{error}; {forms}"))
            })
        };
        if let Some((name, function)) = text.split_once(':') {
            if !is_function(function) {
                return Err(self.file.invalid(entry.span(), format!("`{function}` is not a function's name")));
            }
            return Ok(Some(Entry::Function { module: module(name)?, function: function.to_owned() }));
        }
        let file = self.root.join(text);
        if file.is_file() {
            return Ok(Some(Entry::Script(self.inside(entry)?)));
        }
        if text.ends_with(".py") {
            return Err(self.file.invalid(entry.span(), format!("there is no file `{}`", file.display())));
        }
        Ok(Some(Entry::Module(module(text.trim_end_matches('/'))?)))
    }

    fn name(
        &self,
        runner: &raw::Runner,
        entry: &Entry,
        command: Option<String>,
        overrides: &Overrides,
    ) -> Result<String, Error> {
        let check = |name: &str| is_name(name).then(|| name.to_owned());
        let rule = "a name is made of at most 100 letters, digits, `-`, `_`, `.` and `+`, and does not begin with `-` or `.`; \
                    `-o` or `[runner] name` gives one";
        if let Some(output) = overrides.output.as_ref().filter(|_| runner.name.is_none()) {
            let name = output.file_name().unwrap_or_default().to_string_lossy();
            return check(&name).ok_or_else(|| Error::Name { name: name.into_owned(), rule });
        }
        if let Some(name) = &runner.name {
            return check(name.get_ref())
                .ok_or_else(|| self.file.invalid(name.span(), format!("`{}`: {rule}", name.get_ref())));
        }
        let of_entry = || match entry {
            // Called after the folder that it is the main part of.
            Entry::Script(path) if path.ends_with(MAIN) => {
                let folder = path.parent().and_then(Path::file_name);
                folder.unwrap_or_default().to_string_lossy().into_owned()
            }
            Entry::Script(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Entry::Module(module) | Entry::Function { module, .. } => module.top_level().to_owned(),
        };
        let name = command.unwrap_or_else(of_entry);
        check(&name).ok_or(Error::Name { name, rule })
    }

    fn audit(&self, raw: raw::Audit, declared: Declared) -> Result<Audit, Error> {
        let mut allow = Vec::new();
        for allowance in raw.allow {
            if allowance.reason.get_ref().trim().is_empty() {
                return Err(self.file.invalid(allowance.reason.span(), "an allowance says why: its `reason` is empty"));
            }
            allow.push(Allowance {
                code: allowance.code,
                subject: allowance.subject,
                reason: allowance.reason.into_inner(),
            });
        }
        let version = |version: Spanned<String>| match GlibcVersion::parse(version.get_ref()) {
            Some(_) => Ok(version.into_inner()),
            None => Err(self.file.invalid(version.span(), "a version like `2.28` is wanted")),
        };
        let Declared { name, dependencies, optional_dependencies, .. } = declared;
        // Where the project itself is installed, its entry leads to its own distribution.
        let optional = optional_dependencies.into_values().flatten().chain(name).collect();
        Ok(Audit { max_glibc: raw.max_glibc.map(version).transpose()?, allow, declared: dependencies, optional })
    }

    fn licenses(&self, raw: raw::Licenses) -> Result<Licenses, Error> {
        let identifiers = |list: Vec<Spanned<String>>| {
            let one = |text: Spanned<String>| match spdx::Licensee::parse(text.get_ref()) {
                Ok(_) => Ok(text.into_inner()),
                Err(error) => Err(self.file.invalid(
                    text.span(),
                    format!(
                        "`{}` is no SPDX identifier ({}); see https://spdx.org/licenses",
                        text.get_ref(),
                        error.reason
                    ),
                )),
            };
            list.into_iter().map(one).collect::<Result<Vec<_>, Error>>()
        };
        let clarify = raw.clarify.into_iter().map(|it| {
            spdx::Expression::parse(it.expression.get_ref()).map_err(|error| {
                self.file.invalid(it.expression.span(), format!("it is no SPDX expression: {}", error.reason))
            })?;
            Ok((it.name, it.expression.into_inner()))
        });
        let clarify = clarify.collect::<Result<_, Error>>()?;
        Ok(Licenses { allow: identifiers(raw.allow)?, deny: identifiers(raw.deny)?, clarify })
    }

    fn crates(&self, raw: &[raw::Crate]) -> Result<Vec<Crate>, Error> {
        let one = |it: &raw::Crate| {
            let path = self.folders(std::slice::from_ref(&it.path))?.remove(0);
            let module = self.modules(it.module.as_slice())?.pop();
            Ok(Crate { path, module, features: it.features.clone() })
        };
        raw.iter().map(one).collect()
    }

    fn smoke(&self, raw: &raw::Smoke) -> Result<Smoke, Error> {
        let imports = raw.imports.iter().map(|import| {
            let (module, names) = import.get_ref().split_once(':').unwrap_or((import.get_ref(), ""));
            let module = ModuleName::new(module.trim()).map_err(|error| {
                self.file.invalid(import.span(), format!("{error}; a smoke import is `module` or `module:Name,Name`"))
            })?;
            let names = names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
            Ok(SmokeImport { module, names })
        });
        let scripts = raw.scripts.iter().map(|script| self.inside(script));
        let pytest = raw.pytest.iter().map(|path| self.inside(path));
        Ok(Smoke {
            imports: imports.collect::<Result<_, Error>>()?,
            scripts: scripts.collect::<Result<_, _>>()?,
            pytest: pytest.collect::<Result<_, _>>()?,
        })
    }

    fn modules(&self, names: &[Spanned<String>]) -> Result<Vec<ModuleName>, Error> {
        let parse = |name: &Spanned<String>| {
            ModuleName::new(name.get_ref()).map_err(|error| self.file.invalid(name.span(), error.to_string()))
        };
        names.iter().map(parse).collect()
    }

    /// A path of the configuration, made absolute; it must exist.
    pub(super) fn inside(&self, path: &Spanned<String>) -> Result<PathBuf, Error> {
        fs::canonicalize(self.root.join(path.get_ref()))
            .map_err(|error| self.file.invalid(path.span(), error.to_string()))
    }

    pub(super) fn folders(&self, paths: &[Spanned<String>]) -> Result<Vec<PathBuf>, Error> {
        let folder = |path: &Spanned<String>| {
            let found = self.inside(path)?;
            if found.is_dir() {
                Ok(found)
            } else {
                Err(self.file.invalid(path.span(), format!("`{}` is not a folder", found.display())))
            }
        };
        paths.iter().map(folder).collect()
    }

    fn exclude(&self, texts: &[Spanned<String>]) -> Result<Exclude, Error> {
        for text in texts {
            Exclude::new([text.get_ref().as_str()]).map_err(|message| self.file.invalid(text.span(), message))?;
        }
        Exclude::new(texts.iter().map(|text| text.get_ref().as_str()))
            .map_err(|message| self.file.invalid(0..0, message))
    }

    fn patterns(&self, patterns: &[Spanned<String>]) -> Result<Patterns, Error> {
        for pattern in patterns {
            Patterns::new([pattern.get_ref().as_str()])
                .map_err(|error| self.file.invalid(pattern.span(), error.to_string()))?;
        }
        Patterns::new(patterns.iter().map(|pattern| pattern.get_ref().as_str()))
            .map_err(|error| self.file.invalid(0..0, error.to_string()))
    }
}

#[cfg(test)]
mod tests;
