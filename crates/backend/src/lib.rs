//! The only room that computes: every op of late-interaction retrieval behind one trait.
//!
//! Each op exists as naive loops in [`mod@reference`] (the oracle and the textbook), and under [`Cpu`] as a
//! portable, an AVX2 and an AVX-512 body; the feature `cuda` adds a kernel for GPUs. Tests hold the fast bodies to the oracle: with `==` for the integer
//! ops below, for `assign` and for a trellis' rows, within a stated margin for the float ops (the rest of
//! `compress`, `maxsim_f32`).
//!
//! Two more are the CPU's alone, and the encoder's: [`cpu::LinearF32`] and [`cpu::LinearInt8`], a transformer's layers.
//!
//! # The arithmetic contract: a score is an integer
//!
//! A query's embeddings are rounded to int8 with one scale for the whole query ([`QuantizedQuery`]).
//! Centroids and residual levels are int8, with one scale each for the whole index ([`CodecParams`]).
//! With `j = weight index of token t`, `c = code of token t` and `w8 = levels[packed residual of t]`:
//!
//! ```text
//! T[c][i] = clamp(round_ties_even(f32(dot(c8[c], q8[i])) * table_factor), -2^22, 2^22)       i32
//! sim(i, t) = centroid_weights[j] * T[c][i] + residual_weights[j] * dot(q8[i], w8[t])                              i32
//! score(passage) = sum over i of (max over t of sim(i, t)) >> ceil(log2(Q))                  i32
//! ```
//!
//! `dot` is an exact i32 sum; `table_factor` is one f32 per index; `>>` is arithmetic. Results are
//! ordered by score descending, then pid ascending; a passage without tokens scores [`NO_MATCH`] and
//! is never a result. Every term is an integer, so lane width, tile shape and summation order cannot
//! change a score: portable, AVX2, AVX-512 and any GPU agree bit for bit.
//!
//! **Bytes that lie.** Index bytes may be hostile, and an answer is still owed, the same one from
//! every backend: a code `>= K` counts as `K - 1`; a passage whose offsets run backwards or past the
//! last token, and a pid `>= P`, count as a passage without tokens. [`CompressedPassages::validate`]
//! tells the honest from the rest.
//!
//! **No overflow.** `centroid_weights[j] <= 255` and `|T| <= 2^22` give `|centroid_weights * T| < 2^30`.
//! [`CodecParams::validate`] demands `D * 127 * max|level| * max(residual_weights) <= 2^30`, hence
//! `|residual_weights * dot| <= 2^30` and `|sim| < 2^31`. Shifted right by `ceil(log2(Q))`, `Q` of them sum to
//! less than `2^31` in absolute value, and since `|sim| <= 255 * 2^22 + 2^30 = 2^31 - 2^22`, no score
//! reaches [`NO_MATCH`] (for `Q < 2^22`). A real score of 1 sits near `2^22` to `2^28`, so the shift
//! costs nothing that a ranking could see.
#![deny(missing_docs)]

mod checked;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod error;
mod host_scores;
mod isa;
mod layout;
mod missing_score;
mod query;
pub mod reference;
mod rotation;
mod search_batch;
mod trellis;
mod types;

pub use checked::CheckedCodec;
pub use cpu::Cpu;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use error::{Error, Result};
pub use host_scores::HostScores;
pub use isa::Isa;
pub use layout::{
    CODE_PADDING, CodeReader, bucket, pack_codes, pack_weights, packed_codes_bytes, packed_row_bytes,
    packed_weights_bytes, read_weight, trellis_label,
};
pub use query::{Embeddings, Probed, QuantizedQuery};
pub use rotation::Rotation;
pub use search_batch::{SegmentHit, SegmentView};
pub use types::{
    CodecParams, CompressedPassages, NO_MATCH, Packed, Pid, RADIAL_WEIGHT, RawHit, ResidualForm, RowCoding, Select,
    TABLE_LIMIT, TRELLIS_LEVELS, WeightRule, round_to_int8, score_shift,
};

/// The ops of late-interaction retrieval, each fused to the level at which it is worth a kernel.
///
/// Shape letters: `Q` query tokens, `N` embeddings, `P` passages, `D` dim, `K` centroids,
/// `W = D * nbits / 8` packed residual bytes. Arrays are row-major. The associated types are what
/// the backend keeps close to its arithmetic: plain memory on a CPU, device memory on a GPU, so that
/// nothing returns to the host between the stages of a query.
///
/// Slices of the wrong length are a caller's bug and panic, and so does the use of anything that another codec or another
/// backend made, as far as its sizes tell.
///
/// # Errors
/// A method fails with an [`Error`] where data or machines do: `load_passages` where arrays have lengths that do not fit
/// each other, and on a GPU all of them where the device or its memory fails. On a CPU no op fails.
pub trait Backend: Send + Sync {
    /// The centroids that embeddings are assigned to, as this backend holds them.
    type Centroids: Send + Sync;
    /// A codec as this backend holds it.
    type Codec: AsRef<CheckedCodec> + Send + Sync;
    /// The compressed passages of one segment as this backend holds them.
    type Passages: Send + Sync;
    /// A rounded query as this backend holds it, arranged for the passages of one codec.
    type Query: Send + Sync;
    /// The centroid table of one query, `(K, Q) i32`.
    type Table: Send + Sync;
    /// One score for each selected passage, `i32`, with the selection.
    type Scores: Send + Sync;

