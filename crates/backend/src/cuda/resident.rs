//! Values that stay in device memory between ops: codecs, passages of segments, tables of queries, scores.

use super::{
    chosen::Selected,
    context::{Buffer, Context},
    quantize_query::Signs,
    rules::Rules,
};
use crate::{CellLists, CheckedCodec, CodecParams, CompressedPassages, Result};
use bytemuck::{Pod, Zeroable};
use std::{
    mem::offset_of,
    sync::{Arc, OnceLock},
};

/// A codec in device memory.
#[derive(Debug)]
pub struct LoadedCodec {
    pub(super) host: CheckedCodec,
    pub(super) centroids: Buffer<i8>,
    pub(super) levels: Buffer<i8>,
    centroid_weights: Buffer<u8>,
    residual_weights: Buffer<u8>,
    pub(super) rules: Rules,
    pub(super) signs: Signs,
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
            signs: Signs::new(context, codec.rotation())?,
            levels,
            centroid_weights: context.upload(&codec.centroid_weights)?,
            residual_weights: context.upload(&codec.residual_weights)?,
            host: codec,
        })
    }

    /// The codec as an argument of kernels.
    pub(super) fn argument(&self) -> CodecArgument {
        CodecArgument {
            centroid_weights: *self.centroid_weights.pointer(),
            residual_weights: *self.residual_weights.pointer(),
            levels: *self.levels.pointer(),
            centroids: *self.centroids.pointer(),
            num_centroids: self.host.num_centroids() as u32,
            code_bits: self.host.code_bits(),
            weight_bits: self.host.weight_bits.into(),
            unused: 0,
        }
    }
}

/// Returns the levels of a codec, padded with zeros to 256, since any byte may be looked up.
fn padded_levels(codec: &CodecParams) -> [i8; 256] {
    std::array::from_fn(|at| codec.levels.get(at).copied().unwrap_or(0))
}

/// Common part of the passages of all segments: `Codec` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct CodecArgument {
    centroid_weights: u64,
    residual_weights: u64,
    levels: u64,
    centroids: u64,
    num_centroids: u32,
    code_bits: u32,
    weight_bits: u32,
    unused: u32,
}

/// A segment: `Segment` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct SegmentArgument {
    offsets: u64,
    codes: u64,
    residuals: u64,
    weights: u64,
    list_starts: u64,
    list_pids: u64,
    pub(super) first_pid: u32,
    pub(super) num_passages: u32,
}

impl SegmentArgument {
    /// Whether there are inverted lists.
    pub(super) fn has_lists(&self) -> bool {
        self.list_starts != 0
    }
}

// kernels/passages.cuh asserts the same.
const _: () = {
    assert!(size_of::<CodecArgument>() == 48 && offset_of!(CodecArgument, levels) == 16);
    assert!(offset_of!(CodecArgument, num_centroids) == 32 && offset_of!(CodecArgument, weight_bits) == 40);
    assert!(size_of::<SegmentArgument>() == 56 && offset_of!(SegmentArgument, weights) == 24);
    assert!(offset_of!(SegmentArgument, list_starts) == 32 && offset_of!(SegmentArgument, first_pid) == 48);
};

/// The compressed passages of a segment in device memory.
#[derive(Debug)]
pub struct LoadedPassages {
    pub(super) codec: Arc<LoadedCodec>,
    pub(super) num_passages: usize,
    pub(super) num_tokens: usize,
    arrays: [Buffer<u8>; 4],
    /// The segment as kernels take it, as if it were the only one.
    pub(super) segment: Buffer<SegmentArgument>,
    /// The inverted lists, if there are any yet.
    lists: OnceLock<LoadedLists>,
}

impl LoadedPassages {
    /// Uploads passages whose lengths fit `codec`.
    pub(super) fn new(context: &Arc<Context>, codec: Arc<LoadedCodec>, passages: &CompressedPassages) -> Result<Self> {
        codec.centroids.assert_of(context);
        let CompressedPassages { offsets, codes, residuals, weights } = passages;
        // Kernels read a code as two whole words; the padding after the last one is enough for that.
        let load = |bytes: &[u8]| context.upload(bytes);
        let arrays = [load(offsets)?, load(codes)?, load(residuals)?, load(weights)?];
        let argument = argument(&arrays, passages.num_passages());
        Ok(Self {
            num_passages: passages.num_passages(),
            num_tokens: passages.num_tokens(),
            segment: context.upload(&[argument])?,
            arrays,
            codec,
            lists: OnceLock::new(),
        })
    }

    /// Downloads the offsets, `(P + 1)`.
    pub(super) fn download_offsets(&self) -> Result<Vec<u32>> {
        let bytes = self.arrays[0].download()?;
        Ok(bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four"))).collect())
    }

    /// The segment as an argument for kernels of `context`, as if it were the only one.
    ///
    /// # Panics
    /// If it is of another context.
    pub(super) fn argument(&self, context: &Arc<Context>) -> SegmentArgument {
        self.segment.assert_of(context);
        argument(&self.arrays, self.num_passages)
    }

    /// Uploads the inverted lists, if there are none yet.
    pub(super) fn load_lists(&self, context: &Arc<Context>, lists: &dyn Fn() -> CellLists) -> Result<()> {
        self.segment.assert_of(context);
        if self.lists.get().is_none() {
            let CellLists { starts, pids } = lists();
            assert_eq!(starts.len(), self.codec.host.num_centroids() + 1, "a list for each centroid");
            assert!(starts.is_sorted(), "lists follow each other");
            assert_eq!(starts.last(), Some(&(pids.len() as u64)), "the last list ends with the entries");
            // Two threads may upload them at the same time.
            _ = self.lists.set(LoadedLists { starts: context.upload(&starts)?, pids: context.upload(&pids)? });
        }
        Ok(())
    }

    /// The segment among others, with its lists, if there are any.
    ///
    /// # Panics
    /// If it is of another context.
    pub(super) fn placed(&self, context: &Arc<Context>, first_pid: u32) -> SegmentArgument {
        let lists = self.lists.get();
        let (list_starts, list_pids) = lists.map_or((0, 0), |lists| (*lists.starts.pointer(), *lists.pids.pointer()));
        SegmentArgument { list_starts, list_pids, first_pid, ..self.argument(context) }
    }
}

fn argument([offsets, codes, residuals, weights]: &[Buffer<u8>; 4], num_passages: usize) -> SegmentArgument {
    SegmentArgument {
        offsets: *offsets.pointer(),
        codes: *codes.pointer(),
        residuals: *residuals.pointer(),
        weights: *weights.pointer(),
        list_starts: 0,
        list_pids: 0,
        first_pid: 0,
        num_passages: num_passages as u32,
    }
}

/// The inverted lists of a segment in device memory.
#[derive(Debug)]
struct LoadedLists {
    starts: Buffer<u64>,
    pids: Buffer<u32>,
}

/// The centroid table of a query in device memory.
#[derive(Debug)]
pub struct Table {
    /// `(K, pitch) i32`.
    pub(super) entries: Arc<Buffer<i32>>,
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
