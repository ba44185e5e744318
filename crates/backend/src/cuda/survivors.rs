//! The passages that may be among the best by the sums of a filter: kernels/survivors.cu.

use super::{
    calls::CudaStream,
    chosen::ChosenArgument,
    constants::Constant,
    context::{Buffer, Context},
    filter::{BatchArgument, MOST_QUERIES},
    grid::resident_blocks,
    modules::{Kernel, value},
    resident::SegmentArgument,
};
use crate::{Result, score_shift};
use bytemuck::{Pod, Zeroable};
use std::mem::offset_of;

const THREADS: u32 = 256;
/// Number of survivors of a query for which the bound does not hold.
pub(super) const NONE_CERTIFIED: u32 = u32::MAX;

pub(super) const CONSTANTS: [Constant; 3] =
    [("THREADS", THREADS as i64), ("MOST_QUERIES", MOST_QUERIES as i64), ("NONE_CERTIFIED", NONE_CERTIFIED as i64)];

/// Numbers that bound the distance of a sum from a score: `Bound` of kernels/survivors.cu.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct BoundArgument {
    /// A component of a row as a real number.
    pub(super) step: f64,
    /// The largest distance of a row from its token.
    pub(super) distance: f64,
    /// The largest centroid weight.
    pub(super) weight: f64,
    /// Largest length of a query's row with which no entry of the centroid table is clamped.
    pub(super) most_length: f64,
}

// kernels/survivors.cu asserts the same.
const _: () = assert!(size_of::<BoundArgument>() == 32 && offset_of!(BoundArgument, weight) == 16);

/// The query whose survivors are kept.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// `(Q, D) i8`.
    pub(super) rows: &'a Buffer<i8>,
    pub(super) query_len: usize,
    pub(super) dim: usize,
    pub(super) bound: BoundArgument,
}

/// The places of the survivors.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) keys: &'a Buffer<u64>,
    /// Number of keys.
    pub(super) slots: usize,
    pub(super) threshold: &'a Buffer<i32>,
    /// Address of the number of survivors, a u32.
    pub(super) number: u64,
}

/// Launches `begin`: the first values of the sums of `num_pids` pids.
///
/// # Safety
/// The queries of the batch have as many sums, and the chosen passages are all or a set.
pub(super) unsafe fn launch_begin(
    kernel: &Kernel,
    (context, stream): (&Context, &CudaStream),
    batch: &BatchArgument,
    segments: &Buffer<SegmentArgument>,
    (chosen, num_pids): (ChosenArgument, usize),
) -> Result<()> {
    let blocks = resident_blocks(context, num_pids.div_ceil(super::constants::WARP), THREADS);
    let [num_segments, num_pids] = [segments.len(), num_pids].map(|size| size as u32);
    let arguments = [value(batch), segments.argument(), chosen.argument(), value(&num_segments), value(&num_pids)];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, blocks, THREADS, &arguments) }
}

/// Launches `threshold`: by the keys of the best `k` sums, whose number is at the address `found`.
///
/// # Safety
/// `best` has `k` keys, the rows are `(Q, D)`, and the keys that are kept are as many as the slots.
pub(super) unsafe fn launch_threshold(
    kernel: &Kernel,
    (context, stream): (&Context, &CudaStream),
    Kept { keys, slots, threshold, number }: Kept<'_>,
    (best, found, k): (&Buffer<u64>, u64, usize),
    Asked { rows, query_len, dim, bound }: Asked<'_>,
) -> Result<()> {
    let blocks = resident_blocks(context, slots.div_ceil(super::constants::WARP), THREADS);
    let [k, slots, query_len, dim, shift] =
        [k, slots, query_len, dim, score_shift(query_len) as usize].map(|size| size as u32);
    let arguments = [
        keys.argument(),
        threshold.argument(),
        value(&number),
        best.argument(),
        value(&found),
        rows.argument(),
        value(&bound),
        value(&k),
        value(&slots),
        value(&query_len),
        value(&dim),
        value(&shift),
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, blocks, THREADS, &arguments) }
}

/// Launches `survivors`: keeps the chosen passages of `num_pids` whose sums are at least the threshold.
///
/// # Safety
/// There are as many sums, a threshold and a number, and the chosen passages are all or a set.
pub(super) unsafe fn launch_survivors(
    kernel: &Kernel,
    (context, stream): (&Context, &CudaStream),
    Kept { keys, slots, threshold, number }: Kept<'_>,
    sums: &Buffer<i32>,
    (chosen, num_pids): (ChosenArgument, usize),
) -> Result<()> {
    let blocks = resident_blocks(context, num_pids.div_ceil(super::constants::WARP), THREADS);
    let [num_pids, slots] = [num_pids, slots].map(|size| size as u32);
    let arguments = [
        keys.argument(),
        value(&number),
        sums.argument(),
        threshold.argument(),
        chosen.argument(),
        value(&num_pids),
        value(&slots),
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, blocks, THREADS, &arguments) }
}
