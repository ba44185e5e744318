//! The best of many entries, by entry descending, then id ascending: kernels/select.cuh.

use super::{
    calls::CudaStream,
    chosen::ChosenArgument,
    constants::{Constant, PANEL},
    context::{Buffer, Context},
    modules::{Argument, Kernel, value},
    table::Table,
};
use crate::Result;
use bytemuck::{Pod, Zeroable};
use std::mem::offset_of;

/// Number of values of a digit; a block has one thread for each of them.
const DIGIT_VALUES: usize = 256;
pub(super) const THREADS: u32 = DIGIT_VALUES as u32;
/// Keys that a thread holds. More were not compared: a chunk of few entries has as many for all threads.
const HELD_KEYS: usize = 8;
/// Entries that a block selects from without reading them again. More chunks of fewer entries leave more keys to the
/// last block; other sizes were not measured.
const HELD_CHUNK: usize = HELD_KEYS * DIGIT_VALUES;
/// Blocks per multiprocessor that select from chunks.
const BLOCKS_OF_MULTIPROCESSOR: usize = 4;
const ENTRY_BITS: u32 = 32;

/// Number of keys up to which a block sorts what it has selected: the host sorts more of them in less time. Not
/// measured.
pub(super) const MOST_SORTED: usize = 1 << 14;

pub(super) const CONSTANTS: [Constant; 3] =
    [("DIGITS", DIGIT_VALUES as i64), ("HELD_KEYS", HELD_KEYS as i64), ("MOST_SORTED", MOST_SORTED as i64)];

/// The entries to select from: `Entries` of kernels/select.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct EntriesArgument {
    keys: u64,
    entries: u64,
    norm: u64,
    chosen: ChosenArgument,
    num: u32,
    stride: u32,
    narrow_below: u32,
    unused: u32,
}

// kernels/select.cuh asserts the same.
const _: () = {
    assert!(size_of::<EntriesArgument>() == 64 && offset_of!(EntriesArgument, chosen) == 24);
    assert!(offset_of!(EntriesArgument, num) == 48 && offset_of!(EntriesArgument, narrow_below) == 56);
};

impl EntriesArgument {
    const NONE: Self = Self {
        keys: 0,
        entries: 0,
        norm: 0,
        chosen: ChosenArgument::ALL,
        num: 0,
        stride: 0,
        narrow_below: 0,
        unused: 0,
    };

    /// The scores of `num` chosen passages.
    pub(super) fn scores(scores: &Buffer<i32>, chosen: ChosenArgument, num: usize) -> Self {
        Self { entries: *scores.pointer(), chosen, num: num as u32, stride: 1, ..Self::NONE }
    }

    /// The maxima of a table's columns.
    pub(super) fn maxima(table: &Table) -> Self {
        Self {
            entries: table.maxima(),
            norm: *table.norm.pointer(),
            num: table.num_groups() as u32,
            stride: PANEL as u32,
            narrow_below: table.narrow_below,
            ..Self::NONE
        }
    }

    /// Keys that were selected, `(columns, num)`.
    pub(super) fn keys(keys: &Buffer<u64>, num: usize) -> Self {
        Self { keys: *keys.pointer(), num: num as u32, ..Self::NONE }
    }

    /// Number of entries of a column.
    pub(super) fn num(&self) -> usize {
        self.num as usize
    }

    /// Passes the structure to a kernel.
    pub(super) fn argument(&self) -> Argument<'_> {
        value(self)
    }
}

/// A division of entries into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    /// Entries of a chunk, but for the last one.
    pub(super) len: usize,
    pub(super) number: usize,
}

impl Chunks {
    /// Divides `num` entries of each of `columns` columns, of which the best `most` are selected; `None` if one block
    /// selects from all of a column.
    ///
    /// A block of `c` reads `num / c` entries, and then one block `c * most` keys: least in sum for the root of `num /
    /// most`.
    pub(super) fn new(context: &Context, num: usize, columns: usize, most: usize) -> Option<Self> {
        let busy = context.device().multiprocessors as usize * BLOCKS_OF_MULTIPROCESSOR / columns.max(1);
        let number = (num / most.max(1)).isqrt().min(busy).min(num.div_ceil(HELD_CHUNK));
        if number < 2 {
            return None;
        }
        let len = num.div_ceil(number);
        Some(Self { len, number: num.div_ceil(len) })
    }
}

/// Launches `best_of_chunks` of kernels/top_k.cu: writes the best `most` of each chunk of `columns` columns to `best`.
///
/// # Safety
/// `best` has `(columns, chunks, most)` keys, and `entries` are as long as they say.
pub(super) unsafe fn launch_chunks(
    kernel: &Kernel,
    stream: &CudaStream,
    best: &Buffer<u64>,
    entries: &EntriesArgument,
    (chunks, columns): (Chunks, usize),
    most: usize,
) -> Result<()> {
    let (chunk, most) = (chunks.len as u32, most as u32);
    let arguments = [best.argument(), entries.argument(), value(&chunk), value(&most)];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, (chunks.number, columns), THREADS, &arguments) }
}

/// Number of keys that are allocated for the best `most`: a power of two, for the sort.
pub(super) fn padded(most: usize) -> usize {
    most.max(1).next_power_of_two()
}

/// The ids and entries of keys that were selected, best first; zeros are left out.
pub(super) fn pairs(mut keys: Vec<u64>) -> impl Iterator<Item = (u32, i32)> {
    if keys.len() > MOST_SORTED {
        keys.sort_unstable_by(|a, b| b.cmp(a));
    }
    let pair = |key: u64| (!(key as u32), ((key >> ENTRY_BITS) as u32 ^ 1 << 31) as i32);
    keys.into_iter().take_while(|&key| key != 0).map(pair)
}
