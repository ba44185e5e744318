//! What the ops take and return: plain numbers with their shapes, no behaviour beyond validation.

use crate::{Error, QuantizedQuery, Result, layout};
use bytes::Bytes;
use std::sync::Arc;

/// Dense number of a passage inside its segment (or, offset by the segment's first, inside the index).
pub type Pid = u32;

/// The score of a passage that has no tokens: below every real score, never a result.
pub const NO_MATCH: i32 = i32::MIN;

/// Bound of the centroid table's entries: `255 * 2^22 < 2^30`.
pub const TABLE_LIMIT: i32 = 1 << 22;

/// How far each query token's best similarity is shifted before the sum: `ceil(log2(Q))`.
pub fn score_shift(query_len: usize) -> u32 {
    query_len.max(1).next_power_of_two().trailing_zeros()
}

/// One result: a passage and its integer score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHit {
    /// The passage.
    pub pid: Pid,
    /// Its score; times [`CodecParams::score_unit`] it is a similarity.
    pub score: i32,
}

/// Which passages of a segment an op looks at, and in which order it answers.
#[derive(Clone, Copy, Debug)]
pub enum Select<'a> {
    /// Every passage, in pid order.
    All,
    /// These, in this order.
    Pids(&'a [Pid]),
}

impl Select<'_> {
    /// How many passages are selected in a segment of `num_passages`.
    pub fn len(self, num_passages: usize) -> usize {
        match self {
            Select::All => num_passages,
            Select::Pids(pids) => pids.len(),
        }
    }

    /// The passage that comes `i`-th.
    ///
    /// # Panics
    /// If there are not as many.
    #[inline]
    pub fn pid(self, i: usize) -> Pid {
        match self {
            Select::All => i as Pid,
            Select::Pids(pids) => pids[i],
        }
    }
}

/// What the bucket cutoffs are compared with, for an embedding `x` with centroid `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualForm {
    /// The residual `x - c` as it is (ColBERTv2).
    Raw,
    /// What of `x` is orthogonal to `c`, `u = x - c <x, c> / <c, c>`, times `sqrt(D) / |u|`: after a rotation
    /// its components are standard normal.
    Orthogonal,
}

/// How the bits of a packed residual row name levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowCoding {
    /// Component by component: a bucket of `nbits` names its level. `2^nbits` levels, ascending.
    Buckets,
    /// By a trellis, at 1 and 2 bits: what names a component's level is a window of 8 bits of the row, the
    /// component's own and those behind it, so that neighbours share bits and a row is chosen as a whole.
    /// [`TRELLIS_LEVELS`] levels, in the order of their labels; formula: [`trellis_label`](crate::trellis_label).
    ///
    /// Codes whose next word is the last one shifted are those of Mao, Gray and Linder, "Rate-constrained simulation
    /// and source coding iid sources" (2010), and of QTIP (Tseng and others, 2024); a few levels, chosen by sums of
    /// bits, are how trellis coded quantization has it (Marcellin and Fischer, 1990).
    Trellis {
        /// One step of a level, in units of what [`ResidualForm`] compares.
        step: f32,
    },
}

/// Levels of a trellis codec.
pub const TRELLIS_LEVELS: usize = 16;

/// How much more a weight entry's error along the vector counts than across it: what is too long wins maxima
/// for every query alike. Swept on Debian: the docs of `selvedge-codec` have the table.
pub const RADIAL_WEIGHT: f32 = 10.0;

/// How a vector's weight index is chosen, for levels `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// The entry nearest to the pair that keeps the parts' proportion and the vector's length. With
    /// `a = <x, c> / <c, c>` and `s = |x - a c| / |w|`:
    /// `(n*, g*) = (a, s) * |x| / |a c + s w|`, negative `n*` taken as 0. Nearest is what changes
    /// `y = n* c + g* w` least, changes of its length counted [`RADIAL_WEIGHT`] times more:
    /// `|e|^2 + RADIAL_WEIGHT <e, y>^2` for `e = (norm - n*) c + (gain - g*) w`; ties to the lower index.
    KeepLength,
    /// The same, and then the levels are chosen anew for that entry: the level nearest to
    /// `(x - norm * c) / gain`, component by component (so not for a trellis). From 4 bits on the entry's rounding
    /// would otherwise be the largest error left.
    KeepLengthRefit,
    /// The entry whose norm is nearest to `1 / |c + w|`, so that the result has unit length (ColBERTv2).
    UnitNorm,
}

