//! Import as is: codes, residuals and the formula of the source, in an index of this project.
//!
//! ```text
//! a sample of passages --> range of 1 / |c + w| --> codec (int8 centroids and levels, weight table)
//! every passage        --> codes, repacked residuals, weight indices --> segments
//! ```
//!
//! Nothing is decoded to f32 or assigned again. What changes is rounding: centroids and levels to int8, inverse lengths
//! to a table of at most 256 values.

use crate::repack::Repacker;
use crate::source::{Block, Decoding, Source, SourceCodec};
use crate::{Error, Result};
use selvedge_backend::Packed;
use selvedge_codec::buckets::{Formula, Lengths};
use selvedge_codec::{Codec, Progress, Step};
use selvedge_index::Writer;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Bytes of a piece of codes and residuals, and number of pieces: one in each stage, and one more in wait, so that a
/// slow piece does not stop the others.
const PIECE_BYTES: u64 = 4 << 20;
const PIECES: usize = 4;
/// Embeddings whose lengths are measured first, and the number of places that they are read from.
const SAMPLE_TOKENS: u64 = 1 << 17;
const SAMPLE_PLACES: usize = 64;
/// Share by which the range of the sampled lengths is widened on both sides.
const MARGIN: f32 = 0.05;

/// Writes the codec and all passages of `source` that are not deleted to `writer`, which then lacks only the manifest.
/// The writer has the documents of these passages, or none.
///
/// # Errors
/// The errors of [`Source::read`], [`Writer::set_codec`] and [`Writer::push_passages`]; [`Error::Codec`] if the numbers
/// of the source make no codec, [`Error::Cancelled`] if `progress` stops the import.
pub fn as_is(source: &mut Source, writer: &mut Writer, progress: &dyn Progress) -> Result<()> {
    let (codec, lengths) = match source.codec.decoding {
        Decoding::Sum => Codec::of_buckets(source.codec.buckets(), Formula::Sum)?,
        Decoding::Signs => Codec::of_buckets(source.codec.buckets(), Formula::Signs)?,
        Decoding::UnitLength => {
            let inverse_lengths = range_of_inverse_lengths(source)?;
            Codec::of_buckets(source.codec.buckets(), Formula::UnitLength { inverse_lengths })?
        }
    };
    let params = &codec.params;
    let repacker = Repacker::new(params, params.residual_weight_step / params.centroid_weight_step);
    writer.set_codec(&codec)?;
    write_all(source, writer, &repacker, lengths, tokens_per_piece(&source.codec), progress)
}

/// Passages on their way through the stages of an import; the buffers are used again.
#[derive(Default)]
struct Piece {
    doclens: Vec<u32>,
    block: Block,
    packed: Packed,
}

/// Reads, repacks and writes all passages in pieces of about `tokens` embeddings. Threads of their own read and write;
/// this one repacks, in the pool of threads that it belongs to.
fn write_all(
    source: &mut Source,
    writer: &mut Writer,
    repacker: &Repacker,
    lengths: Option<Lengths>,
    tokens: u64,
    progress: &dyn Progress,
) -> Result<()> {
    let total = source.alive().len() as u64;
    let (free, to_fill) = mpsc::channel::<Piece>();
    let (filled, to_repack) = mpsc::channel::<Result<Piece>>();
    let (repacked, to_write) = mpsc::channel::<Piece>();
    (0..PIECES).for_each(|_| free.send(Piece::default()).expect("the receiver is here"));
    thread::scope(|scope| {
        // Each stage owns its ends of the channels: after an error of one, the others find theirs closed, and end.
        scope.spawn(move || read_all(source, tokens, &to_fill, &filled));
        let writing = scope.spawn(move || {
            let mut done = 0;
            for piece in to_write {
                writer.push_passages(&piece.doclens, &piece.block.codes, &piece.packed)?;
                done += piece.doclens.len() as u64;
                progress.report(Step { stage: "import", unit: "passages", done, total: Some(total) });
                if progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                _ = free.send(piece);
            }
            Ok(())
        });
        let repacked = repack_all(repacker, lengths, to_repack, repacked);
        let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        repacked.and(written)
    })
}

