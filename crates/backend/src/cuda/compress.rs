//! `compress`: kernels/compress.cu, kernels/trellis.cuh.

use super::{
    Cuda,
    calls::CudaStream,
    constants::{Constant, WARP},
    context::{Buffer, Context},
    grid::{batch_rows, resident_blocks},
    modules::{Kernel, KernelVariant, value},
    resident::LoadedCodec,
};
use crate::{
    Packed, Result, TRELLIS_LEVELS,
    trellis::{JOINT, SHORT_RING},
};
use selvedge_kernels::Op;
use std::sync::Arc;

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

/// The kernel of `compress` for one coding.
#[derive(Debug)]
pub(super) struct CompressKernel {
    context: Arc<Context>,
    kernel: Kernel,
}

/// Results of a launch.
#[derive(Debug)]
pub(super) struct Compressed {
    /// `(N, W)`.
    pub(super) rows: Buffer<u8>,
    /// `(N)`.
    pub(super) weights: Buffer<u8>,
    /// Scratch memory of the launch.
    _taken: Buffer<u8>,
}

impl CompressKernel {
    pub(super) fn new(cuda: &Cuda, loaded: &LoadedCodec) -> Result<Self> {
        let kernel = cuda.modules.kernel(Op::Compress, KernelVariant::codec(&loaded.host), "compress")?;
        Ok(Self { context: Arc::clone(&cuda.context), kernel })
    }

    /// Number of blocks for `num` embeddings, and bytes of their scratch memory.
    fn blocks(&self, loaded: &LoadedCodec, num: usize) -> (usize, usize) {
        let (blocks, _) = resident_blocks(&self.context, num, THREADS);
        if loaded.rules.metric.is_none() {
            return (blocks, 0);
        }
        // A byte per lane and component of the longest walk.
        let of_block = loaded.host.dim.max(2 * JOINT) * WARP * WARPS;
        let blocks = blocks.min((SCRATCH_BYTES / of_block).max(1));
        (blocks, blocks * of_block)
    }

    /// Bytes of scratch memory that a launch for `num` embeddings needs.
    pub(super) fn scratch_bytes(&self, loaded: &LoadedCodec, num: usize) -> u64 {
        self.blocks(loaded, num).1 as u64
    }

    /// Compresses `embeddings (N, D)` with `codes (N)`.
    ///
    /// # Safety
    /// The codes are below K, and the embeddings and codes are there when the stream comes to the launch.
    pub(super) unsafe fn launch(
        &self,
        stream: &Arc<CudaStream>,
        loaded: &LoadedCodec,
        embeddings: &Buffer<f32>,
        codes: &Buffer<u32>,
    ) -> Result<Compressed> {
        let (codec, rules, num) = (&loaded.host, &loaded.rules, codes.len() as u32);
        assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
        let (blocks, scratch_bytes) = self.blocks(loaded, codes.len());
        let allocate = |bytes| self.context.allocate_on::<u8>(stream, bytes);
        let weights = allocate(codes.len())?;
        let rows = allocate(codes.len() * codec.row_bytes())?;
        let taken = allocate(scratch_bytes)?;
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
        unsafe { self.kernel.launch_on(stream, (blocks, 1), THREADS, &arguments)? };
        Ok(Compressed { rows, weights, _taken: taken })
    }
}

/// Launches [`crate::Backend::compress`].
///
/// # Panics
/// If lengths do not fit, a code is not below `K`, or the codec is of another `Cuda`.
pub(super) fn compress(cuda: &Cuda, loaded: &LoadedCodec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
    let codec = &loaded.host;
    loaded.centroids.assert_of(&cuda.context);
    assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
    assert!(codes.iter().all(|&code| (code as usize) < codec.num_centroids()), "codes are below K");
    let kernel = CompressKernel::new(cuda, loaded)?;
    let mut packed = Packed::default();
    let batch = batch_rows(codec.dim);
    for (embeddings, codes) in embeddings.chunks(batch * codec.dim).zip(codes.chunks(batch)) {
        let (embeddings, codes) = (cuda.context.upload(embeddings)?, cuda.context.upload(codes)?);
        // SAFETY: the codes are below K; all is on one stream.
        let compressed = unsafe { kernel.launch(cuda.context.stream(), loaded, &embeddings, &codes)? };
        packed.residuals.extend(compressed.rows.download()?);
        packed.weights.extend(compressed.weights.download()?);
    }
    Ok(packed)
}
