//! The best `k` of the selected passages.

use super::best::{Best, id, key, value};
use crate::{NO_MATCH, RawHit, Select};

/// `scores`, one per selected passage -> the best `k` by score descending, then pid ascending.
///
/// # Panics
/// If the numbers of selected passages and scores differ.
pub(super) fn top_k(scores: &[i32], select: Select<'_>, k: usize) -> Vec<RawHit> {
    assert_eq!(select.len(scores.len()), scores.len(), "one score for each selected passage");
    let mut best = Best::new(k);
    for (i, &score) in scores.iter().enumerate() {
        if score != NO_MATCH {
            best.push(key(score, select.pid(i)));
        }
    }
    best.into_sorted().into_iter().map(|key| RawHit { pid: id(key), score: value(key) }).collect()
}
