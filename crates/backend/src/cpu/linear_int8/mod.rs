//! A linear layer in int8: `y = x W^T`, with weights rounded per output, inputs rounded per row.
//!
//! ```text
//! x8 = round(127 x / max|x|) for each row of x
//! w8 = round(127 w / s) for each row of W; s = max|w|, with AVX2 also the largest sum of two neighbours
//!      (w[2i], w[2i + 1]) of one sign
//! y[n][m] = f32(dot(x8[n], w8[m])) * (scale_x[n] * scale_w[m])
//! ```
//!
//! The larger `s` lets AVX2 multiply inputs as unsigned bytes, exactly: two neighbours of one sign in `w8`
//! add up to at most 128, so the sum of their products with `x8 + 128` is at most `255 * 128 = 32640 < 2^15`.
//! The larger `s` costs the AVX2 body a little precision (`crates/encoder/README.md`).
//!
//! `x (N, in) f32`, `W (out, in) f32` -> `y (N, out) f32`. The dot products are exact, and two multiplications of f32
//! follow them, so every body except that of AVX2 gives the same bits.

/// `run` of a SIMD body, compiled for `$features`: rows of `y`, two panels at a time.
#[cfg(target_arch = "x86_64")]
macro_rules! run_by_panels {
    ($features:literal) => {
        /// Rows of `y`.
        #[target_feature(enable = $features)]
        pub(super) fn run(x: &[f32], linear: &LinearInt8, y: &mut [f32], rounded: &mut RoundedRows) {
            rounded.fill_unsigned(x, linear);
            for first in (0..linear.panels.len()).step_by(2) {
                match linear.panels.len() - first {
                    1 => panels::<1>(rounded, linear, first, y),
                    _ => panels::<2>(rounded, linear, first, y),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod portable;

use super::{Cpu, dots::Panels};
use crate::Isa;

/// Bytes of rows per block: half of a 32 KiB L1. The number of rows is rounded up to a multiple of 24, which are whole
/// tiles of every body.
const BLOCK_BYTES: usize = 1 << 14;
/// The largest number of inputs: more could overflow an i32 sum.
const MAX_INPUTS: usize = 1 << 15;

/// The weights of a linear layer, rounded to int8.
pub struct LinearInt8 {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    panels: Panels,
    /// One scale per output, padded with zeros to whole panels.
    scales: Vec<f32>,
}

/// Reusable memory for the rounded inputs of [`LinearInt8::forward`], kept from call to call.
#[derive(Default)]
pub struct RoundedRows {
    /// `(n, width) i8`; rows are padded with zeros.
    rows: Vec<i8>,
    /// `(n) f32`.
    scales: Vec<f32>,
}

impl RoundedRows {
    /// Rounds `x (n, in)`. Inlined, so that it is compiled for the instruction set of each body.
    #[inline(always)]
    fn fill(&mut self, x: &[f32], linear: &LinearInt8) {
        let width = linear.panels.width();
        let num = x.len() / linear.inputs;
        self.rows.resize(num * width, 0);
        self.scales.resize(num, 0.0);
        let rows = self.rows.chunks_exact_mut(width).zip(&mut self.scales);
        for (x, (row, scale)) in x.chunks_exact(linear.inputs).zip(rows) {
            let (row, padding) = row.split_at_mut(linear.inputs);
            *scale = round(x, largest(x), row);
            padding.fill(0);
        }
    }

    /// The rounded rows as unsigned bytes, `x8 + 128`.
    #[inline(always)]
    fn fill_unsigned(&mut self, x: &[f32], linear: &LinearInt8) {
        self.fill(x, linear);
        self.rows.iter_mut().for_each(|x| *x ^= i8::MIN);
    }
}

/// The largest absolute value; infinity or NaN if there is one.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    // The bits of non-negative numbers have the order of the numbers, with infinity and NaN above all.
    f32::from_bits(x.iter().fold(0, |max, x| max.max(x.abs().to_bits())))
}

/// The largest absolute sum of two neighbours `(w[2i], w[2i + 1])` of one sign (of two neighbours of different signs,
/// one counts as zero): at least the largest absolute value, at most twice that; infinity or NaN if there is one.
fn largest_of_neighbours(weights: &[f32]) -> f32 {
    let most = largest(weights);
    if !most.is_finite() {
        return most;
    }
    let sum = |pair: &[f32], sign: f32| pair.iter().map(|x| (sign * x).max(0.0)).sum::<f32>();
    let sums = weights.chunks(2).flat_map(|pair| [sum(pair, 1.0), sum(pair, -1.0)]);
    sums.fold(most, f32::max)
}

/// Rounds like [`round_to_int8`](crate::round_to_int8), but so that `most` becomes 127, in a form that compilers
/// vectorize. The scale is NaN if `most` is infinite or NaN.
#[inline(always)]
fn round(x: &[f32], most: f32, out: &mut [i8]) -> f32 {
    if !most.is_finite() {
        return f32::NAN;
    }
    // An infinite factor would turn every number but 0 into the largest.
    let inverse = if most > 0.0 { (127.0 / most).min(f32::MAX) } else { 0.0 };
    for (out, x) in out.iter_mut().zip(x) {
        // The addition rounds to where f32 has no fractions, and the integer is in the lowest bits.
        let shifted = (x * inverse).clamp(-127.0, 127.0) + (3 << 22) as f32;
        *out = shifted.to_bits() as i8;
    }
    most / 127.0
}

impl LinearInt8 {
    /// Maximum number of inputs of a layer, 2^15.
    pub const MAX_INPUTS: usize = MAX_INPUTS;

    /// Rounds `weight (out, in) f32` for the instruction set of `cpu`.
    ///
    /// # Panics
    /// If `weight` is not whole rows of `inputs`, or `inputs` is 0 or more than [`Self::MAX_INPUTS`].
    pub fn new(cpu: &Cpu, inputs: usize, weight: &[f32]) -> Self {
        assert!(inputs > 0 && inputs <= MAX_INPUTS && weight.len().is_multiple_of(inputs), "whole rows of {inputs}");
        let mut rows = vec![0i8; weight.len()];
        let outputs = weight.len() / inputs;
        let most = if cpu.isa() == Isa::Avx2 { largest_of_neighbours } else { largest };
        let rounded = weight.chunks_exact(inputs).zip(rows.chunks_exact_mut(inputs));
        let mut scales: Vec<f32> = rounded.map(|(real, row)| round(real, most(real), row)).collect();
        let order: Vec<Option<usize>> = (0..inputs.next_multiple_of(4)).map(|at| (at < inputs).then_some(at)).collect();
        let panels = Panels::in_order(cpu.isa(), inputs, &rows, &order);
        scales.resize(panels.len() * super::dots::lanes(cpu.isa()), 0.0);
        Self { isa: cpu.isa(), inputs, outputs, panels, scales }
    }

    /// Number of inputs, the length of a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs, the length of a row of `y`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Computes `y = x W^T` on the calling thread, `x (N, in) f32` -> `y (N, out) f32`. A row of `x` with a NaN or an
    /// infinity gives a row of NaN. `rounded` is overwritten; any layer may use it next.
    ///
    /// # Panics
    /// If `x` and `y` are not whole rows, or differ in their number of rows.
    pub fn forward(&self, x: &[f32], y: &mut [f32], rounded: &mut RoundedRows) {
        assert!(x.len().is_multiple_of(self.inputs), "whole rows of {}", self.inputs);
        assert!(y.len() == x.len() / self.inputs * self.outputs, "a row of {} for each row of x", self.outputs);
        if y.is_empty() {
            return;
        }
        let block = (BLOCK_BYTES / self.panels.width()).next_multiple_of(24).max(24);
        for (y, x) in y.chunks_mut(block * self.outputs).zip(x.chunks(block * self.inputs)) {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as in `dispatch!`.
                Isa::AvxVnni => unsafe { avx_vnni::run(x, self, y, rounded) },
                isa => dispatch!(isa, x, self, y, rounded),
            }
        }
    }
}
