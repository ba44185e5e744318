//! Embeddings to codes and packed residuals, and back: k-means, rotation, levels, weights.
//!
//! Two codecs stand behind one type. ColBERTv2's: residual `x - c`, buckets at its quantiles, the result scaled to
//! unit length. Ours, at the same bytes and 4 or 5 bits for a scale (which ColBERTv2's needs too, for its inverse
//! norm):
//!
//! 1. everything is rotated at random ([`Rotation`]), so that residuals are alike and normal in every dimension;
//! 2. what is quantized is the part of `x` *orthogonal to* its centroid, `u = x - c <x, c> / <c, c>`, at unit length:
//!    at 1 and 2 bits by a trellis, in which neighbouring components share bits, from 4 bits on component by
//!    component, with Lloyd-Max levels of the normal distribution; levels are small integers ([`levels`]);
//! 3. a vector comes back as `n c + g w`, with `(n, g)` one of 16 jointly trained pairs (32 at 2 bits) that keep the
//!    proportion of the two parts and the length of the vector ([`weights`]); from 4 bits on, levels are then chosen
//!    anew for it.
//!
//! Embeddings may have any length: a factor on all of them, which changes no ranking, changes none here. Lengths are
//! counted in a unit near the median of the sample, a power of two that centroids and residual_weights carry, so that scores come
//! back in the caller's units. An embedding more than some 16 times as long as most is an error that names it; so is
//! one that is not of unit length for ColBERTv2's codec, which puts every vector back at that length.
//!
//! # What was measured
//!
//! Recall@10 / @100 of exhaustive search in integers against exact f32 MaxSim on the uncompressed vectors, 128 dims,
//! MiniLM-L6 with a 384 to 128 projection; K by [`plan::num_centroids`], four rounds, seed 42. Cranfield: 208,354
//! vectors, 225 queries; CACM: 230,521 vectors, 52 queries; Debian: the first 16,500 descriptions, 1,392,563 vectors,
//! 1,000 queries.
//!
//! | nbits, codec | Cranfield | CACM | Debian |
//! |---|---|---|---|
//! | 4, ours | .983 / .989 | .975 / .985 | .978 / .983 |
//! | 4, ColBERTv2 | .967 / .975 | .952 / .966 | .945 / .951 |
//! | 2, ours | .954 / .973 | .946 / .959 | .950 / .958 |
//! | 2, Lloyd-Max instead of the trellis, 16 pairs | .952 / .966 | .944 / .948 | .935 / .945 |
//! | 2, ColBERTv2 | .907 / .931 | .890 / .908 | .881 / .886 |
//! | 1, ours | .927 / .946 | .898 / .928 | .906 / .917 |
//! | 1, Lloyd-Max instead of the trellis | .912 / .937 | .902 / .913 | .888 / .898 |
//! | 1, ColBERTv2 | .853 / .886 | .802 / .849 | .813 / .818 |
//! | 0 | .738 / .794 | .629 / .724 | .681 / .697 |
//!
//! What moved these numbers: recall@10 on Cranfield in f32, one seed, ranking only the exact top 400 of each query.
//! That flatters every row, and rows closer than .005 are a tie; compare within this table only.
//!
//! | variant | 1 bit | 2 bits |
//! |---|---|---|
//! | residual `x - c`, least-squares scale, renormalized | .892 | .949 |
//! | the same, scale half-way between least squares and unbiased | .914 | - |
//! | **orthogonal residual, half-way scale, renormalized**, two floats a vector | .917 | .953 |
//! | the same, 16 joint pairs (half a byte) | .911 | .951 |
//! | the same, 256 joint pairs (one byte) | .916 | .954 |
//! | the same, least squared error instead of kept length | .895 | - |
//! | a trellis of 256 free levels instead of Lloyd-Max, two floats a vector | .931 | .963 |
//! | the same, 16 joint pairs | .922 | .957 |
//!
//! Smaller error is not better ranking: least squares has the smallest, shrinks vectors, and loses maxima.
//!
//! Recall moves by .003 with the seed, so weights were chosen by something smoother: how much the score of a query's
//! exact top 100 passages errs, as a standard deviation within the query, on Debian at 2 bits (1,000 queries; in f32,
//! exhaustive recall@10 behind it where it was computed):
//!
//! | variant | error of a score | recall@10 |
//! |---|---|---|
//! | Lloyd-Max, 16 pairs | .0675 | .934 |
//! | Lloyd-Max, two floats a vector | .0594 | .943 |
//! | trellis, 16 pairs | .0540 | .944 |
//! | the same, changes of length counted 3, 5, 20, 40, 100 times, not 10 ([`RADIAL_WEIGHT`]) | .0550, .0544, .0549, .0568, .0605 | |
//! | the same, rows chosen anew for the pair (what helps at 4 bits) | .0559 | |
//! | the same, other pairs for each of 8 classes of centroids | .0526 | |
//! | **trellis, 32 pairs** (5 bits): what is built | .0505 | |
//! | trellis, 64 pairs | .0485 | |
//! | trellis, two floats a vector | .0462 | |
//!
//! So at 2 bits the rounding of pairs has become worth a fifth bit, an eighth of a byte; at 1 bit the row's own error
//! is still the larger one.
//!
//! [`RADIAL_WEIGHT`]: selvedge_backend::RADIAL_WEIGHT
//! [`Rotation`]: selvedge_backend::Rotation
#![forbid(unsafe_code)]

mod error;
mod kmeans;
mod lengths;
pub mod levels;
pub mod pack;
pub mod plan;
mod train;
mod trained;
pub mod weights;

pub use error::{Error, Result};
pub use kmeans::{Rounded, kmeans};
pub use train::{TrainOptions, train};
pub use trained::{Codec, CodecKind, Compressor};

/// How far one stage of a long operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the stage, such as `k-means`.
    pub stage: &'static str,
    /// Name of the things that are counted, such as `rounds`.
    pub unit: &'static str,
    /// Number of things done.
    pub done: u64,
    /// Number of things in all, where it is known.
    pub total: Option<u64>,
}

/// Receives the progress of long operations; called from any thread, often, so that it must be quick.
pub trait Progress: Sync {
    /// Reports one step; a stage is over when `done` equals `total`, or when another stage begins.
    fn report(&self, step: Step);

    /// Whether the operation should stop. It is asked after each step; what was begun is then removed.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Ignores progress.
impl Progress for () {
    fn report(&self, _: Step) {}
}
