//! The forms of a query on its way through a search: embeddings, int8 rows, probed cells.

use crate::{Result, round_to_int8};
use std::borrow::Cow;

/// Embeddings of a query, `(Q, D) f32`, on the host or on a device.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Embeddings<'a> {
    /// Embeddings in the memory of the host.
    Host(&'a [f32]),
    /// Embeddings in the memory of a GPU. The `Cuda` that made them, or a clone of it, reads them there; every other
    /// backend copies them to the host.
    #[cfg(feature = "cuda")]
    Device(&'a crate::cuda::DeviceEmbeddings<'a>),
}

impl<'a> Embeddings<'a> {
    /// Number of components, `Q * D`.
    pub fn len(self) -> usize {
        match self {
            Self::Host(embeddings) => embeddings.len(),
            #[cfg(feature = "cuda")]
            Self::Device(embeddings) => embeddings.len(),
        }
    }

    /// Whether there is no component.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The embeddings in the memory of the host, copied if they are on a device.
    ///
    /// # Errors
    /// Fails if the copy from the device does.
    pub fn to_host(self) -> Result<Cow<'a, [f32]>> {
        match self {
            Self::Host(embeddings) => Ok(embeddings.into()),
            #[cfg(feature = "cuda")]
            Self::Device(embeddings) => Ok(embeddings.download()?.into()),
        }
    }
}

/// Embeddings of a query as int8 with one scale: `q ~ scale * q8`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedQuery {
    /// Components of an embedding, `D`.
    pub dim: usize,
    /// Int8 embeddings, `(Q, D) i8`, within -127..=127.
    pub data: Vec<i8>,
    /// Size of one int8 step as a real number.
    pub scale: f32,
}

impl QuantizedQuery {
    /// Rounds `(Q, D) f32` embeddings: `scale = max|q| / 127`, `q8 = round_ties_even(q * (127 / max|q|))`.
    ///
    /// # Panics
    /// If the length of `embeddings` is not a multiple of `dim`.
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

    /// Whether the query has no token.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Embedding of token `i`, `(D) i8`.
    ///
    /// # Panics
    /// If the query has no token `i`.
    pub fn row(&self, i: usize) -> &[i8] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }
}

/// The cells to open for a query, with the missing score of each token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// Cells (code, table entry) of each query token, best first: `(Q, min(nprobe, K))`.
    pub cells: Vec<(u32, i32)>,
    /// Missing score of each query token, `(Q) i32`: the table entry that stands for it in passages outside its
    /// cells.
    pub missing: Vec<i32>,
}

impl Probed {
    /// Cells (code, table entry) of query token `i`, best first, `(min(nprobe, K))`.
    ///
    /// # Panics
    /// If the query has no token `i`.
    pub fn token(&self, i: usize) -> &[(u32, i32)] {
        let nprobe = self.cells.len() / self.missing.len();
        &self.cells[i * nprobe..(i + 1) * nprobe]
    }
}
