//! Arguments and results of the ops: numbers with their shapes, their validation, and a few values derived
//! from them.

use crate::int8_rows::has_minimum;
use crate::{Error, Int8Rows, QuantizedQuery, Result, layout};

/// Number of a passage within its segment, from 0. The number within the index is the sum of this number and
/// that of the segment's first passage.
pub type Pid = u32;

/// The score of a passage that has no tokens: below every real score, never a result.
pub const NO_MATCH: i32 = i32::MIN;

/// Largest absolute value of a centroid table entry: its product with a centroid weight is at most
/// `255 * 2^22 < 2^30`.
pub const TABLE_LIMIT: i32 = 1 << 22;

/// Right shift of the best similarity of each query token before the sum: `ceil(log2(Q))`.
pub fn score_shift(query_len: usize) -> u32 {
    query_len.max(1).next_power_of_two().trailing_zeros()
}

/// A result of an op: a passage and its integer score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHit {
    /// The passage.
    pub pid: Pid,
    /// Integer score; its product with [`CodecParams::score_unit`] is a real MaxSim score.
    pub score: i32,
}

/// The passages of a segment that an op reads, and the order of its answers.
#[derive(Clone, Copy, Debug)]
pub enum Select<'a> {
    /// Every passage, in pid order.
    All,
    /// The listed passages, in the order of the list.
    Pids(&'a [Pid]),
}

impl Select<'_> {
    /// Number of selected passages in a segment of `num_passages`.
    pub fn len(self, num_passages: usize) -> usize {
        match self {
            Select::All => num_passages,
            Select::Pids(pids) => pids.len(),
        }
    }

    /// The `i`-th selected passage.
    ///
    /// # Panics
    /// If `i` is not below the length of a list of pids.
    #[inline]
    pub fn pid(self, i: usize) -> Pid {
        match self {
            Select::All => i as Pid,
            Select::Pids(pids) => pids[i],
        }
    }
}

/// The residual of an embedding `x` with centroid `c`: the vector whose components are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualForm {
    /// The residual `x - c` as it is (ColBERTv2).
    Raw,
    /// The part of `x` orthogonal to `c`, `u = x - c <x, c> / <c, c>`, times `sqrt(D) / |u|`: after a rotation
    /// its components are nearly standard normal.
    Orthogonal,
}

/// Coding of packed residual rows: the way in which their bits name levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowCoding {
    /// Each component by itself: its `nbits` bits are a bucket, the index of a level. `2^nbits` levels, ascending.
    Buckets,
    /// A trellis, at 1 and 2 bits: the level of a component is named by a window of 8 bits of the row, which begins
    /// with the component's own bits. Neighbours share bits, so a row is chosen as a whole.
    /// [`TRELLIS_LEVELS`] levels, in the order of their labels; formula: [`trellis_label`](crate::trellis_label).
    ///
    /// Codes in which each window is the previous one, shifted, are due to Mao, Gray and Linder, "Rate-constrained
    /// simulation and source coding iid sources" (2010), and QTIP (Tseng and others, 2024). A small set of levels,
    /// chosen by XOR of bits, comes from trellis coded quantization (Marcellin and Fischer, 1990).
    Trellis {
        /// One step of a level, in units of the components that [`ResidualForm`] defines.
        step: f32,
    },
}

/// Number of levels of a trellis codec.
pub const TRELLIS_LEVELS: usize = 16;

/// Penalty of a weight entry's error along the vector, relative to its error across it: a vector that is too long wins
/// maxima for every query alike. Chosen by a sweep on Debian; `crates/codec/README.md` has the errors of other values.
pub const RADIAL_WEIGHT: f32 = 10.0;

