//! Resident data of the CPU: the passages of a segment, the centroid table of a query.

use super::aligned::{AlignedVec, LINE};
use crate::{CheckedCodec, CodeReader, CompressedPassages, HostScores, NO_MATCH, Result, Select, read_weight};
use rayon::prelude::*;
use std::cell::Cell;

/// Passages per task; up to eight such blocks are not worth a second thread.
const BLOCK_PASSAGES: usize = 64;

/// Maximum number of picked passages that are scored on the caller's thread: they are the candidates of one query among
/// many, and each query has a core to itself.
const PICKED_ALONE: usize = 1 << 14;

/// Rows of a table are padded to a multiple of this many query tokens, one AVX2 register of i32.
pub(super) const LANES: usize = 8;

/// The passages of one segment, with the codec that compressed them.
#[derive(Clone, Debug)]
pub struct Passages {
    codec: CheckedCodec,
    bytes: CompressedPassages,
}

impl Passages {
    /// Checks that the arrays have the lengths that follow from the codec and the offsets; their contents may be
    /// corrupt.
    pub(super) fn new(codec: CheckedCodec, bytes: CompressedPassages) -> Result<Self> {
        bytes.validate_lengths(codec.sizes())?;
        Ok(Self { codec, bytes })
    }

    /// The codec that compressed the passages.
    pub fn codec(&self) -> &CheckedCodec {
        &self.codec
    }

    /// The compressed bytes.
    pub fn bytes(&self) -> &CompressedPassages {
        &self.bytes
    }

    /// A reader of codes that clamps them to `K - 1`.
    pub(super) fn codes(&self) -> Codes<'_> {
        let reader = CodeReader::new(&self.bytes.codes, self.codec.code_bits());
        Codes { reader, last: self.codec.num_centroids() as u32 - 1 }
    }

    /// Weight index of token `t`.
    #[inline]
    pub(super) fn weight(&self, t: usize) -> usize {
        read_weight(&self.bytes.weights, self.codec.weight_bits, t)
    }

    /// One score per selected passage. `score_block(first, out)` scores the selected passages from number `first` on
    /// into `out`, which is initially filled with [`NO_MATCH`].
    pub(super) fn score(&self, select: Select<'_>, score_block: impl Fn(usize, &mut [i32]) + Sync) -> HostScores {
        let mut scores = vec![NO_MATCH; select.len(self.bytes.num_passages())];
        let alone = match select {
            Select::All => 8 * BLOCK_PASSAGES,
            Select::Pids(_) => PICKED_ALONE,
        };
        if scores.len() <= alone {
            score_block(0, &mut scores);
        } else {
            let blocks = scores.par_chunks_mut(BLOCK_PASSAGES).enumerate();
            blocks.for_each(|(block, out)| score_block(block * BLOCK_PASSAGES, out));
        }
        HostScores::new(scores, select)
    }
}

/// Reads codes and clamps them to the last centroid.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    reader: CodeReader<'a>,
    last: u32,
}

impl Codes<'_> {
    /// Code of token `t`.
    #[inline(always)]
    pub(super) fn get(&self, t: usize) -> usize {
        self.reader.get(t).min(self.last) as usize
    }
}

/// Number of centroids per row of the table's `maxima`.
pub(super) use crate::missing_score::GROUP;

/// The centroid table of one query, `(K, stride) i32`. `stride` is `Q` rounded up to a multiple of 8, and the padding
/// is zero, so that a row is read in whole registers.
#[derive(Clone, Debug)]
pub struct Table {
    query_len: usize,
    stride: usize,
    num_centroids: usize,
    entries: AlignedVec<i32>,
    /// Largest entry of each column over [`GROUP`] rows, `(ceil(K / GROUP), stride) i32`.
    maxima: AlignedVec<i32>,
}

thread_local! {
    /// Memory of the last table that was dropped on this thread, for the next one: otherwise a table of a megabyte is
    /// allocated and zeroed for each query.
    static SPARE: Cell<(AlignedVec<i32>, AlignedVec<i32>)> = Cell::default();
}

/// Largest table whose memory is kept, in entries: 64 MiB, that is 2^18 centroids and 64 query tokens.
const MAX_SPARE: usize = 1 << 24;

impl Drop for Table {
    fn drop(&mut self) {
        if self.entries.capacity() <= MAX_SPARE {
            let memory = (std::mem::take(&mut self.entries), std::mem::take(&mut self.maxima));
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|spare| spare.set(memory));
        }
    }
}

/// Number of entries (1 MiB) up to which a table stays in L2, where prefetching its rows costs `maxsim` 4 to 15 %. For
/// a larger table prefetching gains up to 12 % while other cores use the memory too, and nothing otherwise (Zen 5,
/// tables of 1 and 2 MiB).
const CACHED: usize = 1 << 18;

impl Table {
    /// A table with undefined entries, to be written.
    pub(super) fn unwritten(query_len: usize, num_centroids: usize) -> Self {
        let stride = query_len.next_multiple_of(LANES);
        let (mut entries, mut maxima) = SPARE.try_with(Cell::take).unwrap_or_default();
        entries.resize(num_centroids * stride);
        maxima.resize(num_centroids.div_ceil(GROUP) * stride);
        Self { query_len, stride, num_centroids, entries, maxima }
    }

    /// Number of query tokens, `Q`.
    pub fn query_len(&self) -> usize {
        self.query_len
    }

    /// Number of centroids, `K`.
    pub fn num_centroids(&self) -> usize {
        self.num_centroids
    }

    /// Entries of the centroid `code`, `(Q) i32`; `code` must be below `K`.
    pub fn row(&self, code: usize) -> &[i32] {
        &self.padded_row(code)[..self.query_len]
    }

    /// Entries of one centroid and their padding, `(stride) i32`.
    #[inline(always)]
    pub(super) fn padded_row(&self, code: usize) -> &[i32] {
        self.entries.part(code * self.stride, self.stride)
    }

    /// Prefetches the rows of `codes` if the table is larger than [`CACHED`].
    #[inline(always)]
    pub(super) fn prefetch_rows(&self, codes: &[u32]) {
        if self.entries.len() > CACHED {
            for line in (0..self.stride).step_by(LINE / 4) {
                codes.iter().for_each(|&code| self.entries.prefetch(code as usize * self.stride + line));
            }
        }
    }

    /// `Q` rounded up to a multiple of 8.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// All entries, `(K, stride) i32`, and the maxima of groups, `(ceil(K / GROUP), stride) i32`, to be written.
    pub(super) fn parts_mut(&mut self) -> (&mut [i32], &mut [i32]) {
        (&mut self.entries, &mut self.maxima)
    }

    /// All entries, `(K, stride) i32`.
    pub(super) fn entries(&self) -> &[i32] {
        &self.entries
    }

    /// The largest entries of each group of rows, `(ceil(K / GROUP), stride) i32`.
    pub(super) fn maxima(&self) -> &[i32] {
        &self.maxima
    }
}
