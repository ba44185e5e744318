//! Attention inside each text of a ragged batch.
//!
//! `out_t = sum_s softmax_s(q_t . k_s / sqrt(d)) v_s` per head, over the attended tokens s of the same text, and in
//! local layers only those with |s - t| <= window. In: (N, 3H), queries then keys then values, each head after head.
//! Out: (N, H). No mask is ever materialized: what may not be seen is not computed.
//!
//! A task owns up to [`TASK_ROWS`] query tokens of one text. Per head it copies the keys transposed and the values,
//! so that both products are the same small kernel: [`ROWS`] rows times [`LANES`] columns of sums held in registers.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{math, values};
use crate::batch::Span;

/// Query tokens per kernel call; with [`LANES`] columns the sums fill 12 of AVX2's 16 registers.
pub(crate) const ROWS: usize = 6;
/// Columns per kernel call: one AVX-512 register, two of AVX2.
pub(crate) const LANES: usize = 16;
/// Query tokens per task: enough to pay for copying the keys, few enough to spread one long text over threads.
const TASK_ROWS: usize = 16 * ROWS;

/// What attention needs to know beside the numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) spans: &'a [Span],
    pub(crate) num_heads: usize,
    /// Tokens to see on each side; `None` sees the whole text.
    pub(crate) window: Option<usize>,
}

/// (N, 3H) to (N, H).
pub(crate) fn attention(qkv: &Tensor, settings: Attention<'_>) -> Result<Tensor> {
    qkv.apply_op1_no_bwd(&settings)
}

impl CustomOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, width) = layout.shape().dims2()?;
        let hidden = width / 3;
        let qkv = values(storage, layout)?;
        let mut out = vec![0.0; tokens * hidden];
        let mut tasks = Vec::new();
        let mut rest = out.as_mut_slice();
        for &span in self.spans {
            for first in (0..span.len).step_by(TASK_ROWS) {
                let rows = first..span.len.min(first + TASK_ROWS);
                let (out, tail) = rest.split_at_mut(rows.len() * hidden);
                rest = tail;
                let qkv = &qkv[span.start * width..][..span.len * width];
                tasks.push(Task { qkv, out, keys: span.attended, rows, hidden, settings: *self });
            }
        }
        tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
        Ok((CpuStorage::F32(out), Shape::from((tokens, hidden))))
    }
}

/// Some query tokens of one text, all heads.
struct Task<'a> {
    /// The text's rows; (T, 3H).
    qkv: &'a [f32],
    /// This task's rows of the result; (rows, H).
    out: &'a mut [f32],
    /// The first so many tokens are seen.
    keys: usize,
    /// Query tokens of this task.
    rows: Range<usize>,
    hidden: usize,
    settings: Attention<'a>,
}

/// Copies of one head's numbers, in the layouts that the kernel reads: panels of [`LANES`] columns, one after another.
struct Scratch {
    /// A block's rows, scaled; (ROWS, head_dim).
    queries: Vec<f32>,
    /// Transposed; a panel is (head_dim, LANES), for so many keys.
    keys: Vec<[f32; LANES]>,
    /// A panel is (keys, LANES), for so many components.
    values: Vec<[f32; LANES]>,
    /// Scores, then weights; (ROWS, keys rounded up to LANES).
    weights: Vec<[f32; LANES]>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let head_dim = self.hidden / self.settings.num_heads;
        let seen = self.seen(self.rows.clone());
        if seen.is_empty() {
            return;
        }
        let mut scratch = Scratch {
            queries: vec![0.0; ROWS * head_dim],
            keys: vec![[0.0; LANES]; seen.len().div_ceil(LANES) * head_dim],
            values: vec![[0.0; LANES]; head_dim.div_ceil(LANES) * seen.len()],
            weights: vec![[0.0; LANES]; ROWS * seen.len().div_ceil(LANES)],
        };
        let Task { qkv, out, keys: _, rows, hidden, settings } = self;
        for head in 0..settings.num_heads {
            let column = head * head_dim;
            copy_head(qkv, hidden, column, head_dim, seen.clone(), &mut scratch);
            for first in rows.clone().step_by(ROWS) {
                let block = first..rows.end.min(first + ROWS);
                let near = |token: usize| near(token, settings.window, seen.clone());
                load_queries(qkv, hidden, column, head_dim, block.clone(), &mut scratch.queries);
                let sums = weigh::<S>(&mut scratch, head_dim, seen.start, block.clone().map(near));
                let out = &mut out[(first - rows.start) * hidden..][..block.len() * hidden];
                let used = near(block.start).start..near(block.end - 1).end;
                let used = used.start - seen.start..used.end.max(used.start) - seen.start;
                mix::<S>(&scratch, used, seen.len(), &sums, |row, lane, values| {
                    let width = LANES.min(head_dim - lane);
                    if row < block.len() {
                        out[row * hidden + column + lane..][..width].copy_from_slice(&values[..width]);
                    }
                });
            }
        }
    }
}

