//! `decompress`: kernels/decompress.cu.

use super::{
    Cuda,
    constants::{CHUNK, Constant},
    grid::batch_rows,
    modules::{KernelVariant, value},
    resident::LoadedPassages,
};
use crate::Result;
use selvedge_kernels::Op;
use std::ops::Range;

const THREADS: u32 = 256;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

/// Launches [`crate::Backend::decompress`].
///
/// # Panics
/// If the tokens end after the last one of the segment, or the passages are of another `Cuda`.
pub(super) fn decompress(cuda: &Cuda, passages: &LoadedPassages, tokens: Range<usize>) -> Result<Vec<f32>> {
    assert!(tokens.end <= passages.num_tokens, "tokens end within the segment");
    let codec = &passages.codec.host;
    let kernel = cuda.modules.kernel(Op::Decompress, KernelVariant::codec(codec), "decompress")?;
    let batch = batch_rows(codec.dim);
    let (segment, argument) = (passages.argument(&cuda.context), passages.codec.argument());
    let mut all = Vec::with_capacity(tokens.len() * codec.dim);
    for first in tokens.clone().step_by(batch) {
        let rows = batch.min(tokens.end - first);
        let vectors = cuda.context.allocate::<f32>(rows * codec.dim)?;
        let (first, num) = (first as u32, rows as u32);
        let arguments = [
            vectors.argument(),
            value(&segment),
            value(&argument),
            value(&codec.centroid_weight_step),
            value(&codec.residual_weight_step),
            value(&codec.centroid_scale),
            value(&first),
            value(&num),
        ];
        let blocks = (rows * codec.dim / CHUNK).div_ceil(THREADS as usize);
        // SAFETY: the arguments match the kernel's parameters; the tokens are the segment's, and `vectors` is (num, D).
        unsafe { kernel.launch((blocks, 1), THREADS, &arguments)? };
        all.extend(vectors.download()?);
    }
    Ok(all)
}
