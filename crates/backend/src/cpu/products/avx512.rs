//! `products` with AVX-512: eight rows with thirty-two centroids at a time.

use crate::cpu::{
    assign::Part,
    dots::avx512::{LANES, ROWS, as_unsigned, tile},
};
use std::arch::x86_64::*;

/// `rows (n, D) i8` -> `products (n, K) i32`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(rows: &[i8], part: Part<'_>, products: &mut [i32]) {
    let (dim, num) = (part.dim, part.sums.len());
    assert!(part.data.len() == num * dim && num.is_multiple_of(2 * LANES));
    let rows: Vec<u8> = rows.iter().map(|&x| x.cast_unsigned() ^ 0x80).collect();
    let pairs = part.data.chunks_exact(2 * LANES * dim).zip(part.sums.chunks_exact(2 * LANES));
    for (p, (pair, sums)) in pairs.enumerate() {
        // Rows are now `x + 128`, so products start at -128 times the sum of the centroid's components.
        let lower = |v: usize| {
            // SAFETY: two registers of sums.
            let sums = unsafe { _mm512_loadu_si512(sums[v * LANES..].as_ptr().cast()) };
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums))
        };
        let lower: [__m512i; 2] = std::array::from_fn(lower);
        for (rows, products) in rows.chunks(ROWS * dim).zip(products.chunks_mut(ROWS * num)) {
            let last = rows.len() / dim - 1;
            let row = |r: usize| rows[r.min(last) * dim..][..dim].as_ptr();
            // SAFETY: each row is a slice of `dim` bytes, and `pair` has two panels of `16 * dim`.
            let found =
                unsafe { tile::<ROWS, 2>(std::array::from_fn(row), pair.as_ptr(), dim, lower, as_unsigned(), None) };
            for (products, found) in products.chunks_exact_mut(num).zip(found) {
                let out = products[p * 2 * LANES..][..2 * LANES].chunks_exact_mut(LANES);
                // SAFETY: each chunk is one register long.
                out.zip(found).for_each(|(out, found)| unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), found) });
            }
        }
    }
}
