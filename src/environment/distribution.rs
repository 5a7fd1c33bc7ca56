//! Installed distributions, read from their `*.dist-info` folders.
//!
//! Sources: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>, PEP 566, PEP 610,
//! <https://packaging.python.org/en/latest/specifications/entry-points/>. Old `*.egg-info` folders are read as far
//! as they go: their METADATA is called PKG-INFO, and they have no RECORD.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use mailparse::MailHeaderMap;
use rayon::prelude::*;

use crate::names::DistName;

use super::{Error, Facts, Note};

/// One installed distribution.
#[derive(Debug, Clone)]
pub struct Distribution {
    pub name: DistName,
    /// As METADATA spells it.
    pub display_name: String,
    pub version: String,
    /// The folder on `sys.path` that holds the dist-info; RECORD's paths are relative to it.
    pub site: PathBuf,
    /// The `*.dist-info` (or `*.egg-info`) folder, absolute.
    pub info: PathBuf,
    /// RECORD's lines, in its order; empty where there is no RECORD.
    pub files: Vec<RecordEntry>,
    /// `Requires-Dist`, as written.
    pub requires: Vec<String>,
    /// `Provides-Extra`
    pub extras: Vec<String>,
    pub entry_points: Vec<EntryPoint>,
    /// PEP 639 `License-Expression`, else `License`.
    pub license: Option<String>,
    /// `Classifier`
    pub classifiers: Vec<String>,
    /// The project folder of an editable installation (PEP 610 `dir_info.editable`).
    pub editable: Option<PathBuf>,
    /// The `INSTALLER` file.
    pub installer: Option<String>,
}

/// One line of RECORD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEntry {
    /// As written: relative to [`Distribution::site`] with `/`, perhaps with `..`, or absolute.
    pub path: String,
    /// `sha256=…`, unpadded urlsafe base64.
    pub hash: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
}

/// One line of `entry_points.txt`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPoint {
    pub group: String,
    pub name: String,
    /// `module:attr.attr [extra]` as written.
    pub value: String,
}

impl EntryPoint {
    /// Whether an installer makes a command of it, rather than some code asking for its group.
    pub fn is_script(&self) -> bool {
        matches!(&*self.group, "console_scripts" | "gui_scripts")
    }
}

/// Every distribution that `importlib.metadata` would find on the interpreter's `sys.path`, sorted by name.
pub(super) fn read_all(facts: &Facts) -> Result<(Vec<Distribution>, Vec<Note>), Error> {
    let mut found = Vec::new();
    for site in &facts.path {
        // The zipped standard library, folders that do not exist: no place for distributions.
        let Ok(entries) = fs::read_dir(site) else { continue };
        let mut infos = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if matches!(path.extension().and_then(|ext| ext.to_str()), Some("dist-info" | "egg-info")) {
                infos.push(path);
            }
        }
        infos.sort();
        found.extend(infos.into_iter().map(|info| (site.clone(), info)));
    }
    let read: Vec<_> = found.into_par_iter().map(|(site, info)| read(&site, &info).map_err(|note| *note)).collect();

    let mut distributions = BTreeMap::new();
    let mut notes = Vec::new();
    for result in read {
        match result {
            Ok(dist) => _ = distributions.entry(dist.name.clone()).or_insert(dist),
            Err(note) => notes.push(note),
        }
    }
    Ok((distributions.into_values().collect(), notes))
}

fn read(site: &Path, info: &Path) -> Result<Distribution, Box<Note>> {
    let folder = info.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |message: String| Box::new(Note { code: "metadata-missing", subject: folder.clone(), message });

    // An egg-info can be a single file, and is then its own PKG-INFO.
    let metadata_path = if info.is_file() {
        info.to_owned()
    } else {
        [info.join("METADATA"), info.join("PKG-INFO")].into_iter().find(|path| path.is_file()).ok_or_else(|| {
            broken("it has no METADATA: a half-removed installation; `importlib.metadata` cannot name it".to_owned())
        })?
    };
    let bytes = fs::read(&metadata_path).map_err(|error| broken(error.to_string()))?;
    let metadata = Metadata::parse(&bytes).map_err(|message| broken(message.to_owned()))?;
    let name = DistName::new(&metadata.name).map_err(|error| broken(error.to_string()))?;

    let text = |file: &str| match fs::read(info.join(file)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(broken(error.to_string())),
    };
    let files = match text("RECORD")? {
        Some(record) => {
            parse_record(&record).map_err(|message| broken(format!("its RECORD is unreadable: {message}")))?
        }
        None => Vec::new(),
    };
    Ok(Distribution {
        name,
        display_name: metadata.name,
        version: metadata.version,
        site: site.to_owned(),
        info: info.to_owned(),
        files,
        requires: metadata.requires,
        extras: metadata.extras,
        entry_points: text("entry_points.txt")?.map(|text| parse_entry_points(&text)).unwrap_or_default(),
        license: metadata.license,
        classifiers: metadata.classifiers,
        editable: text("direct_url.json")?.and_then(|text| editable_folder(&text)),
        installer: text("INSTALLER")?.map(|text| text.trim().to_owned()),
    })
}

