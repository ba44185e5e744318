//! A trained codec: what training decides once and every segment of an index shares.

use crate::Result;
use selvedge_backend::{Backend, CheckedCodec, Codec, Packed};

/// Which of the two codecs an index was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecKind {
    /// Ours: random rotation, unit residual, a trellis or Lloyd-Max levels, one scale index per vector.
    Selvedge,
    /// ColBERTv2's: quantile buckets, reconstructions renormalized to unit length.
    ColbertV2,
}

/// A trained codec.
#[derive(Clone, Debug)]
pub struct TrainedCodec {
    /// Which codec.
    pub kind: CodecKind,
    /// Seed of the rotation (used by [`CodecKind::Selvedge`] only) and of the training.
    pub seed: u64,
    /// The numbers that the ops need.
    pub params: CheckedCodec,
}

impl TrainedCodec {
    /// A codec of `kind` with the numbers `params`, whose rotation is the one that `kind` and `seed` say.
    ///
    /// # Errors
    /// Those of [`Codec::validate`].
    pub fn new(kind: CodecKind, seed: u64, params: Codec) -> selvedge_backend::Result<Self> {
        let rotation = (kind == CodecKind::Selvedge).then_some(seed);
        Ok(Self { kind, seed, params: CheckedCodec::new(Codec { rotation, ..params })? })
    }

    /// Everything that turns embeddings into bytes, prepared once.
    pub fn compressor(&self) -> Compressor {
        Compressor { params: self.params.clone() }
    }
}

/// Turns embeddings into codes and packed residuals, block by block.
#[derive(Clone, Debug)]
pub struct Compressor {
    params: CheckedCodec,
}

impl Compressor {
    /// Compresses a block of `embeddings (N, D) f32`, which are rotated in place -> `codes (N)`, packed rows;
    /// fails where the backend does.
    pub fn compress<B: Backend>(&self, backend: &B, embeddings: &mut [f32]) -> Result<(Vec<u32>, Packed)> {
        if let Some(rotation) = self.params.rotation() {
            rotation.apply(embeddings);
        }
        let codes = backend.assign(self.params.dim, embeddings, &self.params.centroids)?;
        let packed = backend.compress(&self.params, embeddings, &codes)?;
        Ok((codes, packed))
    }
}