/// Rule by which compression chooses the weight index of an embedding `x` with centroid `c` and levels `w`. The index
/// names an entry, a pair `(n, g)` of centroid weight and residual weight; the decompressed vector is `n c + g w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// The entry nearest to the pair `(n*, g*)` that keeps the proportion of the two parts and the length of `x`. With
    /// `a = <x, c> / <c, c>` and `s = |x - a c| / |w|`:
    /// `(n*, g*) = (a, s) * |x| / |a c + s w|`; a negative `n*` counts as 0. With `y = n* c + g* w` and
    /// `e = (n - n*) c + (g - g*) w`, the nearest entry minimizes `|e|^2 + RADIAL_WEIGHT <e, y>^2`, in which
    /// [`RADIAL_WEIGHT`] is the penalty of a change of length; ties go to the lower index.
    KeepLength,
    /// [`KeepLength`](Self::KeepLength), after which the levels are chosen anew for that entry: in each component
    /// the level nearest to `(x - n c) / g`. It needs buckets, so a trellis cannot use it. From 4 bits on, the
    /// rounding of the entry would otherwise be the largest error.
    KeepLengthRefit,
    /// The entry whose centroid weight is nearest to `1 / |c + (g / n) w|`, with `(n, g)` the entry of the largest
    /// centroid weight, so that the decompressed vector has unit length (ColBERTv2).
    UnitNorm,
}

/// The numbers of a codec that the ops need.
///
/// With `j` the weight index of a token, its vector is
///
/// ```text
/// centroid_weight_step * centroid_weights[j] * (centroid_scale * c8) + residual_weight_step * residual_weights[j] * w8
/// ```
#[derive(Clone, Debug)]
pub struct CodecParams {
    /// Components of a vector, `D`; a multiple of 8.
    pub dim: usize,
    /// Bits of a residual component: 0, 1, 2, 4 or 8.
    pub nbits: u8,
    /// Centroids, `(K, D) i8`, within -127..=127.
    pub centroids: Int8Rows,
    /// One centroid step as a real number.
    pub centroid_scale: f32,
    /// How the bits of a row name levels.
    pub coding: RowCoding,
    /// Level of each bucket or label, within -127..=127: `(2^nbits) i8`, ascending, for
    /// [`RowCoding::Buckets`] (empty at 0 bits), `(16) i8` for [`RowCoding::Trellis`].
    pub levels: Vec<i8>,
    /// Edges between buckets, `(2^nbits - 1) f32`, ascending; the bucket of `x` is the number of cutoffs below `x`.
    /// A trellis has none.
    pub cutoffs: Vec<f32>,
    /// Form of the residual that the cutoffs are compared with.
    pub form: ResidualForm,
    /// How compression chooses a vector's weight index.
    pub rule: WeightRule,
    /// Seed of the [`Rotation`](crate::Rotation) that brings embeddings into the codec's space; `None` if they are not
    /// rotated.
    pub rotation: Option<u64>,
    /// Bits of a weight index, at most 8.
    pub weight_bits: u8,
    /// Multiplier of the centroid part, `(2^weight_bits) u8`.
    pub centroid_weights: Vec<u8>,
    /// Multiplier of the residual part, `(2^weight_bits) u8`.
    pub residual_weights: Vec<u8>,
    /// One step of `centroid_weights` as a real number.
    pub centroid_weight_step: f32,
    /// One step of `residual_weights`, times one step of `levels`, as a real number.
    pub residual_weight_step: f32,
}

/// Assignment of embeddings to their nearest centroids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Among all centroids.
    Exact,
    /// Among the centroids of the groups that are nearest to the embedding: on two levels, much faster with many
    /// centroids. k-means divides the `K` centroids into groups, which follow from the centroids alone; the groups are
    /// chosen by the int8 inner product of their representatives with the rounded embedding, among equals the lower
    /// ones. All backends give the same codes. For about one embedding in a hundred another centroid is a little nearer
    /// than the one that is found.
    Grouped,
}

/// Sizes of a codec, from which the sizes of compressed passages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecSizes {
    /// Components of a vector, `D`.
    pub dim: usize,
    /// Number of centroids, `K`.
    pub num_centroids: usize,
    /// Bits of a residual component.
    pub nbits: u8,
    /// Bits of a weight index.
    pub weight_bits: u8,
}

