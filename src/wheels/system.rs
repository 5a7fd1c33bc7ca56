//! What a system brings: the table `system.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use super::tag::Platform;

const TABLE: &str = include_str!("system.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    linux: Names,
    musl: Names,
    macos: Names,
    windows: Names,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    names: Vec<String>,
    prefixes: Vec<String>,
}

impl Names {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|it| it == name) || self.prefixes.iter().any(|start| name.starts_with(start.as_str()))
    }
}

/// Whether the platform has the library, or the Python that is installed there.
pub fn brings(platform: &Platform, library: &str) -> bool {
    static NAMES: LazyLock<Table> = LazyLock::new(|| toml::from_str(TABLE).expect("a test parses the table"));
    match platform {
        Platform::Any => false,
        Platform::Linux { .. } => NAMES.linux.has(library),
        Platform::Musl { .. } => NAMES.musl.has(library),
        Platform::Macos { .. } => NAMES.macos.has(library),
        Platform::Windows { .. } => NAMES.windows.has(&library.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_own() {
        let brings = |tag: &str, library: &str| brings(&Platform::parse(tag).unwrap(), library);
        assert!(brings("manylinux2014_x86_64", "libc.so.6") && !brings("manylinux2014_x86_64", "libssl.so.3"));
        assert!(!brings("musllinux_1_2_x86_64", "libc.so.6") && brings("musllinux_1_2_x86_64", "libc.so"));
        assert!(brings("win_amd64", "KERNEL32.dll") && brings("win_amd64", "python311.dll"));
        assert!(!brings("win_amd64", "MSVCP140.dll"));
        assert!(brings("macosx_11_0_arm64", "/usr/lib/libSystem.B.dylib"));
        assert!(!brings("macosx_11_0_arm64", "/opt/homebrew/lib/libz.dylib"));
    }
}
