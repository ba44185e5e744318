//! `assign` with AVX2 and FMA: after each tile, 5 instructions a row fold its sixteen products into
//! the row's best eight, against `12 D` FMA for the tile.

use crate::cpu::tile::{
    WIDTH,
    avx2::{ROWS, tile},
};
use std::arch::x86_64::*;

/// The best products so far of one embedding, lane by lane, and their codes.
#[derive(Clone, Copy)]
struct Best {
    product: __m256,
    code: __m256i,
}

/// `rows (n, D) f32`, `panels (ceil(K / 16), D, 16) f32` -> `codes (n) u32`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(dim: usize, rows: &[f32], panels: &[f32], codes: &mut [u32]) {
    assert!(rows.len() == codes.len() * dim && panels.len().is_multiple_of(dim * WIDTH));
    let start = Best { product: _mm256_set1_ps(f32::NEG_INFINITY), code: _mm256_setzero_si256() };
    let mut best = vec![start; codes.len()];
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (p, panel) in panels.chunks_exact(dim * WIDTH).enumerate() {
        let low_codes = _mm256_add_epi32(lanes, _mm256_set1_epi32((p * WIDTH) as i32));
        let high_codes = _mm256_add_epi32(low_codes, _mm256_set1_epi32(WIDTH as i32 / 2));
        for (group, best) in best.chunks_mut(ROWS).enumerate() {
            let row = |r: usize| rows[(group * ROWS + r.min(best.len() - 1)) * dim..].as_ptr();
            // SAFETY: each row starts `dim` floats or more before the end of `rows`, since there are
            // `codes.len()` of them; the panel has `dim * WIDTH` floats.
            let products = unsafe { tile(std::array::from_fn(row), panel.as_ptr(), dim) };
            for (best, [low, high]) in best.iter_mut().zip(products) {
                best.keep(low, low_codes, high, high_codes);
            }
        }
    }
    for (code, best) in codes.iter_mut().zip(&best) {
        *code = best.lowest();
    }
}

impl Best {
    /// Takes over the products that exceed the best so far; of two equal ones the low one's code.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn keep(&mut self, low: __m256, low_codes: __m256i, high: __m256, high_codes: __m256i) {
        let higher = _mm256_cmp_ps::<_CMP_GT_OQ>(high, low);
        let product = _mm256_blendv_ps(low, high, higher);
        let code = _mm256_blendv_epi8(low_codes, high_codes, _mm256_castps_si256(higher));
        let better = _mm256_cmp_ps::<_CMP_GT_OQ>(product, self.product);
        self.product = _mm256_blendv_ps(self.product, product, better);
        self.code = _mm256_blendv_epi8(self.code, code, _mm256_castps_si256(better));
    }

    /// The code of the best lane; among equals the lowest.
    #[target_feature(enable = "avx2,fma")]
    fn lowest(&self) -> u32 {
        let (mut products, mut codes) = ([0f32; 8], [0u32; 8]);
        // SAFETY: both arrays are one register long.
        unsafe {
            _mm256_storeu_ps(products.as_mut_ptr(), self.product);
            _mm256_storeu_si256(codes.as_mut_ptr().cast(), self.code);
        }
        let better =
            |a: usize, b: usize| products[b] > products[a] || (products[b] == products[a] && codes[b] < codes[a]);
        codes[(0..8).fold(0, |a, b| if better(a, b) { b } else { a })]
    }
}
