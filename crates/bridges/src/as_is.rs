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
use crate::source::{Block, Decoding, Source};
use crate::{Error, Result};
use selvedge_backend::Packed;
use selvedge_codec::buckets::{Formula, Lengths};
use selvedge_codec::{Codec, Progress, Step};
use selvedge_index::Writer;
use std::sync::mpsc;
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
    let piece_tokens = PIECE_BYTES / (source.codec.row_bytes() as u64 + 4);
    write_all(source, writer, &repacker, lengths, piece_tokens, progress)
}

/// Passages on their way through the stages of an import; the buffers are used again.
#[derive(Default)]
struct Piece {
    doclens: Vec<u32>,
    block: Block,
    packed: Packed,
}

/// Reads, repacks and writes all passages, each stage in a thread of its own.
fn write_all(
    source: &mut Source,
    writer: &mut Writer,
    repacker: &Repacker,
    lengths: Option<Lengths>,
    piece_tokens: u64,
    progress: &dyn Progress,
) -> Result<()> {
    let (free, to_fill) = mpsc::channel::<Piece>();
    let (filled, to_repack) = mpsc::channel::<Result<Piece>>();
    let (repacked, to_write) = mpsc::channel::<Result<Piece>>();
    (0..PIECES).for_each(|_| free.send(Piece::default()).expect("the receiver is here"));
    let total = source.alive().len() as u64;
    thread::scope(|scope| {
        scope.spawn(move || {
            for run in source.runs(piece_tokens).collect::<Vec<_>>() {
                // The receivers and senders are gone after an error of a later stage.
                let Ok(mut piece) = to_fill.recv() else { return };
                piece.doclens.clear();
                piece.doclens.extend_from_slice(&source.doclens[run.start as usize..run.end as usize]);
                let read = source.read(run, &mut piece.block);
                let is_read = read.is_ok();
                if filled.send(read.map(|()| piece)).is_err() || !is_read {
                    return;
                }
            }
        });
        scope.spawn(move || {
            for piece in to_repack {
                let piece = piece.map(|mut piece| {
                    repacker.repack(&piece.block, lengths, &mut piece.packed);
                    piece
                });
                if repacked.send(piece).is_err() {
                    return;
                }
            }
        });
        // Taken, so that it is gone when this stage ends, and the first one waits for no more pieces.
        let (free, mut done) = (free, 0);
        for piece in to_write {
            let piece = piece?;
            writer.push_passages(&piece.doclens, &piece.block.codes, &piece.packed)?;
            done += piece.doclens.len() as u64;
            progress.report(Step { stage: "import", unit: "passages", done, total: Some(total) });
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            _ = free.send(piece);
        }
        Ok(())
    })
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
    use std::path::Path;

    /// Asks to stop after the first piece.
    struct Stopped;

    impl Progress for Stopped {
        fn report(&self, _: Step) {}

        fn is_cancelled(&self) -> bool {
            true
        }
    }

    /// Writes a copy of the fixture in many small pieces. Once it is open, the file of its residuals is cut to `left`
    /// bytes.
    fn written(left: Option<u64>, progress: &dyn Progress) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("plaid");
        std::fs::create_dir(&copy).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plaid-2");
        for entry in std::fs::read_dir(fixture).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let mut source = crate::open(&copy)?;
        if let Some(left) = left {
            let file = std::fs::OpenOptions::new().write(true).open(copy.join("0.residuals.pt")).unwrap();
            file.set_len(left).unwrap();
        }
        let (codec, lengths) = Codec::of_buckets(source.codec.buckets(), Formula::Sum)?;
        let repacker = Repacker::new(&codec.params, codec.params.residual_weight_step);
        let mut writer = Writer::create(&dir.path().join("i"))?;
        crate::Documents::new(&source)?.number(&mut writer)?;
        writer.finish_documents()?;
        writer.set_codec(&codec)?;
        assert!(source.runs(20).count() > 4 * PIECES);
        write_all(&mut source, &mut writer, &repacker, lengths, 20, progress)
    }

    #[test]
    fn every_stage_ends_when_one_does() {
        written(None, &()).unwrap();
        assert!(matches!(written(None, &Stopped), Err(Error::Cancelled)));
        let cut = written(Some(2000), &());
        assert!(matches!(cut, Err(Error::Malformed { .. })), "{cut:?}");
    }
}
