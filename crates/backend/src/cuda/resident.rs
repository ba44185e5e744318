//! Values that stay in device memory between ops: codecs, passages of segments, scores.

use super::{
    chosen::Selected,
    constants::Constant,
    context::{Buffer, Context},
    quantize_query::Signs,
    rules::Rules,
    table,
};
use crate::{
    CellLists, CheckedCodec, CodeReader, CodecParams, CompressedPassages, Error, Result, RowCoding, TRELLIS_LEVELS,
    read_weight,
};
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use std::{
    mem::offset_of,
    sync::{Arc, OnceLock},
};

/// Bits of a token's code in its word; the weight index has the others.
const CODE_BITS: u32 = 24;
/// Place of the table of kernels/windows.cuh after the levels.
const STEPS_AT: usize = 256;
/// Largest difference of two levels of a trellis that kernels/windows.cuh unpacks: the largest step of an i8.
const LEVEL_RANGE: i32 = 127;

/// Constants of kernels that read tokens, and of those that read the table.
pub(super) const TOKEN_CONSTANTS: [Constant; 1] = [("CODE_BITS", CODE_BITS as i64)];
pub(super) const STEP_CONSTANTS: [Constant; 1] = [("STEPS_AT", STEPS_AT as i64)];

/// A codec in device memory.
#[derive(Debug)]
pub struct LoadedCodec {
    pub(super) host: CheckedCodec,
    pub(super) centroids: Buffer<i8>,
    levels: Buffer<i8>,
    weights: Buffer<WeightsArgument>,
    pub(super) rules: Rules,
    pub(super) signs: Signs,
    /// Whether kernels/windows.cuh unpacks the rows.
    pub(super) by_window: bool,
    /// Squared length of a query's rows below which tables have entries of i16; 0 for never.
    pub(super) narrow_below: u32,
}

impl AsRef<CheckedCodec> for Arc<LoadedCodec> {
    fn as_ref(&self) -> &CheckedCodec {
        &self.host
    }
}

impl LoadedCodec {
    /// Uploads a codec.
    ///
    /// # Errors
    /// [`Error::BadCodec`] if it has more centroids than a token's word can name.
    pub(super) fn new(context: &Arc<Context>, codec: CheckedCodec) -> Result<Self> {
        check_codes(codec.num_centroids())?;
        let levels = context.upload(&device_levels(&codec))?;
        let by_window = matches!(codec.nbits, 1 | 2) && (!is_trellis(&codec) || level_range(&codec) <= LEVEL_RANGE);
        let weights = codec.centroid_weights.iter().zip(&codec.residual_weights);
        let weights: Vec<_> = weights.map(|(&n, &g)| WeightsArgument::new(n, g)).collect();
        Ok(Self {
            centroids: context.upload(&codec.centroids)?,
            rules: Rules::new(context, &codec, &levels)?,
            signs: Signs::new(context, codec.rotation())?,
            levels,
            weights: context.upload(&weights)?,
            by_window,
            narrow_below: if by_window { table::narrow_below(&codec) } else { 0 },
            host: codec,
        })
    }

    /// The codec as an argument of kernels.
    pub(super) fn argument(&self) -> CodecArgument {
        CodecArgument {
            weights: *self.weights.pointer(),
            levels: *self.levels.pointer(),
            centroids: *self.centroids.pointer(),
            lowest_level: lowest_level(&self.host).into(),
            minus_one: u32::MAX,
        }
    }
}

/// Checks that a token's word can name every centroid.
fn check_codes(num_centroids: usize) -> Result<()> {
    if num_centroids > 1 << CODE_BITS {
        let value = format!("{num_centroids}, but a GPU has at most {}", 1 << CODE_BITS);
        return Err(Error::BadCodec { what: "number of centroids", value });
    }
    Ok(())
}

fn is_trellis(codec: &CodecParams) -> bool {
    codec.nbits > 0 && matches!(codec.coding, RowCoding::Trellis { .. })
}

fn lowest_level(codec: &CodecParams) -> i8 {
    codec.levels.iter().copied().min().unwrap_or(0)
}

/// Difference of the highest and the lowest level.
fn level_range(codec: &CodecParams) -> i32 {
    let highest = codec.levels.iter().copied().max().unwrap_or(0);
    i32::from(highest) - i32::from(lowest_level(codec))
}

/// Returns the levels of a codec, padded with zeros to 256, since any byte may be looked up. The table of
/// kernels/windows.cuh follows: the steps of a trellis above its lowest level, in the order of the labels 0 to 7, then
/// 15 down to 8; zeros if its levels are not close enough.
fn device_levels(codec: &CodecParams) -> Vec<i8> {
    let mut levels: Vec<i8> = codec.levels.iter().copied().chain(std::iter::repeat(0)).take(STEPS_AT).collect();
    if is_trellis(codec) && level_range(codec) <= LEVEL_RANGE {
        let labels = (0..TRELLIS_LEVELS / 2).chain((TRELLIS_LEVELS / 2..TRELLIS_LEVELS).rev());
        levels.extend(labels.map(|label| codec.levels[label].wrapping_sub(lowest_level(codec))));
    } else {
        levels.extend([0; TRELLIS_LEVELS]);
    }
    levels
}

