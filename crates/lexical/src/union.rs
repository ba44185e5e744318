//! Scores of the passages of one segment: MaxScore over windows of passages.
//!
//! Posting lists in, hits out. The score of a passage is the sum over the lists in their order, the highest bound
//! first, in f32. The order of the additions is the same for every passage, so equal statistics give equal bits.
//!
//! Let `theta` be the worst of the `k` best scores so far. The lists are cut in two: the bounds of the last ones sum up
//! to at most `theta`, so a passage that has only such common words cannot be a hit. Passages come from the others, the
//! *essential* lists, in windows of [`WINDOW`]: each list in turn adds its scores of the window to an array. Then the
//! common words are looked up passage by passage, while the score and the bounds left exceed `theta`.
//!
//! tantivy's own block-max WAND is not used. Its block maxima suppose the average length of the segment; under the
//! average of the whole index they are no strict bounds. And it adds scores in an order that depends on the blocks it
//! skips. Either could change a result with the segments.
//!
//! Source: Turtle and Flood, "Query evaluation: strategies and optimizations", 1995 (MaxScore).

use crate::topk::{Hit, TopK};
use roaring::RoaringBitmap;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::query::Bm25Weight;
use tantivy::{DocSet, TERMINATED};

/// Passages of a window: their scores are 16 KiB, which fit the first cache.
const WINDOW: u32 = 4096;

/// Passages that have one term.
pub(crate) struct List<'a> {
    postings: SegmentPostings,
    weight: &'a Bm25Weight,
    /// Score that no passage exceeds.
    bound: f32,
}

/// Union of the lists of a query in one segment.
pub(crate) struct Union<'a> {
    /// In the order in which scores are added.
    lists: Vec<List<'a>>,
    /// Sum of the bounds of `lists[i..]` for each `i`, and 0.
    rest: Vec<f64>,
    /// Factor of a sum for the rounding of additions in f32.
    slack: f64,
    lengths: &'a FieldNormReader,
    /// Score so far of each passage of the window.
    scores: Box<[f32; WINDOW as usize]>,
    /// Bit per passage of the window: whether an essential list has it.
    found: [u64; WINDOW as usize / 64],
}

impl<'a> List<'a> {
    /// Makes a list of passages whose scores are at most `bound`.
    pub(crate) fn new(postings: SegmentPostings, weight: &'a Bm25Weight, bound: f32) -> Self {
        Self { postings, weight, bound }
    }

    /// Score of the current passage.
    fn score(&self, lengths: &FieldNormReader) -> f32 {
        self.weight.score(lengths.fieldnorm_id(self.postings.doc()), self.postings.term_freq())
    }
}

impl<'a> Union<'a> {
    /// Makes the union of lists in descending order of their bounds.
    pub(crate) fn new(lists: Vec<List<'a>>, lengths: &'a FieldNormReader) -> Self {
        let mut rest = vec![0.0; lists.len() + 1];
        for (i, list) in lists.iter().enumerate().rev() {
            rest[i] = rest[i + 1] + f64::from(list.bound);
        }
        // Each of n additions in f32 adds at most half an EPSILON: n * EPSILON is twice as much as needed.
        let slack = 1.0 + lists.len() as f64 * f64::from(f32::EPSILON);
        let (scores, found) = (Box::new([0.0; WINDOW as usize]), [0; WINDOW as usize / 64]);
        Self { lists, rest, slack, lengths, scores, found }
    }

    /// Adds the hits of segment number `segment` to `topk`.
    pub(crate) fn search(mut self, segment: usize, allowed: Option<&RoaringBitmap>, topk: &mut TopK) {
        let mut num_essential = self.lists.len();
        loop {
            while num_essential > 0 && !self.can_exceed(topk.threshold(), 0.0, num_essential - 1) {
                num_essential -= 1;
            }
            let essential = &self.lists[..num_essential];
            let first = essential.iter().map(|list| list.postings.doc()).min().unwrap_or(TERMINATED);
            if first >= TERMINATED {
                return;
            }
            let start = first / WINDOW * WINDOW;
            self.fill(num_essential, start);
            for block in 0..self.found.len() {
                let mut bits = std::mem::take(&mut self.found[block]);
                while bits != 0 {
                    let i = block * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let (pid, score) = (start + i as u32, std::mem::take(&mut self.scores[i]));
                    if let Some(score) = self.complete(pid, score, num_essential, allowed, topk.threshold()) {
                        topk.push(Hit { segment, pid, score });
                    }
                }
            }
        }
    }

    /// Adds the scores of the essential lists in the window that begins at `start`.
    fn fill(&mut self, num_essential: usize, start: u32) {
        for list in &mut self.lists[..num_essential] {
            let mut pid = list.postings.doc();
            while pid < start + WINDOW {
                let i = (pid - start) as usize;
                self.scores[i] += list.score(self.lengths);
                self.found[i / 64] |= 1 << (i % 64);
                pid = list.postings.advance();
            }
        }
    }

    /// Adds the scores of the other lists for passage `pid`. Returns none if it cannot be a hit.
    fn complete(
        &mut self,
        pid: u32,
        mut score: f32,
        num_essential: usize,
        allowed: Option<&RoaringBitmap>,
        threshold: f32,
    ) -> Option<f32> {
        if !self.can_exceed(threshold, score, num_essential) || allowed.is_some_and(|allowed| !allowed.contains(pid)) {
            return None;
        }
        for i in num_essential..self.lists.len() {
            if !self.can_exceed(threshold, score, i) {
                return None;
            }
            let list = &mut self.lists[i];
            if list.postings.doc() < pid {
                list.postings.seek(pid);
            }
            if list.postings.doc() == pid {
                score += list.score(self.lengths);
            }
        }
        Some(score)
    }

    /// Whether a score and the lists `i..` can sum up to more than `threshold`.
    fn can_exceed(&self, threshold: f32, score: f32, i: usize) -> bool {
        (f64::from(score) + self.rest[i]) * self.slack > f64::from(threshold)
    }
}
