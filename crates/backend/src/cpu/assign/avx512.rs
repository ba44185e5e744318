//! `assign` with AVX-512: products of eight rows with thirty-two centroids, then six instructions per row that merge
//! its products into the row's best sixteen.

use super::{Nearest, Part, lowest_best};
use crate::cpu::dots::avx512::{LANES, ROWS, as_unsigned, tile};
use std::arch::x86_64::*;

/// The best products so far of one embedding, lane by lane, and the panels that they are from.
#[derive(Clone, Copy)]
struct Best {
    product: __m512i,
    panel: __m512i,
}

/// `rows (n, D) i8` -> `nearest (n)`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(rows: &[i8], part: Part<'_>, nearest: &mut [Nearest]) {
    let dim = part.dim;
    assert!(rows.len() == nearest.len() * dim && part.data.len().is_multiple_of(2 * LANES * dim));
    assert!(part.sums.len() * dim == part.data.len());
    let rows: Vec<u8> = rows.iter().map(|&x| x.cast_unsigned() ^ 0x80).collect();
    let start = Best { product: _mm512_set1_epi32(i32::MIN), panel: _mm512_setzero_si512() };
    let mut best = vec![start; nearest.len()];
    let sums = part.sums.chunks_exact(2 * LANES);
    for ((p, pair), sums) in part.data.chunks_exact(2 * LANES * dim).enumerate().zip(sums) {
        // Rows are now `x + 128`, so products start at -128 times the sum of the centroid's components.
        let lower = |v: usize| {
            // SAFETY: two registers of sums.
            let sums = unsafe { _mm512_loadu_si512(sums[v * LANES..].as_ptr().cast()) };
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        };
        let lower: [__m512i; 2] = std::array::from_fn(lower);
        for (group, best) in best.chunks_mut(ROWS).enumerate() {
            let row = |r: usize| rows[(group * ROWS + r.min(best.len() - 1)) * dim..][..dim].as_ptr();
            // SAFETY: each row is a slice of `dim` bytes, and `pair` has two panels of `16 * dim`.
            let products =
                unsafe { tile::<ROWS, 2>(std::array::from_fn(row), pair.as_ptr(), dim, lower, as_unsigned(), None) };
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
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn keep(&mut self, products: [__m512i; 2], first: i32) {
        for (product, panel) in products.into_iter().zip(first..) {
            let better = _mm512_cmpgt_epi32_mask(product, self.product);
            self.product = _mm512_max_epi32(self.product, product);
            self.panel = _mm512_mask_set1_epi32(self.panel, better, panel);
        }
    }

    /// The best lane.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn lowest(&self) -> Nearest {
        let (mut products, mut panels) = ([0i32; LANES], [0u32; LANES]);
        // SAFETY: both arrays are one register long.
        unsafe {
            _mm512_storeu_si512(products.as_mut_ptr().cast(), self.product);
            _mm512_storeu_si512(panels.as_mut_ptr().cast(), self.panel);
        }
        lowest_best((0..LANES).map(|lane| (products[lane], panels[lane] * LANES as u32 + lane as u32)))
    }
}
