//! A codec on a device, ready to compress, whichever device that is.

use crate::device::on_device;
use crate::{Device, Error, Result};
use selvedge_backend::{Assignment, Backend, Packed};
use selvedge_codec::{Codec, Compressor};
use std::ops::Deref;
use std::sync::Arc;

/// A [`Compressor`] with its backend.
pub(crate) trait Compress: Send + Sync {
    /// Does as [`Compressor::compress`].
    fn compress(&self, embeddings: &mut [f32]) -> selvedge_codec::Result<(Vec<u32>, Packed)>;

    /// Does as [`Compressor::residual_shares`].
    fn residual_shares(&self, embeddings: &[f32], codes: &[u32], step: usize) -> Vec<f32>;
}

/// A compressor and a reference to its backend, shared or not.
pub(crate) struct OnBackend<B: Backend, R> {
    backend: R,
    compressor: Compressor<B>,
}

impl<B: Backend, R: Deref<Target = B>> OnBackend<B, R> {
    /// Loads a codec into the memory of `backend`; `None` for the assignment that suits it.
    pub(crate) fn new(backend: R, codec: &Codec, assignment: Option<Assignment>) -> Result<Self> {
        let assignment = assignment.unwrap_or_else(|| backend.assignment(codec.params.num_centroids()));
        let compressor = codec.compressor_with(&*backend, assignment)?;
        Ok(Self { backend, compressor })
    }
}

impl<B: Backend, R: Deref<Target = B> + Send + Sync> Compress for OnBackend<B, R> {
    fn compress(&self, embeddings: &mut [f32]) -> selvedge_codec::Result<(Vec<u32>, Packed)> {
        self.compressor.compress(&self.backend, embeddings)
    }

    fn residual_shares(&self, embeddings: &[f32], codes: &[u32], step: usize) -> Vec<f32> {
        self.compressor.residual_shares(embeddings, codes, step).collect()
    }
}

/// Loads a codec into the memory of a device; `None` for the assignment that suits it.
pub(crate) fn on(device: Device, codec: &Codec, assignment: Option<Assignment>) -> Result<Arc<dyn Compress>> {
    on_device!(device, backend => {
        Ok::<_, Error>(Arc::new(OnBackend::new(Arc::new(backend), codec, assignment)?) as Arc<dyn Compress>)
    })
}
