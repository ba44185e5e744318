//! `assign_and_compress`: the kernels of `assign` and `compress` on one upload of the embeddings.
//!
//! A call divides its embeddings into slices, each on a stream of its own, so that a slice is computed while the next
//! one is uploaded and the one before is downloaded. The caller's blocks are four slices long (`MAX_BLOCK_TOKENS` of a
//! build, at 128 components), so the copies that nothing overlaps are a fourth of all. Overlap between calls would take
//! calls that return the result of the one before.

use super::{
    Cuda,
    assign::{AssignKernels, Centroids},
    compress::{CompressKernel, Compressed, compress},
    context::Buffer,
    resident::LoadedCodec,
    slots::{SLOTS, Slot, slice_rows},
};
use crate::{Backend, Packed, Result};

/// A slice in progress.
struct Slice {
    codes: Buffer<u32>,
    compressed: Compressed,
    /// Kept until the work is done.
    _inputs: (Buffer<f32>, Buffer<i8>),
}

impl Slice {
    fn start(
        slot: &mut Slot,
        (assign, compress): (&AssignKernels, &CompressKernel),
        (centroids, codec): (&Centroids, &LoadedCodec),
        embeddings: &[f32],
    ) -> Result<Self> {
        let embeddings = slot.start_upload(embeddings)?;
        let rounded = assign.round_rows(slot.stream(), &embeddings)?;
        let codes = assign.assign(slot.stream(), centroids, &rounded)?;
        // SAFETY: `assign` returns codes of centroids, as many as the codec's.
        let compressed = unsafe { compress.launch(slot.stream(), codec, &embeddings, &codes)? };
        let Compressed { rows, weights, .. } = &compressed;
        let results = [
            (*codes.pointer(), codes.len() * size_of::<u32>()),
            (*rows.pointer(), rows.len()),
            (*weights.pointer(), weights.len()),
        ];
        // SAFETY: the arrays are of the slot's stream, in whose order they are freed; `start_upload` came before.
        unsafe { slot.start_download(&results)? };
        Ok(Self { codes, compressed, _inputs: (embeddings, rounded) })
    }

    /// Waits for the results and appends them.
    fn finish(self, slot: &mut Slot, codes: &mut Vec<u32>, packed: &mut Packed) -> Result<()> {
        let lens = (self.codes.len() * size_of::<u32>(), self.compressed.rows.len(), self.compressed.weights.len());
        let (of_codes, rest) = slot.downloaded(lens.0 + lens.1 + lens.2)?.split_at(lens.0);
        let (rows, weights) = rest.split_at(lens.1);
        codes.extend(of_codes.as_chunks().0.iter().map(|&code| u32::from_ne_bytes(code)));
        packed.residuals.extend_from_slice(rows);
        packed.weights.extend_from_slice(weights);
        Ok(())
    }
}

/// Launches [`Backend::assign_and_compress`].
///
/// # Panics
/// If the embeddings are not whole rows, the centroids are not as many as the codec's or of another dim, or they are of
/// another `Cuda`.
pub(super) fn assign_and_compress(
    cuda: &Cuda,
    centroids: &Centroids,
    loaded: &LoadedCodec,
    embeddings: &[f32],
) -> Result<(Vec<u32>, Packed)> {
    let (codec, context) = (&loaded.host, &cuda.context);
    loaded.centroids.assert_of(context);
    centroids.rows().assert_of(context);
    assert_eq!((centroids.dim(), centroids.len()), (codec.dim, codec.num_centroids()), "the centroids of the codec");
    assert!(embeddings.len().is_multiple_of(codec.dim), "whole embeddings of {}", codec.dim);
    if centroids.is_grouped() {
        let codes = cuda.assign(centroids, embeddings)?;
        let packed = compress(cuda, loaded, embeddings, &codes)?;
        return Ok((codes, packed));
    }
    let rows = embeddings.len() / codec.dim;
    let kernels = (&AssignKernels::new(cuda, codec.dim)?, &CompressKernel::new(cuda, loaded)?);
    let slice_rows = slice_rows(context, codec.dim).min(rows.max(1));
    let of_row = 4 * codec.dim + Centroids::pitch(codec.dim) + 4 + codec.row_bytes() + 1;
    cuda.check_memory(SLOTS as u64 * ((slice_rows * of_row) as u64 + kernels.1.scratch_bytes(loaded, slice_rows)))?;
    let mut slots = cuda.slots.take(context)?;
    let mut started: [Option<Slice>; SLOTS] = [const { None }; SLOTS];
    let mut codes = Vec::with_capacity(rows);
    let mut packed =
        Packed { residuals: Vec::with_capacity(rows * codec.row_bytes()), weights: Vec::with_capacity(rows) };
    let slices = embeddings.chunks(slice_rows * codec.dim).map(Some);
    for (at, embeddings) in slices.chain([None; SLOTS]).enumerate() {
        let (slot, started) = (&mut slots[at % SLOTS], &mut started[at % SLOTS]);
        if let Some(slice) = started.take() {
            slice.finish(slot, &mut codes, &mut packed)?;
        }
        if let Some(embeddings) = embeddings {
            *started = Some(Slice::start(slot, kernels, (centroids, loaded), embeddings)?);
        }
    }
    Ok((codes, packed))
}
