//! Embeddings as one file: an `.npz` archive, or safetensors.
//!
//! Both begin with sizes that are known at the end alone, so rows and ids wait in a temporary file beside the target.

use crate::npy;
use crate::staged::Staged;
use crate::{Error, Result};
use selvedge_bridges::vectors::{Container, Texts};
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writer of one file.
pub(super) struct OneFile {
    path: PathBuf,
    container: Container,
    target: Staged,
    /// Rows, then ids, one per line. The file has no name, and is gone when it is closed.
    spool: BufWriter<File>,
    row_bytes: u64,
    id_bytes: u64,
}

/// Shapes of the arrays.
pub(super) struct Shapes<'a> {
    pub(super) texts: Texts,
    pub(super) is_f32: bool,
    pub(super) dim: usize,
    /// Rows of each text.
    pub(super) lens: &'a [u32],
}

impl Shapes<'_> {
    fn rows(&self) -> [usize; 2] {
        [self.lens.iter().map(|&len| len as usize).sum(), self.dim]
    }

    fn write_lens(&self, out: &mut impl Write) -> io::Result<()> {
        for block in self.lens.chunks(1 << 14) {
            out.write_all(&block.iter().flat_map(|len| len.to_le_bytes()).collect::<Vec<u8>>())?;
        }
        Ok(())
    }
}

impl OneFile {
    pub(super) fn create(path: &Path, container: Container) -> Result<Self> {
        let mut target = Staged::create(path)?;
        // Sizes are filled in at the end: a target that cannot be rewound is refused now.
        target.rewind()?;
        let folder = target.folder().unwrap_or(Path::new("."));
        let spool = BufWriter::new(tempfile::tempfile_in(folder).map_err(Error::io(folder))?);
        Ok(Self { path: path.into(), container, target, spool, row_bytes: 0, id_bytes: 0 })
    }

    /// Appends rows.
    pub(super) fn write(&mut self, rows: &[u8]) -> Result<()> {
        self.row_bytes += rows.len() as u64;
        self.spool.write_all(rows).map_err(Error::io(&self.path))
    }

    /// Appends an id; all rows are written before.
    pub(super) fn write_id(&mut self, id: &str) -> Result<()> {
        self.id_bytes += id.len() as u64 + 1;
        self.spool.write_all(id.as_bytes()).and_then(|()| self.spool.write_all(b"\n")).map_err(Error::io(&self.path))
    }

    /// Writes the file, which then appears under its name.
    pub(super) fn finish(self, shapes: &Shapes<'_>) -> Result<()> {
        let Self { path, container, mut target, spool, row_bytes, id_bytes } = self;
        let write = || {
            let mut spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
            spool.seek(SeekFrom::Start(0))?;
            match container {
                Container::Npz => write_npz(target.writer(), shapes, spool, row_bytes),
                Container::Safetensors => write_safetensors(target.writer(), shapes, spool, row_bytes, id_bytes),
            }
        };
        write().map_err(Error::io(&path))?;
        target.finish()
    }
}

fn write_npz(out: impl Write + Seek, shapes: &Shapes<'_>, mut spool: File, row_bytes: u64) -> io::Result<()> {
    let mut zip = ZipWriter::new(out);
    let [rows, lens, ids] = shapes.texts.names();
    let options = |bytes: u64| {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        // Sizes of 8 bytes where 4 might not do.
        stored.large_file(bytes > u64::from(u32::MAX) / 2)
    };
    zip.start_file(format!("{rows}.npy"), options(row_bytes))?;
    zip.write_all(&npy::header(if shapes.is_f32 { "<f4" } else { "<f2" }, &shapes.rows()))?;
    io::copy(&mut (&mut spool).take(row_bytes), &mut zip)?;
    zip.start_file(format!("{lens}.npy"), options(4 * shapes.lens.len() as u64))?;
    zip.write_all(&npy::header("<i4", &[shapes.lens.len()]))?;
    shapes.write_lens(&mut zip)?;
    zip.start_file(format!("{ids}.txt"), options(spool.metadata()?.len() - row_bytes))?;
    io::copy(&mut spool, &mut zip)?;
    zip.finish()?;
    Ok(())
}

fn write_safetensors(
    out: &mut impl Write,
    shapes: &Shapes<'_>,
    mut spool: File,
    row_bytes: u64,
    id_bytes: u64,
) -> io::Result<()> {
    let [rows, lens, ids] = shapes.texts.names();
    let lens_end = row_bytes + 4 * shapes.lens.len() as u64;
    let end = lens_end + id_bytes;
    let dtype = if shapes.is_f32 { "F32" } else { "F16" };
    let mut header = serde_json::to_vec(&json!({
        rows: { "dtype": dtype, "shape": shapes.rows(), "data_offsets": [0, row_bytes] },
        lens: { "dtype": "I32", "shape": [shapes.lens.len()], "data_offsets": [row_bytes, lens_end] },
        ids: { "dtype": "U8", "shape": [id_bytes], "data_offsets": [lens_end, end] },
    }))?;
    // Tensors begin at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    io::copy(&mut (&mut spool).take(row_bytes), out)?;
    shapes.write_lens(out)?;
    io::copy(&mut spool, out)?;
    Ok(())
}
