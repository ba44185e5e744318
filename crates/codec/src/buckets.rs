//! Codecs of buckets that another program trained: ColBERTv2's numbers in, a [`Codec`] out, for indexes of PLAID and
//! its relatives. Codes and buckets of their embeddings stay as they are.
//!
//! ```text
//! decoded = c + w                  Formula::Sum (WARP)
//! decoded = (c + w) / |c + w|      Formula::UnitLength (ColBERTv2)
//! decoded = w                      Formula::Signs (next-plaid's binary index: w is -1 or 1)
//! ```
//!
//! Centroids and bucket weights are rounded to int8 with one scale each, and inverse lengths to a [`Lengths`] table.

use crate::train::least_step;
use crate::{Codec, CodecKind, Error, Result};
use selvedge_backend::{CodecParams, ResidualForm, RowCoding, WeightRule, round_to_int8};

/// Formula by which an embedding is decoded from its centroid `c` and its bucket weights `w`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// `(c + w) / |c + w|`.
    UnitLength {
        /// Smallest and largest `1 / |c + w|` of the embeddings; others are stored as the nearest in this range.
        inverse_lengths: (f32, f32),
    },
    /// `c + w`.
    Sum,
    /// `w` alone; the centroid only places the embedding in a cell.
    Signs,
}

/// Numbers of a codec of buckets, as its program stores them.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// Components of an embedding, `D`.
    pub dim: usize,
    /// Bits per component: 1, 2, 4 or 8.
    pub nbits: u8,
    /// Centroids `(K, D) f32`.
    pub centroids: &'a [f32],
    /// Edges between buckets, `(2^nbits - 1) f32`, ascending.
    pub cutoffs: &'a [f32],
    /// Value of each bucket, `(2^nbits) f32`.
    pub weights: &'a [f32],
}

/// Weight indices of inverse lengths: a table of evenly spaced values, the last of which is the largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    step: f32,
    first: i32,
    last: i32,
}

impl Lengths {
    /// Returns the index whose value is nearest to an inverse length.
    pub fn index(&self, inverse_length: f32) -> u8 {
        let nearest = (inverse_length / self.step).round().clamp(self.first as f32, self.last as f32);
        (nearest as i32 - self.first) as u8
    }
}

impl Codec {
    /// Makes a codec of ColBERTv2's kind from numbers that were trained elsewhere, and the table of its weight indices
    /// if its formula has one.
    ///
    /// # Errors
    /// [`Error::Nbits`], [`Error::Dim`] and [`Error::Backend`] if the numbers break a bound of the codec,
    /// [`Error::NotFinite`] with the number of a centroid that is not finite.
    pub fn of_buckets(buckets: Buckets<'_>, formula: Formula) -> Result<(Self, Option<Lengths>)> {
        let Buckets { dim, nbits, centroids, cutoffs, weights } = buckets;
        if !matches!(nbits, 1 | 2 | 4 | 8) {
            return Err(Error::Nbits { nbits });
        }
        if dim == 0 || !dim.is_multiple_of(8) {
            return Err(Error::Dim { dim });
        }
        if let Some(at) = centroids.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite { embedding: at / dim });
        }
        let mut rounded = vec![0i8; centroids.len()];
        let scale = Some(round_to_int8(centroids, &mut rounded)).filter(|&scale| scale > 0.0).unwrap_or(1.0);
        let least = if formula == Formula::Signs { 0.0 } else { least_step(dim, &rounded, scale) };
        let largest = weights.iter().fold(0f32, |most, weight| most.max(weight.abs()));
        let step = Some((largest / 127.0).max(least)).filter(|&step| step > 0.0).unwrap_or(1.0);
        let levels: Vec<i8> = weights.iter().map(|w| (w / step).round().clamp(-127.0, 127.0) as i8).collect();
        let table = Table::new(formula, CodecParams::residual_weight_limit(dim, &levels));
        let params = CodecParams {
            dim,
            nbits,
            centroids: rounded.into(),
            centroid_scale: scale,
            coding: RowCoding::Buckets,
            levels,
            cutoffs: cutoffs.to_vec(),
            form: ResidualForm::Raw,
            rule: WeightRule::UnitNorm,
            rotation: None,
            weight_bits: table.entries.len().trailing_zeros() as u8,
            centroid_weights: if formula == Formula::Signs { vec![0] } else { table.entries.clone() },
            residual_weights: table.entries,
            centroid_weight_step: table.step,
            residual_weight_step: table.step * step,
        };
        Ok((Self::new(CodecKind::ColbertV2, 0, params)?, table.lengths))
    }
}

/// Weight entries of a formula: the same integers for both parts.
struct Table {
    entries: Vec<u8>,
    step: f32,
    lengths: Option<Lengths>,
}

impl Table {
    /// `limit` is the largest integer that the codec's bounds allow. The entries end there, and their number is the
    /// smallest power of two that reaches down to the smallest inverse length.
    fn new(formula: Formula, limit: u8) -> Self {
        let Formula::UnitLength { inverse_lengths: (least, most) } = formula else {
            return Self { entries: vec![1], step: 1.0, lengths: None };
        };
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let limit = i32::from(limit.max(1));
        let step = most / limit as f32;
        let first = ((least / step).floor().max(0.0) as i32).min(limit);
        let count = ((limit - first + 1) as u32).next_power_of_two().min(256) as i32;
        let first = limit + 1 - count;
        let entries = (first..=limit).map(|entry| entry.clamp(0, 255) as u8).collect();
        Self { entries, step, lengths: Some(Lengths { step, first, last: limit }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_inverse_lengths_has_each_within_half_a_step() {
        for limit in [255u8, 86, 1] {
            let table = Table::new(Formula::UnitLength { inverse_lengths: (0.9, 1.3) }, limit);
            let lengths = table.lengths.unwrap();
            assert!(table.entries.len().is_power_of_two() && table.entries.len() <= 256);
            for inverse in [0.9f32, 0.95, 1.0, 1.17, 1.3] {
                let entry = table.entries[lengths.index(inverse) as usize];
                let error = (f32::from(entry) * table.step - inverse).abs();
                assert!(error <= table.step * 0.501, "limit {limit}: {inverse} is off by {error}");
            }
            // Beyond the range: the nearest.
            assert_eq!(usize::from(lengths.index(9.0)), table.entries.len() - 1);
            assert_eq!(lengths.index(0.0), 0);
        }
    }

    #[test]
    fn buckets_that_make_no_codec_are_errors() {
        let good = Buckets { dim: 8, nbits: 1, centroids: &[0.3; 16], cutoffs: &[0.0], weights: &[-0.1, 0.1] };
        let (codec, lengths) = Codec::of_buckets(good, Formula::Sum).unwrap();
        assert_eq!((codec.params.weight_bits, lengths), (0, None));
        assert_eq!(codec.params.levels, [-127, 127]);
        assert!(Codec::of_buckets(Buckets { nbits: 3, ..good }, Formula::Sum).is_err());
        assert!(Codec::of_buckets(Buckets { dim: 4, ..good }, Formula::Sum).is_err());
        assert!(Codec::of_buckets(Buckets { cutoffs: &[], ..good }, Formula::Sum).is_err());
        assert!(Codec::of_buckets(Buckets { centroids: &[], ..good }, Formula::Sum).is_err());
        let error = Codec::of_buckets(Buckets { centroids: &[f32::NAN; 16], ..good }, Formula::Sum).unwrap_err();
        assert!(matches!(error, Error::NotFinite { embedding: 0 }));
    }
}
