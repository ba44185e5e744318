//! Stage 6: merge of the segments' best hits.

use selvedge_backend::RawHit;

/// Returns the best `k` of `hits`, best first: score descending, then pid ascending.
pub fn topk(mut hits: Vec<RawHit>, k: usize) -> Vec<RawHit> {
    hits.sort_unstable_by_key(|hit| (std::cmp::Reverse(hit.score), hit.pid));
    hits.truncate(k);
    hits
}
