//! The int8 micro-kernel that `centroid_table` and `maxsim` are made of: dot products of a few rows
//! with eight or sixteen query tokens.
//!
//! Query tokens are interleaved, `(Q / 8, D / 4, 8, 4) i8`: a register holds four components of
//! eight tokens, and four components of a row are broadcast against it. Each 32-bit lane of the sums
//! then belongs to one query token, as each entry of a centroid table's row does, so that nothing is
//! ever summed across lanes.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

use super::passages::LANES;
use crate::QuantizedQuery;

/// A query's int8 rows, interleaved.
pub(super) struct Panels {
    /// Components of a row, `D`.
    dim: usize,
    /// `(ceil(Q / 8), D / 4, 8, 4) i8`; zeros behind the last token.
    data: Vec<i8>,
    /// Sum of each token's components, `(Q rounded up to 8) i32`.
    sums: Vec<i32>,
}

impl Panels {
    /// Interleaves `query`.
    ///
    /// # Panics
    /// If a component is -128, which no quantized query holds and the kernels' proofs exclude, or if
    /// the rows are not whole or not a multiple of 4 long.
    pub(super) fn new(query: &QuantizedQuery) -> Self {
        let dim = query.dim;
        assert!(dim.is_multiple_of(4) && query.data.len().is_multiple_of(dim), "whole rows of {dim}");
        assert!(!query.data.contains(&i8::MIN), "components lie within -127..=127");
        let padded = query.len().next_multiple_of(LANES);
        let (mut data, mut sums) = (vec![0i8; padded * dim], vec![0i32; padded]);
        for (i, sum) in sums.iter_mut().enumerate().take(query.len()) {
            *sum = query.row(i).iter().map(|&q| i32::from(q)).sum();
            for (step, four) in query.row(i).chunks_exact(4).enumerate() {
                let at = (i / LANES * dim / 4 + step) * 4 * LANES + i % LANES * 4;
                data[at..at + 4].copy_from_slice(four);
            }
        }
        Self { dim, data, sums }
    }

    /// Number of panels.
    pub(super) fn len(&self) -> usize {
        self.sums.len() / LANES
    }

    /// Panels `first..first + num`, `(num, D / 4, 8, 4) i8`.
    pub(super) fn panels(&self, first: usize, num: usize) -> &[i8] {
        let panel = LANES * self.dim;
        &self.data[first * panel..(first + num) * panel]
    }

    /// Sums of the components of the eight tokens of a panel.
    pub(super) fn sums(&self, panel: usize) -> &[i32; LANES] {
        self.sums[panel * LANES..][..LANES].try_into().expect("whole panels")
    }
}

/// Exact dot product in plain Rust.
#[inline(always)]
pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
