//! An artifact's manifest and list of files, as text and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::numbers::{bytes, thousands};
use crate::format::{Index, Manifest, StartEntry};

/// The manifest in a few lines, then one line for each entry of the tree: mode, size in bytes, path.
pub fn text(manifest: &Manifest, index: &Index) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(manifest, index, &mut text);
    text
}

fn write(manifest: &Manifest, index: &Index, f: &mut String) -> std::fmt::Result {
    let entry = match &manifest.start.entry {
        StartEntry::Script(path) => path.to_string(),
        StartEntry::Module(module) => format!("-m {module}"),
    };
    let packed: u64 = index.blocks.iter().map(|block| block.packed).sum();
    writeln!(f, "name      {}", manifest.name)?;
    writeln!(f, "runs      {entry}")?;
    writeln!(f, "python    {}", manifest.python)?;
    writeln!(f, "glibc     {}", manifest.glibc.as_deref().unwrap_or("any"))?;
    writeln!(f, "payload   {}", manifest.payload)?;
    writeln!(
        f,
        "holds     {} files, {} unpacked, {} in {} blocks",
        thousands(manifest.files),
        bytes(manifest.unpacked),
        bytes(packed),
        manifest.blocks
    )?;
    writeln!(f, "made by   packproof {}, format {}", manifest.packproof, manifest.format)?;
    writeln!(f)?;
    let folders = index.folders.iter().map(|folder| (folder.as_str(), "drwxr-xr-x".to_owned(), 0, None, false));
    let files = index.files.iter().map(|file| (file.path.as_str(), mode(file.mode), file.size, None, file.changed));
    let links = index
        .links
        .iter()
        .map(|link| (link.path.as_str(), "lrwxrwxrwx".to_owned(), 0, Some(link.target.as_str()), false));
    let mut entries: Vec<_> = folders.chain(files).chain(links).collect();
    entries.sort();
    for (path, mode, size, target, changed) in entries {
        write!(f, "{mode} {size:>10} {path}")?;
        match target {
            Some(target) => writeln!(f, " -> {target}")?,
            None if changed => writeln!(f, "  (changed)")?,
            None => writeln!(f)?,
        }
    }
    Ok(())
}

/// As `ls -l` has it.
fn mode(bits: u32) -> String {
    let mut text = String::from("-");
    for (at, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if bits & (0o400 >> at) == 0 { '-' } else { letter });
    }
    text
}

/// The manifest, and every entry of the tree.
pub fn json(manifest: &Manifest, index: &Index) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        manifest: &'a Manifest,
        folders: Vec<&'a str>,
        files: Vec<File<'a>>,
        links: Vec<Link<'a>>,
    }
    #[derive(Serialize)]
    struct File<'a> {
        path: &'a str,
        mode: String,
        size: u64,
        digest: String,
        /// For the artifact: relocated, stripped, or rid of folders of the build machine.
        changed: bool,
    }
    #[derive(Serialize)]
    struct Link<'a> {
        path: &'a str,
        target: &'a str,
    }
    let document = Document {
        manifest,
        folders: index.folders.iter().map(crate::format::ArchivePath::as_str).collect(),
        files: index
            .files
            .iter()
            .map(|file| File {
                path: file.path.as_str(),
                mode: format!("{:04o}", file.mode),
                size: file.size,
                digest: file.digest.to_string(),
                changed: file.changed,
            })
            .collect(),
        links: index.links.iter().map(|link| Link { path: link.path.as_str(), target: &link.target }).collect(),
    };
    // Strings, numbers and lists: nothing that JSON could refuse.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_ls_shows_them() {
        assert_eq!([mode(0o755), mode(0o640)], ["-rwxr-xr-x", "-rw-r-----"]);
    }
}
