//! `assign`: kernels/assign.cu.

use super::{
    Cuda,
    constants::{Constant, TILE_DEPTH},
    context::Buffer,
    grid::{batch_rows, blocks_of_warps},
    modules::{KernelVariant, value},
};
use crate::{Result, int8_rows::assert_centroids};
use selvedge_kernels::Op;
use std::borrow::Cow;

const THREADS: u32 = 256;
/// Embeddings of a warp.
const WARP_EMBEDDINGS: usize = 32;
/// Centroids that a block copies and multiplies at a time.
const SLAB_ROWS: usize = 64;

pub(super) const CONSTANTS: [Constant; 3] =
    [("THREADS", THREADS as i64), ("WARP_EMBEDDINGS", WARP_EMBEDDINGS as i64), ("SLAB_ROWS", SLAB_ROWS as i64)];

/// Centroids in device memory.
#[derive(Debug)]
pub struct Centroids {
    dim: usize,
    num: usize,
    /// `(K rounded up to whole slabs, pitch) i8`.
    rows: Buffer<i8>,
}

impl Centroids {
    /// Uploads `centroids (K, D) i8`.
    ///
    /// # Panics
    /// If `dim` is not a multiple of 4, `centroids` are not whole rows, or a component is -128.
    pub(super) fn new(cuda: &Cuda, dim: usize, centroids: &[i8]) -> Result<Self> {
        assert_centroids(dim, centroids);
        let rows = cuda.context.upload(&padded(dim, pitch(dim), centroids))?;
        Ok(Self { dim, num: centroids.len() / dim, rows })
    }
}

/// Launches [`crate::Backend::assign`].
///
/// # Panics
/// If the embeddings are not whole rows, there is no centroid, or the centroids are of another `Cuda`.
pub(super) fn assign(cuda: &Cuda, centroids: &Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
    let dim = centroids.dim;
    centroids.rows.assert_of(&cuda.context);
    assert!(embeddings.len().is_multiple_of(dim), "whole embeddings of {dim}");
    assert!(centroids.num > 0 || embeddings.is_empty(), "at least one centroid");
    let variant = KernelVariant::dim(dim);
    let round_rows = cuda.modules.kernel(Op::Assign, variant, "round_rows")?;
    let assign = cuda.modules.kernel(Op::Assign, variant, "assign")?;
    let num_centroids = centroids.num as u32;
    let mut all = Vec::with_capacity(embeddings.len() / dim);
    for embeddings in embeddings.chunks(batch_rows(dim) * dim) {
        let rows = embeddings.len() / dim;
        let embeddings = cuda.context.upload(embeddings)?;
        let rounded = cuda.context.allocate::<i8>(rows * pitch(dim))?;
        let codes = cuda.context.allocate::<u32>(rows)?;
        let (num, centroids) = (rows as u32, &centroids.rows);
        let round_arguments = [rounded.argument(), embeddings.argument(), value(&num)];
        let assign_arguments =
            [codes.argument(), rounded.argument(), centroids.argument(), value(&num), value(&num_centroids)];
        // SAFETY: the arguments match the parameters of both kernels; the arrays are (num, D), (num, pitch), (K rounded
        // up to whole slabs, pitch) and (num).
        unsafe {
            round_rows.launch(blocks_of_warps(rows, THREADS), THREADS, &round_arguments)?;
            assign.launch(blocks_of_warps(rows.div_ceil(WARP_EMBEDDINGS), THREADS), THREADS, &assign_arguments)?;
        }
        all.extend(codes.download()?);
    }
    Ok(all)
}

/// Returns the bytes of a row: `D` rounded up to whole steps of a matrix product.
fn pitch(dim: usize) -> usize {
    dim.next_multiple_of(TILE_DEPTH)
}

/// Returns rows of `pitch` with zeros after `dim`, and whole slabs of them. The last row fills the last slab: its
/// products equal the ones of a lower code, so they change no result.
fn padded(dim: usize, pitch: usize, rows: &[i8]) -> Cow<'_, [i8]> {
    let num = rows.len() / dim;
    if dim == pitch && num.is_multiple_of(SLAB_ROWS) {
        return rows.into();
    }
    let mut padded = vec![0; num.next_multiple_of(SLAB_ROWS) * pitch];
    let last = rows.chunks_exact(dim).next_back().into_iter().cycle();
    let rows = rows.chunks_exact(dim).chain(last);
    padded.chunks_exact_mut(pitch).zip(rows).for_each(|(to, from)| to[..dim].copy_from_slice(from));
    padded.into()
}
