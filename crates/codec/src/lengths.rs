//! Lengths of embeddings: the unit that a codec works in, and the range that it supports.
//!
//! A factor on all vectors changes no ranking, so it must not change the codes either. The codec's rules assume vectors
//! of about unit length. So training divides the sample by its median length, rounded to a power of two
//! ([`unit_of_rows`]), and at the end multiplies the steps of centroids and residual weights by it. Scores are then in
//! the caller's units and nothing more is stored: a [`Compressor`](crate::Compressor) recovers the unit from the length
//! of the centroids ([`unit_of_codec`]), which are one unit long.
//!
//! Some lengths are out of range ([`check`]). A centroid weight has 8 bits, so vectors many times longer than most
//! would take all of its range. ColBERTv2's codec stores no length at all: it decodes every vector to length 1.

use crate::{CodecKind, Error, Result};
use rayon::prelude::*;
use selvedge_backend::CodecParams;

/// Range of the median length in which f32 scores neither overflow nor vanish. `selvedge-search` limits the components
/// of queries to the same maximum (`query::MAX_COMPONENT`).
const MEDIAN_RANGE: (f64, f64) = (1e-12, 1e12);
/// Centroids that a thread measures at least.
const ROWS_PER_STEP: usize = 1 << 10;
/// Longest supported embedding, in units.
const LONGEST: f64 = 16.0;
/// Share by which a length must be inside a range for its square in f32 to tell that it is.
const MARGIN: f64 = 1e-3;
/// Largest distance of a length from 1 for ColBERTv2's codec: a few percent, the error of vectors stored as int8.
const UNIT_TOLERANCE: f64 = 0.05;

/// Returns the unit of `rows (N, D)`: the power of two nearest to the median length of nonzero rows; 1 if all are zero.
pub(crate) fn unit_of_rows(kind: CodecKind, dim: usize, rows: &[f32]) -> Result<f32> {
    if kind == CodecKind::ColbertV2 {
        return Ok(1.0);
    }
    let mut lengths: Vec<f64> = rows.chunks_exact(dim).map(length).filter(|&length| length > 0.0).collect();
    if lengths.is_empty() {
        return Ok(1.0);
    }
    let middle = lengths.len() / 2;
    let median = *lengths.select_nth_unstable_by(middle, f64::total_cmp).1;
    let (least, most) = MEDIAN_RANGE;
    if (least..=most).contains(&median) {
        return Ok(power_of_two(median));
    }
    first_outside(dim, rows, |length| length == 0.0 || (least..=most).contains(&length))
        .map_or(Ok(1.0), |(embedding, length)| Err(Error::Length { embedding, length, least, most }))
}

/// Returns the unit of a trained codec: the power of two nearest to the length of its longest centroid.
pub(crate) fn unit_of_codec(kind: CodecKind, codec: &CodecParams) -> f32 {
    if kind == CodecKind::ColbertV2 {
        return 1.0;
    }
    // At most 2^15 squares below 2^14 each.
    let square = |row: &[i8]| row.iter().map(|&c| i32::from(i16::from(c) * i16::from(c))).sum::<i32>();
    let longest =
        codec.centroids.par_chunks_exact(codec.dim).with_min_len(ROWS_PER_STEP).map(square).max().unwrap_or(0);
    if longest == 0 { 1.0 } else { power_of_two(f64::from(codec.centroid_scale) * f64::from(longest).sqrt()) }
}