/// All that the ops need to know of an index's codec.
///
/// A token's vector is `centroid_weight_step * centroid_weights[j] * (centroid_scale * c8) + residual_weight_step * residual_weights[j] * w8`.
#[derive(Clone, Debug)]
pub struct CodecParams {
    /// Components of a vector, `D`; a multiple of 8.
    pub dim: usize,
    /// Bits of a residual component: 0, 1, 2, 4 or 8.
    pub nbits: u8,
    /// Centroids, `(K, D) i8`, within -127..=127.
    pub centroids: Arc<[i8]>,
    /// One centroid step as a real number.
    pub centroid_scale: f32,
    /// How a row's bits name levels.
    pub coding: RowCoding,
    /// What a bucket or a label stands for, within -127..=127: `(2^nbits) i8`, ascending, for
    /// [`RowCoding::Buckets`] (empty at 0 bits), `(16) i8` for [`RowCoding::Trellis`].
    pub levels: Vec<i8>,
    /// Edges between buckets, `(2^nbits - 1) f32`, ascending; the bucket of `x` is the number of cutoffs below `x`.
    /// A trellis has none.
    pub cutoffs: Vec<f32>,
    /// What the cutoffs are compared with.
    pub form: ResidualForm,
    /// How compression chooses a vector's weight index.
    pub rule: WeightRule,
    /// Seed of the [`Rotation`](crate::Rotation) that brings embeddings into the codec's space; without one they are
    /// taken as they are.
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

impl CodecParams {
    /// Number of centroids, `K`.
    pub fn num_centroids(&self) -> usize {
        self.centroids.len() / self.dim.max(1)
    }

    /// Bits of a packed code: what `K - 1` needs.
    pub fn code_bits(&self) -> u32 {
        usize::BITS - self.num_centroids().saturating_sub(1).leading_zeros()
    }

    /// Packed residual bytes of a vector, `W = D * nbits / 8`.
    pub fn row_bytes(&self) -> usize {
        layout::packed_row_bytes(self.dim, self.nbits)
    }

    /// Level of component `d` of a packed residual row `(W) u8`; 0 at 0 bits.
    pub fn level(&self, row: &[u8], d: usize) -> i8 {
        match (self.nbits, self.coding) {
            (0, _) => 0,
            (_, RowCoding::Buckets) => self.levels[layout::bucket(row, self.nbits, d) as usize],
            (_, RowCoding::Trellis { .. }) => self.levels[layout::trellis_label(row, self.nbits, d) as usize],
        }
    }

    /// How many levels and cutoffs there must be.
    pub fn num_levels(nbits: u8, coding: RowCoding) -> (usize, usize) {
        match (nbits, coding) {
            (0, _) => (0, 0),
            (_, RowCoding::Buckets) => (1 << nbits.min(8), (1 << nbits.min(8)) - 1),
            (_, RowCoding::Trellis { .. }) => (TRELLIS_LEVELS, 0),
        }
    }

    /// What an int8 dot with a centroid is multiplied with to become a table entry. Entries are clamped at
    /// [`TABLE_LIMIT`]; training keeps the factor so small that none gets there, as one that does has lost its rank.
    pub fn table_factor(&self) -> f32 {
        (self.centroid_scale * self.centroid_weight_step) / self.residual_weight_step
    }

    /// What an integer score is multiplied with to become a similarity.
    pub fn score_unit(&self, query: &QuantizedQuery) -> f32 {
        self.residual_weight_step * query.scale * (1u64 << score_shift(query.len())) as f32
    }

    /// The largest gain that keeps `D * 127 * max|level| * gain <= 2^30`, at most 255.
    pub fn residual_weight_limit(dim: usize, levels: &[i8]) -> u8 {
        let level = levels.iter().map(|l| l.unsigned_abs() as usize).max().unwrap_or(1).max(1);
        ((1usize << 30) / (dim * 127 * level)).min(255) as u8
    }

