//! RECORD files, brought in line with what of a distribution is packed and how.
//!
//! Scripts, `.pth` files and the like are changed on their way into the artifact, and `direct_url.json` of a local
//! project stays behind; what RECORD says of them would be wrong there, and would name the build machine's paths by their
//! hashes: two environments in two folders would give two artifacts.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>

use std::io;

use fs_err as fs;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::builder::Builder;
use super::{Entry, Error, Source};
use crate::format::ArchivePath;

pub(super) fn adapt(builder: &mut Builder) -> Result<(), Error> {
    let records: Vec<ArchivePath> = builder
        .paths()
        .filter(|(path, _)| path.file_name() == "RECORD" && is_in_dist_info(path))
        .map(|(path, _)| path.clone())
        .collect();
    let as_packed = &*builder;
    let adapted =
        records.into_par_iter().filter_map(|path| adapted(as_packed, &path).map(|it| Some((path, it?))).transpose());
    for (path, source) in adapted.collect::<Result<Vec<_>, Error>>()? {
        builder.replace(&path, source);
    }
    Ok(())
}

/// Nothing where it stays as it is.
fn adapted(builder: &Builder, path: &ArchivePath) -> Result<Option<Source>, Error> {
    let Some(Entry { source: Source::File(file), .. }) = builder.get(path) else { return Ok(None) };
    let text = fs::read_to_string(file)?;
    let site = path.parent().and_then(|info| info.parent());
    let look = |named: &str| found(builder, site.as_ref(), named);
    let source =
        |text: String| Source::Patched { path: file.clone(), bytes: text.into_bytes(), why: "hashes of changed files" };
    Ok(rewrite(&text, &look)?.map(source))
}

fn is_in_dist_info(path: &ArchivePath) -> bool {
    path.parent().is_some_and(|folder| folder.as_str().ends_with(".dist-info"))
}

/// What became of a file that a RECORD lists.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    AsItWas,
    /// With its new hash and size.
    Changed(String, usize),
    /// Or not as what it was.
    NotPacked,
}

fn found(builder: &Builder, site: Option<&ArchivePath>, named: &str) -> io::Result<Found> {
    let mut parts: Vec<&str> = site.map_or(Vec::new(), |site| site.as_str().split('/').collect());
    for part in named.split('/') {
        match part {
            "." | "" => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let entry = ArchivePath::new(parts.join("/")).ok().and_then(|path| builder.get(&path));
    Ok(match entry.map(|entry| &entry.source) {
        Some(source @ (Source::Patched { .. } | Source::Relocated { .. } | Source::Generated(_))) => {
            let bytes = source.content()?.unwrap_or_default();
            Found::Changed(hash(&bytes), bytes.len())
        }
        // Bytecode is compiled anew: an installer's hash would be of its own.
        None | Some(Source::Bytecode { .. }) => Found::NotPacked,
        Some(Source::File(_) | Source::Link(_) | Source::EmptyFolder) => Found::AsItWas,
    })
}

/// Nothing where every line stays as it is. Lines without a hash, as installers write them for bytecode and for RECORD
/// itself, always do; so does a line that is no whole row, as a name with a line end in it would make.
fn rewrite(text: &str, look: &dyn Fn(&str) -> io::Result<Found>) -> io::Result<Option<String>> {
    let mut rewritten = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let Some(named) = row(line) else {
            rewritten.push_str(line);
            continue;
        };
        match look(&named)? {
            Found::AsItWas => rewritten.push_str(line),
            Found::NotPacked => {}
            Found::Changed(hash, size) => {
                let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
                writer.write_record([&named, &hash, &size.to_string()])?;
                let row = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
                rewritten.push_str(&String::from_utf8_lossy(&row));
            }
        }
    }
    Ok((rewritten != text).then_some(rewritten))
}

/// The path of a line that has a hash.
fn row(line: &str) -> Option<String> {
    // Setting up a CSV reader costs more than splitting a hundred lines.
    if !line.contains('"') {
        let mut fields = line.trim_end_matches(['\r', '\n']).split(',');
        let path = fields.next()?;
        return fields.next().filter(|hash| !hash.is_empty()).map(|_| path.to_owned());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    let row = reader.records().next()?.ok()?;
    row.get(1).filter(|hash| !hash.is_empty())?;
    row.get(0).map(str::to_owned)
}

/// As RECORD has it: `sha256=` and URL-safe base64 without padding.
fn hash(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut text = String::from("sha256=");
    for chunk in digest.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let [a, b, c] = group.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_changed_and_missing_files() {
        let text = "../../../bin/x,sha256=old,9\r\na.py,sha256=a,1\r\ndirect_url.json,sha256=b,2\r\n\"b,c.py\",sha256=c,1\nRECORD,,\n";
        let look = |named: &str| match named {
            "../../../bin/x" => Found::Changed("sha256=new".to_owned(), 10),
            "direct_url.json" => Found::NotPacked,
            "b,c.py" => Found::Changed("sha256=d".to_owned(), 3),
            _ => Found::AsItWas,
        };
        let look = |named: &str| Ok(look(named));
        let wanted = "../../../bin/x,sha256=new,10\na.py,sha256=a,1\r\n\"b,c.py\",sha256=d,3\nRECORD,,\n";
        assert_eq!(rewrite(text, &look).unwrap().as_deref(), Some(wanted));
        assert_eq!(rewrite(text, &|_| Ok(Found::AsItWas)).unwrap(), None);
    }

    /// Of an empty file, as every wheel with an `__init__.py` has it.
    #[test]
    fn hashes_are_spelled_as_installers_do() {
        assert_eq!(hash(b""), "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }
}
