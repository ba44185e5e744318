//! Attention inside each text of a ragged batch, and its gradient.
//!
//! ```text
//! p_ts = softmax over s of (q_t . k_s / sqrt(d));  y_t = sum of p_ts v_s
//! dp_ts = dy_t . v_s;  dz_ts = p_ts (dp_ts - sum over s of p_ts dp_ts) / sqrt(d)
//! dq_t = sum of dz_ts k_s;  dk_s = sum of dz_ts q_t;  dv_s = sum of p_ts dy_t
//! ```
//! per head. The weights are computed again on the way back: keeping them would take T numbers a token and head.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{tensor, with_values};
use crate::batch::Span;
use crate::ops::attention::{Attention, LANES, ROWS, product, soften};
use crate::ops::dot;

/// (N, 3H), queries then keys then values, to (N, H).
pub(in crate::train) fn attention(qkv: &Tensor, spans: &Arc<[Span]>, num_heads: usize) -> Result<Tensor> {
    qkv.apply_op1(Trained { spans: spans.clone(), num_heads })
}

struct Trained {
    spans: Arc<[Span]>,
    num_heads: usize,
}

impl CustomOp1 for Trained {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Attention { spans: &self.spans, num_heads: self.num_heads, window: None }.cpu_fwd(qkv, layout)
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

/// One text.
struct Task<'a> {
    /// (T, 3H).
    qkv: &'a [f32],
    /// (T, H).
    dy: &'a [f32],
    /// (T, 3H).
    gradient: &'a mut [f32],
    /// The first so many tokens are seen.
    keys: usize,
    hidden: usize,
    num_heads: usize,
}

/// One head's numbers, in the layouts that the products read.
struct Scratch {
    /// A block's queries, scaled, and gradients of its results; (ROWS, value lanes).
    q: Vec<f32>,
    dy: Vec<f32>,
    /// Keys and values, transposed; (d, key lanes).
    k: Vec<f32>,
    v: Vec<f32>,
    /// Keys once more, and the gradients of keys and values; (keys, value lanes).
    k_rows: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    /// A block's weights, and the gradients of its scores; (ROWS, key lanes).
    p: Vec<f32>,
    dz: Vec<f32>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Task { qkv, dy, gradient, keys, hidden, num_heads } = self;
        if keys == 0 {
            return;
        }
        let d = hidden / num_heads;
        let scale = 1.0 / (d as f32).sqrt();
        let (key_lanes, value_lanes) = (keys.next_multiple_of(LANES), d.next_multiple_of(LANES));
        let [q, dy_rows] = [(); 2].map(|()| vec![0.0; ROWS * value_lanes]);
        let [k, v] = [(); 2].map(|()| vec![0.0; d * key_lanes]);
        let [k_rows, dk, dv] = [(); 3].map(|()| vec![0.0; keys * value_lanes]);
        let [p, dz] = [(); 2].map(|()| vec![0.0; ROWS * key_lanes]);
        let mut scratch = Scratch { q, dy: dy_rows, k, v, k_rows, dk, dv, p, dz };
        let len = dy.len() / hidden;
        for column in (0..hidden).step_by(d) {
            scratch.load_keys(qkv, hidden, column, d, keys);
            for first in (0..len).step_by(ROWS) {
                let block = first..len.min(first + ROWS);
                scratch.load_block((qkv, dy), hidden, column..column + d, block.clone(), scale);
                scratch.weigh::<S>(d, keys);
                for lane in (0..value_lanes).step_by(LANES) {
                    let rows = &scratch.k_rows[lane..];
                    let tile = product::<S>(&scratch.dz, key_lanes, 0..keys, rows, value_lanes);
                    let width = LANES.min(d - lane);
                    for (row, dq) in block.clone().zip(&tile) {
                        let own = &mut gradient[row * 3 * hidden + column + lane..][..width];
                        own.iter_mut().zip(dq).for_each(|(own, dq)| *own = *dq * scale);
                    }
                }
                accumulate::<S>(&mut scratch.dk, &scratch.dz, &scratch.q);
                accumulate::<S>(&mut scratch.dv, &scratch.p, &scratch.dy);
            }
            for (s, own) in gradient.chunks_exact_mut(3 * hidden).take(keys).enumerate() {
                own[hidden + column..][..d].copy_from_slice(&scratch.dk[s * value_lanes..][..d]);
                own[2 * hidden + column..][..d].copy_from_slice(&scratch.dv[s * value_lanes..][..d]);
            }
        }
    }
}

