//! `assign` with AVX2: products of four rows with sixteen centroids, then six instructions per row that merge its
//! products into the row's best eight.

use super::{Nearest, Part, lowest_best};
use crate::cpu::{
    dots::avx2::{ROWS, Tile, signed},
    passages::LANES,
};
use std::arch::x86_64::*;

/// The best products so far of one embedding, lane by lane, and the panels that they are from.
#[derive(Clone, Copy)]
struct Best {
    product: __m256i,
    panel: __m256i,
}

/// `rows (n, D) i8` -> `nearest (n)`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(rows: &[i8], part: Part<'_>, nearest: &mut [Nearest]) {
    let dim = part.dim;
    assert!(rows.len() == nearest.len() * dim && part.data.len().is_multiple_of(2 * LANES * dim));
    let start = Best { product: _mm256_set1_epi32(i32::MIN), panel: _mm256_setzero_si256() };
    let mut best = vec![start; nearest.len()];
    for (p, pair) in part.data.chunks_exact(2 * LANES * dim).enumerate() {
        for (group, best) in best.chunks_mut(ROWS).enumerate() {
            let row = |r: usize| rows[(group * ROWS + r.min(best.len() - 1)) * dim..][..dim].as_ptr().cast();
            // SAFETY: each row is a slice of `dim` bytes, `pair` has two panels of `8 * dim`, and none holds -128.
            let products: Tile<2> = unsafe { signed(std::array::from_fn(row), pair.as_ptr(), LANES * dim, dim) };
            for (best, products) in best.iter_mut().zip(products) {
                best.keep(products, 2 * p as i32);
            }
        }
    }
    for (nearest, best) in nearest.iter_mut().zip(&best) {
        *nearest = best.lowest();
    }
}

impl Best {
    /// Merges the products of two panels; among equals the first panel wins.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn keep(&mut self, products: [__m256i; 2], first: i32) {
        for (product, panel) in products.into_iter().zip(first..) {
            let better = _mm256_cmpgt_epi32(product, self.product);
            self.product = _mm256_max_epi32(self.product, product);
            self.panel = _mm256_blendv_epi8(self.panel, _mm256_set1_epi32(panel), better);
        }
    }

    /// The best lane.
    #[target_feature(enable = "avx2,fma")]
    fn lowest(&self) -> Nearest {
        let (mut products, mut panels) = ([0i32; LANES], [0u32; LANES]);
        // SAFETY: both arrays are one register long.
        unsafe {
            _mm256_storeu_si256(products.as_mut_ptr().cast(), self.product);
            _mm256_storeu_si256(panels.as_mut_ptr().cast(), self.panel);
        }
        lowest_best((0..LANES).map(|lane| (products[lane], panels[lane] * LANES as u32 + lane as u32)))
    }
}
