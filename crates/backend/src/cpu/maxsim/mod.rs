//! Fused decompress + MaxSim, straight from the compressed bytes. `(selected) i32`:
//!
//! ```text
//! sim(i, t) = norms[j] * T[code_t][i] + gains[j] * dot(q8[i], w8[t])
//! score     = sum over i of (max over t of sim(i, t)) >> ceil(log2(Q))
//! ```
//!
//! Residuals are unpacked a few tokens at a time into a buffer that stays in L1; no vector is ever
//! written to memory.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tile;

use super::{
    dots::Panels,
    levels,
    passages::{Passages, Table},
};
use crate::{Isa, QuantizedQuery, Select, score_shift};

/// What a block of work reads.
struct Job<'a> {
    passages: &'a Passages,
    query: &'a QuantizedQuery,
    panels: Panels,
    table: &'a Table,
    select: Select<'a>,
}

/// One score for each selected passage.
///
/// # Panics
/// If query, table and passages do not belong together (as far as `Q`, `D` and `K` tell).
pub(super) fn maxsim(
    isa: Isa,
    passages: &Passages,
    query: &QuantizedQuery,
    table: &Table,
    select: Select<'_>,
) -> Vec<i32> {
    assert_eq!(query.dim, passages.codec().dim, "query and passages differ in dim");
    assert_eq!(table.query_len(), query.len(), "the table is another query's");
    assert_eq!(table.num_centroids(), passages.codec().num_centroids(), "the table is another codec's");
    let codec = passages.codec();
    let order = levels::order(isa, codec);
    let job = Job { passages, query, panels: Panels::in_order(isa, query.dim, &query.data, &order), table, select };
    passages.score(select, |first, scores| dispatch!(isa, &job, first, scores))
}

/// The best similarities of a query's tokens, `(Q) i32`, to a score.
#[inline]
fn sum(best: &[i32]) -> i32 {
    let shift = score_shift(best.len());
    best.iter().map(|sim| sim >> shift).sum()
}
