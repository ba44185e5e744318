//! fast-plaid (`rust/index/create.rs`, `python/fast_plaid/search/storage.py`, versions 1.4 to 1.7) and next-plaid
//! (`next-plaid/src/index.rs`, versions 1.6 to 1.8).
//!
//! | file | contents |
//! |---|---|
//! | `metadata.json` | number of chunks, bits; next-plaid: `embedding_dim`, `binary` |
//! | `centroids.npy` | f16 or f32 `(K, D)` |
//! | `bucket_cutoffs.npy`, `bucket_weights.npy` | f32; a binary index has none |
//! | `N.codes.npy`, `N.residuals.npy` | i64 `(n)`, u8 `(n, D * nbits / 8)`; signs `(n, D / 8)` in a binary index |
//! | `doclens.N.json` | lengths of the passages of a chunk |
//! | `merged_codes.npy`, `merged_residuals.npy` | all chunks in a row, then padding; a chunk of fast-plaid 1.7 that has no file of its own is in them, at the place that `merged_*.manifest.json` says |
//! | `metadata.db` | SQLite: table `METADATA`, by `_subset_` |

use super::parts::{self, Parts};
use crate::folder::Folder;
use crate::rows::{Chunk, Chunks, Rows};
use crate::source::{Decoding, Format, Source};
use crate::{Error, Result, npy};
use std::collections::HashMap;

#[derive(serde::Deserialize)]
struct Metadata {
    num_chunks: usize,
    nbits: Option<u8>,
}

/// Entry of a manifest of merged files.
#[derive(serde::Deserialize)]
struct MergedChunk {
    rows: u64,
}

pub(super) fn open(folder: &Folder, format: Format) -> Result<Source> {
    let metadata: Metadata = folder.json("metadata.json")?;
    let array = |name: &str| npy::open(&folder.file(name));
    let centroids = parts::centroids(array("centroids.npy")?)?;
    let is_binary = format == Format::NextPlaidBinary;
    let buckets = match is_binary {
        true => parts::signs(),
        false => parts::buckets(Some(array("bucket_cutoffs.npy")?), array("bucket_weights.npy")?, metadata.nbits)?,
    };
    let codec = parts::codec(centroids, buckets, if is_binary { Decoding::Signs } else { Decoding::UnitLength });
    let mut doclens = Vec::new();
    let mut lens_of_chunks = Vec::new();
    for number in 0..metadata.num_chunks {
        let lens: Vec<u32> = folder.json(&format!("doclens.{number}.json"))?;
        lens_of_chunks.push(lens.iter().map(|&length| u64::from(length)).sum());
        doclens.extend(lens);
    }
    let rows = Rows::Chunks(Chunks::new(chunks(folder, &lens_of_chunks)?, codec.row_bytes())?);
    let mut parts = Parts::new(format, codec, doclens, rows);
    if folder.has("metadata.db") {
        parts.metadata = Some(folder.file("metadata.db"));
    }
    parts.source(folder.path())
}

/// Finds the files of each chunk, whose numbers of rows are given.
fn chunks(folder: &Folder, rows: &[u64]) -> Result<Vec<Chunk>> {
    let merged = |of: &str| -> Result<Option<HashMap<String, MergedChunk>>> {
        let name = format!("merged_{of}.manifest.json");
        if folder.has(&name) { folder.json(&name).map(Some) } else { Ok(None) }
    };
    let manifest = merged("codes")?;
    let mut chunks = Vec::new();
    let mut first_merged = 0u64;
    for (number, &rows) in rows.iter().enumerate() {
        let (codes, residuals) = (format!("{number}.codes.npy"), format!("{number}.residuals.npy"));
        let entry = manifest.as_ref().and_then(|manifest| manifest.get(&codes));
        let own = folder.has(&codes) && folder.has(&residuals);
        if !own && !folder.has("merged_codes.npy") {
            let reason = format!("is missing, and merged_codes.npy too: chunk {number} has {rows} embeddings");
            return Err(Error::malformed(&folder.file(&codes), reason));
        }
        chunks.push(match own {
            true => Chunk {
                codes: folder.file(&codes),
                residuals: folder.file(&residuals),
                first_row: 0,
                rows,
                is_part: false,
            },
            false => Chunk {
                codes: folder.file("merged_codes.npy"),
                residuals: folder.file("merged_residuals.npy"),
                first_row: first_merged,
                rows,
                is_part: true,
            },
        });
        first_merged = first_merged.saturating_add(entry.map_or(rows, |entry| entry.rows));
    }
    Ok(chunks)
}
