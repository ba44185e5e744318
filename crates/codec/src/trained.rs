//! A trained codec: what training decides once and every segment of an index shares.

use crate::{Result, lengths};
use selvedge_backend::{Backend, CheckedCodec, CodecParams, Packed};

/// Which of the two codecs an index was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecKind {
    /// Ours: random rotation, unit residual, a trellis or Lloyd-Max levels, one weight index per vector.
    Selvedge,
    /// ColBERTv2's: quantile buckets, reconstructions renormalized to unit length.
    ColbertV2,
}

/// A trained codec.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Which codec.
    pub kind: CodecKind,
    /// Seed of the rotation (used by [`CodecKind::Selvedge`] only) and of the training.
    pub seed: u64,
    /// The numbers that the ops need.
    pub params: CheckedCodec,
}

impl Codec {
    /// A codec of `kind` with the numbers `params`, whose rotation is the one that `kind` and `seed` say.
    ///
    /// # Errors
    /// The first bound of [`CodecParams::validate`] that the numbers break.
    pub fn new(kind: CodecKind, seed: u64, params: CodecParams) -> selvedge_backend::Result<Self> {
        let rotation = (kind == CodecKind::Selvedge).then_some(seed);
        Ok(Self { kind, seed, params: CheckedCodec::new(CodecParams { rotation, ..params })? })
    }

    /// Takes what turns embeddings into bytes into the memory of `backend`.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn compressor<B: Backend>(&self, backend: &B) -> Result<Compressor<B>> {
        let unit = lengths::unit_of_codec(self.kind, &self.params);
        // A codec that training did not make may have steps that leave no room for it: then it is taken as it is.
        let other = Some(unit).filter(|&unit| unit != 1.0);
        let (unit, params) = match other.and_then(|unit| CheckedCodec::new(in_units(&self.params, 1.0 / unit)).ok()) {
            Some(params) => (unit, params),
            None => (1.0, self.params.clone()),
        };
        let centroids = backend.load_centroids(params.dim, &params.centroids)?;
        Ok(Compressor { kind: self.kind, unit, centroids, codec: backend.load_codec(params)? })
    }
}

/// The codec of vectors `factor` times as long, for a factor that is a power of two and forms whose cutoffs have no
/// unit.
pub(crate) fn in_units(codec: &CodecParams, factor: f32) -> CodecParams {
    CodecParams {
        centroid_scale: codec.centroid_scale * factor,
        residual_weight_step: codec.residual_weight_step * factor,
        ..codec.clone()
    }
}

/// Turns embeddings into codes and packed residuals, block by block, with what a backend holds of the codec.
pub struct Compressor<B: Backend> {
    kind: CodecKind,
    /// What of an embedding's length is one to `codec`.
    unit: f32,
    /// The codec of embeddings of about unit length.
    codec: B::Codec,
    centroids: B::Centroids,
}

impl<B: Backend> Compressor<B> {
    /// Compresses a block of `embeddings (N, D) f32`, which are rotated and scaled in place -> `codes (N)`, packed rows.
    /// `backend` is the one that the compressor was made with.
    ///
    /// # Errors
    /// If an embedding has a length that the codec cannot keep (it is named by its number in the block), or the backend
    /// fails.
    pub fn compress(&self, backend: &B, embeddings: &mut [f32]) -> Result<(Vec<u32>, Packed)> {
        let params = self.codec.as_ref();
        lengths::check(self.kind, params.dim, embeddings, self.unit)?;
        if self.unit != 1.0 {
            embeddings.iter_mut().for_each(|x| *x *= 1.0 / self.unit);
        }
        if let Some(rotation) = params.rotation() {
            rotation.apply(embeddings);
        }
        let codes = backend.assign(&self.centroids, embeddings)?;
        let packed = backend.compress(&self.codec, embeddings, &codes)?;
        Ok((codes, packed))
    }
}
