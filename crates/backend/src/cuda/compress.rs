//! `compress`: kernels/compress.cu, kernels/trellis.cuh.

use super::{
    Cuda,
    context::Buffer,
    launches::{WARP, batch_rows, resident_blocks},
    modules::{Special, value},
    resident::padded_levels,
};
use crate::{
    CheckedCodec, Codec, Packed, RADIAL_WEIGHT, ResidualForm, Result, RowCoding, ScaleRule,
    trellis::{JOINT, TrellisMetric},
};
use bytemuck::{Pod, Zeroable};
use selvedge_kernels::Op;

const THREADS: u32 = 128;
/// Bytes of what trellis searches remember, at most, unless one warp needs more.
const TAKEN_BYTES: usize = 256 << 20;

/// `Rules` of kernels/compress.cu.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct RulesArgument {
    norms: u64,
    gains: u64,
    cutoffs: u64,
    midpoints: u64,
    levels: u64,
    centroid_scale: f32,
    ratio: f32,
    radial_weight: f32,
    entries: u32,
    orthogonal: u32,
    rule: u32,
}

/// `Metric` of kernels/trellis.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct MetricArgument {
    levels: u64,
    factor: f32,
    bound: f32,
}

/// A metric, and what it points to.
struct Metric {
    argument: MetricArgument,
    _levels: Buffer<i32>,
}

/// What [`RulesArgument`] points to.
struct Rules {
    argument: RulesArgument,
    _floats: [Buffer<f32>; 4],
    _levels: Buffer<i8>,
}

impl Rules {
    fn new(cuda: &Cuda, codec: &Codec) -> Result<Self> {
        let norms: Vec<f32> = codec.norms.iter().map(|&n| codec.norm_unit * f32::from(n)).collect();
        let gains: Vec<f32> = codec.gains.iter().map(|&g| codec.gain_unit * f32::from(g)).collect();
        let largest = (0..norms.len()).fold(0, |a, b| if norms[b] > norms[a] { b } else { a });
        let midpoints = crate::reference::midpoints(codec);
        let ratio = gains[largest] / norms[largest];
        let upload = |floats: &[f32]| cuda.context.upload(floats);
        let floats = [upload(&norms)?, upload(&gains)?, upload(&codec.cutoffs)?, upload(&midpoints)?];
        let levels = cuda.context.upload(&padded_levels(codec))?;
        let [norms, gains, cutoffs, midpoints] = floats.each_ref().map(|buffer| *buffer.pointer());
        let argument = RulesArgument {
            norms,
            gains,
            cutoffs,
            midpoints,
            levels: *levels.pointer(),
            centroid_scale: codec.centroid_scale,
            ratio,
            radial_weight: RADIAL_WEIGHT,
            entries: codec.norms.len() as u32,
            orthogonal: u32::from(codec.form == ResidualForm::Orthogonal),
            rule: match codec.rule {
                ScaleRule::KeepLength => 0,
                ScaleRule::KeepLengthRefit => 1,
                ScaleRule::UnitNorm => 2,
            },
        };
        Ok(Self { argument, _floats: floats, _levels: levels })
    }
}

/// See [`crate::Backend::compress`].
///
/// # Panics
/// If lengths do not fit, or a code is not below `K`.
pub(super) fn compress(cuda: &Cuda, codec: &CheckedCodec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
    assert_eq!(embeddings.len(), codes.len() * codec.dim, "one code for each embedding");
    assert!(codes.iter().all(|&code| (code as usize) < codec.num_centroids()), "codes are below K");
    let kernel = cuda.modules.kernel(Op::Compress, Special::codec(codec), "compress")?;
    let rules = Rules::new(cuda, codec)?;
    let centroids = cuda.context.upload(&codec.centroids)?;
    let metric = match codec.coding {
        RowCoding::Trellis { step } if codec.nbits > 0 => Some(Metric::new(cuda, codec, step)?),
        _ => None,
    };
    let mut packed = Packed::default();
    let batch = batch_rows(codec.dim);
    for (embeddings, codes) in embeddings.chunks(batch * codec.dim).zip(codes.chunks(batch)) {
        let num = codes.len();
        let (embeddings, codes) = (cuda.context.upload(embeddings)?, cuda.context.upload(codes)?);
        let rows = cuda.context.allocate::<u8>(num * codec.row_bytes())?;
        let scales = cuda.context.allocate::<u8>(num)?;
        let mut blocks = resident_blocks(&cuda.context, num, THREADS);
        let of_warp = codec.dim.max(2 * JOINT) * WARP;
        let warps = THREADS as usize / WARP;
        let taken = if metric.is_some() {
            blocks.0 = blocks.0.min((TAKEN_BYTES / (of_warp * warps)).max(1));
            blocks.0 * warps * of_warp
        } else {
            0
        };
        let taken = cuda.context.allocate::<u8>(taken)?;
        let count = num as u32;
        let mut arguments =
            vec![embeddings.argument(), codes.argument(), value(&count), centroids.argument(), value(&rules.argument)];
        if let Some(metric) = &metric {
            arguments.extend([value(&metric.argument), taken.argument()]);
        }
        arguments.extend([rows.argument(), scales.argument()]);
        // SAFETY: the arguments are the kernel's, which has the two of a trellis if the codec is one; the arrays are
        // (num, D), (num), (K, D), (num, W) and (num), and each warp has its room for what it takes.
        unsafe { kernel.launch(blocks, THREADS, &arguments)? };
        packed.residuals.extend(rows.download()?);
        packed.scales.extend(scales.download()?);
    }
    Ok(packed)
}

impl Metric {
    fn new(cuda: &Cuda, codec: &Codec, step: f32) -> Result<Self> {
        let metric = TrellisMetric::new(codec.nbits, &codec.levels, step);
        let levels = cuda.context.upload(&metric.levels.map(i32::from))?;
        let argument = MetricArgument { levels: *levels.pointer(), factor: metric.factor, bound: metric.bound };
        Ok(Self { argument, _levels: levels })
    }
}