impl Task<'_> {
    /// The tokens that any of `rows` sees.
    fn seen(&self, rows: Range<usize>) -> Range<usize> {
        let first = near(rows.start, self.settings.window, 0..self.keys);
        let last = near(rows.end - 1, self.settings.window, 0..self.keys);
        first.start..last.end.max(first.start)
    }
}

/// The part of `seen` within the window around `token`.
#[inline(always)]
fn near(token: usize, window: Option<usize>, seen: Range<usize>) -> Range<usize> {
    match window {
        None => seen,
        Some(window) => {
            let end = seen.end.min(token + window + 1);
            seen.start.max(token.saturating_sub(window)).min(end)..end
        }
    }
}

/// Copies one head's keys and values of the tokens `seen`.
#[inline(always)]
fn copy_head(qkv: &[f32], hidden: usize, column: usize, head_dim: usize, seen: Range<usize>, scratch: &mut Scratch) {
    let num_keys = seen.len();
    for (at, token) in seen.enumerate() {
        let row = &qkv[token * 3 * hidden..][..3 * hidden];
        transpose_into(&mut scratch.keys, head_dim, at, &row[hidden + column..][..head_dim]);
        copy_into(&mut scratch.values, num_keys, at, &row[2 * hidden + column..][..head_dim]);
    }
}

/// Writes row `at` of a matrix as a column of its transpose in panels of (`width`, LANES).
#[inline(always)]
pub(crate) fn transpose_into(panels: &mut [[f32; LANES]], width: usize, at: usize, row: &[f32]) {
    let panel = &mut panels[at / LANES * width..][..width];
    panel.iter_mut().zip(row).for_each(|(own, x)| own[at % LANES] = *x);
}

/// Writes row `at` of a matrix of `rows` rows in panels of (`rows`, LANES).
#[inline(always)]
pub(crate) fn copy_into(panels: &mut [[f32; LANES]], rows: usize, at: usize, row: &[f32]) {
    for (panel, part) in row.chunks(LANES).enumerate() {
        panels[panel * rows + at][..part.len()].copy_from_slice(part);
    }
}

/// Copies a block of queries, scaled by 1 / sqrt(head_dim); rows beyond the block keep what they had.
#[inline(always)]
fn load_queries(qkv: &[f32], hidden: usize, column: usize, head_dim: usize, block: Range<usize>, queries: &mut [f32]) {
    let scale = 1.0 / (head_dim as f32).sqrt();
    for (token, query) in block.zip(queries.chunks_exact_mut(head_dim)) {
        let source = &qkv[token * 3 * hidden + column..][..head_dim];
        query.iter_mut().zip(source).for_each(|(query, source)| *query = source * scale);
    }
}