/// Fails with the first of `rows (N, D)` whose length is out of range for a codec of this unit.
pub(crate) fn check(kind: CodecKind, dim: usize, rows: &[f32], unit: f32) -> Result<()> {
    let (least, most) = match kind {
        CodecKind::Selvedge => (0.0, LONGEST * f64::from(unit)),
        CodecKind::ColbertV2 => (1.0 - UNIT_TOLERANCE, 1.0 + UNIT_TOLERANCE),
    };
    // Sums in f32 and a margin for their rounding tell nearly every row that is inside, in a fraction of the time.
    let surely = ((least * (1.0 + MARGIN)).powi(2) as f32, (most * (1.0 - MARGIN)).powi(2) as f32);
    let is_inside = |row: &[f32]| (surely.0..=surely.1).contains(&square(row));
    if dim.is_multiple_of(8) && rows.par_chunks_exact(dim).with_min_len(ROWS_PER_STEP).all(is_inside) {
        return Ok(());
    }
    match (kind, first_outside(dim, rows, |length| (least..=most).contains(&length))) {
        (_, None) => Ok(()),
        (CodecKind::Selvedge, Some((embedding, length))) => Err(Error::Length { embedding, length, least, most }),
        (CodecKind::ColbertV2, Some((embedding, length))) => Err(Error::NotOfUnitLength { embedding, length }),
    }
}

/// Scales each of `rows (N, D)` to unit length; a row without length stays as it is.
///
/// # Errors
/// [`Error::NotFinite`] with the number of a row with a component that is not finite.
pub(crate) fn normalize_rows(dim: usize, rows: &mut [f32]) -> Result<()> {
    for (embedding, row) in rows.chunks_exact_mut(dim).enumerate() {
        let length = length(row);
        if !length.is_finite() {
            return Err(Error::NotFinite { embedding });
        }
        if length > 0.0 {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
    Ok(())
}

/// Number and length of the first row whose length is not `inside` the range.
fn first_outside(dim: usize, rows: &[f32], inside: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
    rows.chunks_exact(dim).map(length).enumerate().find(|&(_, length)| !inside(length))
}

/// Square of a row's length, in eight sums side by side; `D` is a multiple of 8.
fn square(row: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    for x in row.as_chunks::<8>().0 {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
    }
    sums.iter().sum()
}

/// Length of a row, in f64, so that squares neither overflow nor vanish.
fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Power of two nearest to a length, by ratio; multiplication by it is exact.
fn power_of_two(length: f64) -> f32 {
    length.log2().round().exp2() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of eight components, all zero but the first.
    fn rows(lengths: &[f32]) -> Vec<f32> {
        lengths.iter().flat_map(|&length| [length, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect()
    }

    #[test]
    fn the_unit_is_near_the_median_of_nonzero_lengths() {
        let unit = |lengths: &[f32]| unit_of_rows(CodecKind::Selvedge, 8, &rows(lengths));
        for (lengths, expected) in
            [(&[1.3f32, 0.8, 0.9][..], 1.0), (&[7.0, 6.0, 900.0], 8.0), (&[0.0, 0.0, 0.0, 0.26], 0.25), (&[0.0], 1.0)]
        {
            assert_eq!(unit(lengths).unwrap(), expected, "{lengths:?}");
        }
        for far in [1e-20f32, 1e25] {
            let error = unit(&[1.0, far, far]).unwrap_err();
            assert!(matches!(error, Error::Length { embedding: 1, .. }), "{error}");
        }
    }

    #[test]
    fn lengths_out_of_range_are_errors() {
        let check = |kind, lengths: &[f32]| check(kind, 8, &rows(lengths), 1.0);
        assert!(check(CodecKind::Selvedge, &[1.0, 0.0, 15.0]).is_ok());
        let error = check(CodecKind::Selvedge, &[1.0, 17.0]).unwrap_err();
        assert_eq!(error.to_string(), "embedding 1 has length 17; supported lengths are 0 to 16");
        let huge = check(CodecKind::Selvedge, &[1.0, 1.0, f32::MAX]);
        assert!(matches!(huge, Err(Error::Length { embedding: 2, length, .. }) if length.is_finite()));
        assert!(check(CodecKind::Selvedge, &[f32::NAN]).is_err());
        assert!(check(CodecKind::ColbertV2, &[0.99, 1.01]).is_ok());
        for length in [0.0, 0.9, 3.0] {
            let error = check(CodecKind::ColbertV2, &[1.0, length]).unwrap_err();
            assert!(matches!(error, Error::NotOfUnitLength { embedding: 1, .. }), "{error}");
        }
    }
}
