//! `assign`: kernels/assign.cu.

use super::{
    Cuda,
    calls::CudaStream,
    constants::{Constant, TILE_DEPTH},
    context::{Buffer, Context},
    grid::{batch_rows, blocks_of_warps},
    modules::{Kernel, KernelVariant, value},
};
use crate::{Isa, Result, cpu, groups::Groups, int8_rows::assert_centroids};
use selvedge_kernels::Op;
use std::{borrow::Cow, sync::Arc};

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
    /// Groups of these centroids, which are searched on the host: there is no kernel for it yet.
    groups: Option<(Isa, cpu::Centroids)>,
}

impl Centroids {
    /// Uploads `centroids (K, D) i8`.
    ///
    /// # Panics
    /// If `dim` is not a multiple of 4, `centroids` are not whole rows, or a component is -128.
    pub(super) fn new(cuda: &Cuda, dim: usize, centroids: &[i8]) -> Result<Self> {
        assert_centroids(dim, centroids);
        let rows = cuda.context.upload(&padded(dim, pitch(dim), centroids))?;
        Ok(Self { dim, num: centroids.len() / dim, rows, groups: None })
    }

    /// Uploads `centroids (K, D) i8`, and groups them.
    ///
    /// # Panics
    /// As [`Centroids::new`].
    pub(super) fn grouped(cuda: &Cuda, dim: usize, centroids: &[i8]) -> Result<Self> {
        let (isa, groups) = (Isa::from_env()?, Groups::new(cuda, dim, centroids)?);
        let groups = Some((isa, cpu::Centroids::grouped(isa, dim, centroids, &groups)));
        Ok(Self { groups, ..Self::new(cuda, dim, centroids)? })
    }

    /// Whether the host searches groups of the centroids.
    pub(super) fn is_grouped(&self) -> bool {
        self.groups.is_some()
    }

    /// Allocates memory for `num` centroids, which a kernel writes.
    ///
    /// # Panics
    /// If `dim` is not a multiple of 4.
    pub(super) fn uninitialized(context: &Arc<Context>, dim: usize, num: usize) -> Result<Self> {
        assert!(dim.is_multiple_of(4), "centroids of {dim} components, not a multiple of 4");
        Ok(Self { dim, num, rows: context.allocate(num.next_multiple_of(SLAB_ROWS) * pitch(dim))?, groups: None })
    }

    /// Bytes of `num` centroids in device memory.
    pub(super) fn bytes(dim: usize, num: usize) -> u64 {
        (num.next_multiple_of(SLAB_ROWS) * pitch(dim)) as u64
    }

    /// Bytes of a row in device memory.
    pub(super) fn pitch(dim: usize) -> usize {
        pitch(dim)
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Number of centroids.
    pub(super) fn len(&self) -> usize {
        self.num
    }

    /// Number of rows with those that fill the last slab.
    pub(super) fn padded_len(&self) -> usize {
        self.num.next_multiple_of(SLAB_ROWS)
    }

    pub(super) fn rows(&self) -> &Buffer<i8> {
        &self.rows
    }

    /// Copies the centroids to the host, `(K, D)`.
    pub(super) fn download(&self) -> Result<Vec<i8>> {
        let padded = self.rows.download()?;
        let rows = padded.chunks_exact(pitch(self.dim)).take(self.num);
        Ok(rows.flat_map(|row| &row[..self.dim]).copied().collect())
    }
}

/// The kernels of `assign` for embeddings of one dim.
#[derive(Debug)]
pub(super) struct AssignKernels {
    context: Arc<Context>,
    dim: usize,
    round_rows: Kernel,
    assign: Kernel,
}

impl AssignKernels {
    pub(super) fn new(cuda: &Cuda, dim: usize) -> Result<Self> {
        let kernel = |name| cuda.modules.kernel(Op::Assign, KernelVariant::dim(dim), name);
        let (round_rows, assign) = (kernel("round_rows")?, kernel("assign")?);
        Ok(Self { context: Arc::clone(&cuda.context), dim, round_rows, assign })
    }

    /// Rounds `embeddings (N, D)` to `(N, pitch) i8`.
    pub(super) fn round_rows(&self, stream: &Arc<CudaStream>, embeddings: &Buffer<f32>) -> Result<Buffer<i8>> {
        let rows = embeddings.len() / self.dim;
        let rounded = self.context.allocate_on::<i8>(stream, rows * pitch(self.dim))?;
        let num = rows as u32;
        let arguments = [rounded.argument(), embeddings.argument(), value(&num)];
        // SAFETY: the arguments match the kernel's parameters; the arrays are (num, pitch) and (num, D).
        unsafe { self.round_rows.launch_on(stream, blocks_of_warps(rows, THREADS), THREADS, &arguments)? };
        Ok(rounded)
    }

    /// Finds the codes of `rounded (N, pitch)`.
    pub(super) fn assign(
        &self,
        stream: &Arc<CudaStream>,
        centroids: &Centroids,
        rounded: &Buffer<i8>,
    ) -> Result<Buffer<u32>> {
        assert_eq!(centroids.dim, self.dim, "kernels of the centroids' dim");
        let rows = rounded.len() / pitch(self.dim);
        let codes = self.context.allocate_on::<u32>(stream, rows)?;
        let (num, num_centroids) = (rows as u32, centroids.num as u32);
        let arguments =
            [codes.argument(), rounded.argument(), centroids.rows.argument(), value(&num), value(&num_centroids)];
        let blocks = blocks_of_warps(rows.div_ceil(WARP_EMBEDDINGS), THREADS);
        // SAFETY: the arguments match the kernel's parameters; the arrays are (num), (num, pitch) and (K rounded up to
        // whole slabs, pitch).
        unsafe { self.assign.launch_on(stream, blocks, THREADS, &arguments)? };
        Ok(codes)
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
    if let Some((isa, groups)) = &centroids.groups {
        return Ok(groups.assign(*isa, embeddings));
    }
    let (kernels, stream) = (AssignKernels::new(cuda, dim)?, cuda.context.stream());
    let mut all = Vec::with_capacity(embeddings.len() / dim);
    for embeddings in embeddings.chunks(batch_rows(dim) * dim) {
        let rounded = kernels.round_rows(stream, &cuda.context.upload(embeddings)?)?;
        all.extend(kernels.assign(stream, centroids, &rounded)?.download()?);
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
