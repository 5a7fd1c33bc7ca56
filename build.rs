//! Builds the launcher, and writes `OUT_DIR/launcher` and `OUT_DIR/launcher-crates.json` for the tool to embed.
//!
//! A static executable needs flags that must reach neither build scripts nor proc macros, and none of the tool's
//! dependencies. Cargo cannot say that of one package's second binary, so this runs a second Cargo.

fn main() {
    #[cfg(feature = "tool")]
    {
        // A nested Cargo inherits CARGO_FEATURE_* from this process, so those cannot tell the two builds apart.
        if std::env::var_os(launcher::GUARD).is_none()
            && let Err(message) = launcher::build()
        {
            println!("cargo::error={}", message.replace('\n', "\ncargo::error="));
            std::process::exit(1);
        }
    }
}

#[cfg(feature = "tool")]
#[expect(
    clippy::disallowed_methods,
    reason = "every error here names its path, and one dependency fewer is built first"
)]
mod launcher {
    use std::collections::{BTreeMap, BTreeSet};
    use std::env;
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::io::BufReader;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use cargo_metadata::{
        CargoOpt, DependencyKind, Message, Metadata, MetadataCommand, Package, PackageId, TargetKind,
    };

    pub(super) const GUARD: &str = "PACKPROOF_LAUNCHER_BUILD";

    const BIN: &str = "packproof-launcher";

    /// What the launcher is made of. Tool sources are not among them, so that a change there builds no launcher.
    const SOURCES: [&str; 7] = [
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "src/lib.rs",
        "src/format",
        "src/launcher",
        "src/bin/packproof-launcher.rs",
    ];

