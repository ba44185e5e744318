//! Import as is: codes, residuals and the formula of the source, in an index of this project.
//!
//! ```text
//! a sample of passages --> range of 1 / |c + w| --> codec (int8 centroids and levels, weight table)
//! every passage        --> codes, repacked residuals, weight indices --> segments
//! ```
//!
//! Nothing is decoded to f32 or assigned again. What changes is rounding: centroids and levels to int8, inverse lengths
//! to a table of at most 256 values.

use crate::decode::Repacker;
use crate::source::{Block, Decoding, Source};
use crate::{Error, Result};
use selvedge_codec::buckets::Formula;
use selvedge_codec::{Codec, Progress, Step};
use selvedge_index::Writer;

/// Embeddings that are read, repacked and written at a time.
const BLOCK_TOKENS: u64 = 1 << 17;
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
    let (mut block, mut done) = (Block::default(), 0);
    let total = Some(source.alive().len() as u64);
    let runs: Vec<_> = source.runs(BLOCK_TOKENS).collect();
    for run in runs {
        source.read(run.clone(), &mut block)?;
        let packed = repacker.repack(&block, lengths);
        writer.push_passages(&source.doclens[run.start as usize..run.end as usize], &block.codes, &packed)?;
        done += u64::from(run.end - run.start);
        progress.report(Step { stage: "import", unit: "passages", done, total });
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
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
