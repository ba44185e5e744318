//! `compress`: kernels/compress.cu, kernels/trellis.cuh.

use super::{
    Cuda,
    constants::{Constant, WARP},
    grid::{batch_rows, resident_blocks},
    modules::{KernelVariant, value},
    resident::LoadedCodec,
};
use crate::{
    Packed, Result, TRELLIS_LEVELS,
    trellis::{JOINT, SHORT_RING},
};
use selvedge_kernels::Op;

const THREADS: u32 = 128;
const WARPS: usize = THREADS as usize / WARP;
/// Limit on the scratch memory of trellis searches, unless one block needs more.
const SCRATCH_BYTES: usize = 256 << 20;

pub(super) const CONSTANTS: [Constant; 4] = [
    ("THREADS", THREADS as i64),
    ("JOINT", JOINT as i64),
    ("SHORT_RING", SHORT_RING as i64),
    ("TRELLIS_LEVELS", TRELLIS_LEVELS as i64),
];

/// Launches [`crate::Backend::compress`].
///
/// # Panics
/// If lengths do not fit, a code is not below `K`, or the codec is of another `Cuda`.
pub(super) fn compress(cuda: &Cuda, loaded: &LoadedCodec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
    let (codec, rules) = (&loaded.host, &loaded.rules);
    loaded.centroids.assert_of(&cuda.context);
    assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
    assert!(codes.iter().all(|&code| (code as usize) < codec.num_centroids()), "codes are below K");
    let kernel = cuda.modules.kernel(Op::Compress, KernelVariant::codec(codec), "compress")?;
    let mut packed = Packed::default();
    let batch = batch_rows(codec.dim);
    for (embeddings, codes) in embeddings.chunks(batch * codec.dim).zip(codes.chunks(batch)) {
        let mut blocks = resident_blocks(&cuda.context, codes.len(), THREADS);
        let (rows, num) = (codes.len(), codes.len() as u32);
        let (embeddings, codes) = (cuda.context.upload(embeddings)?, cuda.context.upload(codes)?);
        let weights = cuda.context.allocate::<u8>(rows)?;
        let rows = cuda.context.allocate::<u8>(rows * codec.row_bytes())?;
        let mut taken = 0;
        if rules.metric.is_some() {
            // A byte per lane and component of the longest walk.
            let of_block = codec.dim.max(2 * JOINT) * WARP * WARPS;
            blocks.0 = blocks.0.min((SCRATCH_BYTES / of_block).max(1));
            taken = blocks.0 * of_block;
        }
        let taken = cuda.context.allocate::<u8>(taken)?;
        let mut arguments = vec![rows.argument(), weights.argument()];
        if let Some(metric) = &rules.metric {
            arguments.extend([taken.argument(), value(&metric.argument)]);
        }
        let centroids = &loaded.centroids;
        arguments.extend([embeddings.argument(), codes.argument(), centroids.argument()]);
        arguments.extend([value(&rules.argument), value(&num)]);
        // SAFETY: the arguments match the kernel's parameters, which include the two of a trellis if the codec is one;
        // the arrays are (num, W), (num), (num, D), (num) and (K, D), and `taken` has a byte per lane and component of
        // each warp.
        unsafe { kernel.launch(blocks, THREADS, &arguments)? };
        packed.residuals.extend(rows.download()?);
        packed.weights.extend(weights.download()?);
    }
    Ok(packed)
}