    /// Cargo's variables that say where crates come from and how to link for a target. All others of its own were
    /// meant for the outer build.
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];

    /// And what it says of itself in variables of older names.
    const OUTER: [&str; 9] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "TARGET",
    ];

    pub(super) fn build() -> Result<(), String> {
        for source in SOURCES {
            println!("cargo::rerun-if-changed={source}");
        }
        let target = variable("TARGET")?;
        let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
        if system != "linux" {
            return Err(format!("packproof makes artifacts for Linux, on Linux; this is a build for {target}"));
        }
        let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
        let out = PathBuf::from(variable("OUT_DIR")?);
        let executable = compile(&manifest, &out, &target)?;
        // A copy under a fixed name: `include_bytes!` wants one, and the target folder's layout is Cargo's own.
        fs::copy(&executable, out.join("launcher"))
            .map_err(|error| format!("cannot copy {}: {error}", executable.display()))?;
        let crates = crates(&manifest, &target)?;
        fs::write(out.join("launcher-crates.json"), crates).map_err(|error| format!("cannot write: {error}"))
    }

    fn compile(manifest: &Path, out: &Path, target: &str) -> Result<PathBuf, String> {
        let mut command = Command::new(variable("CARGO")?);
        scrub(&mut command);
        command
            .args(["build", "--profile", "launcher", "--no-default-features", "--features", "launcher"])
            // Every crate of the launcher is one of the tool's, which Cargo has fetched by now.
            .args(["--bin", BIN, "--locked", "--offline", "--message-format", "json", "--target", target])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(out.join("launcher-target"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags(manifest, out)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run cargo for the launcher: {error}"))?;
        let stdout = child.stdout.take().ok_or("cargo has no standard output")?;
        let mut executable = None;
        let mut complaints = String::new();
        for message in Message::parse_stream(BufReader::new(stdout)) {
            match message.map_err(|error| format!("cargo's messages cannot be read: {error}"))? {
                Message::CompilerArtifact(artifact) if artifact.target.name == BIN => executable = artifact.executable,
                Message::CompilerMessage(message) => {
                    complaints.push_str(message.message.rendered.as_deref().unwrap_or_default());
                }
                _ => {}
            }
        }
        let status = child.wait().map_err(|error| format!("cargo cannot be waited for: {error}"))?;
        match executable {
            Some(path) if status.success() => Ok(path.into_std_path_buf()),
            _ => Err(failure(&complaints)),
        }
    }

    /// A dynamic launcher is no way out: it would tie every artifact to this machine's glibc or a later one.
    fn failure(complaints: &str) -> String {
        let cure = if complaints.contains("-lc") || complaints.contains("libc.a") {
            "\nthe launcher is static and needs the static C library: install libc6-dev (Debian, Ubuntu), \
             glibc-static (Fedora) or glibc (Arch)"
        } else {
            ""
        };
        format!("the launcher could not be built{cure}\n{complaints}")
    }

    /// The environment of a build script describes the outer build, down to `RUSTFLAGS` and clippy in rustc's place.
    fn scrub(command: &mut Command) {
        for (name, _) in env::vars_os() {
            if !survives(&name) {
                command.env_remove(name);
            }
        }
        command.env(GUARD, "1");
    }

    fn survives(name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_TARGET_") {
            return name.ends_with("_LINKER") || name.ends_with("_AR");
        }
        if name.starts_with("CARGO_") {
            return KEPT.iter().any(|kept| name.starts_with(kept));
        }
        !OUTER.contains(&&*name) && !name.starts_with("DEP_")
    }

    /// Static, and without a path of the build machine in panic messages.
    fn flags(manifest: &Path, out: &Path) -> Result<OsString, String> {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
        let package = manifest.parent().ok_or("the manifest lies nowhere")?;
        let mut flags = OsString::from("-Ctarget-feature=+crt-static");
        // rustc takes the last prefix that fits, so the most specific one comes last.
        let prefixes = [(home.as_deref(), "/cargo"), (Some(package), "/packproof"), (Some(out), "/out")];
        for (path, name) in prefixes {
            if let Some(path) = path {
                flags.push("\x1f--remap-path-prefix=");
                flags.push(path);
                flags.push("=");
                flags.push(name);
            }
        }
        Ok(flags)
    }

    fn describe(manifest: &Path, target: &str, network: &[&str]) -> Result<Metadata, cargo_metadata::Error> {
        let options = ["--locked", "--filter-platform", target];
        MetadataCommand::new()
            .manifest_path(manifest)
            .features(CargoOpt::NoDefaultFeatures)
            .features(CargoOpt::SomeFeatures(vec!["launcher".to_owned()]))
            .other_options(options.iter().chain(network).map(ToString::to_string).collect::<Vec<_>>())
            .exec()
    }

    /// The crates that are linked into the launcher, as a sorted JSON list.
    fn crates(manifest: &Path, target: &str) -> Result<String, String> {
        // Cargo describes the whole package, whose dependencies for tests a plain build has not fetched. Where they are
        // there, or nothing else is allowed, no network is asked.
        let metadata = describe(manifest, target, &["--offline"])
            .or_else(|_| describe(manifest, target, &[]))
            .map_err(|error| format!("cargo metadata failed: {error}"))?;
        let checksums = checksums(&manifest.with_file_name("Cargo.lock"))?;
        let list: Vec<_> = linked(&metadata)?
            .into_iter()
            .map(|package| {
                let version = package.version.to_string();
                let checksum = checksums.get(&(package.name.to_string(), version.clone()));
                serde_json::json!({
                    "name": package.name.as_str(),
                    "version": version,
                    "license": package.license,
                    "source": package.source.as_ref().map(|source| source.repr.as_str()),
                    "checksum": checksum,
                })
            })
            .collect();
        serde_json::to_string_pretty(&list).map_err(|error| error.to_string())
    }

    /// Normal dependencies from the root on. What only runs in the compiler is not part of the launcher.
    fn linked(metadata: &Metadata) -> Result<Vec<&Package>, String> {
        let resolve = metadata.resolve.as_ref().ok_or("cargo metadata gave no dependency graph")?;
        let root = resolve.root.as_ref().ok_or("cargo metadata names no root package")?;
        let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let packages: BTreeMap<&PackageId, &Package> =
            metadata.packages.iter().map(|package| (&package.id, package)).collect();
        let mut seen = BTreeSet::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            let macros = packages[id].targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro));
            if macros || !seen.insert(id) {
                continue;
            }
            for dependency in &nodes[id].deps {
                if dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal) {
                    open.push(&dependency.pkg);
                }
            }
        }
        let mut linked: Vec<_> = seen.into_iter().map(|id| packages[id]).collect();
        linked.sort_by(|a, b| (a.name.as_str(), &a.version).cmp(&(b.name.as_str(), &b.version)));
        Ok(linked)
    }

    /// By name and version, out of `Cargo.lock`, whose `[[package]]` tables Cargo writes one key a line.
    fn checksums(lock: &Path) -> Result<BTreeMap<(String, String), String>, String> {
        let text = fs::read_to_string(lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?;
        let mut checksums = BTreeMap::new();
        for table in text.split("[[package]]") {
            let field = |name: &str| {
                table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
            };
            if let (Some(name), Some(version), Some(checksum)) = (field("name"), field("version"), field("checksum")) {
                checksums.insert((name.to_owned(), version.to_owned()), checksum.to_owned());
            }
        }
        Ok(checksums)
    }

    fn variable(name: &str) -> Result<String, String> {
        env::var(name).map_err(|_| format!("{name} is not set: build scripts are run by Cargo"))
    }
}
