//! Launcher, blocks, index, manifest: the artifact's bytes in their order.

use std::cell::Cell;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::rc::Rc;

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::blocks::Plan;
use super::kept::Kept;
use super::survey::Survey;
use super::{Error, LAUNCHER, PackSpec};
use crate::format::{Block, Digest, File, Footer, Index, Manifest, Part};
use crate::progress::Progress;

#[derive(Debug)]
pub(super) struct Written {
    pub(super) manifest: Manifest,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// Python runs a ZIP by this. Programs start themselves again with `sys.executable` and `sys.argv`, whose first is the
/// artifact.
const AGAIN: &[u8] = b"import os\nimport sys\n\nos.execv(sys.argv[0], sys.argv)\n";

/// Writes aside, then renames.
pub(super) fn write(
    survey: &Survey<'_>,
    plan: &Plan,
    kept: &Kept,
    spec: &PackSpec,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Written, Error> {
    let failed = |source| Error::Write { path: out.to_owned(), source };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut aside = tempfile::Builder::new()
        .prefix(".packproof-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempfile_in(folder)
        .map_err(failed)?;
    let container = Container::begin(aside.as_file_mut(), out)?;
    let manifest = fill(container, survey, plan, kept, spec, progress)?;
    // The umask applied to the mode above.
    aside.as_file().set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let (size, sha256) = digest(aside.as_file_mut()).map_err(failed)?;
    // Else a crash of the machine could leave the new name with neither the old content nor the new.
    aside.as_file().sync_data().map_err(failed)?;
    aside.persist(out).map_err(|error| failed(error.error))?;
    Ok(Written { manifest, size, sha256 })
}

fn fill(
    mut container: Container<'_, impl Write + Seek>,
    survey: &Survey<'_>,
    plan: &Plan,
    kept: &Kept,
    spec: &PackSpec,
    progress: &dyn Progress,
) -> Result<Manifest, Error> {
    let mut blocks = Vec::with_capacity(plan.blocks.len());
    progress.start("packing", plan.blocks.iter().map(|block| block.size).sum());
    plan.pack(survey, kept, progress, |planned, packed| {
        let part = container.stored(&format!("blocks/{:04}.zst", blocks.len()), &packed.bytes)?;
        blocks.push(Block {
            offset: part.offset,
            packed: part.length,
            unpacked: planned.size,
            filter: planned.filter,
            digest: packed.digest,
        });
        Ok(())
    })?;
    progress.finish();
    let files = survey.files.iter().zip(&plan.places).map(|(file, (block, offset))| File {
        path: file.path.clone(),
        mode: file.mode,
        changed: file.changed,
        size: file.size,
        digest: Digest::truncate(file.hash.into()),
        block: *block,
        offset: *offset,
    });
    let index = Index { blocks, folders: survey.folders.clone(), files: files.collect(), links: survey.links.clone() };
    let packed = zstd::bulk::compress(&index.encode(), spec.level.zstd()).map_err(Error::Compress)?;
    let index_part = container.stored("index.zst", &packed)?;
    if let Some(sbom) = &spec.sbom {
        container.entry("sbom.cdx.json", sbom, CompressionMethod::Deflated)?;
    }
    for (name, content) in &spec.stored {
        container.stored(name, content)?;
    }
    container.stored("__main__.py", AGAIN)?;
    let manifest = spec.manifest(&index);
    let manifest_part = container.stored("manifest.json", &manifest.encode())?;
    container.finish(Footer { launcher: LAUNCHER.len() as u64, manifest: manifest_part, index: index_part })?;
    Ok(manifest)
}

/// A ZIP whose offsets count from the first byte of the launcher before it, so that readers find nothing odd.
struct Container<'a, W: Write + Seek> {
    zip: ZipWriter<Counted<W>>,
    position: Rc<Cell<u64>>,
    out: &'a Path,
}

impl<'a, W: Write + Seek> Container<'a, W> {
    fn begin(mut inner: W, out: &'a Path) -> Result<Self, Error> {
        inner.write_all(LAUNCHER).map_err(|source| Error::Write { path: out.to_owned(), source })?;
        let position = Rc::new(Cell::new(LAUNCHER.len() as u64));
        let counted = Counted { inner: io::BufWriter::with_capacity(1 << 20, inner), position: Rc::clone(&position) };
        Ok(Self { zip: ZipWriter::new(counted), position, out })
    }

    /// Writes one entry as it stands, which a launcher can read without the ZIP, and says where its bytes are.
    fn stored(&mut self, name: &str, bytes: &[u8]) -> Result<Part, Error> {
        let offset = self.entry(name, bytes, CompressionMethod::Stored)?;
        Ok(Part { offset, length: bytes.len() as u64, digest: Digest::of(bytes) })
    }

    /// Writes one entry and says where it begins.
    fn entry(&mut self, name: &str, bytes: &[u8], method: CompressionMethod) -> Result<u64, Error> {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(bytes.len() as u64 > u64::from(u32::MAX));
        let failed = |source| Error::Container { path: self.out.to_owned(), source };
        self.zip.start_file(name, options).map_err(failed)?;
        let offset = self.position.get();
        self.zip.write_all(bytes).map_err(|source| Error::Write { path: self.out.to_owned(), source })?;
        Ok(offset)
    }

    fn finish(mut self, footer: Footer) -> Result<(), Error> {
        let failed = |source| Error::Container { path: self.out.to_owned(), source };
        self.zip.set_raw_comment(footer.encode().into_bytes().into_boxed_slice()).map_err(failed)?;
        let mut counted = self.zip.finish().map_err(failed)?;
        counted.flush().map_err(|source| Error::Write { path: self.out.to_owned(), source })
    }
}

/// Knows where the next byte goes: the ZIP writer keeps that to itself.
struct Counted<W: Write + Seek> {
    inner: io::BufWriter<W>,
    position: Rc<Cell<u64>>,
}

impl<W: Write + Seek> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.position.set(self.position.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write + Seek> Seek for Counted<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.inner.seek(to)?;
        self.position.set(position);
        Ok(position)
    }
}

/// Size and SHA-256. Read back, as the ZIP writer goes back to fill in what it knows only afterwards.
fn digest(file: &mut (impl io::Read + Seek)) -> io::Result<(u64, String)> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
    let hash: [u8; 32] = hasher.finalize().into();
    // A hash is a hash: BLAKE3's type only lends its way of writing 32 bytes.
    Ok((size, blake3::Hash::from_bytes(hash).to_hex().to_string()))
}
