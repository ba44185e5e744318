//! The tokens of passages as rows of int8: kernels/rows.cu.

use super::{
    Cuda,
    calls::CudaStream,
    chosen::ChosenArgument,
    constants::{CHUNK, Constant, TILE_COLUMNS, TILE_DEPTH, WARP},
    context::Buffer,
    grid::{blocks_of_warps, resident_blocks},
    modules::{Kernel, KernelVariant, value},
    resident::{LoadedCodec, SegmentArgument},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 128;
/// The number 1 as a factor of a row, which has this many steps.
const ONE: i16 = 256;

pub(super) const CONSTANTS: [Constant; 2] = [("THREADS", THREADS as i64), ("ONE", ONE as i64)];

/// Tokens of a tile.
pub(super) const TILE_TOKENS: usize = TILE_COLUMNS;

/// Bytes of a tile of rows.
pub(super) fn tile_bytes(dim: usize) -> usize {
    dim.div_ceil(TILE_DEPTH) * WARP * CHUNK
}

/// Passages of a segment whose rows are made by one launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) segment: SegmentArgument,
    /// First token.
    pub(super) base: u32,
    /// First passage of the segment.
    pub(super) first: u32,
    /// Number of passages.
    pub(super) num: u32,
    /// Tiles from the first one of the first passage to before the first one after the last passage.
    pub(super) tiles: u32,
}

/// Numbers that the rows of a codec's tokens are made with.
#[derive(Debug)]
pub(super) struct RowFactors {
    /// Centroids in the order of components of kernels/levels.cuh, `(K, D) i8`.
    centroids: Buffer<i8>,
    /// A pair of i16 for each weight index.
    factors: Buffer<u32>,
}

/// Returns the factors of a weight index, as an i16 each: of the centroid, in the lower half, and of the levels. They
/// saturate.
pub(super) fn factors(centroid_weight: u8, residual_weight: u8, table_factor: f32, step: f64) -> u32 {
    let one = f64::from(ONE) / step;
    let of_centroid = (f64::from(centroid_weight) * f64::from(table_factor) * one).round_ties_even() as i16;
    let of_levels = (f64::from(residual_weight) * one).round_ties_even() as i16;
    u32::from(of_levels as u16) << 16 | u32::from(of_centroid as u16)
}

/// The largest component of the tokens of some segments, then the largest distance of a token from its row. Waits for
/// both.
pub(super) struct Measure<'a> {
    cuda: &'a Cuda,
    codec: &'a LoadedCodec,
    /// The segments, each with its number of tokens.
    segments: &'a [(SegmentArgument, u32)],
    centroids: Buffer<i8>,
    most: Buffer<u64>,
}

impl<'a> Measure<'a> {
    /// Arranges the centroids.
    pub(super) fn new(cuda: &'a Cuda, codec: &'a LoadedCodec, segments: &'a [(SegmentArgument, u32)]) -> Result<Self> {
        let centroids = cuda.context.allocate(codec.host.centroids.len())?;
        let (argument, num_centroids) = (codec.argument(), codec.host.num_centroids() as u32);
        let blocks = (codec.host.centroids.len() / CHUNK).div_ceil(THREADS as usize);
        let kernel = kernel(cuda, codec, "arrange")?;
        // SAFETY: the arguments match the kernel's parameters, and the arranged centroids are (K, D).
        unsafe {
            kernel.launch((blocks, 1), THREADS, &[centroids.argument(), value(&argument), value(&num_centroids)])?
        };
        Ok(Self { cuda, codec, segments, centroids, most: cuda.context.zeros(1)? })
    }

    /// Returns the largest absolute value of a component.
    pub(super) fn largest(&mut self) -> Result<f64> {
        let kernel = kernel(self.cuda, self.codec, "largest")?;
        let (codec, factor) = (self.codec.argument(), self.factor());
        self.most = self.cuda.context.zeros(1)?;
        for (segment, tokens) in self.segments {
            let arguments = [
                self.most.argument(),
                value(segment),
                value(&codec),
                self.centroids.argument(),
                value(&factor),
                value(tokens),
            ];
            // SAFETY: the arguments match the kernel's parameters; the segment has these tokens.
            unsafe { kernel.launch(self.blocks(*tokens), THREADS, &arguments)? };
        }
        Ok(f64::from_bits(self.most.download()?[0]))
    }

