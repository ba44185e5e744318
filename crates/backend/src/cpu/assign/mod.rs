//! Nearest centroid by inner product: `argmax over c of dot(x, c)`, a matrix product whose result is
//! never stored. `embeddings (N, D) f32`, `centroids (K, D) f32` -> `(N) u32`.
//!
//! Centroids are packed once into panels of sixteen; a block of embeddings stays in L2 while the
//! panels stream past it, and each embedding keeps its best so far lane by lane. Ties go to the
//! lower code: a lane sees its codes in ascending order and only a larger product replaces one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::tile;
use crate::Isa;
use rayon::prelude::*;

/// `embeddings (N, D) f32`, `centroids (K, D) f32` -> codes `(N) u32`.
///
/// # Panics
/// If `embeddings` or `centroids` are no whole rows, or there is no centroid for an embedding.
pub(super) fn assign(isa: Isa, dim: usize, embeddings: &[f32], centroids: &[f32]) -> Vec<u32> {
    assert!(dim > 0 && embeddings.len().is_multiple_of(dim), "whole embeddings of {dim}");
    assert!(centroids.len().is_multiple_of(dim), "whole centroids of {dim}");
    assert!(embeddings.is_empty() || !centroids.is_empty(), "no centroid to assign to");
    let panels = tile::pack_panels(dim, centroids);
    let mut codes = vec![0u32; embeddings.len() / dim];
    let block = (tile::BLOCK_FLOATS / dim).next_multiple_of(6).max(24);
    let blocks = codes.par_chunks_mut(block).zip(embeddings.par_chunks(block * dim));
    blocks.for_each(|(codes, rows)| dispatch!(isa, dim, rows, &panels, codes));
    codes
}
