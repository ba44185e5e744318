//! Attention inside each text of a ragged batch, and its gradient.
//!
//! ```text
//! p_ts = softmax over s of (q_t . k_s / sqrt(d));  y_t = sum of p_ts v_s
//! dp_ts = dy_t . v_s;  dz_ts = p_ts (dp_ts - sum over s of p_ts dp_ts) / sqrt(d)
//! dq_t = sum of dz_ts k_s;  dk_s = sum of dz_ts q_t;  dv_s = sum of p_ts dy_t
//! ```
//! per head. The backward pass computes the weights again: storing them would take T numbers per token and head.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use selvedge_encoder::ops::attention::{self, Attention};
use selvedge_encoder::ops::{Span, dot, math};

use super::{tensor, values, with_values};

/// Query tokens per kernel call; with [`LANES`] columns the sums fill 12 of AVX2's 16 registers.
const ROWS: usize = 6;
/// Columns per kernel call: one AVX-512 register, two of AVX2.
const LANES: usize = 16;

/// Computes attention inside each text: (N, 3H), queries then keys then values, to (N, H).
pub(crate) fn attention(qkv: &Tensor, spans: &Arc<[Span]>, num_heads: usize) -> Result<Tensor> {
    qkv.apply_op1(AttentionOp { spans: spans.clone(), num_heads })
}

struct AttentionOp {
    spans: Arc<[Span]>,
    num_heads: usize,
}

impl CustomOp1 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let settings = Attention { spans: &self.spans, num_heads: self.num_heads, window: None };
        let (tokens, width) = layout.shape().dims2()?;
        let mut y = Vec::new();
        attention::attention(values(qkv, layout)?, settings, &mut attention::Scratch::default(), &mut y);
        Ok((CpuStorage::F32(y), Shape::from((tokens, width / 3))))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let hidden = dy.dims2()?.1;
        let gradient = with_values([qkv, dy], |[qkv, dy]| {
            let mut gradient = vec![0.0; qkv.len()];
            let (mut tasks, mut rest) = (Vec::new(), gradient.as_mut_slice());
            for span in self.spans.iter() {
                let (own, tail) = rest.split_at_mut(span.len * 3 * hidden);
                rest = tail;
                let rows = |width: usize| span.start * width..(span.start + span.len) * width;
                let (qkv, dy) = (&qkv[rows(3 * hidden)], &dy[rows(hidden)]);
                tasks.push(Task { qkv, dy, gradient: own, keys: span.attended, hidden, num_heads: self.num_heads });
            }
            tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
            gradient
        })?;
        Ok(Some(tensor(gradient, qkv)?))
    }
}

/// Backward pass of one text.
struct Task<'a> {
    /// Queries, keys and values (T, 3H).
    qkv: &'a [f32],
    /// Gradient of the result (T, H).
    dy: &'a [f32],
    /// Gradient of `qkv` (T, 3H).
    gradient: &'a mut [f32],
    /// Number of attended tokens, which come first in the text; no token attends to the others.
    keys: usize,
    hidden: usize,
    num_heads: usize,
}

/// Scratch matrices of one head, in panels of [`LANES`] columns.
struct Scratch {
    /// Scaled queries of a block and gradients of its results; (ROWS, d).
    q: Vec<f32>,
    dy: Vec<f32>,
    /// Keys and values, transposed; a panel is (d, LANES).
    k: Vec<[f32; LANES]>,
    v: Vec<[f32; LANES]>,
    /// Keys, not transposed, and the gradients of keys and values; a panel is (keys, LANES).
    k_rows: Vec<[f32; LANES]>,
    dk: Vec<[f32; LANES]>,
    dv: Vec<[f32; LANES]>,
    /// Weights of a block and gradients of its scores; (ROWS, keys rounded up to LANES).
    p: Vec<[f32; LANES]>,
    dz: Vec<[f32; LANES]>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            LANES => self.run::<S, 1>(simd),
            8 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            _ => self.run::<S, LANES>(simd),
        }
    }
}

