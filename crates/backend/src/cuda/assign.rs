//! `assign`: kernels/assign.cu.

use super::{
    Cuda,
    context::Buffer,
    grid::{batch_rows, blocks_of_warps},
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;
use std::borrow::Cow;

const THREADS: u32 = 256;
/// Embeddings of a warp.
const ROWS: usize = 32;
/// Rows of int8 are whole steps of so many bytes.
const STEP: usize = 32;

/// Centroids in device memory.
#[derive(Debug)]
pub struct Centroids {
    dim: usize,
    num: usize,
    /// `(K, pitch) i8`.
    rows: Buffer<i8>,
}

impl Centroids {
    /// See [`crate::Backend::load_centroids`].
    ///
    /// # Panics
    /// If they are no whole rows of `dim`.
    pub(super) fn new(cuda: &Cuda, dim: usize, centroids: &[i8]) -> Result<Self> {
        assert!(dim > 0 && centroids.len().is_multiple_of(dim), "whole rows of {dim}");
        let rows = cuda.context.upload(&padded(dim, dim.next_multiple_of(STEP), centroids))?;
        Ok(Self { dim, num: centroids.len() / dim, rows })
    }
}

/// See [`crate::Backend::assign`].
///
/// # Panics
/// If embeddings are no whole rows, there is no centroid, or the centroids are another `Cuda`'s.
pub(super) fn assign(cuda: &Cuda, centroids: &Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
    let dim = centroids.dim;
    centroids.rows.assert_of(&cuda.context);
    assert!(embeddings.len().is_multiple_of(dim), "whole rows of {dim}");
    assert!(centroids.num > 0 || embeddings.is_empty(), "at least one centroid");
    let special = KernelVariant::dim(dim);
    let round = cuda.modules.kernel(Op::Assign, special, "round_rows")?;
    let assign = cuda.modules.kernel(Op::Assign, special, "assign")?;
    let (num_centroids, pitch) = (centroids.num as u32, dim.next_multiple_of(STEP));
    let mut codes = Vec::with_capacity(embeddings.len() / dim);
    for batch in embeddings.chunks(batch_rows(dim) * dim) {
        let num = batch.len() / dim;
        let batch = cuda.context.upload(batch)?;
        let rounded = cuda.context.allocate::<i8>(num * pitch)?;
        let found = cuda.context.allocate::<u32>(num)?;
        let count = num as u32;
        let rounding = [batch.argument(), value(&count), rounded.argument()];
        let assigning =
            [rounded.argument(), value(&count), centroids.rows.argument(), value(&num_centroids), found.argument()];
        // SAFETY: the arguments are the kernels'; the arrays are (num, D), (num, pitch), (K, pitch) and (num).
        unsafe {
            round.launch(blocks_of_warps(num, THREADS), THREADS, &rounding)?;
            assign.launch(blocks_of_warps(num.div_ceil(ROWS), THREADS), THREADS, &assigning)?;
        }
        codes.extend(found.download()?);
    }
    Ok(codes)
}

/// Rows of `pitch`, zeros behind `dim`.
fn padded(dim: usize, pitch: usize, rows: &[i8]) -> Cow<'_, [i8]> {
    if dim == pitch {
        return rows.into();
    }
    let mut padded = vec![0; rows.len() / dim * pitch];
    padded.chunks_exact_mut(pitch).zip(rows.chunks_exact(dim)).for_each(|(to, from)| to[..dim].copy_from_slice(from));
    padded.into()
}
