//! Attention inside each text of a ragged batch.
//!
//! `out_t = sum_s softmax_s(q_t . k_s / sqrt(d)) v_s` per head, over the attended tokens s of the same text, and in
//! local layers only those with |s - t| <= window. In: (N, 3H), queries then keys then values, each head after head.
//! Out: (N, H). There is no T x T mask: tiles outside the window are not computed.
//!
//! The lanes of a register are query tokens: a tile of scores is `L` keys by `L` queries. The maxima and sums of the
//! softmax are therefore computed lane by lane, and the weights are already in the layout of the second product.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::span::Span;
use super::{arch, math};

/// Settings of attention: which tokens attend to which.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Texts of the batch, in order and contiguous.
    pub spans: &'a [Span],
    /// Number of heads; it divides H.
    pub num_heads: usize,
    /// Number of tokens on each side to attend to; `None` for the whole text.
    pub window: Option<usize>,
}

/// Computes attention: `qkv` (N, 3H), in each row the query, the key and the value, to `out` (N, H), which is resized.
pub fn attention(qkv: &[f32], settings: Attention<'_>, scratch: &mut Scratch, out: &mut Vec<f32>) {
    let num_tokens = settings.spans.last().map_or(0, |span| span.start + span.len);
    let hidden = qkv.len() / 3 / num_tokens.max(1);
    out.resize(qkv.len() / 3, 0.0);
    for span in settings.spans {
        let rows = |width: usize| span.start * width..(span.start + span.len) * width;
        let (qkv, out) = (&qkv[rows(3 * hidden)], &mut out[rows(hidden)]);
        arch().dispatch(Text { qkv, out, keys: span.attended, hidden, settings, scratch });
    }
}

/// Arguments of attention within one text, all heads.
struct Text<'a> {
    /// Queries, keys and values; (T, 3H).
    qkv: &'a [f32],
    /// Output; (T, H).
    out: &'a mut [f32],
    /// Number of attended tokens, which come first in the text; no token attends to the others.
    keys: usize,
    hidden: usize,
    settings: Attention<'a>,
    scratch: &'a mut Scratch,
}

/// Buffers of one head in the layout of the kernels, reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Keys; (keys, head_dim).
    keys: Vec<f32>,
    /// Values in panels (keys, L) of `L` components each; the last panel is padded with zeros.
    values: Vec<f32>,
    /// Scaled queries of a block; (head_dim, L).
    queries: Vec<f32>,
    /// Scores of a block, then weights; (keys, L), with space for a whole tile after the last key.
    weights: Vec<f32>,
}

impl WithSimd for Text<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 16, 1>(simd),
            8 => self.run::<S, 8, 1>(simd),
            4 => self.run::<S, 8, 2>(simd),
            _ => self.run::<S, 8, 8>(simd),
        }
    }
}

impl Text<'_> {
    /// Processes `L` query tokens at a time, in `V` registers.
    #[inline(always)]
    fn run<S: Simd, const L: usize, const V: usize>(self, simd: S) {
        let Text { qkv, out, keys, hidden, settings, scratch } = self;
        let Attention { num_heads, window, .. } = settings;
        let head_dim = hidden / num_heads;
        let tokens = out.len() / hidden;
        if keys == 0 {
            return out.fill(0.0);
        }
        for column in (0..hidden).step_by(head_dim) {
            scratch.load_head::<L>(qkv, hidden, column, head_dim, keys);
            for first in (0..tokens).step_by(L) {
                let block = first..tokens.min(first + L);
                scratch.load_queries::<L>(qkv, hidden, column, head_dim, block.clone());
                let used = near(block.start, window, keys).start..near(block.end - 1, window, keys).end;
                score::<S, L, V>(simd, scratch, head_dim, used.clone());
                let weights = &mut scratch.weights[used.start * L..used.end * L].as_chunks_mut::<L>().0;
                if let Some(window) = window {
                    mask(weights, used.start, first, window, f32::NEG_INFINITY);
                }
                let sums = softmax_in_place::<S, L>(weights);
                if let Some(window) = window {
                    mask(weights, used.start, first, window, 0.0);
                }
                for (panel, values) in scratch.values.chunks_exact(keys * L).enumerate() {
                    let values = &values[used.start * L..used.end * L];
                    let means = product::<S, L, V>(simd, weights, values);
                    let column = column + panel * L;
                    let width = L.min(head_dim - panel * L);
                    for (token, (means, sum)) in block.clone().zip(means.iter().zip(&sums)) {
                        // The best score has weight 1, so a sum below 0.5 means that no token in the window is
                        // attended.
                        let scale = if *sum >= 0.5 { 1.0 / sum } else { 0.0 };
                        let out = &mut out[token * hidden + column..][..width];
                        out.iter_mut().zip(means).for_each(|(out, mean)| *out = mean * scale);
                    }
                }
            }
        }
    }
}

