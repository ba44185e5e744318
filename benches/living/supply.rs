//! Passages to add, queries, and copies of the index.

use crate::Result;
use crate::options::Options;
use half::f16;
use selvedge::build::Arrays;
use selvedge::npy::{NpyFloats, NpyWriter};
use std::fs;
use std::path::{Path, PathBuf};

/// Tokens of a query at most, as for ColBERTv2.
const QUERY_TOKENS: usize = 32;
/// Size from which a file of the index is linked rather than copied.
const LINKED_BYTES: u64 = 1 << 20;

/// Passages of a collection of embeddings, by their number.
pub struct Supply {
    embeddings: PathBuf,
    dim: usize,
    /// First token of each passage, and the end of the last.
    offsets: Vec<usize>,
}

impl Supply {
    pub fn open(options: &Options) -> Result<Self> {
        let dim = NpyFloats::open(&options.embeddings)?.dim();
        let lens = selvedge::npy::read_lens(&options.doclens)?;
        let ends = lens.iter().scan(0, |end, &len| {
            *end += len as usize;
            Some(*end)
        });
        let offsets = std::iter::once(0).chain(ends).collect();
        Ok(Self { embeddings: options.embeddings.clone(), dim, offsets })
    }

    pub fn num_passages(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Embeddings of the first tokens of a passage, at most `most` of them.
    fn rows(&self, passage: usize, most: usize) -> Result<Vec<f32>> {
        let passage = passage % self.num_passages();
        let tokens = self.offsets[passage]..self.offsets[passage + 1];
        let mut rows = Vec::new();
        NpyFloats::open(&self.embeddings)?.read_rows(tokens.start, tokens.len().min(most), &mut rows)?;
        Ok(rows)
    }

    /// The query for a passage.
    pub fn query(&self, passage: usize) -> Result<Vec<f32>> {
        self.rows(passage, QUERY_TOKENS)
    }

    /// Queries for passages that are evenly spaced.
    pub fn queries(&self, count: usize) -> Result<Vec<Vec<f32>>> {
        (0..count).map(|query| self.query(query * self.num_passages() / count)).collect()
    }

    /// Writes passages with these ids as files in `folder`.
    pub fn write(&self, folder: &Path, passages: impl Iterator<Item = (usize, String)>) -> Result<Arrays> {
        let file = |name: &str| folder.join(name);
        let arrays = Arrays { ids: Some(file("ids.txt")), ..Arrays::npy(file("add.npy"), file("lens.npy")) };
        let mut npy = NpyWriter::create(&arrays.embeddings)?;
        let (mut lens, mut ids) = (Vec::new(), String::new());
        for (passage, id) in passages {
            let rows = self.rows(passage, usize::MAX)?;
            let bytes: Vec<u8> = rows.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
            npy.write(&bytes)?;
            lens.push((rows.len() / self.dim) as u32);
            ids += &format!("{id}\n");
        }
        npy.finish("<f2", &[lens.iter().sum::<u32>() as usize, self.dim])?;
        let mut npy = NpyWriter::create(&file("lens.npy"))?;
        npy.write(&lens.iter().flat_map(|len| len.to_le_bytes()).collect::<Vec<u8>>())?;
        npy.finish("<i4", &[lens.len()])?;
        fs::write(file("ids.txt"), ids)?;
        Ok(arrays)
    }
}

/// An empty folder in the scratch folder.
pub fn scratch(options: &Options, name: &str) -> Result<PathBuf> {
    let folder = options.dir.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A copy of the index that may be changed. Its large files are links: they never change, they are only removed.
pub fn copied(options: &Options, name: &str) -> Result<PathBuf> {
    let folder = scratch(options, name)?;
    for entry in fs::read_dir(&options.index)? {
        let entry = entry?;
        let to = folder.join(entry.file_name());
        if entry.metadata()?.len() < LINKED_BYTES {
            fs::copy(entry.path(), to)?;
        } else {
            fs::hard_link(entry.path(), to)?;
        }
    }
    Ok(folder)
}
