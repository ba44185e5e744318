//! All arithmetic of late-interaction retrieval: every op is a method of one trait, [`Backend`].
//!
//! Each op exists as naive loops in [`mod@reference`] (the oracle and the textbook), and under [`Cpu`] as a
//! portable body and, for most ops, an AVX2 and an AVX-512 body. The feature `cuda` adds kernels for GPUs.
//! Tests compare the fast bodies with the oracle: with `==` for the integer ops below, for `assign`,
//! `centroid_sums` and `decompress`, and for the rows of a trellis; within a stated margin for `maxsim_f32`
//! and the rest of `compress`.
//!
//! Two ops exist on the CPU only and serve the encoder: [`cpu::LinearF32`] and [`cpu::LinearInt8`], the layers of a
//! transformer.
//!
//! # The arithmetic contract: a score is an integer
//!
//! A query's embeddings are rounded to int8 with one scale for the whole query ([`QuantizedQuery`]).
//! Centroids and residual levels are int8, with one scale each for the whole index ([`CodecParams`]).
//! With `j = weight index of token t`, `c = code of token t` and `w8 = levels[packed residual of t]`:
//!
//! ```text
//! T[c][i] = clamp(round_ties_even(f32(dot(c8[c], q8[i])) * table_factor), -2^22, 2^22)       i32
//! sim(i, t) = centroid_weights[j] * T[c][i] + residual_weights[j] * dot(q8[i], w8[t])        i32
//! score(passage) = sum over i of (max over t of sim(i, t)) >> ceil(log2(Q))                  i32
//! ```
//!
//! `dot` is an exact i32 sum; `table_factor` is one f32 per index; `>>` is arithmetic. Results are
//! ordered by score descending, then pid ascending; a passage without tokens scores [`NO_MATCH`] and
//! is never a result. Every term is an integer, so lane width, tile shape and summation order cannot
//! change a score: portable, AVX2, AVX-512 and any GPU agree bit for bit.
//!
//! **Corrupt input.** Index bytes may be hostile; every backend returns the same defined result. A code `>= K`
//! counts as `K - 1`. A passage whose offsets run backwards or past the last token, and a pid `>= P`, count as a
//! passage without tokens. [`CompressedPassages::validate`] detects both.
//!
//! **No overflow.** `centroid_weights[j] <= 255` and `|T| <= 2^22` give `|centroid_weights * T| < 2^30`.
//! [`CodecParams::validate`] demands `D * 127 * max|level| * max(residual_weights) <= 2^30`, hence
//! `|residual_weights * dot| <= 2^30` and `|sim| < 2^31`. Shifted right by `ceil(log2(Q))`, `Q` of them sum to
//! less than `2^31` in absolute value, and since `|sim| <= 255 * 2^22 + 2^30 = 2^31 - 2^22`, no score
//! reaches [`NO_MATCH`] (for `Q < 2^22`). A similarity of 1 is an integer of about `2^22` to `2^28`, so the shift
//! does not change rankings.
#![deny(missing_docs)]

// The test inputs of tests/backend name this crate.
#[cfg(test)]
extern crate self as selvedge_backend;

mod checked;
mod compressed;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device_index;
mod error;
mod groups;
mod host_scores;
mod int8_rows;
mod isa;
mod kmeans;
mod layout;
mod missing_score;
mod query;
pub mod reference;
mod rotation;
mod search_batch;
mod several;
mod similarities;
mod trellis;
mod types;

pub use checked::CheckedCodec;
pub use compressed::{CompressedPassages, Packed};
pub use cpu::Cpu;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use device_index::{CellLists, DeviceIndex, DeviceSet, Found, IndexPart, MAX_COMPONENT, Plan, Route};
pub use error::{Error, Result};
pub use host_scores::HostScores;
pub use int8_rows::Int8Rows;
pub use isa::Isa;
pub use kmeans::{KMeans, RoundedCentroids};
pub use layout::{
    CODE_PADDING, CodeReader, bucket, pack_codes, pack_weights, packed_codes_bytes, packed_row_bytes,
    packed_weights_bytes, read_weight, trellis_label,
};
pub use query::{Embeddings, Probed, QuantizedQuery};
pub use rotation::Rotation;
pub use search_batch::{SegmentHit, SegmentView};
pub use several::{Several, SeveralCodecs, ShareScores, Shares};
pub use similarities::{BestMatch, Similarities};
pub use types::{
    Assignment, CodecParams, CodecSizes, NO_MATCH, Pid, RADIAL_WEIGHT, RawHit, ResidualForm, RowCoding, Select,
    TABLE_LIMIT, TRELLIS_LEVELS, WeightRule, round_to_int8, score_shift,
};

