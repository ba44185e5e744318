//! Builds with the codec of another index, which shards of one collection need.

use super::{BuildOptions, Counts, compress, pipeline};
use crate::progress::Progress;
use crate::save::Saver;
use crate::source::Source;
use crate::{Error, Result};
use selvedge_index::{Check, EncoderInfo, Index, Writer};
use std::path::Path;

/// Compresses all passages with the codec of the index at `path`, and writes both. The counts of training are those
/// of that index.
///
/// # Errors
/// - [`Error::Index`] if there is no such index, or its codec is corrupt.
/// - [`Error::OtherEncoder`] if another model made it, [`Error::Search`] if its embeddings have another dimension.
/// - As [`pipeline::run`].
pub(super) fn run(
    path: &Path,
    writer: &mut Writer,
    source: &mut dyn Source,
    encoder: Option<&EncoderInfo>,
    options: &BuildOptions,
    saver: Option<&mut Saver>,
    progress: &dyn Progress,
) -> Result<Counts> {
    let given = Index::open(path, Check::Structure)?;
    check(&given, source.dim(), encoder)?;
    let codec = compress::on(options.device, given.codec()?, options.assignment)?;
    writer.set_codec_of(&given)?;
    let num_centroids = given.manifest().codec.num_centroids;
    let num_tokens = pipeline::append(&*codec, num_centroids, writer, source, options.memory_budget, saver, progress)?;
    if num_tokens == 0 {
        return Err(Error::NoTokens);
    }
    let trained = &given.manifest().build;
    Ok(Counts {
        sampled_passages: trained.sample_passages as usize,
        sampled_tokens: trained.sample_tokens as usize,
        kmeans_rounds: trained.kmeans_rounds as usize,
        num_tokens,
    })
}

/// Checks that the embeddings to compress are of the model that the codec was trained for.
fn check(given: &Index, dim: usize, encoder: Option<&EncoderInfo>) -> Result<()> {
    if given.dim() != dim {
        return Err(selvedge_search::Error::DimMismatch { expected: given.dim(), found: dim }.into());
    }
    match (given.encoder(), encoder) {
        (Some(expected), Some(found)) if expected.is_known() && expected.fingerprint != found.fingerprint => {
            Err(Error::OtherEncoder {
                expected_model: expected.model.clone(),
                expected: expected.fingerprint.clone(),
                found_model: found.model.clone(),
                found: found.fingerprint.clone(),
            })
        }
        _ => Ok(()),
    }
}