/// Weights that an index names: `Weights` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct WeightsArgument {
    centroid: u32,
    residual: u32,
}

impl WeightsArgument {
    fn new(centroid: u8, residual: u8) -> Self {
        Self { centroid: u32::from_le_bytes([centroid, 0, 0, centroid]), residual: residual.into() }
    }
}

/// Common part of the passages of all segments: `Codec` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct CodecArgument {
    weights: u64,
    levels: u64,
    centroids: u64,
    lowest_level: i32,
    minus_one: u32,
}

/// A segment: `Segment` of kernels/passages.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct SegmentArgument {
    offsets: u64,
    tokens: u64,
    residuals: u64,
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
    assert!(size_of::<CodecArgument>() == 32 && offset_of!(CodecArgument, levels) == 8);
    assert!(offset_of!(CodecArgument, lowest_level) == 24 && offset_of!(CodecArgument, minus_one) == 28);
    assert!(size_of::<WeightsArgument>() == 8 && offset_of!(WeightsArgument, residual) == 4);
    assert!(size_of::<SegmentArgument>() == 48 && offset_of!(SegmentArgument, residuals) == 16);
    assert!(offset_of!(SegmentArgument, list_starts) == 24 && offset_of!(SegmentArgument, first_pid) == 40);
};

/// The compressed passages of a segment in device memory.
#[derive(Debug)]
pub struct LoadedPassages {
    pub(super) codec: Arc<LoadedCodec>,
    pub(super) num_passages: usize,
    pub(super) num_tokens: usize,
    arrays: Arrays,
    /// The segment as kernels take it, as if it were the only one.
    pub(super) segment: Buffer<SegmentArgument>,
    /// The inverted lists, if there are any yet.
    lists: OnceLock<LoadedLists>,
}

impl LoadedPassages {
    /// Uploads passages whose lengths fit `codec`.
    pub(super) fn new(context: &Arc<Context>, codec: Arc<LoadedCodec>, passages: &CompressedPassages) -> Result<Self> {
        codec.centroids.assert_of(context);
        let arrays = Arrays {
            offsets: context.upload(&passages.offsets)?,
            tokens: context.upload(&tokens(&codec.host, passages))?,
            residuals: context.upload(&passages.residuals)?,
        };
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
        let bytes = self.arrays.offsets.download()?;
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

/// The arrays of a segment.
#[derive(Debug)]
struct Arrays {
    offsets: Buffer<u8>,
    /// A word for each token.
    tokens: Buffer<u32>,
    residuals: Buffer<u8>,
}

/// Returns a word for each token: its code, below `K`, and from bit [`CODE_BITS`] on its weight index. Packed codes and
/// indices take 23 bits for 2^18 centroids and 32 weights; kernels would unpack them in 64-bit arithmetic.
fn tokens(codec: &CodecParams, passages: &CompressedPassages) -> Vec<u32> {
    let codes = CodeReader::new(&passages.codes, codec.code_bits());
    let last = codec.num_centroids() as u32 - 1;
    let word = |t| codes.get(t).min(last) | (read_weight(&passages.weights, codec.weight_bits, t) as u32) << CODE_BITS;
    (0..passages.num_tokens()).into_par_iter().map(word).collect()
}

fn argument(Arrays { offsets, tokens, residuals }: &Arrays, num_passages: usize) -> SegmentArgument {
    SegmentArgument {
        offsets: *offsets.pointer(),
        tokens: *tokens.pointer(),
        residuals: *residuals.pointer(),
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

/// The scores of selected passages in device memory, `(C) i32`.
#[derive(Debug)]
pub struct Scores {
    pub(super) scores: Buffer<i32>,
    /// The passages that were scored.
    pub(super) selected: Selected,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::centroid_table::tests::codec_of_ones;

    #[test]
    fn a_word_names_2_to_the_24_centroids() {
        check_codes(1 << 24).unwrap();
        let refused = check_codes((1 << 24) + 1).unwrap_err().to_string();
        assert_eq!(refused, "codec: invalid number of centroids: 16777217, but a GPU has at most 16777216");
    }

    #[test]
    fn steps_above_the_lowest_level_are_stored_from_both_ends() {
        let trellis = |lowest: i8| CodecParams {
            nbits: 2,
            coding: RowCoding::Trellis { step: 1.0 },
            levels: (0..15).map(|label| label * 3).chain([lowest]).collect(),
            ..codec_of_ones(1)
        };
        let levels = device_levels(&trellis(-85));
        assert_eq!(levels[..16], trellis(-85).levels);
        let steps = [85, 88, 91, 94, 97, 100, 103, 106, 0, 127, 124, 121, 118, 115, 112, 109];
        assert_eq!(levels[STEPS_AT..], steps);
        assert_eq!(device_levels(&trellis(-86))[STEPS_AT..], [0; 16]);
    }
}
