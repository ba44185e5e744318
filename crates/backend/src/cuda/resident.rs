//! Values that stay in device memory between ops: codecs, passages of segments, tables of queries, scores.

use super::{
    context::{Buffer, Context},
    rules::Rules,
    selection::Selected,
};
use crate::{CheckedCodec, CodecParams, CompressedPassages, Result};
use bytemuck::{Pod, Zeroable};
use std::{mem::offset_of, sync::Arc};

/// A codec in device memory.
#[derive(Debug)]
pub struct LoadedCodec {
    pub(super) host: CheckedCodec,
    pub(super) centroids: Buffer<i8>,
    pub(super) levels: Buffer<i8>,
    centroid_weights: Buffer<u8>,
    residual_weights: Buffer<u8>,
    pub(super) rules: Rules,
}

impl AsRef<CheckedCodec> for Arc<LoadedCodec> {
    fn as_ref(&self) -> &CheckedCodec {
        &self.host
    }
}

impl LoadedCodec {
    /// Uploads a codec.
    pub(super) fn new(context: &Arc<Context>, codec: CheckedCodec) -> Result<Self> {
        let levels = context.upload(&padded_levels(&codec))?;
        Ok(Self {
            centroids: context.upload(&codec.centroids)?,
            rules: Rules::new(context, &codec, &levels)?,
            levels,
            centroid_weights: context.upload(&codec.centroid_weights)?,
            residual_weights: context.upload(&codec.residual_weights)?,
            host: codec,
        })
    }
}

/// Returns the levels of a codec, padded with zeros to 256, since any byte may be looked up.
fn padded_levels(codec: &CodecParams) -> [i8; 256] {
    std::array::from_fn(|at| codec.levels.get(at).copied().unwrap_or(0))
}

/// The compressed passages of a segment in device memory.
#[derive(Debug)]
pub struct LoadedPassages {
    pub(super) codec: Arc<LoadedCodec>,
    pub(super) num_passages: usize,
    pub(super) num_tokens: usize,
    offsets: Buffer<u8>,
    codes: Buffer<u8>,
    residuals: Buffer<u8>,
    weights: Buffer<u8>,
}

/// The passages as a kernel's argument: `Passages` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct PassagesArgument {
    offsets: u64,
    codes: u64,
    residuals: u64,
    weights: u64,
    centroid_weights: u64,
    residual_weights: u64,
    levels: u64,
    centroids: u64,
    num_passages: u32,
    num_centroids: u32,
    code_bits: u32,
    weight_bits: u32,
}

// kernels/passages.cuh asserts the same.
const _: () = {
    assert!(size_of::<PassagesArgument>() == 80);
    assert!(offset_of!(PassagesArgument, weights) == 24 && offset_of!(PassagesArgument, levels) == 48);
    assert!(offset_of!(PassagesArgument, centroids) == 56 && offset_of!(PassagesArgument, num_passages) == 64);
    assert!(offset_of!(PassagesArgument, weight_bits) == 76);
};

impl LoadedPassages {
    /// Uploads passages whose lengths fit `codec`.
    pub(super) fn new(context: &Arc<Context>, codec: Arc<LoadedCodec>, passages: &CompressedPassages) -> Result<Self> {
        codec.centroids.assert_of(context);
        Ok(Self {
            num_passages: passages.num_passages(),
            num_tokens: passages.num_tokens(),
            offsets: context.upload(&passages.offsets)?,
            // Kernels read a code as two whole words; the padding after the last one is enough for that.
            codes: context.upload(&passages.codes)?,
            residuals: context.upload(&passages.residuals)?,
            weights: context.upload(&passages.weights)?,
            codec,
        })
    }

    /// The passages as an argument for kernels of `context`.
    ///
    /// # Panics
    /// If they are of another context.
    pub(super) fn argument(&self, context: &Arc<Context>) -> PassagesArgument {
        self.offsets.assert_of(context);
        let codec = &self.codec.host;
        PassagesArgument {
            offsets: *self.offsets.pointer(),
            codes: *self.codes.pointer(),
            residuals: *self.residuals.pointer(),
            weights: *self.weights.pointer(),
            centroid_weights: *self.codec.centroid_weights.pointer(),
            residual_weights: *self.codec.residual_weights.pointer(),
            levels: *self.codec.levels.pointer(),
            centroids: *self.codec.centroids.pointer(),
            num_passages: self.num_passages as u32,
            num_centroids: codec.num_centroids() as u32,
            code_bits: codec.code_bits(),
            weight_bits: codec.weight_bits.into(),
        }
    }
}

/// Embeddings in device memory, `(N, D) f32`, for [`Embeddings::Device`](crate::Embeddings::Device).
#[derive(Debug)]
pub struct DeviceEmbeddings(Buffer<f32>);

impl DeviceEmbeddings {
    /// Uploads embeddings.
    pub(super) fn new(context: &Arc<Context>, embeddings: &[f32]) -> Result<Self> {
        Ok(Self(context.upload(embeddings)?))
    }

    /// Copies the embeddings to the host.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn download(&self) -> Result<Vec<f32>> {
        self.0.download()
    }
}

/// The centroid table of a query in device memory.
#[derive(Debug)]
pub struct Table {
    /// `(K, pitch) i32`.
    pub(super) entries: Buffer<i32>,
    pub(super) num_centroids: usize,
    pub(super) query_len: usize,
    /// Entries per row: `Q` rounded up to a multiple of 8, the width of a tile.
    pub(super) pitch: usize,
}

/// The scores of selected passages in device memory, `(C) i32`.
#[derive(Debug)]
pub struct Scores {
    pub(super) scores: Buffer<i32>,
    /// The passages that were scored.
    pub(super) selected: Selected,
}
