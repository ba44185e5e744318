//! The best hits so far.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Passage that has a word of the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Number of the segment in the view.
    pub segment: usize,
    /// Number of the passage in the segment.
    pub pid: u32,
    /// BM25; higher is better.
    pub score: f32,
}

/// [`Hit`] in the order of a ranking: the best is the least.
#[derive(Clone, Copy)]
struct Ranked(Hit);

/// At most `k` hits, the worst on top.
///
/// Hits come in the order of segments and passages. So a later one must be better than the worst, not equal, and the
/// hits are the same whatever the segments.
pub(crate) struct TopK {
    k: usize,
    heap: BinaryHeap<Ranked>,
}

impl TopK {
    /// Makes an empty collection of at most `k` hits, `k > 0`.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Score that a later passage must exceed; minus infinity if every passage is a hit.
    pub(crate) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.0.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Adds a hit if it is better than the threshold.
    pub(crate) fn push(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(Ranked(hit));
        } else if hit.score > self.threshold()
            && let Some(mut worst) = self.heap.peek_mut()
        {
            *worst = Ranked(hit);
        }
    }

    /// Returns the hits, best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |hit: &Hit| (hit.segment, hit.pid);
        other.0.score.total_cmp(&self.0.score).then(place(&self.0).cmp(&place(&other.0)))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}
