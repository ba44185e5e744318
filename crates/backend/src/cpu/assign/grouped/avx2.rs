//! The second level of `assign` by groups with AVX2: products of four rows with sixteen centroids.

use super::{Nearest16, Search};
use crate::cpu::{
    dots::avx2::{ROWS, Tile, signed},
    passages::LANES,
};
use std::arch::x86_64::*;

/// Merges the products of the picked rows with the centroids of a group into `best`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(search: &Search<'_>, best: &mut [Nearest16]) {
    let &Search { part, codes, rows, picked } = search;
    let dim = part.dim;
    assert!(part.data.len().is_multiple_of(2 * LANES * dim));
    for (pair, codes) in part.data.chunks_exact(2 * LANES * dim).zip(codes.chunks_exact(2 * LANES)) {
        // SAFETY: two registers of codes.
        let code = |v: usize| unsafe { _mm256_loadu_si256(codes[v * LANES..].as_ptr().cast()) };
        let codes: [__m256i; 2] = std::array::from_fn(code);
        for picked in picked.chunks(ROWS) {
            let row = |r: usize| rows[picked[r.min(picked.len() - 1)] as usize * dim..][..dim].as_ptr().cast();
            // SAFETY: each row is a slice of `dim` bytes, `pair` has two panels of `8 * dim`, and none holds -128.
            let products: Tile<2> = unsafe { signed(std::array::from_fn(row), pair.as_ptr(), LANES * dim, dim) };
            for (&row, products) in picked.iter().zip(products) {
                keep(&mut best[row as usize], products, codes);
            }
        }
    }
}

/// Merges the products of two panels with the centroids `codes`, below 2^31; among equals the lower code wins.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn keep(best: &mut Nearest16, products: [__m256i; 2], codes: [__m256i; 2]) {
    let (to_product, to_code) = (best.products.as_mut_ptr().cast(), best.codes.as_mut_ptr().cast());
    // SAFETY: both arrays are two registers long, of which the first is used.
    let (mut best_product, mut best_code) = unsafe { (_mm256_loadu_si256(to_product), _mm256_loadu_si256(to_code)) };
    for (product, code) in products.into_iter().zip(codes) {
        let tie = _mm256_and_si256(_mm256_cmpeq_epi32(product, best_product), _mm256_cmpgt_epi32(best_code, code));
        let better = _mm256_or_si256(_mm256_cmpgt_epi32(product, best_product), tie);
        best_product = _mm256_max_epi32(best_product, product);
        best_code = _mm256_blendv_epi8(best_code, code, better);
    }
    // SAFETY: as above.
    unsafe {
        _mm256_storeu_si256(to_product, best_product);
        _mm256_storeu_si256(to_code, best_code);
    }
}
