//! Embeddings to codes and packed residuals, and back: k-means, rotation, levels, scales.
#![forbid(unsafe_code)]

mod error;
mod kmeans;
pub mod levels;
pub mod pack;
pub mod plan;
mod rotation;
pub mod scales;
mod train;
mod trained;

pub use error::{Error, Result};
pub use kmeans::kmeans;
pub use rotation::Rotation;
pub use train::{TrainOptions, train};
pub use trained::{CodecKind, Compressor, TrainedCodec};

/// Somebody who wants to know how far long work has come.
pub trait Progress: Sync {
    /// `done` of `total` steps of `stage` are done.
    fn report(&self, stage: &'static str, done: u64, total: u64);
}

/// Nobody.
impl Progress for () {
    fn report(&self, _stage: &'static str, _done: u64, _total: u64) {}
}