struct Metadata {
    name: String,
    version: String,
    requires: Vec<String>,
    extras: Vec<String>,
    license: Option<String>,
    classifiers: Vec<String>,
}

impl Metadata {
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (headers, _) = mailparse::parse_headers(bytes).map_err(|_| "its METADATA is no list of headers")?;
        let first = |name: &str| headers.get_first_value(name).filter(|value| !value.is_empty() && value != "UNKNOWN");
        Ok(Self {
            name: first("Name").ok_or("its METADATA has no Name")?,
            version: first("Version").ok_or("its METADATA has no Version")?,
            requires: headers.get_all_values("Requires-Dist"),
            extras: headers.get_all_values("Provides-Extra"),
            license: first("License-Expression").or_else(|| first("License")),
            classifiers: headers.get_all_values("Classifier"),
        })
    }
}

/// RECORD is CSV: path, hash, size.
pub(crate) fn parse_record(text: &str) -> Result<Vec<RecordEntry>, String> {
    // Nearly every RECORD is without quotes, and setting up a CSV reader costs more than splitting its lines.
    if !text.contains('"') {
        return Ok(text.lines().filter_map(parse_record_line).collect());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut entries = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let field = |at: usize| row.get(at).filter(|value| !value.is_empty());
        let Some(path) = field(0) else { continue };
        entries.push(RecordEntry {
            path: path.to_owned(),
            hash: field(1).map(str::to_owned),
            size: field(2).and_then(|size| size.parse().ok()),
        });
    }
    Ok(entries)
}

/// One line without quotes; nothing for an empty path.
fn parse_record_line(line: &str) -> Option<RecordEntry> {
    let mut fields = line.split(',');
    let path = fields.next().filter(|path| !path.is_empty())?;
    let hash = fields.next().filter(|hash| !hash.is_empty());
    let size = fields.next().and_then(|size| size.parse().ok());
    Some(RecordEntry { path: path.to_owned(), hash: hash.map(str::to_owned), size })
}

