//! How long embeddings are, and in which unit a codec counts.
//!
//! A factor on all vectors changes no ranking, so it must not change what a codec keeps either. Its rules are for
//! vectors of about unit length; so training takes the median length of the sample as one, rounded to a power of two
//! ([`unit_of_rows`]), and multiplies the steps of centroids and residual_weights by it at the end. Scores then come back in the
//! caller's units, nothing more is stored, and a [`Compressor`](crate::Compressor) finds the unit again in the length
//! of the centroids ([`unit_of_codec`]), which are as long as it is.
//!
//! Not every length can be kept ([`check`]): a norm has 8 bits, so vectors many times as long as most would take all of
//! them for themselves; and ColBERTv2's codec keeps no length at all, but puts every vector back at length 1.

use crate::{CodecKind, Error, Result};
use selvedge_backend::CodecParams;

/// Median lengths that scores in f32 are safe with; `selvedge-search` holds queries to the same bound.
const MEDIANS: (f64, f64) = (1e-12, 1e12);
/// How many times as long as most a vector may be.
const LONGEST: f64 = 16.0;
/// How far from 1 lengths may be for ColBERTv2's codec: some percent, as vectors of int8 have.
const UNIT_TOLERANCE: f64 = 0.05;

/// The unit of `rows (N, D)`: a power of two near the median length of those that are not zero; 1 where all are.
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
    let (least, most) = MEDIANS;
    if (least..=most).contains(&median) {
        return Ok(power_of_two(median));
    }
    first_outside(dim, rows, |length| length == 0.0 || (least..=most).contains(&length))
        .map_or(Ok(1.0), |(embedding, length)| Err(Error::Length { embedding, length, least, most }))
}

/// The unit that a trained codec counts in.
pub(crate) fn unit_of_codec(kind: CodecKind, codec: &CodecParams) -> f32 {
    if kind == CodecKind::ColbertV2 {
        return 1.0;
    }
    let square = |row: &[i8]| row.iter().map(|&c| i64::from(c).pow(2)).sum::<i64>();
    let longest = codec.centroids.chunks_exact(codec.dim).map(square).max().unwrap_or(0);
    if longest == 0 { 1.0 } else { power_of_two(f64::from(codec.centroid_scale) * (longest as f64).sqrt()) }
}

/// Refuses the first of `rows (N, D)` whose length a codec of this unit cannot keep.
pub(crate) fn check(kind: CodecKind, dim: usize, rows: &[f32], unit: f32) -> Result<()> {
    let (least, most) = match kind {
        CodecKind::Selvedge => (0.0, LONGEST * f64::from(unit)),
        CodecKind::ColbertV2 => (1.0 - UNIT_TOLERANCE, 1.0 + UNIT_TOLERANCE),
    };
    match (kind, first_outside(dim, rows, |length| (least..=most).contains(&length))) {
        (_, None) => Ok(()),
        (CodecKind::Selvedge, Some((embedding, length))) => Err(Error::Length { embedding, length, least, most }),
        (CodecKind::ColbertV2, Some((embedding, length))) => Err(Error::NotOfUnitLength { embedding, length }),
    }
}

/// Number and length of the first row that is not `inside`.
fn first_outside(dim: usize, rows: &[f32], inside: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
    rows.chunks_exact(dim).map(length).enumerate().find(|&(_, length)| !inside(length))
}

/// Length of a row; f64, so that squares neither overflow nor vanish.
fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// The power of two nearest to a length, by ratio: multiplication by it is exact.
fn power_of_two(length: f64) -> f32 {
    length.log2().round().exp2() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of eight components, all of it in the first.
    fn rows(lengths: &[f32]) -> Vec<f32> {
        lengths.iter().flat_map(|&length| [length, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect()
    }

    #[test]
    fn the_unit_is_near_the_median_of_what_is_not_zero() {
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
    fn lengths_that_cannot_be_kept_are_refused() {
        let check = |kind, lengths: &[f32]| check(kind, 8, &rows(lengths), 1.0);
        assert!(check(CodecKind::Selvedge, &[1.0, 0.0, 15.0]).is_ok());
        let error = check(CodecKind::Selvedge, &[1.0, 17.0]).unwrap_err();
        assert_eq!(error.to_string(), "embedding 1 has length 17; lengths here can be 0 to 16");
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
