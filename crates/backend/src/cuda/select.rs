//! The best of many entries, by entry descending, then id ascending: kernels/select.cuh.

use super::{
    Cuda,
    constants::Constant,
    context::Buffer,
    modules::{Argument, KernelVariant, value},
};
use crate::Result;
use bytemuck::{Pod, Zeroable};
use selvedge_kernels::Op;
use std::mem::offset_of;

/// Number of values of a digit; a block has one thread for each of them.
const DIGIT_VALUES: usize = 256;
const THREADS: u32 = DIGIT_VALUES as u32;
/// Minimum number of entries per block, unless there is only one block.
const BLOCK_ENTRIES: usize = 4096;
/// Bits of a digit, and of an entry.
const DIGIT_BITS: u32 = DIGIT_VALUES.ilog2();
const ENTRY_BITS: u32 = 32;

pub(super) const CONSTANTS: [Constant; 1] = [("DIGITS", DIGIT_VALUES as i64)];

/// The state of a column: `Selection` of kernels/select.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Selection {
    prefix: u64,
    remaining: u32,
    done: u32,
    better: u32,
    equal: u32,
    counts: [u32; DIGIT_VALUES],
}

// kernels/select.cuh asserts the same.
const _: () = {
    assert!(size_of::<Selection>() == 24 + 4 * DIGIT_VALUES);
    assert!(offset_of!(Selection, remaining) == 8 && offset_of!(Selection, done) == 12);
    assert!(offset_of!(Selection, better) == 16 && offset_of!(Selection, equal) == 20);
    assert!(offset_of!(Selection, counts) == 24);
};

/// The entries to select from, in columns.
pub(super) struct Columns<'a> {
    /// Entry `e` of column `i` is number `e * stride + i`.
    pub(super) entries: &'a Buffer<i32>,
    pub(super) num: usize,
    pub(super) stride: usize,
    pub(super) columns: usize,
    /// Ids of the entries, or a null pointer if their numbers are the ids.
    pub(super) ids: Argument<'a>,
    /// A bound above every id.
    pub(super) ids_end: u64,
}

/// Returns the best `most` entries of each column (all, if there are fewer) as `(id, entry)`, best first. Entries equal
/// to `NO_MATCH` are left out. `op` is the op whose source includes kernels/select.cuh.
pub(super) fn best(cuda: &Cuda, op: Op, columns: &Columns<'_>, most: usize) -> Result<Vec<Vec<(u32, i32)>>> {
    let most = most.min(columns.num);
    if most == 0 {
        return Ok(vec![Vec::new(); columns.columns]);
    }
    let digits_of_id = (u64::BITS - columns.ids_end.saturating_sub(1).leading_zeros()).div_ceil(DIGIT_BITS);
    // Ids are below 2^(8 * digits), so the digits above them are ones in every key.
    let prefix = u64::from(u32::MAX) & !((1 << (DIGIT_BITS * digits_of_id)) - 1);
    let start = Selection { prefix, remaining: most as u32, ..Selection::zeroed() };
    let selections = cuda.context.upload(&vec![start; columns.columns])?;
    let best = cuda.context.zeros::<u64>(columns.columns * most)?;
    let select_digit = cuda.modules.kernel(op, KernelVariant::NONE, "select_digit")?;
    let collect = cuda.modules.kernel(op, KernelVariant::NONE, "collect")?;

    let per_column = (cuda.context.device().multiprocessors as usize * 4).div_ceil(columns.columns);
    let blocks = (columns.num.div_ceil(BLOCK_ENTRIES).min(per_column), columns.columns);
    let (num, stride, width) = (columns.num as u32, columns.stride as u32, most as u32);
    let (entries, ids) = (columns.entries.argument(), columns.ids);
    let shifts = (0..ENTRY_BITS / DIGIT_BITS).map(|digit| 2 * ENTRY_BITS - DIGIT_BITS * (digit + 1));
    for shift in shifts.chain((0..digits_of_id).rev().map(|digit| DIGIT_BITS * digit)) {
        let arguments = [selections.argument(), entries, ids, value(&num), value(&stride), value(&shift)];
        // SAFETY: the arguments match the kernel's parameters; the caller has entries for all columns, and each has a
        // selection.
        unsafe { select_digit.launch(blocks, THREADS, &arguments)? };
    }
    let arguments = [best.argument(), selections.argument(), entries, ids, value(&num), value(&stride), value(&width)];
    // SAFETY: as above; `best` is (columns, most).
    unsafe { collect.launch(blocks, THREADS, &arguments)? };
    let mut best = best.download()?;
    let in_order = |keys: &mut [u64]| {
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.iter()
            .filter(|&&key| key != 0)
            .map(|&key| (!(key as u32), ((key >> ENTRY_BITS) as u32 ^ 1 << 31) as i32))
            .collect()
    };
    Ok(best.chunks_exact_mut(most).map(in_order).collect())
}
