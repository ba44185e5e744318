//! Fused decompression and MaxSim, straight from the compressed bytes: one score per selected passage, `i32`.
//!
//! ```text
//! sim(i, t) = centroid_weights[j] * T[code_t][i] + residual_weights[j] * dot(q8[i], w8[t])
//! score     = sum over i of (max over t of sim(i, t)) >> ceil(log2(Q))
//! ```
//!
//! The algorithm of the SIMD bodies:
//!
//! ```text
//! for passage in selected:                                             # 1
//!     best[0..Q] = i32::MIN
//!     for tile in chunks(tokens(passage), 8 to 32 tokens):             # 2
//!         read codes and weights of the tile
//!         prefetch the next passage and the table rows of these codes  # 3
//!         unpack the residuals of the tile to one byte per component   # 4
//!         pad the tile to whole groups with copies of its last token   # 5
//!         for panel in panels of 8 or 16 query tokens, one or two at a time:
//!             for group in groups of 4 or 8 tokens of the tile:
//!                 sums = int8 dot products, group x panel              # 6
//!                 sim  = centroid_weights * table row + residual_weights * sums
//!                 best[panel] = max(best[panel], sim)                  # 7
//!     score = sum(best[i] >> ceil(log2(Q)))
//! ```
//!
//! 1. One thread scores a block of passages; up to 16,384 passages that are picked by pid stay on the caller's thread
//!    ([`Passages::score`]).
//! 2. An unpacked tile takes at most half of L1 (up to 2,048 dimensions), so that it stays there while all panels are
//!    multiplied with it. Unpacking has a loop of its own: its constants stay in registers, and no vector is ever
//!    written to memory beyond L1.
//! 3. Picked passages are anywhere in the index, and table rows anywhere in a table that may exceed L2. A core tracks
//!    few cache misses at a time, so prefetches are spread between the products.
//! 4. Unpacking is a table lookup per component (`cpu/levels`): a level, or its difference from the lowest level.
//! 5. A copy of a token cannot change a maximum, so the inner loops have no remainder.
//! 6. Query tokens are interleaved (`cpu/dots`): a lane holds the sum of one query token, so nothing is summed across
//!    lanes, and a row of the table is loaded as it is stored.
//! 7. The maximum stays in registers over the groups of a tile.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tile;

use super::{
    dots::Panels,
    passages::{Passages, Table},
    query::Query,
};
use crate::{HostScores, Isa, QuantizedQuery, Select, score_shift};

/// Inputs of a block of work.
struct Job<'a> {
    passages: &'a Passages,
    query: &'a QuantizedQuery,
    panels: &'a Panels,
    table: &'a Table,
    select: Select<'a>,
}

/// One score for each selected passage.
///
/// # Panics
/// If query, table and passages differ in `Q`, `D`, `K` or `nbits`, or the query was loaded for another
/// instruction set.
pub(super) fn maxsim(isa: Isa, passages: &Passages, query: &Query, table: &Table, select: Select<'_>) -> HostScores {
    let (panels, query) = (query.as_unpacked(isa, passages.codec()), query.rounded());
    assert_eq!(table.query_len(), query.len(), "the table is another query's");
    assert_eq!(table.num_centroids(), passages.codec().num_centroids(), "the table is another codec's");
    let job = Job { passages, query, panels, table, select };
    passages.score(select, |first, scores| dispatch!(isa, &job, first, scores))
}

/// Score of a passage, given the best similarity of each query token, `(Q) i32`.
#[inline]
fn sum(best: &[i32]) -> i32 {
    let shift = score_shift(best.len());
    best.iter().map(|sim| sim >> shift).sum()
}
