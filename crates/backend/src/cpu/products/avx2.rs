//! `products` with AVX2: four rows with sixteen centroids at a time.

use crate::cpu::{
    assign::Part,
    dots::avx2::{ROWS, Tile, signed},
    passages::LANES,
};
use std::arch::x86_64::*;

/// `rows (n, D) i8` -> `products (n, K) i32`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(rows: &[i8], part: Part<'_>, products: &mut [i32]) {
    let (dim, num) = (part.dim, part.sums.len());
    assert!(part.data.len() == num * dim && num.is_multiple_of(2 * LANES));
    for (p, pair) in part.data.chunks_exact(2 * LANES * dim).enumerate() {
        for (rows, products) in rows.chunks(ROWS * dim).zip(products.chunks_mut(ROWS * num)) {
            let last = rows.len() / dim - 1;
            let row = |r: usize| rows[r.min(last) * dim..][..dim].as_ptr().cast();
            // SAFETY: each row is a slice of `dim` bytes, `pair` has two panels of `8 * dim`, and none holds -128.
            let found: Tile<2> = unsafe { signed(std::array::from_fn(row), pair.as_ptr(), LANES * dim, dim) };
            for (products, found) in products.chunks_exact_mut(num).zip(found) {
                let out = products[p * 2 * LANES..][..2 * LANES].chunks_exact_mut(LANES);
                // SAFETY: each chunk is one register long.
                out.zip(found).for_each(|(out, found)| unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), found) });
            }
        }
    }
}
