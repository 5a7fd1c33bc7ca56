//! `_sysconfigdata*`: what `sysconfig` knows of the interpreter's build, made to tell the truth about the tree.
//!
//! `sysconfig` works most paths out from `sys.prefix`, but `prefix`, `LIBDIR`, `INCLUDEPY` and others come from this module.
//! In the artifact it works them out when it is imported.

use std::path::Path;

use fs_err as fs;

use super::interpreter::COMMON_PREFIXES;
use super::{Error, Source};

/// Stands for the prefix in the patched text.
const MARK: &str = "@PACKPROOF_PREFIX@";

/// Of a system's Python, whose `/usr` may also stand for the system's own tools (`/usr/bin/install`), these alone name
/// its installation.
const FOLDERS: &str = "BINDIR BINLIBDEST CONFINCLUDEDIR CONFINCLUDEPY DESTDIRS DESTLIB DESTSHARED INCLUDEDIR INCLUDEPY \
                       LIBDEST LIBDIR LIBPC LIBPL MACHDESTLIB MANDIR SCRIPTDIR datarootdir exec_prefix prefix";

pub(super) fn patched(path: &Path, base_prefix: &Path) -> Result<Source, Error> {
    let text = fs::read_to_string(path)?;
    let Some(built) = built_for(&text) else { return Ok(Source::File(path.to_owned())) };
    let mut code = text.clone();
    let condition = if COMMON_PREFIXES.contains(&built) {
        format!("_name in {FOLDERS:?}.split() and (_value + '/').startswith('{built}/')")
    } else {
        code = replaced(&code, built);
        "True".to_owned()
    };
    let base = base_prefix.to_string_lossy();
    if !COMMON_PREFIXES.contains(&base.as_ref()) {
        code = replaced(&code, &base);
    }
    let from = if COMMON_PREFIXES.contains(&built) { built } else { MARK };
    code = format!(
        "{code}\nimport sys as _sys\nfor _name, _value in build_time_vars.items():\n    if isinstance(_value, str) and \
         {condition}:\n        build_time_vars[_name] = _value.replace('{from}', _sys.base_prefix)\n"
    );
    Ok(Source::Patched { path: path.to_owned(), bytes: code.into_bytes(), why: "compiled-in prefix" })
}

/// The prefix that the interpreter was configured with: `/install` for one that is meant to be moved.
fn built_for(text: &str) -> Option<&str> {
    let rest = &text[text.find("'prefix': '")? + "'prefix': '".len()..];
    rest.split('\'').next().filter(|prefix| prefix.starts_with('/') && prefix.len() > 1)
}

/// `path` wherever it stands for itself or begins a longer path, also behind `-L` and `-I`; not inside of another one.
fn replaced(text: &str, path: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(path) {
        let (before, after) = (&text[..at], text[at + path.len()..].bytes().next());
        // `./PREFIX` is what Makefiles make of a prefix below DESTDIR.
        let option = ["-L", "-I", "'."].iter().any(|option| before.ends_with(option));
        let inside = before.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
        let longer = after.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if (option || !inside) && !longer {
            result.push_str(&text[from..at]);
            result.push_str(MARK);
            from = at + path.len();
        }
    }
    result.push_str(&text[from..]);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_not_a_part_of_one() {
        let text =
            "'/install' '/usr/bin/install -c' '-L/install/lib -I/install/include' '/install-sh' 'PATH=/install/bin'";
        assert_eq!(
            replaced(text, "/install"),
            "'@PACKPROOF_PREFIX@' '/usr/bin/install -c' '-L@PACKPROOF_PREFIX@/lib -I@PACKPROOF_PREFIX@/include' \
             '/install-sh' 'PATH=@PACKPROOF_PREFIX@/bin'"
        );
    }

    #[test]
    fn a_systems_own_tools_stay_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("_sysconfigdata.py");
        let text = "build_time_vars = {'INSTALL': '/usr/bin/install -c', 'LIBDIR': '/usr/lib', 'exec_prefix': '/usr',\n 'prefix': '/usr'}\n";
        fs::write(&file, text).unwrap();
        let Source::Patched { bytes, .. } = patched(&file, Path::new("/usr")).unwrap() else { panic!("it is patched") };
        fs::write(&file, bytes).unwrap();
        let code = "import sys, _sysconfigdata as d; sys.base_prefix = '/t'; import importlib; importlib.reload(d); print(d.build_time_vars)";
        let output = std::process::Command::new("python3")
            .args(["-c", code])
            .current_dir(folder.path())
            .env("PYTHONPATH", folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.trim(),
            "{'INSTALL': '/usr/bin/install -c', 'LIBDIR': '/t/lib', 'exec_prefix': '/t', 'prefix': '/t'}"
        );
    }
}
