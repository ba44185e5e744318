//! A codec whose bounds were checked: the only kind that a [`Backend`](crate::Backend) takes.

use crate::{CodecParams, QuantizedQuery, Result, Rotation};
use std::{ops::Deref, sync::Arc};

/// A codec that [`CodecParams::validate`] accepted and that nothing can change any more. Cloning is cheap: the codec is
/// shared.
///
/// The SIMD bodies and the kernels leave out checks that a valid codec makes needless, such as the bounds of a lookup
/// by weight index. Therefore a valid codec has to be a type of its own: [`CheckedCodec::new`] is the only way to make
/// one, and what it gives out is read-only.
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
    /// The first bound of [`CodecParams::validate`] that the numbers break.
    pub fn new(codec: CodecParams) -> Result<Self> {
        codec.validate()?;
        let rotation = codec.rotation.map(|seed| Rotation::new(codec.dim, seed));
        Ok(Self(Arc::new(Checked { codec, rotation })))
    }

    /// The rotation between the embeddings' space and the codec's, if the codec has one.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.0.rotation.as_ref()
    }

    /// Rotates a query's embeddings, `(Q, D) f32`, and rounds them to int8.
    ///
    /// # Panics
    /// If `embeddings` is no whole number of rows.
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
