//! Stage 6: the segments' best, merged: score descending, then pid ascending.

use selvedge_backend::RawHit;

/// The best `k` of `hits`, best first.
pub fn topk(mut hits: Vec<RawHit>, k: usize) -> Vec<RawHit> {
    hits.sort_unstable_by_key(|hit| (std::cmp::Reverse(hit.score), hit.pid));
    hits.truncate(k);
    hits
}
