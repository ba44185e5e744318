//! Attention inside each text of a ragged batch.
//!
//! `out_t = sum_s softmax_s(q_t . k_s / sqrt(d)) v_s` per head, over the attended tokens s of the same text, and in
//! local layers only those with |s - t| <= window. In: (N, 3H), queries then keys then values, each head after head.
//! Out: (N, H). No mask is ever materialized: what may not be seen is not computed.
//!
//! Per text and head the keys are copied transposed and the values as they are, so that both products are the same small
//! kernel: [`ROWS`] rows times [`LANES`] columns of sums held in registers.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::{arch, math};
use crate::batch::Span;

/// Query tokens per kernel call; with [`LANES`] columns the sums fill 12 of AVX2's 16 registers.
pub(crate) const ROWS: usize = 6;
/// Columns per kernel call: one AVX-512 register, two of AVX2.
pub(crate) const LANES: usize = 16;

/// What attention needs to know beside the numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) spans: &'a [Span],
    pub(crate) num_heads: usize,
    /// Tokens to see on each side; `None` sees the whole text.
    pub(crate) window: Option<usize>,
}

/// `qkv` (N, 3H) to `out` (N, H).
pub(crate) fn attention(qkv: &[f32], settings: Attention<'_>, scratch: &mut Scratch, out: &mut Vec<f32>) {
    let hidden = qkv.len() / 3 / tokens(settings.spans).max(1);
    out.resize(qkv.len() / 3, 0.0);
    for span in settings.spans {
        let rows = |width: usize| span.start * width..(span.start + span.len) * width;
        let (qkv, out) = (&qkv[rows(3 * hidden)], &mut out[rows(hidden)]);
        arch().dispatch(Text { qkv, out, keys: span.attended, hidden, settings, scratch });
    }
}

/// The tokens of all texts, which follow each other.
fn tokens(spans: &[Span]) -> usize {
    spans.last().map_or(0, |span| span.start + span.len)
}

/// One text, all heads.
struct Text<'a> {
    /// (T, 3H).
    qkv: &'a [f32],
    /// (T, H).
    out: &'a mut [f32],
    /// The first so many tokens are seen.
    keys: usize,
    hidden: usize,
    settings: Attention<'a>,
    scratch: &'a mut Scratch,
}

/// Copies of one head's numbers, in the layouts that the kernel reads: panels of [`LANES`] columns, one after another.
/// Kept from call to call.
#[derive(Default)]
pub(crate) struct Scratch {
    /// A block's rows, scaled; (ROWS, head_dim).
    queries: Vec<f32>,
    /// Transposed; a panel is (head_dim, LANES), for so many keys.
    keys: Vec<[f32; LANES]>,
    /// A panel is (keys, LANES), for so many components.
    values: Vec<[f32; LANES]>,
    /// Scores, then weights; (ROWS, keys rounded up to LANES).
    weights: Vec<[f32; LANES]>,
}

impl WithSimd for Text<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Text { qkv, out, keys, hidden, settings, scratch } = self;
        let head_dim = hidden / settings.num_heads;
        let tokens = out.len() / hidden;
        if keys == 0 {
            return out.fill(0.0);
        }
        scratch.resize(keys, head_dim);
        for column in (0..hidden).step_by(head_dim) {
            copy_head(qkv, hidden, column, head_dim, keys, scratch);
            for first in (0..tokens).step_by(ROWS) {
                let block = first..tokens.min(first + ROWS);
                let near = |token: usize| near(token, settings.window, keys);
                load_queries(qkv, hidden, column, head_dim, block.clone(), &mut scratch.queries);
                let used = near(block.start).start..near(block.end - 1).end;
                let sums = weigh::<S>(scratch, head_dim, used.clone(), block.clone().map(near));
                mix::<S>(scratch, used, keys, &sums, |row, lane, values| {
                    let width = LANES.min(head_dim - lane);
                    if row < block.len() {
                        out[(first + row) * hidden + column + lane..][..width].copy_from_slice(&values[..width]);
                    }
                });
            }
        }
    }
}

impl Scratch {
    fn resize(&mut self, keys: usize, head_dim: usize) {
        self.queries.resize(ROWS * head_dim, 0.0);
        self.keys.resize(keys.div_ceil(LANES) * head_dim, [0.0; LANES]);
        self.values.resize(head_dim.div_ceil(LANES) * keys, [0.0; LANES]);
        self.weights.resize(ROWS * keys.div_ceil(LANES), [0.0; LANES]);
    }
}

/// Which of the first `keys` tokens are within the window around `token`.
#[inline(always)]
fn near(token: usize, window: Option<usize>, keys: usize) -> Range<usize> {
    match window {
        None => 0..keys,
        Some(window) => {
            let end = keys.min(token + window + 1);
            token.saturating_sub(window).min(end)..end
        }
    }
}

/// Copies one head's keys and values.
#[inline(always)]
fn copy_head(qkv: &[f32], hidden: usize, column: usize, head_dim: usize, keys: usize, scratch: &mut Scratch) {
    for (at, row) in qkv.chunks_exact(3 * hidden).take(keys).enumerate() {
        transpose_into(&mut scratch.keys, head_dim, at, &row[hidden + column..][..head_dim]);
        copy_into(&mut scratch.values, keys, at, &row[2 * hidden + column..][..head_dim]);
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

/// Scores of a block against the keys `used`, then `exp(score - max)` within each row's own range of them and 0 in the rest
/// of them; returns the rows' sums.
#[inline(always)]
fn weigh<S: Simd>(
    scratch: &mut Scratch,
    head_dim: usize,
    used: Range<usize>,
    ranges: impl Iterator<Item = Range<usize>>,
) -> [f32; ROWS] {
    let num_panels = scratch.weights.len() / ROWS;
    let queries: [&[f32]; ROWS] = std::array::from_fn(|row| &scratch.queries[row * head_dim..][..head_dim]);
    let panels = used.start / LANES..used.end.div_ceil(LANES);
    for (number, panel) in scratch.keys.chunks_exact(head_dim).enumerate().take(panels.end).skip(panels.start) {
        for (row, scores) in product::<S>(queries, panel).into_iter().enumerate() {
            scratch.weights[row * num_panels + number] = scores;
        }
    }
    let mut sums = [0.0; ROWS];
    for ((weights, range), sum) in scratch.weights.chunks_exact_mut(num_panels).zip(ranges).zip(&mut sums) {
        *sum = soften(weights, range.clone());
        let weights = weights.as_flattened_mut();
        weights[used.start..range.start].fill(0.0);
        weights[range.end..used.end].fill(0.0);
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