    /// Returns what rows of this step are made with, and the largest square of a distance.
    pub(super) fn farthest(mut self, step: f64) -> Result<(RowFactors, f64)> {
        let host = &self.codec.host;
        let weights = host.centroid_weights.iter().zip(&host.residual_weights);
        let factors: Vec<u32> = weights.map(|(&n, &g)| factors(n, g, host.table_factor(), step)).collect();
        let factors = self.cuda.context.upload(&factors)?;
        let kernel = kernel(self.cuda, self.codec, "farthest")?;
        let (codec, factor) = (self.codec.argument(), self.factor());
        self.most = self.cuda.context.zeros(1)?;
        for (segment, tokens) in self.segments {
            let arguments = [
                self.most.argument(),
                value(segment),
                value(&codec),
                self.centroids.argument(),
                value(&factor),
                factors.argument(),
                value(&step),
                value(tokens),
            ];
            // SAFETY: as in `largest`, and there are factors for each weight index.
            unsafe { kernel.launch(self.blocks(*tokens), THREADS, &arguments)? };
        }
        let farthest = f64::from_bits(self.most.download()?[0]);
        Ok((RowFactors { centroids: self.centroids, factors }, farthest))
    }

    fn factor(&self) -> f64 {
        self.codec.host.table_factor().into()
    }

    fn blocks(&self, tokens: u32) -> (usize, usize) {
        resident_blocks(&self.cuda.context, (tokens as usize).div_ceil(TILE_TOKENS), THREADS)
    }
}

fn kernel(cuda: &Cuda, codec: &LoadedCodec, name: &'static str) -> Result<Kernel> {
    cuda.modules.kernel(Op::Rows, KernelVariant::codec(&codec.host), name)
}

/// The kernel that [`launch`] launches.
pub(super) fn kernel_of_rows(cuda: &Cuda, codec: &LoadedCodec) -> Result<Kernel> {
    kernel(cuda, codec, if codec.by_window { "rows_windows" } else { "rows" })
}

/// The kernel that [`launch_slabs`] launches.
pub(super) fn kernel_of_slabs(cuda: &Cuda, codec: &LoadedCodec) -> Result<Kernel> {
    kernel(cuda, codec, if codec.by_window { "slabs_windows" } else { "slabs" })
}

/// Writes the rows of a run.
///
/// # Safety
/// `rows` has the tiles of the run, and the factors are of the codec.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    stream: &CudaStream,
    rows: &Buffer<i8>,
    codec: &LoadedCodec,
    RowFactors { centroids, factors }: &RowFactors,
    run: &Run,
) -> Result<()> {
    let codec = codec.argument();
    let arguments = [
        rows.argument(),
        value(&run.segment),
        value(&codec),
        centroids.argument(),
        factors.argument(),
        value(&run.base),
        value(&run.first),
        value(&run.num),
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees the lengths.
    unsafe { kernel.launch_on(stream, blocks_of_warps(run.num as usize, THREADS), THREADS, &arguments) }
}

/// Writes the rows of the chosen passages of a run as `filter_wgmma` reads them, and the passages that tiles end.
///
/// # Safety
/// `rows` has the tiles of the run and `ends` as many numbers, the offsets of the run ascend, and the factors are of
/// the codec.
pub(super) unsafe fn launch_slabs(
    kernel: &Kernel,
    stream: &CudaStream,
    (rows, ends): (&Buffer<i8>, &Buffer<u32>),
    codec: &LoadedCodec,
    RowFactors { centroids, factors }: &RowFactors,
    chosen: ChosenArgument,
    run: &Run,
) -> Result<()> {
    let codec = codec.argument();
    let arguments = [
        rows.argument(),
        ends.argument(),
        value(&run.segment),
        value(&codec),
        centroids.argument(),
        factors.argument(),
        chosen.argument(),
        value(&run.base),
        value(&run.first),
        value(&run.num),
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees the lengths.
    unsafe { kernel.launch_on(stream, blocks_of_warps(run.num as usize, THREADS), THREADS, &arguments) }
}
