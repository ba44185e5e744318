//! Exhaustive search composed of the other ops: the default body of [`Backend::search_batch`].

use crate::{Backend, RawHit, Result, Select};
use rayon::prelude::*;
use std::cmp::Reverse;

/// The passages of a resident segment that a search scores.
#[derive(Debug)]
pub struct SegmentView<'a, P> {
    /// The segment's passages.
    pub passages: &'a P,
    /// The passages that may be results.
    pub select: Select<'a>,
}

/// A result among several segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHit {
    /// Number of the segment, in the order of the call.
    pub segment: usize,
    /// The passage, by its pid within the segment, and its score.
    pub hit: RawHit,
}

/// Searches query by query: `centroid_table`, then `maxsim` and `top_k` of each segment, then a merge. Several queries
/// share the threads of the current rayon pool; a single query runs on the caller's thread, and only the ops that are
/// parallel themselves use the pool.
pub(crate) fn each_query<B: Backend + ?Sized>(
    backend: &B,
    codec: &B::Codec,
    segments: &[SegmentView<'_, B::Passages>],
    queries: &[B::Query],
    k: usize,
) -> Result<Vec<Vec<SegmentHit>>> {
    let search = |query: &B::Query| {
        let table = backend.centroid_table(codec, query)?;
        let mut hits = Vec::new();
        for (segment, view) in segments.iter().enumerate() {
            let scores = backend.maxsim(view.passages, query, &table, view.select)?;
            hits.extend(backend.top_k(&scores, k)?.into_iter().map(|hit| SegmentHit { segment, hit }));
        }
        hits.sort_unstable_by_key(|found| (Reverse(found.hit.score), found.segment, found.hit.pid));
        hits.truncate(k);
        Ok(hits)
    };
    match queries {
        [query] => Ok(vec![search(query)?]),
        queries => queries.par_iter().map(search).collect(),
    }
}
