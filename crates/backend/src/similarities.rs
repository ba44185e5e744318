//! All similarities of one passage, for an explanation of its score.
//!
//! **In:** a rounded query of `Q` tokens, and the compressed bytes of `T` tokens. **Out:** `sim(i, t)` of the
//! [contract](crate), `(Q, T) i32`, in the memory of the host whatever device searches. Plain loops: one passage is
//! explained where a search scores thousands.

use crate::reference::token;
use crate::{CheckedCodec, CompressedPassages, QuantizedQuery, TABLE_LIMIT, score_shift};
use std::ops::Range;

/// Similarities of the tokens of a query with the tokens of a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Similarities {
    /// Number of query tokens, `Q`.
    pub query_len: usize,
    /// Number of passage tokens, `T`.
    pub passage_len: usize,
    /// `sim(i, t)`, `(Q, T) i32`.
    pub raw: Vec<i32>,
    /// Factor that turns an integer similarity into an inner product.
    pub unit: f32,
    /// Factor that turns an integer score into MaxSim.
    pub score_unit: f32,
}

/// The largest similarity of a query token, and what it adds to the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestMatch {
    /// Position of the passage token; the first one of several.
    pub passage_token: usize,
    /// Their similarity.
    pub raw: i32,
    /// The part of the score, `sim >> ceil(log2(Q))`. The parts of all query tokens sum to the integer score.
    pub raw_part: i32,
}

impl Similarities {
    /// Computes the similarities of `query` with the `tokens` of a segment, from their bytes.
    ///
    /// # Panics
    /// If `tokens` is out of range, or the query has another dimension than the codec.
    pub fn new(
        codec: &CheckedCodec,
        passages: &CompressedPassages,
        query: &QuantizedQuery,
        tokens: Range<usize>,
    ) -> Self {
        let (query_len, passage_len) = (query.len(), tokens.len());
        let mut raw = vec![0; query_len * passage_len];
        for (t, at) in tokens.enumerate() {
            let token = token(codec, passages, at);
            let centroid = &codec.centroids[token.code * codec.dim..][..codec.dim];
            let centroid_weight = i64::from(codec.centroid_weights[token.weight]);
            let residual_weight = i64::from(codec.residual_weights[token.weight]);
            for i in 0..query_len {
                let entry = (dot(centroid, query.row(i)) as f32 * codec.table_factor()).round_ties_even() as i64;
                let entry = entry.clamp(-i64::from(TABLE_LIMIT), i64::from(TABLE_LIMIT));
                let sim = centroid_weight * entry + residual_weight * i64::from(dot(query.row(i), &token.levels));
                raw[i * passage_len + t] = i32::try_from(sim).expect("the contract's bound");
            }
        }
        let score_unit = codec.score_unit(query);
        let unit = score_unit / (1u64 << score_shift(query_len)) as f32;
        Self { query_len, passage_len, raw, unit, score_unit }
    }

    /// Returns the best match of each query token; none if the passage has no token.
    pub fn best(&self) -> Vec<BestMatch> {
        let shift = score_shift(self.query_len);
        let best = |row: &[i32]| {
            let (passage_token, &raw) = row.iter().enumerate().max_by_key(|&(t, raw)| (raw, std::cmp::Reverse(t)))?;
            Some(BestMatch { passage_token, raw, raw_part: raw >> shift })
        };
        self.raw.chunks_exact(self.passage_len.max(1)).filter_map(best).collect()
    }
}

/// Exact dot product of two rows of at most 2^15 components, as valid codecs have: below 2^29 in absolute value.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
