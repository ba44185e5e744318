//! Import by this project's codec: embeddings are decoded, and their residuals coded anew, around the same centroids.
//!
//! ```text
//! a sample of passages --> decoded (N, D) f32 --> codec: the source's centroids, levels and weights of ours
//! every passage        --> decoded, rotated   --> codes of the source, residuals and weight indices of ours
//! ```
//!
//! The source's centroids were trained on the embeddings before they lost their last bits, and so were its codes: own
//! ones cost most of the time of an import, and find no more (the record of 2026-12-01 has both).

use crate::Result;
use crate::decode::Decoder;
use crate::pieces::{Piece, tokens_per_piece, write_all};
use crate::source::{Block, Source};
use rayon::prelude::*;
use selvedge_backend::{Backend, Cpu, Packed};
use selvedge_codec::Error::Length;
use selvedge_codec::{Codec, Compressor, Given, Progress, TrainOptions, plan, train_around};
use selvedge_index::{BuildInfo, Writer};

/// Embeddings that a thread decodes and compresses at a time, which its cache holds.
const STEP: usize = 256;
/// Embeddings for each residual that is measured.
const MEASURED_STEP: usize = 64;

/// Trains a codec of `nbits` around the centroids of `source`, and writes it and all passages that are not deleted to
/// `writer`, which then lacks only the manifest. The writer has the documents of these passages, or none. Returns what
/// the manifest says of the training.
///
/// # Errors
/// The errors of [`Source::read`], [`Writer::set_codec`] and [`Writer::push_passages`];
/// [`Error::Codec`](crate::Error::Codec) if an embedding or a centroid has a length that the codec cannot keep, or
/// `nbits` is not 0, 1, 2, 4 or 8; [`Error::Cancelled`](crate::Error::Cancelled) if `progress` stops the import.
pub fn recode(source: &mut Source, writer: &mut Writer, nbits: u8, progress: &dyn Progress) -> Result<BuildInfo> {
    let backend = Cpu::new().map_err(selvedge_codec::Error::from)?;
    let decoder = Decoder::new(&source.codec);
    let (codec, build) = trained(source, &decoder, &backend, nbits)?;
    writer.set_codec(&codec)?;
    let recoder = Recoder { compressor: codec.compressor(&backend)?, backend, decoder };
    write_all(source, writer, tokens_per_piece(source), |piece| recoder.change(piece), progress)?;
    Ok(build)
}

/// Trains a codec on a sample of the embeddings that are not deleted.
fn trained(source: &mut Source, decoder: &Decoder, backend: &Cpu, nbits: u8) -> Result<(Codec, BuildInfo)> {
    let (mut sample, mut codes, mut block, mut passages) = (Vec::new(), Vec::new(), Block::default(), 0);
    // Of each run the number of its first embedding less that in the sample, where it starts.
    let mut offsets = Vec::new();
    for run in source.sampled_runs(plan::MAX_HELD_OUT as u64) {
        passages += run.len() as u64;
        offsets.push((codes.len(), source.offsets[run.start as usize] as usize - codes.len()));
        source.read(run, &mut block)?;
        decoder.decode(&block, &mut sample);
        codes.extend_from_slice(&block.codes);
    }
    let num_embeddings = source.found.embeddings;
    let given = Given { centroids: &source.codec.centroids, codes: &codes, num_embeddings };
    let options = TrainOptions::new(nbits, source.codec.num_centroids());
    let codec = train_around(backend, source.codec.dim, sample, given, &options).map_err(|error| match error {
        Length { embedding, .. } => {
            let at = offsets.partition_point(|&(start, _)| start <= embedding) - 1;
            error.numbered_from(offsets[at].1)
        }
        other => other,
    })?;
    let build = BuildInfo {
        seed: options.seed,
        backend: backend.name(),
        sample_passages: passages,
        sample_tokens: codes.len() as u64,
        ..BuildInfo::default()
    };
    Ok((codec, build))
}

struct Recoder {
    decoder: Decoder,
    compressor: Compressor<Cpu>,
    backend: Cpu,
}

impl Recoder {
    /// Decodes and compresses the embeddings of a piece, some at a time on each thread.
    fn change(&self, piece: &mut Piece) -> Result<()> {
        let steps =
            piece.block.codes.par_chunks(STEP).zip(piece.block.residuals.par_chunks(STEP * self.decoder.row_bytes()));
        let changed: Result<Vec<_>> = steps
            .enumerate()
            .map_init(Vec::new, |rows, (step, (codes, residuals))| {
                rows.resize(codes.len() * self.decoder.dim(), 0.0);
                self.decoder.decode_into(codes, residuals, rows);
                let packed = self.compressor.compress_coded(&self.backend, rows, codes);
                let packed = packed.map_err(|error| error.numbered_from(piece.first as usize + step * STEP))?;
                Ok((packed, self.compressor.residual_shares(rows, codes, MEASURED_STEP).collect::<Vec<_>>()))
            })
            .collect();
        piece.packed.residuals.clear();
        piece.packed.weights.clear();
        piece.shares.clear();
        for (Packed { residuals, weights }, shares) in changed? {
            piece.packed.residuals.extend_from_slice(&residuals);
            piece.packed.weights.extend_from_slice(&weights);
            piece.shares.extend_from_slice(&shares);
        }
        Ok(())
    }
}