/// As `importlib.metadata` reads it: sections, `name = value`, comments on lines of their own.
fn parse_entry_points(text: &str) -> Vec<EntryPoint> {
    let mut group = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = Some(name.trim().to_owned());
        } else if let (Some(group), Some((name, value))) = (&group, line.split_once('=')) {
            found.push(EntryPoint {
                group: group.clone(),
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    found
}

/// PEP 610: `{"url": "file:///home/me/project", "dir_info": {"editable": true}}`.
fn editable_folder(direct_url: &str) -> Option<PathBuf> {
    let value: serde_json::Value = serde_json::from_str(direct_url).ok()?;
    if value.pointer("/dir_info/editable")?.as_bool()? {
        let path = value.get("url")?.as_str()?.strip_prefix("file://")?;
        Some(PathBuf::from(percent_decode(path)))
    } else {
        None
    }
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn record() {
        let text = "a.py,sha256=xyz,12\n\"b,c.py\",,\n../../bin/tool,sha256=q,3\nd-1.dist-info/RECORD,,\n";
        let entries = parse_record(text).unwrap();
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a.py", "b,c.py", "../../bin/tool", "d-1.dist-info/RECORD"]);
        assert_eq!((entries[0].hash.as_deref(), entries[0].size), (Some("sha256=xyz"), Some(12)));
        assert_eq!((entries[1].hash.as_deref(), entries[1].size), (None, None));
        let unquoted = text.replace("\"b,c.py\"", "b.py");
        let mut quoted = parse_record(&format!("{unquoted}\"q\",,\n")).unwrap();
        quoted.pop();
        assert_eq!(parse_record(&unquoted).unwrap(), quoted);
    }

    #[test]
    fn entry_points() {
        let text = "# made by hand\n[console_scripts]\ntool = pkg.cli:main\n\n[ pkg.plugins ]\nx=a.b:C [extra]\n";
        let found: Vec<_> = parse_entry_points(text)
            .into_iter()
            .map(|point| format!("{}/{}/{}", point.group, point.name, point.value))
            .collect();
        assert_eq!(found, ["console_scripts/tool/pkg.cli:main", "pkg.plugins/x/a.b:C [extra]"]);
    }

    #[test]
    fn metadata() {
        let text = "Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\nLicense: UNKNOWN\nRequires-Dist: a>=1\n\
                    Requires-Dist: b; extra == 'x'\nProvides-Extra: x\n\nName: not a header\n";
        let metadata = Metadata::parse(text.as_bytes()).unwrap();
        assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("Foo.Bar", "1.0"));
        assert_eq!(metadata.requires, ["a>=1", "b; extra == 'x'"]);
        assert_eq!((metadata.extras, metadata.license), (vec!["x".to_owned()], None));
        assert!(Metadata::parse(b"Version: 1\n\n").is_err());
    }

    #[test]
    fn editables() {
        let editable = r#"{"url": "file:///home/me/my%20lib", "dir_info": {"editable": true}}"#;
        assert_eq!(editable_folder(editable), Some(PathBuf::from("/home/me/my lib")));
        assert_eq!(editable_folder(r#"{"url": "file:///x", "dir_info": {}}"#), None);
        assert_eq!(editable_folder("{"), None);
    }

    proptest! {
        /// Whatever a CSV writer writes is read again, quoted or not.
        #[test]
        fn written_records_are_read(rows in vec(("[ -~äß漢]{1,12}", option::of("[-_A-Za-z0-9]{1,43}"), option::of(any::<u64>())), 0..8)) {
            let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
            for (path, hash, size) in &rows {
                let hash = hash.as_ref().map_or_else(String::new, |hash| format!("sha256={hash}"));
                writer.write_record([path, &hash, &size.map_or_else(String::new, |size| size.to_string())]).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read: Vec<_> = parse_record(&text).unwrap().into_iter().map(|entry| (entry.path, entry.hash, entry.size)).collect();
            let wanted: Vec<_> =
                rows.into_iter().map(|(path, hash, size)| (path, hash.map(|hash| format!("sha256={hash}")), size)).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_text_is_a_record_or_an_error(text in "(?s).{0,200}") {
            if let Ok(entries) = parse_record(&text) {
                prop_assert!(entries.iter().all(|entry| !entry.path.is_empty()));
            }
        }

        #[test]
        fn any_bytes_are_metadata_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(metadata) = Metadata::parse(&bytes) {
                prop_assert!(!metadata.name.is_empty() && !metadata.version.is_empty());
            }
        }

        #[test]
        fn written_metadata_is_read(name in "[A-Za-z][-._A-Za-z0-9]{0,20}[A-Za-z0-9]", requires in vec("[a-z]{1,9}[ ]?[<>=]=[0-9.]{1,5}", 0..5)) {
            let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
            for requirement in &requires {
                writeln!(text, "Requires-Dist: {requirement}").unwrap();
            }
            let metadata = Metadata::parse((text + "\nName: no header\n").as_bytes()).unwrap();
            prop_assert_eq!((metadata.name, metadata.requires), (name, requires));
        }

        #[test]
        fn written_entry_points_are_read(points in vec(("[a-z][a-z._]{0,9}", "[A-Za-z0-9_.-]{1,9}", "[a-z.]{1,9}(:[a-z]{1,9})?"), 0..6)) {
            let mut text = String::new();
            for (group, name, value) in &points {
                writeln!(text, "[{group}]\n{name} = {value}\n").unwrap();
            }
            let read: Vec<_> = parse_entry_points(&text).into_iter().map(|point| (point.group, point.name, point.value)).collect();
            prop_assert_eq!(read, points);
        }

        #[test]
        fn any_text_is_entry_points_and_urls(text in "(?s).{0,200}") {
            for point in parse_entry_points(&text) {
                prop_assert!(!point.name.contains('=') && !point.group.contains('\n'));
            }
            let _ = editable_folder(&text);
        }
    }
}
