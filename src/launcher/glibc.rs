//! Whether the system's C library is new enough, asked before a tree is unpacked: Python's own answer would be a few
//! lines of the dynamic loader's about symbol versions.

#![expect(clippy::disallowed_methods, reason = "the launcher is built without fs_err")]

use std::path::Path;

use super::error::Error;
use crate::format::Manifest;

/// By the ABI of each machine; glibc's libraries lie where its loader does.
const LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };

/// What `libc.so.6` says of itself, since `gnu_get_libc_version` of a static program tells its own.
const BANNER: &[u8] = b"GNU C Library ";
const RELEASE: &[u8] = b"release version ";

/// Fails only where both versions are known and the system's is the older one.
pub(super) fn check(manifest: &Manifest) -> Result<(), Error> {
    let Some(needed) = &manifest.glibc else { return Ok(()) };
    let Some(system) = of_the_system(Path::new(LOADER)) else { return Ok(()) };
    match (numbers(needed), numbers(&system)) {
        (Some(wanted), Some(there)) if there < wanted => Err(Error::OldGlibc { needed: needed.clone(), system }),
        _ => Ok(()),
    }
}

fn of_the_system(loader: &Path) -> Option<String> {
    let library = loader.canonicalize().ok()?.with_file_name("libc.so.6");
    version(&std::fs::read(library).ok()?)
}

/// `GNU C Library (Debian GLIBC 2.36-9+deb12u13) stable release version 2.36.`
fn version(library: &[u8]) -> Option<String> {
    let after =
        |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|at| at == text).map(|at| at + text.len());
    let banner = &library[after(library, BANNER)?..];
    let banner = &banner[..banner.len().min(200)];
    let text = &banner[after(banner, RELEASE)?..];
    let length = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    Some(str::from_utf8(&text[..length]).ok()?.trim_end_matches('.').to_owned())
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banners() {
        let debian = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u13) stable release version 2.36.\nCopyright";
        let fedora = b"xGNU C Library (GNU libc) stable release version 2.9.\n";
        assert_eq!(version(debian).as_deref(), Some("2.36"));
        assert_eq!(version(fedora).as_deref(), Some("2.9"));
        assert_eq!(version(b"GNU C Library (cut"), None);
        assert!(numbers("2.9") < numbers("2.36") && numbers("x").is_none());
    }
}
