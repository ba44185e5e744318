//! Trained codec, shared by all segments of an index, and the compression of embeddings with it.

use crate::{Result, lengths};
use selvedge_backend::{Assignment, Backend, CheckedCodec, CodecParams, Packed};

/// Kind of codec; see the [crate docs](crate#two-codecs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecKind {
    /// Default: random rotation, orthogonal unit residual, trellis or Lloyd-Max levels, joint weights.
    Selvedge,
    /// ColBERTv2: residual buckets at quantiles, decoded vectors renormalized to unit length.
    ColbertV2,
}

/// A trained codec.
#[derive(Clone, Debug)]
pub struct Codec {
    /// Kind of codec.
    pub kind: CodecKind,
    /// Seed of the training, and of the rotation of [`CodecKind::Selvedge`].
    pub seed: u64,
    /// Parameters that the backend's ops need, within their bounds.
    pub params: CheckedCodec,
}

impl Codec {
    /// Checks `params` and makes a codec of `kind` from them. The rotation follows from `kind` and `seed`;
    /// `params.rotation` is ignored.
    ///
    /// # Errors
    /// [`BadDim`](selvedge_backend::Error::BadDim) or [`BadCodec`](selvedge_backend::Error::BadCodec) with the first
    /// bound of [`CodecParams::validate`] that `params` break.
    pub fn new(kind: CodecKind, seed: u64, params: CodecParams) -> selvedge_backend::Result<Self> {
        let rotation = (kind == CodecKind::Selvedge).then_some(seed);
        Ok(Self { kind, seed, params: CheckedCodec::new(CodecParams { rotation, ..params })? })
    }

    /// Loads centroids and parameters into the memory of `backend`, ready to compress embeddings.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) if the device fails,
    /// [`Error::SignsOnly`](crate::Error::SignsOnly) for a codec of [`Formula::Signs`](crate::buckets::Formula::Signs).
    pub fn compressor<B: Backend>(&self, backend: &B) -> Result<Compressor<B>> {
        self.compressor_with(backend, Assignment::Exact)
    }

    /// Does as [`Codec::compressor`], and assigns embeddings to centroids by `assignment`. Groups of centroids take
    /// time to make, and pay for it with many embeddings.
    ///
    /// # Errors
    /// As [`Codec::compressor`].
    pub fn compressor_with<B: Backend>(&self, backend: &B, assignment: Assignment) -> Result<Compressor<B>> {
        if self.kind == CodecKind::ColbertV2 && self.params.centroid_weights.iter().all(|&weight| weight == 0) {
            return Err(crate::Error::SignsOnly);
        }
        let unit = lengths::unit_of_codec(self.kind, &self.params);
        // The steps of a codec read from a file may underflow or overflow in this unit; it then works in units of 1.
        let other = Some(unit).filter(|&unit| unit != 1.0);
        let (unit, params) = match other.and_then(|unit| CheckedCodec::new(in_units(&self.params, 1.0 / unit)).ok()) {
            Some(params) => (unit, params),
            None => (1.0, self.params.clone()),
        };
        let centroids = match assignment {
            Assignment::Exact => backend.load_centroids(params.dim, &params.centroids)?,
            Assignment::Grouped => backend.load_grouped_centroids(params.dim, &params.centroids)?,
        };
        Ok(Compressor { kind: self.kind, unit, centroids, codec: backend.load_codec(params)? })
    }
}

/// Returns the codec of vectors `factor` times as long. `factor` is a power of two, so that the steps stay
/// exact. If it is not 1, the codec must compare its cutoffs with residuals of a fixed length, so that
/// cutoffs do not change.
pub(crate) fn in_units(codec: &CodecParams, factor: f32) -> CodecParams {
    CodecParams {
        centroid_scale: codec.centroid_scale * factor,
        residual_weight_step: codec.residual_weight_step * factor,
        ..codec.clone()
    }
}

/// Compressor of embeddings to codes and packed residuals, block by block; a codec resident on one backend.
pub struct Compressor<B: Backend> {
    kind: CodecKind,
    /// Embeddings are divided by this power of two, which brings most of them near unit length.
    unit: f32,
    /// Codec of the divided embeddings.
    codec: B::Codec,
    centroids: B::Centroids,
}

impl<B: Backend> Compressor<B> {
    /// Compresses a block of `embeddings (N, D) f32` to codes `(N) u32`, packed residuals and weight indices. The
    /// embeddings are scaled and rotated in place. `backend` is the one that the compressor was made with.
    ///
    /// # Errors
    /// - [`Error::Length`](crate::Error::Length) or [`Error::NotOfUnitLength`](crate::Error::NotOfUnitLength), with the
    ///   number of the embedding in the block, if the codec cannot keep its length.
    /// - [`Error::Backend`](crate::Error::Backend) if the device fails.
    ///
    /// # Panics
    /// If `embeddings` is not a whole number of rows.
    pub fn compress(&self, backend: &B, embeddings: &mut [f32]) -> Result<(Vec<u32>, Packed)> {
        self.scale_and_rotate(embeddings)?;
        Ok(backend.assign_and_compress(&self.centroids, &self.codec, embeddings)?)
    }

    /// Does as [`Compressor::compress`] for embeddings whose codes `(N) u32` are known.
    ///
    /// # Errors
    /// As [`Compressor::compress`].
    ///
    /// # Panics
    /// If `embeddings` is not one row for each code, or a code is not below `K`.
    pub fn compress_coded(&self, backend: &B, embeddings: &mut [f32], codes: &[u32]) -> Result<Packed> {
        self.scale_and_rotate(embeddings)?;
        Ok(backend.compress(&self.codec, embeddings, codes)?)
    }

    /// Brings embeddings into the unit and the space of the codec, in place.
    fn scale_and_rotate(&self, embeddings: &mut [f32]) -> Result<()> {
        let params = self.codec.as_ref();
        lengths::check(self.kind, params.dim, embeddings, self.unit)?;
        if self.unit != 1.0 {
            embeddings.iter_mut().for_each(|x| *x *= 1.0 / self.unit);
        }
        if let Some(rotation) = params.rotation() {
            rotation.apply(embeddings);
        }
        Ok(())
    }

    /// Length of the part of an embedding that is orthogonal to its centroid, as a share of the embedding's length (the
    /// sine of their angle), for every `step`-th of the embeddings that [`Compressor::compress`] has scaled and
    /// rotated: the share that is left to the residual. Embeddings of zeros are left out.
    ///
    /// # Panics
    /// If `step` is 0, or there is not one code in range for each embedding.
    pub fn residual_shares(&self, embeddings: &[f32], codes: &[u32], step: usize) -> impl Iterator<Item = f32> {
        let params = self.codec.as_ref();
        let rows = embeddings.chunks_exact(params.dim).zip(codes).step_by(step);
        rows.filter_map(move |(row, &code)| {
            let centroid = &params.centroids[code as usize * params.dim..][..params.dim];
            let dot: f32 = row.iter().zip(centroid).map(|(x, &c)| x * f32::from(c)).sum();
            let squares =
                row.iter().map(|x| x * x).sum::<f32>() * centroid.iter().map(|&c| f32::from(c).powi(2)).sum::<f32>();
            (squares > 0.0).then(|| (1.0 - dot * dot / squares).max(0.0).sqrt())
        })
    }
}
