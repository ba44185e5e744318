//! The best of many entries, by entry descending, then id ascending: kernels/select.cuh.

use super::{
    Cuda,
    context::Buffer,
    modules::{Argument, KernelVariant, value},
};
use crate::Result;
use bytemuck::{Pod, Zeroable};
use selvedge_kernels::Op;

const THREADS: u32 = 256;
/// Entries that a block reads at least, before there is another one.
const BLOCK_ENTRIES: usize = 4096;
/// Bits of a digit, and of an entry.
const DIGIT: u32 = 8;
const ENTRY: u32 = 32;

/// `Selection` of kernels/select.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Selection {
    prefix: u64,
    wanted: u32,
    done: u32,
    better: u32,
    equal: u32,
    counts: [u32; 256],
}

/// Where entries lie.
pub(super) struct Columns<'a> {
    /// Entry `e` of column `i` at `e * stride + i`.
    pub(super) entries: &'a Buffer<i32>,
    pub(super) num: usize,
    pub(super) stride: usize,
    pub(super) columns: usize,
    /// What entries are known by, null for their numbers, and the end of these.
    pub(super) ids: Argument<'a>,
    pub(super) ids_end: u64,
}

/// Of each column the best `most`, best first, as `(id, entry)`; fewer where there are fewer. `op` is whose kernels run.
pub(super) fn best(cuda: &Cuda, op: Op, columns: &Columns<'_>, most: usize) -> Result<Vec<Vec<(u32, i32)>>> {
    let most = most.min(columns.num);
    if most == 0 {
        return Ok(vec![Vec::new(); columns.columns]);
    }
    let digits_of_id = (u64::BITS - columns.ids_end.saturating_sub(1).leading_zeros()).div_ceil(DIGIT);
    // Ids are below 2^(8 * digits), so that the digits above them are ones in every key.
    let prefix = u64::from(u32::MAX) & !((1 << (DIGIT * digits_of_id)) - 1);
    let fresh = Selection { prefix, wanted: most as u32, ..Selection::zeroed() };
    let selections = cuda.context.upload(&vec![fresh; columns.columns])?;
    let kept = cuda.context.zeros::<u64>(columns.columns * most)?;
    let digit = cuda.modules.kernel(op, KernelVariant::NONE, "select_digit")?;
    let collect = cuda.modules.kernel(op, KernelVariant::NONE, "collect")?;

    let per_column = (cuda.context.device().multiprocessors as usize * 4).div_ceil(columns.columns);
    let blocks = (columns.num.div_ceil(BLOCK_ENTRIES).min(per_column), columns.columns);
    let (num, stride, most_kept) = (columns.num as u32, columns.stride as u32, most as u32);
    let shifts = (0..ENTRY / DIGIT).map(|digit| 2 * ENTRY - DIGIT * (digit + 1));
    for shift in shifts.chain((0..digits_of_id).rev().map(|digit| DIGIT * digit)) {
        let arguments = [
            columns.entries.argument(),
            value(&num),
            value(&stride),
            columns.ids,
            value(&shift),
            selections.argument(),
        ];
        // SAFETY: the arguments are the kernel's; the caller has entries for all columns, there is a selection for each.
        unsafe { digit.launch(blocks, THREADS, &arguments)? };
    }
    let arguments = [
        columns.entries.argument(),
        value(&num),
        value(&stride),
        columns.ids,
        value(&most_kept),
        selections.argument(),
        kept.argument(),
    ];
    // SAFETY: the same; there is room for `most` of each column.
    unsafe { collect.launch(blocks, THREADS, &arguments)? };
    let mut kept = kept.download()?;
    let in_order = |keys: &mut [u64]| {
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.iter()
            .filter(|&&key| key != 0)
            .map(|&key| (!(key as u32), ((key >> ENTRY) as u32 ^ 1 << 31) as i32))
            .collect()
    };
    Ok(kept.chunks_exact_mut(most).map(in_order).collect())
}