impl CodecSizes {
    /// Bits of a packed code, `ceil(log2(K))`: enough for `K - 1`.
    pub fn code_bits(&self) -> u32 {
        usize::BITS - self.num_centroids.saturating_sub(1).leading_zeros()
    }

    /// Packed residual bytes of a vector, `W = D * nbits / 8`.
    pub fn row_bytes(&self) -> usize {
        layout::packed_row_bytes(self.dim, self.nbits)
    }
}

impl CodecParams {
    /// Sizes of the codec.
    pub fn sizes(&self) -> CodecSizes {
        let num_centroids = self.num_centroids();
        CodecSizes { dim: self.dim, num_centroids, nbits: self.nbits, weight_bits: self.weight_bits }
    }

    /// Number of centroids, `K`.
    pub fn num_centroids(&self) -> usize {
        self.centroids.len() / self.dim.max(1)
    }

    /// Bits of a packed code, as [`CodecSizes::code_bits`].
    pub fn code_bits(&self) -> u32 {
        self.sizes().code_bits()
    }

    /// Packed residual bytes of a vector, as [`CodecSizes::row_bytes`].
    pub fn row_bytes(&self) -> usize {
        self.sizes().row_bytes()
    }

    /// Level of component `d` of a packed residual row `(W) u8`; 0 at 0 bits.
    pub fn level(&self, row: &[u8], d: usize) -> i8 {
        match (self.nbits, self.coding) {
            (0, _) => 0,
            (_, RowCoding::Buckets) => self.levels[layout::bucket(row, self.nbits, d) as usize],
            (_, RowCoding::Trellis { .. }) => self.levels[layout::trellis_label(row, self.nbits, d) as usize],
        }
    }

    /// Numbers that a codec of `nbits` and `coding` must have: (levels, cutoffs).
    pub fn num_levels(nbits: u8, coding: RowCoding) -> (usize, usize) {
        match (nbits, coding) {
            (0, _) => (0, 0),
            (_, RowCoding::Buckets) => (1 << nbits.min(8), (1 << nbits.min(8)) - 1),
            (_, RowCoding::Trellis { .. }) => (TRELLIS_LEVELS, 0),
        }
    }

    /// Factor that turns an int8 dot product with a centroid into a table entry. Entries saturate at
    /// [`TABLE_LIMIT`], and saturated entries are all equal; training keeps the factor so small that no entry
    /// saturates.
    pub fn table_factor(&self) -> f32 {
        (self.centroid_scale * self.centroid_weight_step) / self.residual_weight_step
    }

    /// Factor that turns an integer score of `query` into a real MaxSim score.
    pub fn score_unit(&self, query: &QuantizedQuery) -> f32 {
        self.score_unit_of(query.len(), query.scale)
    }

    /// Factor that turns an integer score of a query of `query_len` tokens and this scale into a real MaxSim score.
    pub(crate) fn score_unit_of(&self, query_len: usize, scale: f32) -> f32 {
        self.residual_weight_step * scale * Self::score_power(query_len)
    }

    /// The part of a score's unit that makes up for the shift of similarities.
    pub(crate) fn score_power(query_len: usize) -> f32 {
        (1u64 << score_shift(query_len)) as f32
    }

    /// The largest residual weight `g` with `D * 127 * max|level| * g <= 2^30`, at most 255.
    ///
    /// # Panics
    /// If `dim` is 0.
    pub fn residual_weight_limit(dim: usize, levels: &[i8]) -> u8 {
        let level = levels.iter().map(|l| l.unsigned_abs() as usize).max().unwrap_or(1).max(1);
        ((1usize << 30) / (dim * 127 * level)).min(255) as u8
    }

