//! Uncompressed embeddings as NumPy arrays in a folder: for other settings, other programs and ground truth.

use crate::npy::NpyWriter;
use crate::{Error, Result};
use half::f16;
use selvedge_encoder::{Embeddings, TextKind};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes embeddings `(total_tokens, D)`, tokens per text and ids into a folder: `docs.npy`, `doclens.npy` and `ids.txt`
/// of passages; `queries.npy`, `querylens.npy` and `queryids.txt` of queries.
pub struct Saver {
    folder: PathBuf,
    kind: TextKind,
    rows: NpyWriter,
    dim: usize,
    is_f32: bool,
    lens: Vec<u32>,
}

impl Saver {
    /// Makes the folder and opens the file of rows, f32 or f16.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub fn create(folder: &Path, kind: TextKind, dim: usize, is_f32: bool) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let name = if kind == TextKind::Query { "queries.npy" } else { "docs.npy" };
        let rows = NpyWriter::create(&folder.join(name))?;
        Ok(Self { folder: folder.into(), kind, rows, dim, is_f32, lens: Vec::new() })
    }

    /// Appends texts.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, embeddings: &Embeddings) -> Result<()> {
        let bytes: Vec<u8> = if self.is_f32 {
            embeddings.data.iter().flat_map(|x| x.to_le_bytes()).collect()
        } else {
            embeddings.data.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
        };
        self.lens.extend_from_slice(&embeddings.lens);
        self.rows.write(&bytes)
    }

    /// Writes the headers, the lengths and the ids.
    ///
    /// # Errors
    /// The first that `ids` yields, or if the disk is full.
    pub fn finish(self, ids: impl Iterator<Item = Result<String>>) -> Result<()> {
        let tokens = self.lens.iter().map(|&l| l as usize).sum();
        self.rows.finish(if self.is_f32 { "<f4" } else { "<f2" }, &[tokens, self.dim])?;
        let is_query = self.kind == TextKind::Query;
        let (lens_name, ids_name) =
            if is_query { ("querylens.npy", "queryids.txt") } else { ("doclens.npy", "ids.txt") };
        let mut lens = NpyWriter::create(&self.folder.join(lens_name))?;
        for len in &self.lens {
            lens.write(&len.to_le_bytes())?;
        }
        lens.finish("<i4", &[self.lens.len()])?;
        let path = self.folder.join(ids_name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(Error::io(&path))?);
        for id in ids {
            writeln!(file, "{}", id?).map_err(Error::io(&path))?;
        }
        file.flush().map_err(Error::io(&path))
    }
}
