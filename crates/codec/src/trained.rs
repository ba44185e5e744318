//! A trained codec: what training decides once and every segment of an index shares.

use crate::{Result, lengths};
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
        let unit = lengths::unit_of_codec(self.kind, &self.params);
        // A codec that training did not make may have steps that leave no room for it: then it is taken as it is.
        let other = Some(unit).filter(|&unit| unit != 1.0);
        match other.and_then(|unit| CheckedCodec::new(in_units(&self.params, 1.0 / unit)).ok()) {
            Some(params) => Compressor { kind: self.kind, unit, params },
            None => Compressor { kind: self.kind, unit: 1.0, params: self.params.clone() },
        }
    }
}

/// The codec of vectors `factor` times as long, for a factor that is a power of two and forms whose cutoffs have no
/// unit.
pub(crate) fn in_units(codec: &Codec, factor: f32) -> Codec {
    Codec { centroid_scale: codec.centroid_scale * factor, gain_unit: codec.gain_unit * factor, ..codec.clone() }
}

/// Turns embeddings into codes and packed residuals, block by block.
#[derive(Clone, Debug)]
pub struct Compressor {
    kind: CodecKind,
    /// What of an embedding's length is one to `params`.
    unit: f32,
    /// The codec of embeddings of about unit length.
    params: CheckedCodec,
}

impl Compressor {
    /// Compresses a block of `embeddings (N, D) f32`, which are rotated and scaled in place -> `codes (N)`, packed rows.
    ///
    /// # Errors
    /// If an embedding has a length that the codec cannot keep (it is named by its number in the block), or the backend
    /// fails.
    pub fn compress<B: Backend>(&self, backend: &B, embeddings: &mut [f32]) -> Result<(Vec<u32>, Packed)> {
        lengths::check(self.kind, self.params.dim, embeddings, self.unit)?;
        if self.unit != 1.0 {
            embeddings.iter_mut().for_each(|x| *x *= 1.0 / self.unit);
        }
        if let Some(rotation) = self.params.rotation() {
            rotation.apply(embeddings);
        }
        let codes = backend.assign(self.params.dim, embeddings, &self.params.centroids)?;
        let packed = backend.compress(&self.params, embeddings, &codes)?;
        Ok((codes, packed))
    }
}