    /// Checks every bound that the overflow proofs of the ops assume. A table factor so large that entries
    /// saturate is valid.
    ///
    /// # Errors
    /// [`Error::BadDim`] or [`Error::BadCodec`] with the number that is out of range.
    pub fn validate(&self) -> Result<()> {
        let entries = 1usize << self.weight_bits.min(8);
        let bad = |what: &'static str, value: String| Err(Error::BadCodec { what, value });
        if self.dim == 0 || !self.dim.is_multiple_of(8) || self.dim > 1 << 15 {
            return Err(Error::BadDim { dim: self.dim });
        }
        if !matches!(self.nbits, 0 | 1 | 2 | 4 | 8) {
            return bad("nbits", self.nbits.to_string());
        }
        if self.weight_bits > 8 || self.centroid_weights.len() != entries || self.residual_weights.len() != entries {
            return bad(
                "weight entries",
                format!(
                    "{} centroid weights, {} residual weights",
                    self.centroid_weights.len(),
                    self.residual_weights.len()
                ),
            );
        }
        if let RowCoding::Trellis { step } = self.coding {
            if !matches!(self.nbits, 1 | 2) {
                return bad("nbits of a trellis", self.nbits.to_string());
            }
            if !(step.is_finite() && step > 0.0) {
                return bad("trellis step", step.to_string());
            }
            if self.rule == WeightRule::KeepLengthRefit {
                return bad("weight rule of a trellis", format!("{:?}", self.rule));
            }
        }
        if (self.levels.len(), self.cutoffs.len()) != Self::num_levels(self.nbits, self.coding) {
            return bad("levels", format!("{} levels, {} cutoffs", self.levels.len(), self.cutoffs.len()));
        }
        if self.centroids.is_empty() || !self.centroids.len().is_multiple_of(self.dim) {
            return bad("centroids", format!("{} components", self.centroids.len()));
        }
        if has_minimum(&self.levels) || has_minimum(&self.centroids) {
            return bad("level or centroid component", i8::MIN.to_string());
        }
        let largest = self.residual_weights.iter().copied().max().unwrap_or(0);
        if largest > Self::residual_weight_limit(self.dim, &self.levels) {
            return bad("residual weight", largest.to_string());
        }
        for (what, unit) in [
            ("centroid_scale", self.centroid_scale),
            ("centroid_weight_step", self.centroid_weight_step),
            ("residual_weight_step", self.residual_weight_step),
        ] {
            if !(unit.is_finite() && unit > 0.0) {
                return bad(what, unit.to_string());
            }
        }
        if !self.table_factor().is_finite() {
            return bad("table factor", self.table_factor().to_string());
        }
        if let Some(cutoff) = self.cutoffs.iter().find(|c| !c.is_finite()) {
            return bad("cutoff", cutoff.to_string());
        }
        if let Some(pair) = self.cutoffs.windows(2).find(|pair| pair[0] > pair[1]) {
            return bad("order of cutoffs", format!("{} before {}", pair[0], pair[1]));
        }
        Ok(())
    }
}

/// Rounds reals to int8, `round_ties_even(x * (127 / max|x|))`, and returns the scale `max|x| / 127`. `out` has the
/// length of `reals`. NaN and infinity are not detected: their results are unspecified.
#[inline(always)]
pub fn round_to_int8(reals: &[f32], out: &mut [i8]) -> f32 {
    let max = reals.iter().fold(0f32, |m, x| m.max(x.abs()));
    let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
    for (out, x) in out.iter_mut().zip(reals) {
        // The bounds are integers, so the order of clamping and rounding does not matter.
        *out = round_small((x * inverse).clamp(-127.0, 127.0)) as i8;
    }
    max / 127.0
}

/// `x.round_ties_even()` for `|x| <= 2^22`, and NaN for NaN: adds and subtracts `3 * 2^22`, around which f32 has no
/// fractions. On x86-64 without SSE4.1 `round_ties_even` calls the C library for each number.
#[inline(always)]
pub(crate) fn round_small(x: f32) -> f32 {
    const WHOLE: f32 = (3 << 22) as f32;
    (x + WHOLE) - WHOLE
}

#[cfg(test)]
mod tests;