    /// What computes, for logs and tables: `cpu/avx2`, `cuda/0`.
    fn name(&self) -> String;

    /// Takes centroids into the backend's memory, once for all embeddings that are assigned to them.
    /// `centroids (K, D) i8`, within -127..=127.
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids>;

    /// Nearest centroid by int8 inner product for each embedding, `argmax over c of dot(x8, c8)` with `x8` the
    /// embedding [rounded](round_to_int8) by itself; ties go to the lower code.
    /// `embeddings (N, D) f32` -> `(N) u32`.
    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>>;

    /// Sum and number of the embeddings of each code; the order of additions is fixed, whatever the
    /// number of threads. `embeddings (N, D) f32`, `codes (N) u32` -> `sums (K, D) f32`, `counts (K) u32`.
    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)>;

    /// Takes a codec into the backend's memory.
    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec>;

    /// Residuals to packed levels and weight indices. `embeddings (N, D) f32`, `codes (N) u32`.
    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed>;

    /// Takes one segment's passages into the backend's memory.
    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages>;

    /// The vectors that the bytes of some tokens stand for, in the codec's (rotated) space:
    /// `((centroid_weight_step * centroid_weights[j]) * centroid_scale) * c8 + (residual_weight_step * residual_weights[j]) * w8`, each step rounded
    /// to f32 and nothing contracted, so that every backend gives the same bits.
    /// `tokens`: range of token numbers in the segment -> `(tokens, D) f32`.
    fn decompress(&self, passages: &Self::Passages, tokens: std::ops::Range<usize>) -> Result<Vec<f32>>;

    /// Takes a query that is rounded already into the backend's memory.
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query>;

    /// A query's embeddings, `(Q, D) f32`, [rotated](Rotation) as the codec says and [rounded](QuantizedQuery::new) to
    /// int8. Rotation and rounding are f32 operations in a fixed order, so every backend makes the same query of them.
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn quantize_query(&self, codec: &Self::Codec, embeddings: Embeddings<'_>) -> Result<Self::Query> {
        self.load_query(codec, codec.as_ref().quantize_query(&embeddings.to_host()?))
    }

    /// A copy of a query in the host's memory.
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery>;

    /// Number of a query's tokens, `Q`.
    fn query_len(&self, query: &Self::Query) -> usize;

    /// Factor between a query's integer scores and similarities: [`CodecParams::score_unit`].
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn score_unit(&self, query: &Self::Query) -> Result<f32>;

    /// The centroid part of every similarity, `(K, Q) i32`.
    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table>;

    /// The `nprobe` best centroids of each query token, best first; ties go to the lower code.
    /// Returns `(Q, min(nprobe, K))` pairs of code and table entry, and for each query token the entry imputed to what
    /// none of these cells holds, `(Q) i32`: one about eight times as deep, and no more than the best that was left out
    /// (or the last one taken, where none was). Of the maxima over every eight centroids, from every `ceil(K / 8 / 256)`-th
    /// eight of them, it is the `ceil(8 * nprobe * sampled / all)`-th largest, from the first to the last of them.
    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed>;

    /// Scores from the table alone: `sum over i of (max over t of T[code_t][i]) >> ceil(log2(Q))`.
    fn approx_scores(&self, passages: &Self::Passages, table: &Self::Table, select: Select<'_>)
    -> Result<Self::Scores>;

    /// Fused decompress + MaxSim straight from the compressed bytes: the contract's `score`.
    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &Self::Query,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores>;

    /// MaxSim over plain embeddings, for reranking without an index and for ground truth.
    /// `queries (sum of Q, D) f32` with `query_offsets (num_queries + 1)`, `embeddings (N, D) f32` with
    /// `passage_offsets (P + 1)` -> `(num_queries, P) f32`; a passage without tokens scores `-inf`.
    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>>;

    /// The best `k` of the passages that were scored, best first; passages that score [`NO_MATCH`] are left out.
    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>>;

    /// The best `k` passages of each query among all selected passages of some segments: the exhaustive search, one call
    /// for any number of queries. Best first; ties go to the earlier segment, then to the lower pid. The queries are of
    /// `codec`, with which the segments were loaded.
    ///
    /// A backend that can share the decompression of a passage among queries overrides this; as it stands here, each
    /// query goes through [`centroid_table`](Self::centroid_table), [`maxsim`](Self::maxsim) and [`top_k`](Self::top_k)
    /// by itself.
    ///
    /// # Errors
    /// [`Error`] if the device fails.
    fn search_batch(
        &self,
        codec: &Self::Codec,
        segments: &[SegmentView<'_, Self::Passages>],
        queries: &[Self::Query],
        k: usize,
    ) -> Result<Vec<Vec<SegmentHit>>> {
        search_batch::each_query(self, codec, segments, queries, k)
    }
}