impl Scratch {
    /// One head's keys and values; their gradients begin at 0.
    #[inline(always)]
    fn load_keys(&mut self, qkv: &[f32], hidden: usize, column: usize, d: usize, keys: usize) {
        let (key_lanes, value_lanes) = (keys.next_multiple_of(LANES), d.next_multiple_of(LANES));
        for (s, row) in qkv.chunks_exact(3 * hidden).take(keys).enumerate() {
            let (key, value) = (&row[hidden + column..][..d], &row[2 * hidden + column..][..d]);
            for c in 0..d {
                self.k[c * key_lanes + s] = key[c];
                self.v[c * key_lanes + s] = value[c];
            }
            self.k_rows[s * value_lanes..][..d].copy_from_slice(key);
        }
        self.dk.fill(0.0);
        self.dv.fill(0.0);
    }

    /// Some tokens' queries and gradients; behind the last there are zeros, which add nothing to any sum.
    #[inline(always)]
    fn load_block(
        &mut self,
        (qkv, dy): (&[f32], &[f32]),
        hidden: usize,
        columns: Range<usize>,
        block: Range<usize>,
        scale: f32,
    ) {
        let value_lanes = self.q.len() / ROWS;
        self.q.fill(0.0);
        self.dy.fill(0.0);
        for (at, row) in block.enumerate() {
            let (q, own_dy) = (&qkv[row * 3 * hidden..][columns.clone()], &dy[row * hidden..][columns.clone()]);
            self.q[at * value_lanes..].iter_mut().zip(q).for_each(|(own, q)| *own = q * scale);
            self.dy[at * value_lanes..][..columns.len()].copy_from_slice(own_dy);
        }
    }

    /// A block's weights, and the gradients of its scores before they are scaled.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, d: usize, keys: usize) {
        let (key_lanes, value_lanes) = (self.p.len() / ROWS, self.q.len() / ROWS);
        for lane in (0..key_lanes).step_by(LANES) {
            let scores = product::<S>(&self.q, value_lanes, 0..d, &self.k[lane..], key_lanes);
            let slopes = product::<S>(&self.dy, value_lanes, 0..d, &self.v[lane..], key_lanes);
            for row in 0..ROWS {
                self.p[row * key_lanes + lane..][..LANES].copy_from_slice(&scores[row]);
                self.dz[row * key_lanes + lane..][..LANES].copy_from_slice(&slopes[row]);
            }
        }
        for (p, dz) in self.p.chunks_exact_mut(key_lanes).zip(self.dz.chunks_exact_mut(key_lanes)) {
            let (p, dz) = (&mut p[..keys], &mut dz[..keys]);
            let share = 1.0 / soften(p);
            p.iter_mut().for_each(|p| *p *= share);
            let mean = dot(p, dz);
            dz.iter_mut().zip(p.iter()).for_each(|(dz, p)| *dz = *p * (*dz - mean));
        }
    }
}

/// `sums[s] += sum over rows of weights[row][s] * rows[row]`: (keys, value lanes) of (ROWS, key lanes), (ROWS, value lanes).
#[inline(always)]
fn accumulate<S: Simd>(sums: &mut [f32], weights: &[f32], rows: &[f32]) {
    let (key_lanes, value_lanes) = (weights.len() / ROWS, rows.len() / ROWS);
    for (s, sums) in sums.chunks_exact_mut(value_lanes).enumerate() {
        for (part, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut own = *sums;
            for row in 0..ROWS {
                let weight = weights[row * key_lanes + s];
                let values = rows[row * value_lanes + part * LANES..].first_chunk::<LANES>().expect("rows of lanes");
                for (own, value) in own.iter_mut().zip(values) {
                    // Without a fused instruction `mul_add` is a call of libm.
                    *own = if S::IS_SCALAR { weight * *value + *own } else { weight.mul_add(*value, *own) };
                }
            }
            *sums = own;
        }
    }
}
