//! A query on its way through the funnel: embeddings, int8 rows, the cells to open.

use crate::{Result, round_to_int8};
use std::borrow::Cow;

/// A query's embeddings, `(Q, D) f32`, and the memory that they are in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Embeddings<'a> {
    /// In the host's memory.
    Host(&'a [f32]),
    /// In a GPU's memory. Every backend copies them to the host at present, because it is there that a query is rotated
    /// and rounded.
    #[cfg(feature = "cuda")]
    Device(&'a crate::cuda::DeviceEmbeddings),
}

impl<'a> Embeddings<'a> {
    /// The embeddings in the host's memory.
    ///
    /// # Errors
    /// Those of the device that they are on.
    pub fn to_host(self) -> Result<Cow<'a, [f32]>> {
        match self {
            Self::Host(embeddings) => Ok(embeddings.into()),
            #[cfg(feature = "cuda")]
            Self::Device(embeddings) => Ok(embeddings.download()?.into()),
        }
    }
}

/// A query's embeddings as int8 with one scale: `q ~ scale * q8`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedQuery {
    /// Components of an embedding, `D`.
    pub dim: usize,
    /// `(Q, D) i8`, within -127..=127.
    pub data: Vec<i8>,
    /// One step as a real number.
    pub scale: f32,
}

impl QuantizedQuery {
    /// Rounds `(Q, D) f32` embeddings: `scale = max|q| / 127`, `q8 = round_ties_even(q * (127 / max|q|))`.
    ///
    /// # Panics
    /// If `embeddings` is no whole number of rows.
    pub fn new(dim: usize, embeddings: &[f32]) -> Self {
        assert!(dim > 0 && embeddings.len().is_multiple_of(dim), "whole rows of {dim}");
        let mut data = vec![0; embeddings.len()];
        let scale = round_to_int8(embeddings, &mut data);
        Self { dim, data, scale }
    }

    /// Number of query tokens, `Q`.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Token `i`, `(D) i8`.
    pub fn row(&self, i: usize) -> &[i8] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }
}

/// The cells to open for a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// For each query token its cells (code, table entry), best first: `(Q, nprobe)`.
    pub cells: Vec<(u32, i32)>,
    /// For each query token the entry imputed to passages that none of its cells holds: `(Q) i32`.
    pub missing: Vec<i32>,
}

impl Probed {
    /// Cells of query token `i`.
    pub fn token(&self, i: usize) -> &[(u32, i32)] {
        let nprobe = self.cells.len() / self.missing.len();
        &self.cells[i * nprobe..(i + 1) * nprobe]
    }
}
