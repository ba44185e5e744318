//! `compress`: kernels/compress.cu, kernels/trellis.cuh.

use super::{
    Cuda,
    grid::{WARP, batch_rows, resident_blocks},
    modules::{KernelVariant, value},
    resident::LoadedCodec,
};
use crate::{Packed, Result, trellis::JOINT};
use selvedge_kernels::Op;

const THREADS: u32 = 128;
/// Bytes of what trellis searches remember, at most, unless one warp needs more.
const TAKEN_BYTES: usize = 256 << 20;

/// See [`crate::Backend::compress`].
///
/// # Panics
/// If lengths do not fit, a code is not below `K`, or the codec is another `Cuda`'s.
pub(super) fn compress(cuda: &Cuda, loaded: &LoadedCodec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
    let (codec, rules) = (&loaded.host, &loaded.rules);
    loaded.centroids.assert_of(&cuda.context);
    assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
    assert!(codes.iter().all(|&code| (code as usize) < codec.num_centroids()), "codes are below K");
    let kernel = cuda.modules.kernel(Op::Compress, KernelVariant::codec(codec), "compress")?;
    let mut packed = Packed::default();
    let batch = batch_rows(codec.dim);
    for (embeddings, codes) in embeddings.chunks(batch * codec.dim).zip(codes.chunks(batch)) {
        let num = codes.len();
        let (embeddings, codes) = (cuda.context.upload(embeddings)?, cuda.context.upload(codes)?);
        let rows = cuda.context.allocate::<u8>(num * codec.row_bytes())?;
        let weights = cuda.context.allocate::<u8>(num)?;
        let mut blocks = resident_blocks(&cuda.context, num, THREADS);
        let of_warp = codec.dim.max(2 * JOINT) * WARP;
        let warps = THREADS as usize / WARP;
        let taken = if rules.metric.is_some() {
            blocks.0 = blocks.0.min((TAKEN_BYTES / (of_warp * warps)).max(1));
            blocks.0 * warps * of_warp
        } else {
            0
        };
        let taken = cuda.context.allocate::<u8>(taken)?;
        let count = num as u32;
        let mut arguments = vec![
            embeddings.argument(),
            codes.argument(),
            value(&count),
            loaded.centroids.argument(),
            value(&rules.argument),
        ];
        if let Some(metric) = &rules.metric {
            arguments.extend([value(&metric.argument), taken.argument()]);
        }
        arguments.extend([rows.argument(), weights.argument()]);
        // SAFETY: the arguments are the kernel's, which has the two of a trellis if the codec is one; the arrays are
        // (num, D), (num), (K, D), (num, W) and (num), and each warp has its room for what it takes.
        unsafe { kernel.launch(blocks, THREADS, &arguments)? };
        packed.residuals.extend(rows.download()?);
        packed.weights.extend(weights.download()?);
    }
    Ok(packed)
}
