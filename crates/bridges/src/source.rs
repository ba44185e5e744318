//! The one shape that every format is read into, and what an import takes from it.
//!
//! ```text
//! folder --detect--> Source: found, numbers of the codec, lengths of passages, deleted passages
//!                      │
//!                      └─ read(passages) --> codes u32, packed residuals in ColBERT's bit order, in document order
//! ```

use crate::rows::Rows;
use crate::{Error, Result};
use selvedge_codec::buckets::Buckets;
use std::ops::Range;
use std::path::PathBuf;

/// Program and layout that wrote an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// PLAID of Stanford's ColBERT: files of torch.
    Plaid,
    /// fast-plaid: NumPy files, in chunks or merged.
    FastPlaid,
    /// next-plaid: NumPy files, residuals.
    NextPlaid,
    /// next-plaid: NumPy files, one sign per component.
    NextPlaidBinary,
    /// WARP: files of torch, sorted by centroid.
    Warp,
    /// xtr-warp-rs: NumPy files, in chunks or sorted by centroid.
    XtrWarp,
}

impl Format {
    /// Name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaid => "PLAID (ColBERT)",
            Self::FastPlaid => "fast-plaid",
            Self::NextPlaid => "next-plaid",
            Self::NextPlaidBinary => "next-plaid, binary",
            Self::Warp => "WARP",
            Self::XtrWarp => "xtr-warp-rs",
        }
    }
}

/// Description of a foreign index, as an import prints it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Found {
    /// Program and layout.
    pub format: Format,
    /// Components of an embedding.
    pub dim: usize,
    /// Bits per component of a residual.
    pub nbits: u8,
    /// Number of centroids.
    pub centroids: usize,
    /// Number of stored passages, deleted ones included.
    pub passages: usize,
    /// Number of embeddings, deleted passages included.
    pub embeddings: u64,
    /// Number of passages that are marked as deleted.
    pub deleted: usize,
    /// Name of the checkpoint that made the embeddings, if the index has it.
    pub checkpoint: Option<String>,
    /// Maximum number of tokens of a query, if the index has it.
    pub query_maxlen: Option<usize>,
    /// Maximum number of tokens of a passage, if the index has it.
    pub passage_maxlen: Option<usize>,
    /// Parts of the index that are not read, with the reasons.
    pub notes: Vec<String>,
}

/// Formula by which the source decodes an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// `(c + w) / |c + w|`.
    UnitLength,
    /// `c + w`.
    Sum,
    /// Signs alone.
    Signs,
}

/// Numbers of the source's codec.
#[derive(Clone, Debug)]
pub struct SourceCodec {
    /// Components of an embedding.
    pub dim: usize,
    /// Bits per component.
    pub nbits: u8,
    /// Centroids `(K, D) f32`.
    pub centroids: Vec<f32>,
    /// Edges between buckets, `(2^nbits - 1) f32`, ascending.
    pub cutoffs: Vec<f32>,
    /// Value of each bucket, `(2^nbits) f32`.
    pub weights: Vec<f32>,
    /// Formula.
    pub decoding: Decoding,
}

impl SourceCodec {
    /// Number of centroids.
    pub fn num_centroids(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// Packed bytes of an embedding.
    pub fn row_bytes(&self) -> usize {
        self.dim * usize::from(self.nbits) / 8
    }

    pub(crate) fn buckets(&self) -> Buckets<'_> {
        let Self { dim, nbits, centroids, cutoffs, weights, .. } = self;
        Buckets { dim: *dim, nbits: *nbits, centroids, cutoffs, weights }
    }
}

/// Embeddings of a run of passages.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Code of each embedding.
    pub codes: Vec<u32>,
    /// Packed residuals `(N, W) u8` in ColBERT's bit order.
    pub residuals: Vec<u8>,
}

/// Number of places that a sample is read from.
const SAMPLE_PLACES: usize = 64;

/// An index of another program, open for reading.
#[derive(Debug)]
pub struct Source {
    /// Description.
    pub found: Found,
    /// Numbers of the codec.
    pub codec: SourceCodec,
    /// Number of embeddings of each stored passage.
    pub doclens: Vec<u32>,
    /// Number of each stored passage in its program; `None` if they are numbered in order.
    pub(crate) pids: Option<Vec<u32>>,
    /// Stored passages that are not deleted, ascending.
    pub(crate) alive: Vec<u32>,
    /// First embedding of each stored passage, and the end of the last.
    pub(crate) offsets: Vec<u64>,
    /// SQLite database with metadata, if there is one.
    pub(crate) metadata: Option<PathBuf>,
    pub(crate) rows: Rows,
    /// Bytes as read, reused.
    pub(crate) bytes: Vec<u8>,
}

impl Source {
    /// Stored passages that are not deleted, ascending.
    pub fn alive(&self) -> &[u32] {
        &self.alive
    }

    /// Number of a stored passage in its program, which is its id if no other is given.
    pub fn pid(&self, stored: u32) -> u32 {
        self.pids.as_ref().map_or(stored, |pids| pids[stored as usize])
    }

    /// Memory that grows with the passages and, in an index by centroid, with the embeddings, in bytes.
    pub fn bytes_held(&self) -> u64 {
        let passages = self.doclens.len() + self.alive.len() + self.pids.as_ref().map_or(0, Vec::len);
        4 * passages as u64 + 8 * self.offsets.len() as u64 + self.rows.bytes_held()
    }

    /// Reads a run of stored passages in place of what `block` held.
    ///
    /// # Errors
    /// [`Error::Code`] if a code names no centroid, [`Error::Io`] and [`Error::Malformed`] if a file has changed.
    ///
    /// # Panics
    /// If there are fewer passages.
    pub fn read(&mut self, passages: Range<u32>, block: &mut Block) -> Result<()> {
        let run = self.offsets[passages.start as usize]..self.offsets[passages.end as usize];
        block.codes.clear();
        block.residuals.clear();
        self.rows.read(run, block, &mut self.bytes)?;
        let num_centroids = self.codec.num_centroids();
        match block.codes.iter().position(|&code| code as usize >= num_centroids) {
            None => Ok(()),
            Some(at) => Err(Error::Code {
                path: self.rows.path().into(),
                embedding: self.offsets[passages.start as usize] + at as u64,
                code: block.codes[at].into(),
                num_centroids,
            }),
        }
    }

    /// Splits the passages that are not deleted into runs of neighbours with about `tokens` embeddings each, at least
    /// one passage.
    pub fn runs(&self, tokens: u64) -> impl Iterator<Item = Range<u32>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = *self.alive.get(at)?;
            let mut end = first;
            while self.alive.get(at) == Some(&end)
                && (end == first || self.offsets[end as usize + 1] - self.offsets[first as usize] <= tokens)
            {
                (end, at) = (end + 1, at + 1);
            }
            Some(first..end)
        })
    }

    /// Runs of passages that are not deleted, evenly spread, with about `tokens` embeddings together.
    pub(crate) fn sampled_runs(&self, tokens: u64) -> Vec<Range<u32>> {
        let runs: Vec<_> = self.runs(tokens / SAMPLE_PLACES as u64).collect();
        let step = runs.len().div_ceil(SAMPLE_PLACES).max(1);
        runs.into_iter().step_by(step).collect()
    }
}
