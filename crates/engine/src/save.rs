//! `--save-embeddings`: the uncompressed vectors beside the index, for other settings and for ground truth.

use crate::npy::NpyWriter;
use crate::{Error, Result};
use half::f16;
use selvedge_encoder::Embeddings;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `docs.npy` (f16), `doclens.npy` and `ids.txt` into a folder.
pub struct Saver {
    folder: PathBuf,
    docs: NpyWriter,
    dim: usize,
    lens: Vec<u32>,
}

impl Saver {
    /// Makes the folder and opens the files.
    pub fn create(folder: &Path, dim: usize) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let docs = NpyWriter::create(&folder.join("docs.npy"))?;
        Ok(Self { folder: folder.into(), docs, dim, lens: Vec::new() })
    }

    /// Appends passages.
    pub fn push(&mut self, embeddings: &Embeddings) -> Result<()> {
        let bytes: Vec<u8> = embeddings.data.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        self.lens.extend_from_slice(&embeddings.lens);
        self.docs.write(&bytes)
    }

    /// Writes the headers, the doclens and the ids.
    pub fn finish(self, ids: impl Iterator<Item = Result<String>>) -> Result<()> {
        let tokens = self.lens.iter().map(|&l| l as usize).sum();
        self.docs.finish("<f2", &[tokens, self.dim])?;
        let mut lens = NpyWriter::create(&self.folder.join("doclens.npy"))?;
        for len in &self.lens {
            lens.write(&len.to_le_bytes())?;
        }
        lens.finish("<i4", &[self.lens.len()])?;
        let path = self.folder.join("ids.txt");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(Error::io(&path))?);
        for id in ids {
            writeln!(file, "{}", id?).map_err(Error::io(&path))?;
        }
        file.flush().map_err(Error::io(&path))
    }
}
