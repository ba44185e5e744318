//! PLAID of Stanford's ColBERT (`colbert/indexing/index_saver.py`, version 0.2).
//!
//! | file | contents |
//! |---|---|
//! | `metadata.json` | number of chunks, configuration: bits, checkpoint, lengths |
//! | `centroids.pt` | f16 or f32 `(K, D)` |
//! | `buckets.pt` | tuple of cutoffs `(2^nbits - 1)` and weights `(2^nbits)`, f16 or f32 |
//! | `N.codes.pt`, `N.residuals.pt` | i32 `(n)`, u8 `(n, D * nbits / 8)` |
//! | `doclens.N.json` | lengths of the passages of a chunk |
//!
//! The inverted file (`ivf.pid.pt`, `ivf.pt` of earlier versions) and `avg_residual.pt` are not read: lists are made of
//! the codes.

use super::parts::{self, Parts};
use crate::folder::Folder;
use crate::rows::{Chunk, Chunks, Rows};
use crate::source::{Decoding, Format, Source};
use crate::{Error, Result, torch};

#[derive(serde::Deserialize)]
struct Metadata {
    num_chunks: usize,
    config: Option<Config>,
}

#[derive(Default, serde::Deserialize)]
struct Config {
    nbits: Option<u8>,
    checkpoint: Option<String>,
    query_maxlen: Option<usize>,
    doc_maxlen: Option<usize>,
}

pub(super) fn open(folder: &Folder) -> Result<Source> {
    if !folder.has("metadata.json") && folder.has("plan.json") {
        let reason = "its build has not ended: there is no metadata.json".into();
        return Err(Error::Unknown { path: folder.path().into(), reason });
    }
    let metadata: Metadata = folder.json("metadata.json")?;
    let config = metadata.config.unwrap_or_default();
    let centroids = parts::centroids(torch::open_one(&folder.file("centroids.pt"))?)?;
    let path = folder.file("buckets.pt");
    let mut buckets = torch::open(&path)?;
    let (Some(weights), Some(cutoffs), true) = (buckets.pop(), buckets.pop(), buckets.is_empty()) else {
        return Err(Error::malformed(&path, "is not a pair of tensors, the cutoffs and the weights"));
    };
    let buckets = parts::buckets(Some(cutoffs), weights, config.nbits)?;
    let codec = parts::codec(centroids, buckets, Decoding::UnitLength);
    let (mut doclens, mut chunks) = (Vec::new(), Vec::new());
    for number in 0..metadata.num_chunks {
        let lens: Vec<u32> = folder.json(&format!("doclens.{number}.json"))?;
        chunks.push(Chunk {
            codes: folder.file(&format!("{number}.codes.pt")),
            residuals: folder.file(&format!("{number}.residuals.pt")),
            first_row: 0,
            rows: lens.iter().map(|&length| u64::from(length)).sum(),
            is_part: false,
        });
        doclens.extend(lens);
    }
    let rows = Rows::Chunks(Chunks::new(chunks, codec.row_bytes())?);
    let parts = Parts::new(Format::Plaid, codec, doclens, rows);
    Parts {
        checkpoint: config.checkpoint,
        query_maxlen: config.query_maxlen,
        passage_maxlen: config.doc_maxlen,
        ..parts
    }
    .source(folder.path())
}
