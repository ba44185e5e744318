//! Import as is: codes, residuals and the formula of the source, in an index of this project.
//!
//! ```text
//! a sample of passages --> range of 1 / |c + w| --> codec (int8 centroids and levels, weight table)
//! every passage        --> codes, repacked residuals, weight indices --> segments
//! ```
//!
//! Nothing is decoded to f32 or assigned again. What changes is rounding: centroids and levels to int8, inverse lengths
//! to a table of at most 256 values.

use crate::Result;
use crate::pieces::{Piece, tokens_per_piece, write_all};
use crate::repack::Repacker;
use crate::source::{Block, Decoding, Source};
use selvedge_codec::buckets::{Formula, Lengths};
use selvedge_codec::{Codec, Progress};
use selvedge_index::Writer;

/// Embeddings whose lengths are measured first.
const SAMPLE_TOKENS: u64 = 1 << 17;
/// Share by which the range of the sampled lengths is widened on both sides.
const MARGIN: f32 = 0.05;

/// Writes the codec and all passages of `source` that are not deleted to `writer`, which then lacks only the manifest.
/// The writer has the documents of these passages, or none.
///
/// # Errors
/// The errors of [`Source::read`], [`Writer::set_codec`] and [`Writer::push_passages`];
/// [`Error::Codec`](crate::Error::Codec) if the numbers of the source make no codec,
/// [`Error::Cancelled`](crate::Error::Cancelled) if `progress` stops the import.
pub fn as_is(source: &mut Source, writer: &mut Writer, progress: &dyn Progress) -> Result<()> {
    in_pieces(source, writer, tokens_per_piece(source), progress)
}

/// Does as [`as_is`], in pieces of about `tokens` embeddings.
fn in_pieces(source: &mut Source, writer: &mut Writer, tokens: u64, progress: &dyn Progress) -> Result<()> {
    let (codec, lengths): (Codec, Option<Lengths>) = match source.codec.decoding {
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
    let repack = |piece: &mut Piece| {
        repacker.repack(&piece.block, lengths, &mut piece.packed);
        Ok(())
    };
    write_all(source, writer, tokens, repack, progress)
}

/// Finds the range of `1 / |c + w|` in a sample of passages, evenly spread, and widens it.
fn range_of_inverse_lengths(source: &mut Source) -> Result<(f32, f32)> {
    let (draft, _) = Codec::of_buckets(source.codec.buckets(), Formula::Sum)?;
    let repacker = Repacker::new(&draft.params, draft.params.residual_weight_step);
    let (mut least, mut most, mut block) = (f32::INFINITY, 0f32, Block::default());
    for run in source.sampled_runs(SAMPLE_TOKENS) {
        source.read(run, &mut block)?;
        for inverse in repacker.inverse_lengths(&block) {
            (least, most) = (least.min(inverse), most.max(inverse));
        }
    }
    Ok(if most > 0.0 { (least * (1.0 - MARGIN), most * (1.0 + MARGIN)) } else { (1.0, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use selvedge_codec::Step;
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
        let memory = Arc::new(Memory::new());
        let mut writer = Writer::create_in(memory.clone())?;
        in_pieces(&mut source, &mut writer, tokens, progress)?;
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
