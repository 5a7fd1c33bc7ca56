//! `[environment]` and `[python]`, validated: an environment that is there, or a lock to make one from.

use std::ops::Range;

use toml::Spanned;

use super::beside::{is_version, pinned_python};
use super::load::Resolver;
use super::{EnvironmentSource, Error, Lock, Overrides, PythonVersion, raw};
use crate::environment::find;
use crate::names::DistName;

impl Resolver<'_> {
    pub(super) fn environment(
        &self,
        raw: raw::Environment,
        python: &raw::Python,
        overrides: &Overrides,
    ) -> Result<EnvironmentSource, Error> {
        if let Some(distribution) =
            python.distribution.as_ref().filter(|_| raw.lock.is_none() || overrides.python.is_some())
        {
            return Err(self.file.invalid(
                distribution.span(),
                "a distribution is what an environment is made with, and needs `[environment] lock`; an environment that \
                 is there brings its own interpreter",
            ));
        }
        if let Some(python) = &overrides.python {
            // Absolute, but with its links: what `bin/python` of a virtual environment leads to is another interpreter.
            let python =
                std::path::absolute(python).map_err(|source| Error::Target { path: python.clone(), source })?;
            return Ok(EnvironmentSource::Python(find::python_of(&python)));
        }
        if let Some((key, span)) = of_a_lock(&raw).filter(|_| raw.lock.is_none()) {
            return Err(self.file.invalid(
                span,
                format!(
                    "`{key}` is about making an environment, and needs `[environment] lock`; without one, the \
                     environment that is there is taken as it is"
                ),
            ));
        }
        match (raw.python, raw.lock) {
            (Some(python), Some(_)) => Err(self.file.invalid(
                python.span(),
                "`python` and `lock` exclude each other: one names an environment, the other makes it",
            )),
            (Some(python), None) => Ok(EnvironmentSource::Python(find::python_of(&self.root.join(python.get_ref())))),
            (None, None) => match find::project_python(self.root) {
                Ok(python) => Ok(EnvironmentSource::Python(python)),
                Err(error) => Err(Error::NoEnvironment { looked: error.to_string() }),
            },
            (None, Some(lock)) => Ok(EnvironmentSource::Lock(Lock {
                path: self.inside(&lock)?,
                python_version: match raw.python_version {
                    Some(version) if !is_version(version.get_ref()) => {
                        return Err(self.file.invalid(version.span(), "a version like `3.11` or `3.11.7` is wanted"));
                    }
                    Some(version) => {
                        Some(PythonVersion { version: version.into_inner(), asked_by: "`python-version`" })
                    }
                    // A distribution brings the version that it is.
                    None if python.distribution.is_some() => None,
                    None => {
                        pinned_python(self.root).map(|version| PythonVersion { version, asked_by: "`.python-version`" })
                    }
                },
                distribution: python.distribution.as_ref().map(|path| self.inside(path)).transpose()?,
                editable: self.folders(&raw.editable)?,
                allow_sdist: raw
                    .allow_sdist
                    .iter()
                    .map(|name| {
                        DistName::new(name.get_ref()).map_err(|error| self.file.invalid(name.span(), error.to_string()))
                    })
                    .collect::<Result<_, _>>()?,
                indexes: raw.indexes.map(Spanned::into_inner),
                find_links: self.folders(&raw.find_links)?,
            })),
        }
    }
}

/// The first key that says something of an environment that is yet to be made.
fn of_a_lock(raw: &raw::Environment) -> Option<(&'static str, Range<usize>)> {
    let first = |list: &[Spanned<String>]| list.first().map(Spanned::span);
    let keys = [
        ("python-version", raw.python_version.as_ref().map(Spanned::span)),
        ("editable", first(&raw.editable)),
        ("allow-sdist", first(&raw.allow_sdist)),
        ("indexes", raw.indexes.as_ref().map(Spanned::span)),
        ("find-links", first(&raw.find_links)),
    ];
    keys.into_iter().find_map(|(key, span)| Some((key, span?)))
}
