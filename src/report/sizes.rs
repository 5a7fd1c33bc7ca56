//! What an artifact's bytes are spent on: by owner and by kind, before and after compression.
//!
//! A block is compressed as a whole, so what one file takes of it is a share by its unpacked size. Owners are read
//! from the RECORD files that the artifact itself holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::numbers::{bytes, thousands};
use crate::environment::record::joined;
use crate::format::{Artifact, Error, File, Index};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Largest first, after compression.
    pub owners: Vec<Size>,
    pub kinds: Vec<Size>,
}

/// Of one owner or kind. Content that several files share counts once, for the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    pub name: String,
    pub files: u64,
    /// Bytes.
    pub unpacked: u64,
    pub packed: u64,
}

/// Reads every RECORD, then counts.
pub fn sizes(artifact: &Artifact, index: &Index) -> Result<Sizes, Error> {
    let owners = owners(artifact, index)?;
    Ok(count(index, &|path| owner(&owners, path), &kind))
}

/// Path in the tree → name and version of the distribution whose RECORD lists it.
fn owners(artifact: &Artifact, index: &Index) -> Result<BTreeMap<String, String>, Error> {
    let mut records: Vec<&File> =
        index.files.iter().filter(|file| file.path.as_str().ends_with(".dist-info/RECORD") && file.size > 0).collect();
    records.sort_by_key(|file| file.block);
    let mut owners = BTreeMap::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for record in records {
        let block = match open.take() {
            Some((number, block)) if number == record.block => block,
            Some(_) | None => artifact.block(index, record.block)?,
        };
        let text = String::from_utf8_lossy(Artifact::file_in(record, &block)?).into_owned();
        open = Some((record.block, block));
        let Some((site, name)) =
            record.path.as_str().strip_suffix(".dist-info/RECORD").and_then(|p| p.rsplit_once('/'))
        else {
            continue;
        };
        let name = name.replacen('-', " ", 1);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        for row in reader.records().flatten() {
            if let Some(path) = row.get(0) {
                owners.insert(joined(site, path), name.clone());
            }
        }
    }
    Ok(owners)
}

fn owner(owners: &BTreeMap<String, String>, path: &str) -> String {
    let source = source_of(path);
    if let Some(owner) = owners.get(path).or_else(|| owners.get(source.as_deref()?)) {
        return owner.clone();
    }
    let mut parts = path.split('/');
    let fixed = match (parts.next(), parts.next(), parts.next()) {
        (Some("bin"), ..) | (Some("lib"), Some(_), None) => "the interpreter",
        (Some("lib" | "local"), _, Some(site)) if !matches!(site, "site-packages" | "dist-packages") => {
            "the standard library"
        }
        (Some("app"), ..) => "the application",
        _ => "in no RECORD",
    };
    fixed.to_owned()
}

/// `a/x.py` of `a/__pycache__/x.cpython-311.pyc`. RECORD need not list bytecode.
fn source_of(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once("__pycache__/")?;
    let (stem, _) = name.split_once('.')?;
    Some(format!("{folder}{stem}.py"))
}

fn kind(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let kind = if name.ends_with(".pyc") {
        "bytecode"
    } else if name.ends_with(".py") || name.ends_with(".pyi") {
        "sources"
    } else if path.starts_with("bin/") || name.ends_with(".so") || name.contains(".so.") {
        "programs and shared libraries"
    } else if path.contains(".dist-info/") {
        "metadata"
    } else {
        "data"
    };
    kind.to_owned()
}

fn count(index: &Index, owner: &dyn Fn(&str) -> String, kind: &dyn Fn(&str) -> String) -> Sizes {
    let mut owners: BTreeMap<String, Size> = BTreeMap::new();
    let mut kinds: BTreeMap<String, Size> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for file in &index.files {
        let first = file.size > 0 && seen.insert((file.block, file.offset));
        let unpacked = if first { file.size } else { 0 };
        let packed = index.blocks.get(file.block).map_or(0, |block| {
            let share = u128::from(block.packed) * u128::from(unpacked) / u128::from(block.unpacked.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        });
        for (table, name) in [(&mut owners, owner(file.path.as_str())), (&mut kinds, kind(file.path.as_str()))] {
            let size = table.entry(name).or_default();
            size.files += 1;
            size.unpacked += unpacked;
            size.packed += packed;
        }
    }
    let sorted = |table: BTreeMap<String, Size>| {
        let mut list: Vec<Size> = table.into_iter().map(|(name, size)| Size { name, ..size }).collect();
        list.sort_by(|a, b| b.packed.cmp(&a.packed).then_with(|| a.name.cmp(&b.name)));
        list
    };
    Sizes { owners: sorted(owners), kinds: sorted(kinds) }
}

/// Two tables.
pub fn text(sizes: &Sizes) -> String {
    let mut text = String::new();
    for (title, list) in [("kind", &sizes.kinds), ("owner", &sizes.owners)] {
        let _ = writeln!(text, "{:>10} {:>10} {:>8}  {title}", "packed", "unpacked", "files");
        for size in list {
            let _ = writeln!(
                text,
                "{:>10} {:>10} {:>8}  {}",
                bytes(size.packed),
                bytes(size.unpacked),
                thousands(size.files),
                size.name
            );
        }
        text.push('\n');
    }
    text.pop();
    text
}

pub fn json(sizes: &Sizes) -> String {
    // Strings, numbers and lists: nothing that JSON could refuse.
    serde_json::to_string_pretty(sizes).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ArchivePath, Block, Digest, Filter};

    #[test]
    fn owners_of_paths() {
        let owners = BTreeMap::from([("lib/python3.11/site-packages/a/x.py".to_owned(), "a 1.0".to_owned())]);
        let cases = [
            ("lib/python3.11/site-packages/a/x.py", "a 1.0"),
            ("lib/python3.11/site-packages/a/__pycache__/x.cpython-311.pyc", "a 1.0"),
            ("lib/python3.11/site-packages/b.py", "in no RECORD"),
            ("lib/python3.11/json/__init__.py", "the standard library"),
            ("lib/libpython3.11.so.1.0", "the interpreter"),
            ("bin/app", "the interpreter"),
            ("app/main.py", "the application"),
        ];
        for (path, wanted) in cases {
            assert_eq!(owner(&owners, path), wanted, "{path}");
        }
        assert_eq!(joined("lib/p/site-packages", "../../../bin/x"), "bin/x");
    }

    #[test]
    fn shared_content_counts_once() {
        let file = |path: &str, size, offset| File {
            path: ArchivePath::new(path).unwrap(),
            mode: 0o644,
            changed: false,
            size,
            digest: Digest::of(b""),
            block: 0,
            offset,
        };
        let index = Index {
            blocks: vec![Block { offset: 0, packed: 50, unpacked: 100, filter: Filter::None, digest: Digest::of(b"") }],
            files: vec![file("a.py", 60, 0), file("b.py", 60, 0), file("c.so", 40, 60)],
            ..Index::default()
        };
        let sizes = count(&index, &|_| "x".to_owned(), &kind);
        assert_eq!(sizes.owners, [Size { name: "x".to_owned(), files: 3, unpacked: 100, packed: 50 }]);
        assert_eq!(sizes.kinds[0], Size { name: "sources".to_owned(), files: 2, unpacked: 60, packed: 30 });
        assert!(text(&sizes).contains("  20 bytes   40 bytes        1  programs"), "{}", text(&sizes));
    }
}
