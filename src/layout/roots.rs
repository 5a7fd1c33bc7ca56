//! Where TLS finds the certificates that a system trusts: a packed OpenSSL looks where the build machine has them, so
//! `ssl.py` is told where other systems do.

use fs_err as fs;

use super::builder::Builder;
use super::{Error, Source, below};
use crate::environment::Facts;
use crate::native::Closure;

/// Put at the end, so that no line of the module changes its number.
const ADDED: &str = include_str!("ssl_roots.py");

const WHY: &str = "certificates of other systems";

/// Whether an entry is `ssl.py` as it is changed here.
pub fn changes_roots(source: &Source) -> bool {
    matches!(source, Source::Patched { why, .. } if *why == WHY)
}

pub(super) fn add(builder: &mut Builder, facts: &Facts, closure: &Closure) -> Result<(), Error> {
    if !closure.packed.keys().any(|name| name.starts_with("libcrypto.so")) {
        return Ok(());
    }
    let Ok(relative) = facts.stdlib.strip_prefix(&facts.base_prefix) else { return Ok(()) };
    let place = below("", &relative.join("ssl.py"))?;
    let Some(Source::File(path)) = builder.get(&place).map(|entry| entry.source.clone()) else { return Ok(()) };
    let text = fs::read_to_string(&path)?;
    // It is there since 3.4; another `ssl.py` is nobody's to change.
    if text.contains("\ndef get_default_verify_paths(") && text.contains("\nimport os\n") {
        let bytes = format!("{}\n{ADDED}", text.trim_end_matches('\n')).into_bytes();
        builder.replace(&place, Source::Patched { path, bytes, why: WHY });
    }
    Ok(())
}