fn read_all(source: &mut Source, tokens: u64, to_fill: &Receiver<Piece>, filled: &Sender<Result<Piece>>) {
    for run in source.runs(tokens).collect::<Vec<_>>() {
        let Ok(mut piece) = to_fill.recv() else { return };
        piece.doclens.clear();
        piece.doclens.extend_from_slice(&source.doclens[run.start as usize..run.end as usize]);
        let read = source.read(run, &mut piece.block);
        if filled.send(read.map(|()| piece)).is_err() {
            return;
        }
    }
}

/// Repacks pieces until the first that could not be read.
fn repack_all(
    repacker: &Repacker,
    lengths: Option<Lengths>,
    to_repack: Receiver<Result<Piece>>,
    repacked: Sender<Piece>,
) -> Result<()> {
    for piece in to_repack {
        let mut piece = piece?;
        repacker.repack(&piece.block, lengths, &mut piece.packed);
        if repacked.send(piece).is_err() {
            break;
        }
    }
    Ok(())
}

/// Embeddings of a piece, which has about [`PIECE_BYTES`] of codes and residuals.
fn tokens_per_piece(codec: &SourceCodec) -> u64 {
    PIECE_BYTES / (codec.row_bytes() as u64 + 4)
}

/// Finds the range of `1 / |c + w|` in a sample of passages, evenly spread, and widens it.
fn range_of_inverse_lengths(source: &mut Source) -> Result<(f32, f32)> {
    let (draft, _) = Codec::of_buckets(source.codec.buckets(), Formula::Sum)?;
    let repacker = Repacker::new(&draft.params, draft.params.residual_weight_step);
    let runs: Vec<_> = source.runs(SAMPLE_TOKENS / SAMPLE_PLACES as u64).collect();
    let (mut least, mut most, mut block) = (f32::INFINITY, 0f32, Block::default());
    for run in runs.iter().step_by(runs.len().div_ceil(SAMPLE_PLACES).max(1)) {
        source.read(run.clone(), &mut block)?;
        for inverse in repacker.inverse_lengths(&block) {
            (least, most) = (least.min(inverse), most.max(inverse));
        }
    }
    Ok(if most > 0.0 { (least * (1.0 - MARGIN), most * (1.0 + MARGIN)) } else { (1.0, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_index::{ManifestInfo, Memory, Storage};
    use std::path::Path;
    use std::sync::Arc;

    struct Cancelled;

    impl Progress for Cancelled {
        fn report(&self, _: Step) {}

        fn is_cancelled(&self) -> bool {
            true
        }
    }

    /// Imports a fixture in pieces of this many embeddings, and returns the bytes of its residuals.
    fn import(tokens: u64, progress: &dyn Progress) -> Result<Vec<u8>> {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plaid-2");
        let mut source = crate::open(&fixture)?;
        let formula = Formula::UnitLength { inverse_lengths: range_of_inverse_lengths(&mut source)? };
        let (codec, lengths) = Codec::of_buckets(source.codec.buckets(), formula)?;
        let params = &codec.params;
        let repacker = Repacker::new(params, params.residual_weight_step / params.centroid_weight_step);
        let memory = Arc::new(Memory::new());
        let mut writer = Writer::create_in(memory.clone())?;
        writer.set_codec(&codec)?;
        write_all(&mut source, &mut writer, &repacker, lengths, tokens, progress)?;
        let manifest = writer.finish(ManifestInfo::default())?;
        assert_eq!(manifest.segments[0].count, 60);
        let file = selvedge_index::IndexFile::new(selvedge_index::FileKind::Residuals, manifest.segments[0].number);
        Ok(memory.map(&file.name()).unwrap().to_vec())
    }

    #[test]
    fn pieces_of_any_size_are_the_same_index() {
        assert_eq!(import(1, &()).unwrap(), import(1 << 20, &()).unwrap());
    }

    /// Every stage ends when one does, wherever the pieces are.
    #[test]
    fn a_cancelled_import_ends() {
        for _ in 0..20 {
            assert!(matches!(import(1, &Cancelled), Err(Error::Cancelled)));
        }
    }
}
