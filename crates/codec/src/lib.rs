//! Codecs of token embeddings: training, and compression to codes and packed residuals.
//!
//! # In and out
//!
//! Shapes: `N` embeddings, `D` dim, `K` centroids, `W = D * nbits / 8` bytes. Arrays are row-major.
//!
//! - [`train`]: a sample `(N, D) f32` in, a [`Codec`] out: centroids `(K, D) i8`, residual levels `i8`, and
//!   `2^weight_bits` pairs of weights `u8`.
//! - [`train_around`]: the same around centroids that another program trained, without k-means.
//! - [`Compressor::compress`]: a block `(N, D) f32` in; codes `(N) u32`, packed residuals `(N, W) u8` and weight
//!   indices `(N) u8` out.
//! - Decoding is an op of the backend, either by itself (`Backend::decompress`) or fused into a score
//!   (`Backend::maxsim`). With code `c`, weight index `j` and the levels `w8 (D) i8` of its packed residual, an
//!   embedding is decoded as
//!
//! ```text
//! y = centroid_weights[j] * centroid_weight_step * centroid_scale * c8[c]
//!   + residual_weights[j] * residual_weight_step * w8
//! ```
//!
//! An embedding takes `nbits * D + weight_bits + ceil(log2 K)` bits. At 4 bits, `D = 128` and `K = 2^14` these
//! are 66.25 bytes.
//!
//! # Two codecs
//!
//! [`CodecKind::Selvedge`], the default:
//!
//! 1. Embeddings are rotated at random ([`Rotation`]), so that the components of residuals are alike and nearly normal.
//! 2. The residual is the part of `x` *orthogonal* to its centroid, `u = x - c <x, c> / <c, c>`, at unit length. At 1
//!    and 2 bits it is coded by a trellis, in which neighbouring components share bits; at 4 and 8 bits component by
//!    component, with Lloyd-Max levels of the normal distribution ([`levels`]).
//! 3. A weight index selects one of 16 jointly trained pairs (32 at 2 bits) of centroid weight and residual weight,
//!    which keeps the proportion of the two parts and the length of the vector ([`weights`]). At 4 and 8 bits levels
//!    are then chosen again for this pair.
//!
//! [`CodecKind::ColbertV2`] (Santhanam et al., "ColBERTv2: Effective and Efficient Retrieval via Lightweight Late
//! Interaction", section 3.3, and its reference implementation, `codecs/residual.py`): the residual is `x - c`, its
//! components are coded by buckets at their quantiles, and the decoded vector is scaled to unit length. The weight
//! index selects the inverse of the length before scaling.
//!
//! [`Codec::of_buckets`] takes the numbers of such a codec that another program trained ([`buckets`]).
//!
//! Recall of both at every nbits, and the variants that were tried, are in the crate's `README.md`.
//!
//! # Lengths of embeddings
//!
//! Embeddings may have any length, and a factor on all of them changes neither ranking nor codes. The codec works in a
//! unit near the median length of the sample: a power of two that is part of `centroid_scale` and
//! `residual_weight_step`, so that scores are in the caller's units. An embedding longer than 16 units is
//! [`Error::Length`]. [`CodecKind::ColbertV2`] decodes every vector to unit length, so an embedding of another length
//! is [`Error::NotOfUnitLength`].
//!
//! [`Rotation`]: selvedge_backend::Rotation
#![forbid(unsafe_code)]

pub mod buckets;
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
pub use kmeans::kmeans;
pub use train::{Given, TrainOptions, train, train_around};
pub use trained::{Codec, CodecKind, Compressor};

/// Progress of one stage of a long operation: `done` of `total` units.
///
/// An operation, such as building an index, is a sequence of stages. Each stage counts one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the stage, such as `k-means` or `index`.
    pub stage: &'static str,
    /// Unit of `done` and `total`, in the plural, such as `rounds` or `passages`.
    pub unit: &'static str,
    /// Number of units that are done; it grows within a stage.
    pub done: u64,
    /// Number of units of the whole stage; `None` if it is unknown.
    pub total: Option<u64>,
}

/// Receiver of the progress of a long operation, which can also cancel it.
///
/// An operation calls [`report`](Self::report) after each unit or block of units, and then
/// [`is_cancelled`](Self::is_cancelled). Both are called often and from any thread, so they should return quickly. The
/// unit type `()` ignores progress and never cancels.
///
/// ```
/// use selvedge_codec::{Progress, Step};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// /// Prints progress, and cancels as soon as the flag is set.
/// struct Printed(AtomicBool);
///
/// impl Progress for Printed {
///     fn report(&self, Step { stage, unit, done, total }: Step) {
///         match total {
///             Some(total) => eprintln!("{stage}: {done} of {total} {unit}"),
///             None => eprintln!("{stage}: {done} {unit}"),
///         }
///     }
///
///     fn is_cancelled(&self) -> bool {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
/// ```
pub trait Progress: Sync {
    /// Receives the latest count of a stage. A stage ends when `done` equals `total`, or when another stage is
    /// reported.
    fn report(&self, step: Step);

    /// Returns whether the operation should stop. It is called after each report and while texts are encoded. A
    /// cancelled operation returns the error `Cancelled` of its crate and removes the files that it has written.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Ignores progress and never cancels.
impl Progress for () {
    fn report(&self, _: Step) {}
}