/// The ops of late-interaction retrieval, each fused to the level at which it is worth a kernel.
///
/// Shape letters: `Q` query tokens, `N` embeddings, `P` passages, `D` dim, `K` centroids,
/// `W = D * nbits / 8` packed residual bytes. Arrays are row-major. The associated types are data that the backend
/// keeps in its own memory, device memory on a GPU, so that nothing returns to the host between the stages of a query.
///
/// # Errors
/// On a CPU only `load_passages` can fail, and `quantize_query` for embeddings in device memory. On a GPU
/// every method can fail: with [`Error::Cuda`] if the device or the driver fails, with
/// [`Error::OutOfDeviceMemory`], and with [`Error::KernelCompile`] at the first use of a kernel.
///
/// # Panics
/// A method panics if a slice has the wrong length. Arguments must have been made with the same codec and backend;
/// a method panics if their sizes differ, and does not notice other differences.
pub trait Backend: Send + Sync {
    /// Resident centroids, to which embeddings are assigned.
    type Centroids: Send + Sync;
    /// A resident codec.
    type Codec: AsRef<CheckedCodec> + Send + Sync;
    /// The resident compressed passages of one segment.
    type Passages: Send + Sync;
    /// A resident int8 query, arranged for the passages of one codec.
    type Query: Send + Sync;
    /// The centroid table of one query, `(K, Q) i32`.
    type Table: Send + Sync;
    /// One score per selected passage, `i32`, with the selection.
    type Scores: Send + Sync;

    /// Name of the backend for logs and tables, such as `cpu/avx2` or `cuda/0`.
    fn name(&self) -> String;

    /// Bytes of device memory that the backend's buffers hold now; 0 if it computes in the memory of the host.
    fn device_bytes(&self) -> u64 {
        0
    }

    /// Copies centroids into the backend's memory, once for all embeddings that are assigned to them.
    /// `centroids (K, D) i8`, within -127..=127.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids>;

    /// Nearest centroid of each embedding by int8 inner product: `argmax over c of dot(x8, c8)`, with `x8` the
    /// [rounded](round_to_int8) embedding. Ties go to the lower code. `embeddings (N, D) f32` -> `(N) u32`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>>;

    /// Copies centroids into the backend's memory, in groups: [`assign`](Self::assign) then searches the best groups of
    /// an embedding only, as [`Assignment::Grouped`] says. `centroids (K, D) i8`, within -127..=127.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_grouped_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids>;

    /// The assignment to this many centroids that suits the backend: the default body returns [`Assignment::Exact`].
    fn assignment(&self, num_centroids: usize) -> Assignment {
        let _ = num_centroids;
        Assignment::Exact
    }

    /// Sum and number of the embeddings of each code. The order of additions is fixed, for any number of threads.
    /// `embeddings (N, D) f32`, `codes (N) u32` -> `sums (K, D) f32`, `counts (K) u32`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)>;

