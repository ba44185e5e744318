//! MaxSim over plain embeddings: `score(query, passage) = sum over i of max over t of dot(q_i, x_t)`.
//! `queries (sum of Q, D) f32`, `embeddings (N, D) f32` -> `(num_queries, P) f32`.
//!
//! Each query is packed into panels of sixteen tokens. The tokens of a passage are broadcast, so the
//! maximum over them is taken lane by lane and nothing is summed across lanes until a passage ends.
//! A block of passages stays in L2 while all queries are multiplied with it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::tile::{BLOCK_FLOATS, WIDTH, pack_panels};
use crate::Isa;
use rayon::prelude::*;
use std::ops::Range;

/// Inputs of a block of work.
struct Job<'a> {
    dim: usize,
    /// Queries, each in separate panels.
    queries: Vec<PackedQuery>,
    /// `(N, D) f32`.
    embeddings: &'a [f32],
    /// First embedding of each passage and the end of the last, ascending, at most `N`.
    passage_offsets: &'a [usize],
}

/// One query in panels of sixteen tokens.
struct PackedQuery {
    len: usize,
    /// `(ceil(Q / 16), D, 16) f32`.
    panels: Vec<f32>,
}

impl Job<'_> {
    /// Embeddings of the passage, `(L, D) f32`.
    fn passage(&self, p: usize) -> &[f32] {
        &self.embeddings[self.passage_offsets[p] * self.dim..self.passage_offsets[p + 1] * self.dim]
    }

    /// Scores of `passages` -> `(num_queries, passages) f32`. `best(rows, panel)` returns the best product of each lane
    /// of a panel over the rows of a passage, at least one.
    #[inline(always)]
    fn each(&self, passages: Range<usize>, scores: &mut [f32], best: impl Fn(&[f32], &[f32]) -> [f32; WIDTH]) {
        for (query, scores) in self.queries.iter().zip(scores.chunks_exact_mut(passages.len())) {
            for (p, score) in passages.clone().zip(scores) {
                *score = match self.passage(p) {
                    [] => f32::NEG_INFINITY,
                    rows => query.score(self.dim, |panel| best(rows, panel)),
                };
            }
        }
    }
}

impl PackedQuery {
    /// Score of one passage, whose best similarities `best(panel)` finds lane by lane.
    #[inline(always)]
    fn score(&self, dim: usize, mut best: impl FnMut(&[f32]) -> [f32; WIDTH]) -> f32 {
        let mut score = 0.0;
        for (p, panel) in self.panels.chunks_exact(dim * WIDTH).enumerate() {
            let lanes = (self.len - p * WIDTH).min(WIDTH);
            score += best(panel)[..lanes].iter().sum::<f32>();
        }
        score
    }
}

/// MaxSim over plain embeddings; see [`crate::Backend::maxsim_f32`].
///
/// # Panics
/// If arrays are not whole rows, or offsets do not ascend within them.
pub(super) fn maxsim_f32(
    isa: Isa,
    dim: usize,
    queries: &[f32],
    query_offsets: &[usize],
    embeddings: &[f32],
    passage_offsets: &[usize],
) -> Vec<f32> {
    check_offsets(dim, queries, query_offsets);
    check_offsets(dim, embeddings, passage_offsets);
    let pack = |query: &[usize]| PackedQuery {
        len: query[1] - query[0],
        panels: pack_panels(dim, &queries[query[0] * dim..query[1] * dim]),
    };
    let queries = query_offsets.windows(2).map(pack).collect();
    let job = Job { dim, queries, embeddings, passage_offsets };
    let (num_queries, num_passages) = (job.queries.len(), passage_offsets.len() - 1);
    let blocks: Vec<(Range<usize>, Vec<f32>)> = passage_blocks(dim, passage_offsets)
        .into_par_iter()
        .map(|passages| {
            let mut scores = vec![0f32; num_queries * passages.len()];
            dispatch!(isa, &job, passages.clone(), &mut scores);
            (passages, scores)
        })
        .collect();
    let mut scores = vec![0f32; num_queries * num_passages];
    scores.par_chunks_mut(num_passages.max(1)).enumerate().for_each(|(query, out)| {
        for (passages, scores) in &blocks {
            out[passages.clone()].copy_from_slice(&scores[query * passages.len()..(query + 1) * passages.len()]);
        }
    });
    scores
}

/// Checks that rows are whole and that offsets ascend within them.
fn check_offsets(dim: usize, rows: &[f32], offsets: &[usize]) {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "whole rows of {dim}");
    assert!(offsets.is_sorted(), "offsets ascend");
    assert!(offsets.last().is_some_and(|&end| end <= rows.len() / dim), "offsets end within the rows");
}

/// Runs of passages with about [`BLOCK_FLOATS`] components, one passage at least.
fn passage_blocks(dim: usize, offsets: &[usize]) -> Vec<Range<usize>> {
    let (mut blocks, mut first) = (Vec::new(), 0);
    for end in 1..offsets.len() {
        if (offsets[end] - offsets[first]) * dim >= BLOCK_FLOATS || end + 1 == offsets.len() {
            blocks.push(first..end);
            first = end;
        }
    }
    blocks
}