impl Task<'_> {
    /// Computes the gradient of `qkv`, with `V` registers per row of a panel.
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let Task { qkv, dy, gradient, keys, hidden, num_heads } = self;
        if keys == 0 {
            return;
        }
        let d = hidden / num_heads;
        let scale = 1.0 / (d as f32).sqrt();
        let mut scratch = Scratch::new(keys, d);
        let len = dy.len() / hidden;
        for column in (0..hidden).step_by(d) {
            scratch.load_keys(qkv, hidden, column, d, keys);
            for first in (0..len).step_by(ROWS) {
                let block = first..len.min(first + ROWS);
                scratch.load_block((qkv, dy), hidden, column..column + d, block.clone(), scale);
                scratch.weigh::<S, V>(simd, d, keys);
                for (number, panel) in scratch.k_rows.chunks_exact(keys).enumerate() {
                    let tile = product::<S, V>(simd, rows_of(scratch.dz.as_flattened(), keys), panel);
                    let width = LANES.min(d - number * LANES);
                    for (row, dq) in block.clone().zip(&tile) {
                        let own = &mut gradient[row * 3 * hidden + column + number * LANES..][..width];
                        own.iter_mut().zip(dq).for_each(|(own, dq)| *own = *dq * scale);
                    }
                }
                accumulate::<S>(&mut scratch.dk, &scratch.dz, &scratch.q, keys);
                accumulate::<S>(&mut scratch.dv, &scratch.p, &scratch.dy, keys);
            }
            for (s, own) in gradient.chunks_exact_mut(3 * hidden).take(keys).enumerate() {
                copy_out(&scratch.dk, keys, s, &mut own[hidden + column..][..d]);
                copy_out(&scratch.dv, keys, s, &mut own[2 * hidden + column..][..d]);
            }
        }
    }
}

impl Scratch {
    fn new(keys: usize, d: usize) -> Self {
        let by_component = || vec![[0.0; LANES]; keys.div_ceil(LANES) * d];
        let by_key = || vec![[0.0; LANES]; d.div_ceil(LANES) * keys];
        let weights = || vec![[0.0; LANES]; ROWS * keys.div_ceil(LANES)];
        let rows = || vec![0.0; ROWS * d];
        Self {
            q: rows(),
            dy: rows(),
            k: by_component(),
            v: by_component(),
            k_rows: by_key(),
            dk: by_key(),
            dv: by_key(),
            p: weights(),
            dz: weights(),
        }
    }

    /// Loads one head's keys and values, and sets their gradients to 0.
    #[inline(always)]
    fn load_keys(&mut self, qkv: &[f32], hidden: usize, column: usize, d: usize, keys: usize) {
        for (s, row) in qkv.chunks_exact(3 * hidden).take(keys).enumerate() {
            let (key, value) = (&row[hidden + column..][..d], &row[2 * hidden + column..][..d]);
            transpose_into(&mut self.k, d, s, key);
            transpose_into(&mut self.v, d, s, value);
            copy_into(&mut self.k_rows, keys, s, key);
        }
        self.dk.fill([0.0; LANES]);
        self.dv.fill([0.0; LANES]);
    }

    /// Loads the queries and gradients of a block; rows after its last token are 0, which add nothing to any sum.
    #[inline(always)]
    fn load_block(
        &mut self,
        (qkv, dy): (&[f32], &[f32]),
        hidden: usize,
        columns: Range<usize>,
        block: Range<usize>,
        scale: f32,
    ) {
        let d = columns.len();
        self.q.fill(0.0);
        self.dy.fill(0.0);
        for (at, row) in block.enumerate() {
            let (q, own_dy) = (&qkv[row * 3 * hidden..][columns.clone()], &dy[row * hidden..][columns.clone()]);
            self.q[at * d..].iter_mut().zip(q).for_each(|(own, q)| *own = q * scale);
            self.dy[at * d..][..d].copy_from_slice(own_dy);
        }
    }

    /// Computes the weights of a block, and the gradients of its scores before scaling.
    #[inline(always)]
    fn weigh<S: Simd, const V: usize>(&mut self, simd: S, d: usize, keys: usize) {
        let num_panels = self.p.len() / ROWS;
        for (number, (k, v)) in self.k.chunks_exact(d).zip(self.v.chunks_exact(d)).enumerate() {
            let scores = product::<S, V>(simd, rows_of(&self.q, d), k);
            let slopes = product::<S, V>(simd, rows_of(&self.dy, d), v);
            for (row, (scores, slopes)) in scores.into_iter().zip(slopes).enumerate() {
                self.p[row * num_panels + number] = scores;
                self.dz[row * num_panels + number] = slopes;
            }
        }
        for (p, dz) in self.p.chunks_exact_mut(num_panels).zip(self.dz.chunks_exact_mut(num_panels)) {
            let share = 1.0 / softmax_in_place(p, keys);
            let (p, dz) = (&mut p.as_flattened_mut()[..keys], &mut dz.as_flattened_mut()[..keys]);
            p.iter_mut().for_each(|p| *p *= share);
            let mean = dot(p, dz);
            dz.iter_mut().zip(p.iter()).for_each(|(dz, p)| *dz = *p * (*dz - mean));
        }
    }
}