impl Scratch {
    /// Copies one head's keys and values.
    #[inline(always)]
    fn load_head<const L: usize>(&mut self, qkv: &[f32], hidden: usize, column: usize, head_dim: usize, keys: usize) {
        self.keys.resize(keys * head_dim, 0.0);
        self.values.resize(keys * head_dim.next_multiple_of(L), 0.0);
        self.weights.resize((keys + L) * L, 0.0);
        let rows = qkv.chunks_exact(3 * hidden).zip(self.keys.chunks_exact_mut(head_dim));
        for (at, (row, key)) in rows.enumerate() {
            key.copy_from_slice(&row[hidden + column..][..head_dim]);
            for (panel, part) in row[2 * hidden + column..][..head_dim].chunks(L).enumerate() {
                let own = &mut self.values[(panel * keys + at) * L..][..L];
                own[..part.len()].copy_from_slice(part);
                own[part.len()..].fill(0.0);
            }
        }
    }

    /// Copies a block of queries, transposed and scaled by 1 / sqrt(head_dim). Lanes after the last query keep old
    /// values; their results are not read.
    #[inline(always)]
    fn load_queries<const L: usize>(
        &mut self,
        qkv: &[f32],
        hidden: usize,
        column: usize,
        head_dim: usize,
        block: Range<usize>,
    ) {
        let scale = 1.0 / (head_dim as f32).sqrt();
        self.queries.resize(head_dim * L, 0.0);
        for (lane, token) in block.enumerate() {
            let query = &qkv[token * 3 * hidden + column..][..head_dim];
            for (own, x) in self.queries.as_chunks_mut::<L>().0.iter_mut().zip(query) {
                own[lane] = x * scale;
            }
        }
    }
}

/// Range of the first `keys` tokens that are within the window around `token`.
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

/// Computes the scores of the keys `used`, one row per key.
#[inline(always)]
fn score<S: Simd, const L: usize, const V: usize>(simd: S, scratch: &mut Scratch, head_dim: usize, used: Range<usize>) {
    let queries = S::as_simd_f32s(&scratch.queries).0.as_chunks::<V>().0;
    let last = scratch.keys.len() - head_dim;
    for first in used.step_by(L) {
        // A tile past the last key repeats that key; the scores of the repeats are not read.
        let row = |r: usize| &scratch.keys[((first + r) * head_dim).min(last)..][..queries.len()];
        let rows: [&[f32]; L] = std::array::from_fn(row);
        let mut sums = [[simd.splat_f32s(0.0); V]; L];
        for (component, queries) in queries.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let key = simd.splat_f32s(row[component]);
                for (sum, &query) in sums.iter_mut().zip(queries) {
                    // Without a fused multiply-add this is two roundings, not a call of libm.
                    *sum = simd.mul_add_e_f32s(key, query, *sum);
                }
            }
        }
        let out = S::as_mut_simd_f32s(&mut scratch.weights[first * L..][..L * L]).0;
        out.copy_from_slice(sums.as_flattened());
    }
}

/// Writes `value` where a key is outside the window around a query. The first key is token `start`, the first query
/// token `first`.
#[inline(always)]
fn mask<const L: usize>(weights: &mut [[f32; L]], start: usize, first: usize, window: usize, value: f32) {
    for (key, lanes) in (start..).zip(weights) {
        let seen = key.saturating_sub(first + window).min(L)..(key + window + 1).saturating_sub(first).min(L);
        lanes[..seen.start].fill(value);
        lanes[seen.end.max(seen.start)..].fill(value);
    }
}

