//! Passages of a source on their way into an index, in three stages side by side: read, change, write.
//!
//! ```text
//! source --thread: read--> codes, packed residuals --change--> rows of the index --thread: write--> writer
//! ```

use crate::source::{Block, Source};
use crate::{Error, Result};
use selvedge_backend::Packed;
use selvedge_codec::{Progress, Step};
use selvedge_index::Writer;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Bytes of a piece of codes and residuals, and number of pieces: one in each stage, and one more in wait, so that a
/// slow piece does not stop the others.
const PIECE_BYTES: u64 = 4 << 20;
const PIECES: usize = 4;

/// Some passages; the buffers are used again.
#[derive(Default)]
pub(crate) struct Piece {
    /// Number of the first embedding in the source.
    pub(crate) first: u64,
    /// Number of embeddings of each passage.
    pub(crate) doclens: Vec<u32>,
    /// Embeddings as the source has them.
    pub(crate) block: Block,
    /// Rows of the index.
    pub(crate) packed: Packed,
    /// Shares that residuals have of a part of the embeddings, if they are measured.
    pub(crate) shares: Vec<f32>,
}

/// Embeddings of a piece, which has about [`PIECE_BYTES`] of codes and residuals.
pub(crate) fn tokens_per_piece(source: &Source) -> u64 {
    PIECE_BYTES / (source.codec.row_bytes() as u64 + 4)
}

/// Reads, changes and writes all passages that are not deleted, in pieces of about `tokens` embeddings. Threads of
/// their own read and write; this one calls `change`, in the pool of threads that it belongs to.
pub(crate) fn write_all(
    source: &mut Source,
    writer: &mut Writer,
    tokens: u64,
    change: impl Fn(&mut Piece) -> Result<()>,
    progress: &dyn Progress,
) -> Result<()> {
    let total = source.alive().len() as u64;
    let (free, to_fill) = mpsc::channel::<Piece>();
    let (filled, to_change) = mpsc::channel::<Result<Piece>>();
    let (changed, to_write) = mpsc::channel::<Piece>();
    (0..PIECES).for_each(|_| free.send(Piece::default()).expect("the receiver is here"));
    thread::scope(|scope| {
        // Each stage owns its ends of the channels: after an error of one, the others find theirs closed, and end.
        scope.spawn(move || read_all(source, tokens, &to_fill, &filled));
        let writing = scope.spawn(move || {
            let mut done = 0;
            for piece in to_write {
                writer.note_residuals(piece.shares.iter().copied());
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
        let changed = change_all(change, to_change, changed);
        let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        changed.and(written)
    })
}

fn read_all(source: &mut Source, tokens: u64, to_fill: &Receiver<Piece>, filled: &Sender<Result<Piece>>) {
    for run in source.runs(tokens).collect::<Vec<_>>() {
        let Ok(mut piece) = to_fill.recv() else { return };
        piece.first = source.offsets[run.start as usize];
        piece.doclens.clear();
        piece.doclens.extend_from_slice(&source.doclens[run.start as usize..run.end as usize]);
        let read = source.read(run, &mut piece.block);
        if filled.send(read.map(|()| piece)).is_err() {
            return;
        }
    }
}

/// Changes pieces until the first that could not be read, or not be changed.
fn change_all(
    change: impl Fn(&mut Piece) -> Result<()>,
    to_change: Receiver<Result<Piece>>,
    changed: Sender<Piece>,
) -> Result<()> {
    for piece in to_change {
        let mut piece = piece?;
        change(&mut piece)?;
        if changed.send(piece).is_err() {
            break;
        }
    }
    Ok(())
}