/// Returns the first `width` values of each row of a block.
#[inline(always)]
fn rows_of(x: &[f32], width: usize) -> [&[f32]; ROWS] {
    let stride = x.len() / ROWS;
    std::array::from_fn(|row| &x[row * stride..][..width])
}

/// Adds `sum over rows of weights[row][s] * rows[row]` to `sums[s]`: panels (keys, LANES); weights (ROWS, ..), rows
/// (ROWS, d).
#[inline(always)]
fn accumulate<S: Simd>(sums: &mut [[f32; LANES]], weights: &[[f32; LANES]], rows: &[f32], keys: usize) {
    let [a, b, c, d, e, f] = rows_of(weights.as_flattened(), keys);
    for (number, sums) in sums.chunks_exact_mut(keys).enumerate() {
        let values: [[f32; LANES]; ROWS] = rows_of(rows, rows.len() / ROWS).map(|row| {
            let mut part = [0.0; LANES];
            part.iter_mut().zip(&row[number * LANES..]).for_each(|(own, x)| *own = *x);
            part
        });
        for ((((((sums, a), b), c), d), e), f) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d).zip(e).zip(f) {
            for (values, weight) in values.iter().zip([a, b, c, d, e, f]) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    // Without a fused instruction, `mul_add` would call libm.
                    *sum = if S::IS_SCALAR { weight * *value + *sum } else { weight.mul_add(*value, *sum) };
                }
            }
        }
    }
}

/// Copies row `at` of a matrix of `rows` rows in panels to `row`.
#[inline(always)]
fn copy_out(panels: &[[f32; LANES]], rows: usize, at: usize, row: &mut [f32]) {
    for (panel, part) in row.chunks_mut(LANES).enumerate() {
        part.copy_from_slice(&panels[panel * rows + at][..part.len()]);
    }
}

/// Writes row `at` of a matrix as a column of its transpose in panels of (`width`, LANES).
#[inline(always)]
fn transpose_into(panels: &mut [[f32; LANES]], width: usize, at: usize, row: &[f32]) {
    let panel = &mut panels[at / LANES * width..][..width];
    panel.iter_mut().zip(row).for_each(|(own, x)| own[at % LANES] = *x);
}

/// Writes row `at` of a matrix of `rows` rows in panels of (`rows`, LANES).
#[inline(always)]
fn copy_into(panels: &mut [[f32; LANES]], rows: usize, at: usize, row: &[f32]) {
    for (panel, part) in row.chunks(LANES).enumerate() {
        panels[panel * rows + at][..part.len()].copy_from_slice(part);
    }
}

/// Replaces the first `keys` scores of a row by `exp(x - max)`, and returns their sum. The padding after them becomes
/// e^-87 at most, which does not change the f32 sum: it is at least 1.
#[inline(always)]
fn softmax_in_place(scores: &mut [[f32; LANES]], keys: usize) -> f32 {
    scores.as_flattened_mut()[keys..].fill(f32::NEG_INFINITY);
    let mut tops = [f32::NEG_INFINITY; LANES];
    for block in scores.iter() {
        tops.iter_mut().zip(block).for_each(|(top, x)| *top = if *x > *top { *x } else { *top });
    }
    let top = tops.iter().fold(f32::NEG_INFINITY, |top, &x| top.max(x));
    let mut sums = [0.0; LANES];
    for block in scores {
        for (sum, x) in sums.iter_mut().zip(block) {
            *x = math::exp::<false>(*x - top);
            *sum += *x;
        }
    }
    sums.iter().sum()
}

/// Computes `left * right`: (ROWS, n) times a panel (n, LANES), with `V` registers per row.
#[inline(always)]
fn product<S: Simd, const V: usize>(simd: S, left: [&[f32]; ROWS], right: &[[f32; LANES]]) -> [[f32; LANES]; ROWS] {
    let right = S::as_simd_f32s(right.as_flattened()).0.as_chunks::<V>().0;
    // Equal lengths, so that the compiler removes the bounds checks.
    let left = left.map(|left| &left[..right.len()]);
    let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
    for (at, right) in right.iter().enumerate() {
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(left[at]);
            for (sum, &right) in sums.iter_mut().zip(right) {
                // Without a fused instruction this rounds twice instead of calling libm.
                *sum = simd.mul_add_e_f32s(left, right, *sum);
            }
        }
    }
    let mut out = [[0.0; LANES]; ROWS];
    for (out, sums) in out.iter_mut().zip(sums) {
        S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
    }
    out
}
