//! `decompress`: kernels/decompress.cu.

use super::{
    Cuda,
    grid::batch_rows,
    modules::{KernelVariant, value},
    resident::LoadedPassages,
};
use crate::Result;
use selvedge_kernels::Op;
use std::ops::Range;

const THREADS: u32 = 256;

/// See [`crate::Backend::decompress`].
///
/// # Panics
/// If there are not as many tokens.
pub(super) fn decompress(cuda: &Cuda, passages: &LoadedPassages, tokens: Range<usize>) -> Result<Vec<f32>> {
    assert!(tokens.end <= passages.num_tokens, "tokens end within the segment");
    let codec = &passages.codec.host;
    let kernel = cuda.modules.kernel(Op::Decompress, KernelVariant::codec(codec), "decompress")?;
    let batch = batch_rows(codec.dim);
    let argument = passages.argument(&cuda.context);
    let mut vectors = Vec::with_capacity(tokens.len() * codec.dim);
    for first in tokens.clone().step_by(batch) {
        let num = batch.min(tokens.end - first);
        let out = cuda.context.allocate::<f32>(num * codec.dim)?;
        let (first, count) = (first as u32, num as u32);
        let arguments = [
            value(&argument),
            value(&codec.centroid_weight_step),
            value(&codec.residual_weight_step),
            value(&codec.centroid_scale),
            value(&first),
            value(&count),
            out.argument(),
        ];
        // SAFETY: the arguments are the kernel's; the tokens are the segment's, and each has room for its vector.
        unsafe { kernel.launch(((num * codec.dim / 8).div_ceil(THREADS as usize), 1), THREADS, &arguments)? };
        vectors.extend(out.download()?);
    }
    Ok(vectors)
}