    /// Begins a run of k-means over `sample (N, D) f32`: one centroid for each of `starts`, the rows of the sample at
    /// which they start, scaled to unit length. All backends have the same centroids after a [round](KMeans::round):
    /// each operation of f32 is rounded, squares of a row are added in their order, and none is fused into a
    /// multiply-add.
    ///
    /// The default body sends each round through [`assign`](Self::assign) and [`centroid_sums`](Self::centroid_sums);
    /// a backend with a memory of its own keeps the sample and the centroids there.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    ///
    /// # Panics
    /// If `dim` is 0 or not a multiple of 4, the sample is not whole rows, there is no start, or one is not a row of
    /// the sample.
    fn kmeans<'a>(&'a self, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Box<dyn KMeans + 'a>> {
        Ok(Box::new(kmeans::HostKMeans::new(self, dim, sample, starts, Assignment::Exact)))
    }

    /// Does as [`kmeans`](Self::kmeans), but assigns the sample by groups of centroids, made anew in each round.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    ///
    /// # Panics
    /// As [`kmeans`](Self::kmeans).
    fn grouped_kmeans<'a>(&'a self, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Box<dyn KMeans + 'a>> {
        Ok(Box::new(kmeans::HostKMeans::new(self, dim, sample, starts, Assignment::Grouped)))
    }

    /// Copies a codec into the backend's memory.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec>;

    /// Compresses embeddings to packed residuals and weight indices. `embeddings (N, D) f32`, `codes (N) u32`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed>;

    /// Assigns embeddings to the centroids of a codec and compresses them: [`assign`](Self::assign), then
    /// [`compress`](Self::compress). `centroids` are the codec's. `embeddings (N, D) f32` -> `codes (N) u32` and packed
    /// residuals.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    ///
    /// # Panics
    /// If the embeddings are not whole rows, or the centroids are not as many as the codec's, or of another dim.
    fn assign_and_compress(
        &self,
        centroids: &Self::Centroids,
        codec: &Self::Codec,
        embeddings: &[f32],
    ) -> Result<(Vec<u32>, Packed)> {
        let codes = self.assign(centroids, embeddings)?;
        let packed = self.compress(codec, embeddings, &codes)?;
        Ok((codes, packed))
    }

    /// Copies the passages of one segment into the backend's memory.
    ///
    /// # Errors
    /// [`Error::ArrayLength`] if the arrays do not fit each other and the codec; otherwise if the device fails.
    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages>;

    /// Checks that `bytes` more fit into the backend's memory, before anything is copied: the default body, of a
    /// backend in the memory of the host, checks nothing.
    ///
    /// # Errors
    /// [`Error::OutOfDeviceMemory`] if they do not fit.
    fn check_memory(&self, bytes: u64) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Copies the inverted lists of a segment to its passages, once, if the backend needs them for
    /// [`load_index`](Self::load_index): the default body does nothing.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_lists(&self, passages: &Self::Passages, lists: &dyn Fn() -> CellLists) -> Result<()> {
        let _ = (passages, lists);
        Ok(())
    }

    /// Makes an index of its segments, in the order of their pids, if the backend can search it without steps on the
    /// host: the default body returns `None`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_index(
        &self,
        codec: &Self::Codec,
        parts: Vec<IndexPart<Self::Passages>>,
    ) -> Result<Option<Box<dyn DeviceIndex>>> {
        let _ = (codec, parts);
        Ok(None)
    }

    /// Decompressed vectors of a range of tokens, in the (rotated) space of the codec, `(tokens, D) f32`:
    ///
    /// ```text
    /// ((centroid_weight_step * centroid_weights[j]) * centroid_scale) * c8
    ///     + (residual_weight_step * residual_weights[j]) * w8
    /// ```
    ///
    /// Each operation is rounded to f32, and none is fused into a multiply-add, so that every backend gives the same
    /// bits. `tokens` is a range of token numbers within the segment.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn decompress(&self, passages: &Self::Passages, tokens: std::ops::Range<usize>) -> Result<Vec<f32>>;

    /// Copies a rounded query into the backend's memory.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query>;

    /// Makes a query from embeddings, `(Q, D) f32`: [rotates](Rotation) them if the codec has a rotation, and
    /// [rounds](QuantizedQuery::new) them to int8. Both are f32 operations in a fixed order, so every backend
    /// makes the same query.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn quantize_query(&self, codec: &Self::Codec, embeddings: Embeddings<'_>) -> Result<Self::Query> {
        self.load_query(codec, codec.as_ref().quantize_query(&embeddings.to_host()?))
    }

    /// Copies a query to the memory of the host.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery>;

    /// Number of tokens of a query, `Q`.
    fn query_len(&self, query: &Self::Query) -> usize;

    /// Factor that turns an integer score of this query into a real MaxSim score: [`CodecParams::score_unit`].
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn score_unit(&self, query: &Self::Query) -> Result<f32>;

    /// Centroid part of every similarity, `T (K, Q) i32` of the [contract](crate).
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table>;

    /// The `nprobe` best centroids of each query token, best first; ties go to the lower code.
    ///
    /// Returns `(Q, min(nprobe, K))` pairs of code and table entry, and the missing score of each query token,
    /// `(Q) i32`: the entry that stands for the token in passages that are in none of its cells.
    ///
    /// The missing score is computed from the maxima of the token's column over groups of eight centroids. Of the
    /// `G = ceil(K / 8)` groups every `ceil(G / 256)`-th is sampled, `S` in all. The missing score is the `r`-th
    /// largest maximum of the sample, `r = ceil(8 * nprobe * S / G)` within `1..=S`, or the best entry of the
    /// column that was not probed, if that is less. If all entries were probed, the smallest one is used instead of
    /// the best that was not.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed>;

    /// Scores from the table alone: `sum over i of (max over t of T[code_t][i]) >> ceil(log2(Q))`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn approx_scores(&self, passages: &Self::Passages, table: &Self::Table, select: Select<'_>)
    -> Result<Self::Scores>;

    /// Fused decompression and MaxSim, straight from the compressed bytes: `score` of the [contract](crate).
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
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
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>>;

    /// The best `k` scored passages, best first; passages that score [`NO_MATCH`] are excluded.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>>;

    /// Exhaustive search: the best `k` passages of each query among the selected passages of all `segments`.
    ///
    /// Best first; ties go to the earlier segment, then to the lower pid. Queries and segments must have been loaded
    /// with `codec`. The default body sends each query through [`centroid_table`](Self::centroid_table),
    /// [`maxsim`](Self::maxsim) and [`top_k`](Self::top_k); a backend that can share the decompression of a passage
    /// among queries overrides it.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
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