/// Scores of a block, then `exp(score - max)` within each row's own range and 0 outside; returns the rows' sums.
#[inline(always)]
fn weigh<S: Simd>(
    scratch: &mut Scratch,
    head_dim: usize,
    start: usize,
    ranges: impl Iterator<Item = Range<usize>>,
) -> [f32; ROWS] {
    let num_panels = scratch.weights.len() / ROWS;
    let queries: [&[f32]; ROWS] = std::array::from_fn(|row| &scratch.queries[row * head_dim..][..head_dim]);
    for (number, panel) in scratch.keys.chunks_exact(head_dim).enumerate() {
        for (row, scores) in product::<S>(queries, panel).into_iter().enumerate() {
            scratch.weights[row * num_panels + number] = scores;
        }
    }
    let mut sums = [0.0; ROWS];
    for ((weights, range), sum) in scratch.weights.chunks_exact_mut(num_panels).zip(ranges).zip(&mut sums) {
        let range = range.start - start..range.end.max(range.start) - start;
        *sum = soften(weights, range.clone());
        let weights = weights.as_flattened_mut();
        weights[..range.start].fill(0.0);
        weights[range.end..].fill(0.0);
    }
    sums
}

/// `exp(x - max)` of the scores in a range, in place; returns their sum. Those beside the range may become anything.
#[inline(always)]
pub(crate) fn soften(scores: &mut [[f32; LANES]], range: Range<usize>) -> f32 {
    if range.is_empty() {
        return 0.0;
    }
    // Whole registers; what lies in them beside the range becomes e^-87 at most, which no sum above 1 feels.
    let all = range.start / LANES * LANES..range.end.next_multiple_of(LANES);
    scores.as_flattened_mut()[all.start..range.start].fill(f32::NEG_INFINITY);
    scores.as_flattened_mut()[range.end..all.end].fill(f32::NEG_INFINITY);
    let scores = &mut scores[all.start / LANES..all.end / LANES];
    let mut tops = [f32::NEG_INFINITY; LANES];
    for block in scores.iter() {
        tops.iter_mut().zip(block).for_each(|(top, x)| *top = if *x > *top { *x } else { *top });
    }
    let top = tops.iter().fold(f32::NEG_INFINITY, |top, &x| top.max(x));
    let mut sums = [0.0; LANES];
    for block in scores {
        for (sum, x) in sums.iter_mut().zip(block) {
            *x = math::exp(*x - top);
            *sum += *x;
        }
    }
    sums.iter().sum()
}

/// Weighted means of the values of `num_keys` keys, of which `used` have a weight; `write` gets row, first component and
/// components of each tile.
#[inline(always)]
fn mix<S: Simd>(
    scratch: &Scratch,
    used: Range<usize>,
    num_keys: usize,
    sums: &[f32; ROWS],
    mut write: impl FnMut(usize, usize, &[f32; LANES]),
) {
    let width = scratch.weights.len() / ROWS * LANES;
    let weights = scratch.weights.as_flattened();
    let weights: [&[f32]; ROWS] = std::array::from_fn(|row| &weights[row * width..][used.clone()]);
    for (number, panel) in scratch.values.chunks_exact(num_keys).enumerate() {
        let tile = product::<S>(weights, &panel[used.clone()]);
        for (row, (mut values, sum)) in tile.into_iter().zip(sums).enumerate() {
            // A token whose window holds nothing attended gets zeros instead of 0 / 0.
            let scale = if *sum > 0.0 { 1.0 / sum } else { 0.0 };
            values.iter_mut().for_each(|value| *value *= scale);
            write(row, number * LANES, &values);
        }
    }
}

/// `left * right`: (ROWS, n) times a panel (n, LANES). Zipped, so that nothing is checked on the way.
#[inline(always)]
pub(crate) fn product<S: Simd>(left: [&[f32]; ROWS], right: &[[f32; LANES]]) -> [[f32; LANES]; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    let [a, b, c, d, e, f] = left;
    for ((((((right, a), b), c), d), e), f) in right.iter().zip(a).zip(b).zip(c).zip(d).zip(e).zip(f) {
        for (sums, left) in sums.iter_mut().zip([a, b, c, d, e, f]) {
            for (sum, right) in sums.iter_mut().zip(right) {
                // Without a fused instruction `mul_add` is a call of libm.
                *sum = if S::IS_SCALAR { left * *right + *sum } else { left.mul_add(*right, *sum) };
            }
        }
    }
    sums
}
