//! A trained codec: what training decides once and every segment of an index shares.

use crate::{Result, Rotation};
use selvedge_backend::{Backend, Codec, Packed, QuantizedQuery};
use std::sync::Arc;

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
    pub params: Arc<Codec>,
}

impl TrainedCodec {
    /// The rotation between the caller's space and the codec's, where there is one.
    pub fn rotation(&self) -> Option<Rotation> {
        (self.kind == CodecKind::Selvedge).then(|| Rotation::new(self.params.dim, self.seed))
    }

    /// A query's embeddings `(Q, D) f32`, rotated and rounded to int8.
    pub fn quantize_query(&self, rotation: Option<&Rotation>, embeddings: &[f32]) -> QuantizedQuery {
        let mut rows = embeddings.to_vec();
        if let Some(rotation) = rotation {
            rotation.apply(&mut rows);
        }
        QuantizedQuery::new(self.params.dim, &rows)
    }

    /// Everything that turns embeddings into bytes, prepared once.
    pub fn compressor(&self) -> Compressor {
        Compressor { params: self.params.clone(), rotation: self.rotation() }
    }
}

/// Turns embeddings into codes and packed residuals, block by block.
#[derive(Clone, Debug)]
pub struct Compressor {
    params: Arc<Codec>,
    rotation: Option<Rotation>,
}

impl Compressor {
    /// Compresses a block of `embeddings (N, D) f32`, which are rotated in place -> `codes (N)`, packed rows;
    /// fails where the backend does.
    pub fn compress<B: Backend>(&self, backend: &B, embeddings: &mut [f32]) -> Result<(Vec<u32>, Packed)> {
        if let Some(rotation) = &self.rotation {
            rotation.apply(embeddings);
        }
        let codes = backend.assign(self.params.dim, embeddings, &self.params.centroids)?;
        let packed = backend.compress(&self.params, embeddings, &codes)?;
        Ok((codes, packed))
    }
}