/// Computes `exp(x - max)` in each lane, in place; returns the lanes' sums.
#[inline(always)]
fn softmax_in_place<S: Simd, const L: usize>(scores: &mut [[f32; L]]) -> [f32; L] {
    // A lane without attended keys keeps f32::MIN, so that -infinity minus it is -infinity and not NaN.
    let mut tops = [f32::MIN; L];
    for scores in scores.iter() {
        tops.iter_mut().zip(scores).for_each(|(top, x)| *top = if *x > *top { *x } else { *top });
    }
    let mut sums = [0.0; L];
    for scores in scores {
        for ((x, top), sum) in scores.iter_mut().zip(&tops).zip(&mut sums) {
            *x = if S::IS_SCALAR { math::exp::<false>(*x - *top) } else { math::exp::<true>(*x - *top) };
            *sum += *x;
        }
    }
    sums
}

/// Computes `sums[lane] = sum over rows of weights[row][lane] * values[row]`; weights and values (n, L).
#[inline(always)]
fn product<S: Simd, const L: usize, const V: usize>(simd: S, weights: &[[f32; L]], values: &[f32]) -> [[f32; L]; L] {
    let values = S::as_simd_f32s(values).0.as_chunks::<V>().0;
    let mut sums = [[simd.splat_f32s(0.0); V]; L];
    for (weights, values) in weights.iter().zip(values) {
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(weight);
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = simd.mul_add_e_f32s(weight, value, *sum);
            }
        }
    }
    let mut out = [[0.0; L]; L];
    S::as_mut_simd_f32s(out.as_flattened_mut()).0.copy_from_slice(sums.as_flattened());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    /// Attention by its formula, in f64; (T, H).
    fn naive(qkv: &[f32], hidden: usize, keys: usize, settings: Attention<'_>) -> Vec<f64> {
        let (tokens, head_dim) = (qkv.len() / 3 / hidden, hidden / settings.num_heads);
        let at = |token: usize, part: usize, column: usize| f64::from(qkv[(3 * token + part) * hidden + column]);
        let mut out = vec![0.0; tokens * hidden];
        for (token, column) in (0..tokens).flat_map(|token| (0..hidden).map(move |column| (token, column))) {
            let head = column / head_dim * head_dim..(column / head_dim + 1) * head_dim;
            let seen = |key: &usize| settings.window.is_none_or(|window| key.abs_diff(token) <= window);
            let weight = |key: usize| {
                let dot: f64 = head.clone().map(|column| at(token, 0, column) * at(key, 1, column)).sum();
                (dot / (head_dim as f64).sqrt()).exp()
            };
            let (mut sum, mut mean) = (0.0, 0.0);
            for key in (0..keys).filter(seen) {
                sum += weight(key);
                mean += weight(key) * at(key, 2, column);
            }
            out[token * hidden + column] = if sum > 0.0 { mean / sum } else { 0.0 };
        }
        out
    }

    /// The cases have lengths around a tile's, no window or windows from 1 to more than a text, and `[MASK]`s that are
    /// not attended to.
    #[test]
    fn every_instruction_set_is_near_the_formula() {
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        let mut scratch = Scratch::default();
        for (len, keys) in [(1, 1), (7, 7), (16, 16), (17, 17), (40, 33), (40, 5), (9, 0), (70, 70)] {
            for (hidden, num_heads) in [(8, 2), (40, 2), (64, 2)] {
                let noise = |at: usize| ((at * 7919 + len * 31) % 211) as f32 / 70.0 - 1.5;
                let qkv: Vec<f32> = (0..3 * len * hidden).map(noise).collect();
                for window in [None, Some(1), Some(12), Some(100)] {
                    let spans = [Span { start: 0, len, attended: keys }];
                    let settings = Attention { spans: &spans, num_heads, window };
                    let expected = naive(&qkv, hidden, keys, settings);
                    for &arch in &archs {
                        let mut out = vec![f32::NAN; len * hidden];
                        let scratch = &mut scratch;
                        arch.dispatch(Text { qkv: &qkv, out: &mut out, keys, hidden, settings, scratch });
                        for (out, expected) in out.iter().zip(&expected) {
                            let near = (f64::from(*out) - expected).abs() < 2e-5;
                            assert!(near, "{arch:?} {len} {keys} {hidden} {window:?}: {out} for {expected}");
                        }
                    }
                }
            }
        }
    }
}
