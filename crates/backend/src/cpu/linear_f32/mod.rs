//! A linear layer in f32: `y = x W^T`, weights packed once. `x (N, in) f32`, `W (out, in) f32` -> `y (N, out) f32`.
//!
//! A general matrix product packs the weights in each call, which costs as much as the products themselves for the 32
//! rows of a query. Here weights are packed once, in panels of sixteen outputs, and rows of `x` are read as they are. A
//! block of rows stays in L2 while all panels are multiplied with it.
//!
//! Each value of `y` is one chain of additions from input 0 on, so no result depends on the other rows of a call, and
//! AVX2 and AVX-512 give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{
    Cpu,
    aligned::AlignedVec,
    tile::{BLOCK_FLOATS, WIDTH, pack_panels},
};
use crate::Isa;

/// The weights of a linear layer in f32, packed into panels.
pub struct LinearF32 {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// `(ceil(out / 16), in, 16) f32`.
    panels: AlignedVec<f32>,
}

impl LinearF32 {
    /// Packs `weight (out, in) f32` for the instruction set of `cpu`.
    ///
    /// # Panics
    /// If `weight` is not whole rows of `inputs`, or `inputs` is 0.
    pub fn new(cpu: &Cpu, inputs: usize, weight: &[f32]) -> Self {
        assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "whole rows of {inputs}");
        let packed = pack_panels(inputs, weight);
        let mut panels = AlignedVec::zeros(packed.len());
        panels.copy_from_slice(&packed);
        Self { isa: cpu.isa(), inputs, outputs: weight.len() / inputs, panels }
    }

    /// Number of inputs, the length of a row of `x`.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs, the length of a row of `y`.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Computes `y = x W^T` on the calling thread, `x (N, in) f32` -> `y (N, out) f32`.
    ///
    /// # Panics
    /// If `x` and `y` are not whole rows, or differ in their number of rows.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        assert!(x.len().is_multiple_of(self.inputs), "whole rows of {}", self.inputs);
        assert!(y.len() == x.len() / self.inputs * self.outputs, "a row of {} for each row of x", self.outputs);
        if y.is_empty() {
            return;
        }
        // A multiple of 24 rows is whole tiles of every body.
        let block = (BLOCK_FLOATS / self.inputs).max(1).next_multiple_of(24);
        for (y, x) in y.chunks_mut(block * self.outputs).zip(x.chunks(block * self.inputs)) {
            dispatch!(self.isa, x, self, y);
        }
    }

    /// `num` panels from `first` on, `(num, in, 16) f32`.
    fn panels(&self, first: usize, num: usize) -> &[f32] {
        let panel = self.inputs * WIDTH;
        &self.panels[first * panel..][..num * panel]
    }
}
