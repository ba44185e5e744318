//! A codec whose bounds were checked, the only kind that a [`Backend`](crate::Backend) accepts.

use crate::{CodecParams, QuantizedQuery, Result, Rotation};
use std::{ops::Deref, sync::Arc};

/// Codec parameters that passed [`CodecParams::validate`] and cannot change. Cloning is cheap: the parameters are
/// shared.
///
/// The SIMD bodies and the kernels omit checks that a valid codec makes unnecessary, such as the bounds of a lookup by
/// weight index. [`CheckedCodec::new`] is the only constructor, and access is read-only.
///
/// ```
/// use selvedge_backend::{CheckedCodec, CodecParams, Error, ResidualForm, RowCoding, WeightRule};
///
/// let codec = CodecParams {
///     dim: 8,
///     nbits: 0,
///     centroids: vec![127; 8].into(),
///     centroid_scale: 0.01,
///     coding: RowCoding::Buckets,
///     levels: vec![],
///     cutoffs: vec![],
///     form: ResidualForm::Orthogonal,
///     rule: WeightRule::KeepLength,
///     rotation: None,
///     weight_bits: 20, // 8 at most
///     centroid_weights: vec![1],
///     residual_weights: vec![1],
///     centroid_weight_step: 1.0,
///     residual_weight_step: 0.01,
/// };
/// assert!(matches!(CheckedCodec::new(codec.clone()), Err(Error::BadCodec { what: "weight entries", .. })));
///
/// let checked = CheckedCodec::new(CodecParams { weight_bits: 0, ..codec })?;
/// assert_eq!(checked.num_centroids(), 1);
/// # Ok::<(), Error>(())
/// ```
///
/// An assignment to a checked codec does not compile:
///
/// ```compile_fail,E0594
/// fn spoil(mut checked: selvedge_backend::CheckedCodec) {
///     checked.weight_bits = 20;
/// }
/// ```
///
/// Nor does a backend take a codec that was not checked:
///
/// ```compile_fail,E0308
/// fn load(codec: selvedge_backend::CodecParams) {
///     use selvedge_backend::Backend;
///     let _ = selvedge_backend::Cpu::new().unwrap().load_codec(codec);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CheckedCodec(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    codec: CodecParams,
    rotation: Option<Rotation>,
}

impl CheckedCodec {
    /// Checks every bound of `codec`.
    ///
    /// # Errors
    /// The first bound that the numbers break; see [`CodecParams::validate`].
    pub fn new(codec: CodecParams) -> Result<Self> {
        codec.validate()?;
        let rotation = codec.rotation.map(|seed| Rotation::new(codec.dim, seed));
        Ok(Self(Arc::new(Checked { codec, rotation })))
    }

    /// The rotation from the space of the embeddings to that of the codec, if the codec has one.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.0.rotation.as_ref()
    }

    /// Rotates a query's embeddings, `(Q, D) f32`, and rounds them to int8.
    ///
    /// # Panics
    /// If the length of `embeddings` is not a multiple of the dimension.
    pub fn quantize_query(&self, embeddings: &[f32]) -> QuantizedQuery {
        let Some(rotation) = self.rotation() else { return QuantizedQuery::new(self.dim, embeddings) };
        let mut rows = embeddings.to_vec();
        rotation.apply(&mut rows);
        QuantizedQuery::new(self.dim, &rows)
    }
}

impl Deref for CheckedCodec {
    type Target = CodecParams;

    fn deref(&self) -> &CodecParams {
        &self.0.codec
    }
}

impl AsRef<CheckedCodec> for CheckedCodec {
    fn as_ref(&self) -> &CheckedCodec {
        self
    }
}