    /// Checks every bound that the ops' overflow proofs lean on. A table factor that clamps some queries' entries is
    /// none of them, and right for all other queries.
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
        if self.levels.iter().chain(self.centroids.iter()).any(|&v| v == i8::MIN) {
            return bad("level or centroid component", i8::MIN.to_string());
        }
        let gain = self.residual_weights.iter().copied().max().unwrap_or(0);
        if gain > Self::residual_weight_limit(self.dim, &self.levels) {
            return bad("residual weight", gain.to_string());
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

/// What compression makes of `N` embeddings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Packed residuals, `(N, W) u8`; layout: [`crate::packed_row_bytes`].
    pub residuals: Vec<u8>,
    /// Scale indices, `(N) u8`, one a byte (storage packs them to `weight_bits`).
    pub weights: Vec<u8>,
}

/// The compressed passages of one segment. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug)]
pub struct CompressedPassages {
    /// First token of each passage and the end of the last, `(P + 1) u32` little-endian.
    pub offsets: Bytes,
    /// Codes, `code_bits` each; layout: [`crate::pack_codes`].
    pub codes: Bytes,
    /// Packed residuals, `(N, W) u8`.
    pub residuals: Bytes,
    /// Packed weight indices; layout: [`crate::packed_weights_bytes`].
    pub weights: Bytes,
}

impl CompressedPassages {
    /// Number of passages, `P`.
    pub fn num_passages(&self) -> usize {
        (self.offsets.len() / 4).saturating_sub(1)
    }

    /// Number of tokens, `N`.
    pub fn num_tokens(&self) -> usize {
        if self.offsets.len() < 4 { 0 } else { self.offset(self.num_passages()) }
    }

    /// First token of passage `pid`; `pid = P` gives the number of tokens.
    #[inline]
    pub fn offset(&self, pid: usize) -> usize {
        let at = pid * 4;
        u32::from_le_bytes(self.offsets[at..at + 4].try_into().expect("four bytes")) as usize
    }

    /// The tokens of passage `pid`; none where there is no such passage, or where its offsets run
    /// backwards or past the last token.
    #[inline]
    pub fn tokens(&self, pid: usize) -> std::ops::Range<usize> {
        let num_passages = self.num_passages();
        if pid >= num_passages {
            return 0..0;
        }
        let (start, end) = (self.offset(pid), self.offset(pid + 1));
        if start <= end && end <= self.offset(num_passages) { start..end } else { 0..0 }
    }

    /// Checks that the arrays have the lengths that `codec` and the offsets ask for, that offsets
    /// ascend and that every code names a centroid: one pass over offsets and codes.
    pub fn validate(&self, codec: &CodecParams) -> Result<()> {
        self.validate_lengths(codec)?;
        for pid in 0..self.num_passages() {
            if self.offset(pid) > self.offset(pid + 1) {
                return Err(Error::OffsetsDescend { pid });
            }
        }
        let k = codec.num_centroids() as u32;
        let reader = layout::CodeReader::new(&self.codes, codec.code_bits());
        match (0..self.num_tokens()).find(|&t| reader.get(t) >= k) {
            Some(token) => {
                Err(Error::CodeOutOfRange { embedding: token, code: reader.get(token), num_centroids: k as usize })
            }
            None => Ok(()),
        }
    }

    /// The part of [`Self::validate`] that costs nothing per passage.
    pub fn validate_lengths(&self, codec: &CodecParams) -> Result<()> {
        let n = self.num_tokens();
        let expect = |array: &'static str, expected: usize, found: usize| {
            if expected == found { Ok(()) } else { Err(Error::ArrayLength { array, expected, found }) }
        };
        if self.offsets.len() < 4 || !self.offsets.len().is_multiple_of(4) {
            return Err(Error::ArrayLength { array: "offsets", expected: 4, found: self.offsets.len() });
        }
        expect("codes", layout::packed_codes_bytes(n, codec.code_bits()), self.codes.len())?;
        expect("residuals", n * codec.row_bytes(), self.residuals.len())?;
        expect("weights", layout::packed_weights_bytes(n, codec.weight_bits), self.weights.len())
    }
}

/// Rounds reals to int8 with one scale, `max|x| / 127`, which is given back: `round_ties_even(x * (127 / max|x|))`.
/// What is not finite is the caller's affair.
#[inline(always)]
pub fn round_to_int8(reals: &[f32], out: &mut [i8]) -> f32 {
    let max = reals.iter().fold(0f32, |m, x| m.max(x.abs()));
    let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
    for (out, x) in out.iter_mut().zip(reals) {
        // The bounds are integers, so that clamping before rounding is all one.
        *out = round_small((x * inverse).clamp(-127.0, 127.0)) as i8;
    }
    max / 127.0
}

/// `x.round_ties_even()` for `|x| <= 2^22`, and NaN for NaN: an addition to where f32 has no fractions, and back. On
/// x86-64 without SSE4.1 the method is a call of the C library for each number.
#[inline(always)]
pub(crate) fn round_small(x: f32) -> f32 {
    const WHOLE: f32 = (3 << 22) as f32;
    (x + WHOLE) - WHOLE
}

#[cfg(test)]
mod tests;
