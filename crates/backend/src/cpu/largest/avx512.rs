//! `largest` with AVX-512: bounds by counts of masks, and `vpcompressd` to collect what reaches them.

use super::portable;
use std::arch::x86_64::*;

const LANES: usize = 16;
/// Registers of maxima: as many maxima as products that can be kept.
const MAXIMA: usize = 4;

/// Appends the columns of each row of `products (n, width) i32`.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
pub(super) fn run(products: &[i32], width: usize, keep: usize, columns: &mut Vec<u32>) {
    if !width.is_multiple_of(LANES) || keep > MAXIMA * LANES || keep >= width {
        return portable::run(products, width, keep, columns);
    }
    // A whole register is written after the last.
    let (mut values, mut found) = (vec![0; width + LANES], vec![0; width + LANES]);
    for row in products.chunks_exact(width) {
        let mut maxima = [_mm512_set1_epi32(i32::MIN); MAXIMA];
        for (at, products) in row.as_chunks::<LANES>().0.iter().enumerate() {
            maxima[at % MAXIMA] = _mm512_max_epi32(maxima[at % MAXIMA], load(products));
        }
        // As many lanes have a product that is not below the floor, so none below it is among the largest. Lanes that
        // a short row lacks are at the minimum.
        let floor = if width >= MAXIMA * LANES { bound(&maxima, keep) } else { i32::MIN };
        let len = compress(row, floor, &mut values, &mut found);
        let padded = len.next_multiple_of(LANES);
        values[len..padded].fill(i32::MIN);
        let candidates: Vec<__m512i> = values[..padded].as_chunks::<LANES>().0.iter().map(|v| load(v)).collect();
        let least = bound(&candidates, keep);
        let mut ties = keep - count(&candidates, least + 1);
        // Columns ascend, so the lower of equals come first.
        columns.extend(values[..len].iter().zip(&found).filter_map(|(&value, &column)| {
            let tie = value == least && ties > 0;
            ties -= usize::from(tie);
            (value > least || tie).then_some(column)
        }));
    }
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
fn load(values: &[i32; LANES]) -> __m512i {
    // SAFETY: sixteen i32 are one register.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

/// Writes the products that are not below `floor`, and their columns, in order; returns their number.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
fn compress(row: &[i32], floor: i32, values: &mut [i32], columns: &mut [u32]) -> usize {
    let floor = _mm512_set1_epi32(floor);
    let mut column = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut len = 0;
    for products in row.as_chunks::<LANES>().0 {
        let products = load(products);
        let high = _mm512_cmpge_epi32_mask(products, floor);
        let (to_values, to_columns) = (&mut values[len..][..LANES], &mut columns[len..][..LANES]);
        // SAFETY: both slices are one register long.
        unsafe {
            let (high_products, high_columns) =
                (_mm512_maskz_compress_epi32(high, products), _mm512_maskz_compress_epi32(high, column));
            _mm512_storeu_si512(to_values.as_mut_ptr().cast(), high_products);
            _mm512_storeu_si512(to_columns.as_mut_ptr().cast(), high_columns);
        }
        len += high.count_ones() as usize;
        column = _mm512_add_epi32(column, _mm512_set1_epi32(LANES as i32));
    }
    len
}

/// Number of values that are not below `floor`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
fn count(values: &[__m512i], floor: i32) -> usize {
    let floor = _mm512_set1_epi32(floor);
    values.iter().map(|&v| _mm512_cmpge_epi32_mask(v, floor).count_ones() as usize).sum()
}

/// The `keep`-th largest value.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
fn bound(values: &[__m512i], keep: usize) -> i32 {
    let most = values.iter().fold(_mm512_set1_epi32(i32::MIN), |most, &v| _mm512_max_epi32(most, v));
    let (mut low, mut high) = (super::LEAST, _mm512_reduce_max_epi32(most) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match count(values, middle) {
            found if found == keep => return least_from(values, middle),
            found if found > keep => low = middle,
            _ => high = middle,
        }
    }
    low
}

/// The least value that is not below `floor`.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni,popcnt")]
fn least_from(values: &[__m512i], floor: i32) -> i32 {
    let floor = _mm512_set1_epi32(floor);
    let most = _mm512_set1_epi32(i32::MAX);
    let high = |v| _mm512_mask_mov_epi32(most, _mm512_cmpge_epi32_mask(v, floor), v);
    _mm512_reduce_min_epi32(values.iter().fold(most, |least, &v| _mm512_min_epi32(least, high(v))))
}
