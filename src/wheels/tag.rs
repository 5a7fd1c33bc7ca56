//! The name of a wheel, and which platforms it is for.
//!
//! Sources: the binary distribution format, PEP 600 (manylinux), PEP 656 (musllinux), and how `packaging.tags` makes the
//! list of a macOS: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>.

use std::fmt;

use crate::names::DistName;

/// `numpy-2.0.2-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    pub distribution: DistName,
    pub version: String,
    pub pythons: Vec<String>,
    pub abis: Vec<String>,
    /// As written.
    pub platforms: Vec<String>,
}

impl WheelName {
    /// Nothing where it is no wheel's name.
    pub fn parse(file_name: &str) -> Option<Self> {
        let parts: Vec<&str> = file_name.strip_suffix(".whl")?.split('-').collect();
        // A build number may stand behind the version.
        let ([name, version, pythons, abis, platforms] | [name, version, _, pythons, abis, platforms]) = parts[..]
        else {
            return None;
        };
        let list = |tags: &str| tags.split('.').map(str::to_owned).collect();
        Some(Self {
            distribution: DistName::new(name).ok()?,
            version: version.to_owned(),
            pythons: list(pythons),
            abis: list(abis),
            platforms: list(platforms),
        })
    }
}

/// One platform tag, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    Any,
    /// `manylinux_2_17_x86_64`; `linux_x86_64` says nothing of a C library.
    Linux {
        glibc: Option<(u32, u32)>,
        machine: String,
    },
    Musl {
        musl: (u32, u32),
        machine: String,
    },
    /// `macosx_11_0_arm64`; `universal2` is for both machines.
    Macos {
        version: (u32, u32),
        machine: String,
    },
    /// `win_amd64`, `win_arm64`, `win32`
    Windows {
        machine: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no platform tag that packproof knows, such as `manylinux_2_28_x86_64`, `macosx_11_0_arm64` or `win_amd64`"
)]
pub struct UnknownPlatform(String);

impl Platform {
    pub fn parse(tag: &str) -> Result<Self, UnknownPlatform> {
        let unknown = || UnknownPlatform(tag.to_owned());
        let old = [("manylinux1_", (2, 5)), ("manylinux2010_", (2, 12)), ("manylinux2014_", (2, 17))];
        for (start, glibc) in old {
            if let Some(machine) = tag.strip_prefix(start) {
                return Ok(Self::Linux { glibc: Some(glibc), machine: machine.to_owned() });
            }
        }
        let versioned = |rest: &str| {
            let mut parts = rest.splitn(3, '_');
            let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((version, parts.next().filter(|machine| !machine.is_empty())?.to_owned()))
        };
        match tag {
            "any" => return Ok(Self::Any),
            "win32" => return Ok(Self::Windows { machine: "x86".to_owned() }),
            "win_amd64" | "win_arm64" => return Ok(Self::Windows { machine: tag[4..].to_owned() }),
            _ => {}
        }
        if let Some(rest) = tag.strip_prefix("manylinux_") {
            let (glibc, machine) = versioned(rest).ok_or_else(unknown)?;
            return Ok(Self::Linux { glibc: Some(glibc), machine });
        }
        if let Some(rest) = tag.strip_prefix("musllinux_") {
            let (musl, machine) = versioned(rest).ok_or_else(unknown)?;
            return Ok(Self::Musl { musl, machine });
        }
        if let Some(rest) = tag.strip_prefix("macosx_") {
            let (version, machine) = versioned(rest).ok_or_else(unknown)?;
            return Ok(Self::Macos { version, machine });
        }
        match tag.strip_prefix("linux_").filter(|machine| !machine.is_empty()) {
            Some(machine) => Ok(Self::Linux { glibc: None, machine: machine.to_owned() }),
            None => Err(unknown()),
        }
    }

