//! The second level of `assign` by groups with AVX-512: products of eight rows with thirty-two centroids.

use super::{Nearest16, Search};
use crate::cpu::dots::avx512::{LANES, ROWS, as_signed, tile};
use std::arch::x86_64::*;

/// Merges the products of the picked rows with the centroids of a group into `best`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(search: &Search<'_>, best: &mut [Nearest16]) {
    let &Search { part, codes, rows, picked } = search;
    let (dim, flip) = (part.dim, as_signed());
    assert!(part.data.len().is_multiple_of(2 * LANES * dim) && part.sums.len() * dim == part.data.len());
    let pairs = part.data.chunks_exact(2 * LANES * dim).zip(part.sums.chunks_exact(2 * LANES));
    for ((pair, sums), codes) in pairs.zip(codes.chunks_exact(2 * LANES)) {
        // Rows are taken as `x + 128`, so products start at -128 times the sum of the centroid's components.
        let lower = |v: usize| {
            // SAFETY: two registers of sums.
            let sums = unsafe { _mm512_loadu_si512(sums[v * LANES..].as_ptr().cast()) };
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        };
        let lower: [__m512i; 2] = std::array::from_fn(lower);
        // SAFETY: two registers of codes.
        let code = |v: usize| unsafe { _mm512_loadu_si512(codes[v * LANES..].as_ptr().cast()) };
        let codes: [__m512i; 2] = std::array::from_fn(code);
        for picked in picked.chunks(ROWS) {
            let row = |r: usize| rows[picked[r.min(picked.len() - 1)] as usize * dim..][..dim].as_ptr().cast();
            // SAFETY: each row is a slice of `dim` bytes, and `pair` has two panels of `16 * dim`.
            let products = unsafe { tile::<ROWS, 2>(std::array::from_fn(row), pair.as_ptr(), dim, lower, flip, None) };
            for (&row, products) in picked.iter().zip(products) {
                keep(&mut best[row as usize], products, codes);
            }
        }
    }
}

/// Merges the products of two panels with the centroids `codes`; among equals the lower code wins.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn keep(best: &mut Nearest16, products: [__m512i; 2], codes: [__m512i; 2]) {
    let (to_product, to_code) = (best.products.as_mut_ptr().cast(), best.codes.as_mut_ptr().cast());
    // SAFETY: both arrays are one register long.
    let (mut best_product, mut best_code) = unsafe { (_mm512_loadu_si512(to_product), _mm512_loadu_si512(to_code)) };
    for (product, code) in products.into_iter().zip(codes) {
        let equal = _mm512_cmpeq_epi32_mask(product, best_product);
        let better =
            _mm512_cmpgt_epi32_mask(product, best_product) | _mm512_mask_cmplt_epu32_mask(equal, code, best_code);
        best_product = _mm512_max_epi32(best_product, product);
        best_code = _mm512_mask_mov_epi32(best_code, better, code);
    }
    // SAFETY: as above.
    unsafe {
        _mm512_storeu_si512(to_product.cast(), best_product);
        _mm512_storeu_si512(to_code.cast(), best_code);
    }
}
