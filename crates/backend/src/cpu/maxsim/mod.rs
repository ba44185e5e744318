//! Fused decompress + MaxSim, straight from the compressed bytes. `(selected) i32`:
//!
//! ```text
//! sim(i, t) = centroid_weights[j] * T[code_t][i] + residual_weights[j] * dot(q8[i], w8[t])
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
    passages::{Passages, Table},
    query::Query,
};
use crate::{HostScores, Isa, QuantizedQuery, Select, score_shift};

/// What a block of work reads.
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
/// If query, table and passages do not belong together (as far as `Q`, `D`, `K` and the bits tell), or the query was made
/// for another instruction set.
pub(super) fn maxsim(isa: Isa, passages: &Passages, query: &Query, table: &Table, select: Select<'_>) -> HostScores {
    let (panels, query) = (query.as_unpacked(isa, passages.codec()), query.rounded());
    assert_eq!(table.query_len(), query.len(), "the table is another query's");
    assert_eq!(table.num_centroids(), passages.codec().num_centroids(), "the table is another codec's");
    let job = Job { passages, query, panels, table, select };
    passages.score(select, |first, scores| dispatch!(isa, &job, first, scores))
}

/// The best similarities of a query's tokens, `(Q) i32`, to a score.
#[inline]
fn sum(best: &[i32]) -> i32 {
    let shift = score_shift(best.len());
    best.iter().map(|sim| sim >> shift).sum()
}