    /// Whether a wheel with the tag `other` installs on this platform.
    pub fn takes(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Any) => true,
            (Self::Linux { glibc, machine }, Self::Linux { glibc: wanted, machine: its }) => {
                // A platform without a version is this very one, which nothing is known of.
                let new_enough = glibc.is_none() || wanted.is_none() || *wanted <= *glibc;
                machine == its && new_enough
            }
            (Self::Musl { musl, machine }, Self::Musl { musl: wanted, machine: its }) => {
                machine == its && wanted.0 == musl.0 && wanted <= musl
            }
            (Self::Macos { version, machine }, Self::Macos { version: wanted, machine: its }) => {
                wanted <= version && (machine == its || includes(its, machine))
            }
            (Self::Windows { machine }, Self::Windows { machine: its }) => machine == its,
            (
                Self::Any | Self::Linux { .. } | Self::Musl { .. } | Self::Macos { .. } | Self::Windows { .. },
                Self::Linux { .. } | Self::Musl { .. } | Self::Macos { .. } | Self::Windows { .. },
            ) => false,
        }
    }

    /// The machines that code for it is for, as its kind of file names them.
    pub fn machines(&self) -> Vec<&str> {
        match self {
            Self::Any => Vec::new(),
            Self::Macos { machine, .. } if machine == "universal2" => vec!["arm64", "x86_64"],
            Self::Linux { machine, .. }
            | Self::Musl { machine, .. }
            | Self::Macos { machine, .. }
            | Self::Windows { machine } => {
                vec![machine]
            }
        }
    }
}

/// Tags of files for several machines.
fn includes(universal: &str, machine: &str) -> bool {
    match universal {
        "universal2" => matches!(machine, "arm64" | "x86_64"),
        "universal" | "intel" | "fat64" => machine == "x86_64",
        _ => false,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Linux { glibc: None, machine } => write!(f, "linux_{machine}"),
            Self::Linux { glibc: Some((major, minor)), machine } => write!(f, "manylinux_{major}_{minor}_{machine}"),
            Self::Musl { musl: (major, minor), machine } => write!(f, "musllinux_{major}_{minor}_{machine}"),
            Self::Macos { version: (major, minor), machine } => write!(f, "macosx_{major}_{minor}_{machine}"),
            Self::Windows { machine } if machine == "x86" => f.write_str("win32"),
            Self::Windows { machine } => write!(f, "win_{machine}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(tag: &str) -> Platform {
        Platform::parse(tag).unwrap()
    }

    #[test]
    fn names() {
        let name =
            WheelName::parse("Foo_Bar-1.0-1-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl").unwrap();
        assert_eq!((name.distribution.as_str(), name.version.as_str()), ("foo-bar", "1.0"));
        assert_eq!((name.pythons.len(), name.platforms.len()), (2, 2));
        assert!(WheelName::parse("foo-1.0.tar.gz").is_none() && WheelName::parse("foo-1.0-any.whl").is_none());
    }

    #[test]
    fn what_installs_where() {
        let takes = |on: &str, wheel: &str| platform(on).takes(&platform(wheel));
        assert!(takes("manylinux_2_28_x86_64", "manylinux2014_x86_64") && takes("manylinux2014_x86_64", "any"));
        assert!(!takes("manylinux2014_x86_64", "manylinux_2_28_x86_64"));
        assert!(!takes("manylinux_2_28_x86_64", "manylinux_2_28_aarch64"));
        assert!(
            !takes("manylinux_2_28_x86_64", "musllinux_1_1_x86_64")
                && takes("musllinux_1_2_x86_64", "musllinux_1_1_x86_64")
        );
        assert!(
            takes("macosx_14_0_arm64", "macosx_11_0_universal2") && !takes("macosx_10_9_x86_64", "macosx_11_0_x86_64")
        );
        assert!(!takes("macosx_14_0_arm64", "macosx_10_9_x86_64") && takes("win_amd64", "win_amd64"));
        assert!(!takes("win_amd64", "win32") && !takes("win_amd64", "macosx_11_0_arm64"));
    }

    #[test]
    fn tags_read_as_they_are_written() {
        for tag in [
            "any",
            "win32",
            "win_arm64",
            "linux_x86_64",
            "manylinux_2_17_aarch64",
            "macosx_10_9_universal2",
            "musllinux_1_2_x86_64",
        ] {
            assert_eq!(platform(tag).to_string(), tag);
        }
        assert_eq!(platform("manylinux2010_i686").to_string(), "manylinux_2_12_i686");
        for tag in ["", "linux_", "macosx_x_0_arm64", "solaris", "manylinux_2_x86_64"] {
            assert!(Platform::parse(tag).is_err(), "{tag}");
        }
    }
}
