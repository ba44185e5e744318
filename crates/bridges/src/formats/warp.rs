//! WARP (`warp/engine/utils/index_converter.py`, `warp/engine/search/index_storage.py`) and xtr-warp-rs
//! (`rust/index/{encode,compact,delete}.rs`, versions 2.0 and 2.1).
//!
//! | file | contents |
//! |---|---|
//! | `centroids.npy` | f16 or f32 `(K, D)` |
//! | `bucket_weights.npy`, `bucket_cutoffs.npy` | f32 `(2^nbits)`, `(2^nbits - 1)` |
//! | `sizes.compacted` | i64 `(K)`: embeddings of each centroid |
//! | `codes.compacted` | i32 or i64 `(n)`: passage of each embedding, by centroid |
//! | `residuals.compacted` | u8 `(n, D * nbits / 8)` |
//! | `N.codes.npy`, `N.residuals.npy`, `doclens.N.npy`, `N.passage_ids.npy` | xtr-warp-rs: chunks in document order |
//! | `deleted_pids.npy` | i64: passages that are deleted, still in the other files |
//!
//! Files `*.compacted` end in `.pt` (WARP) or `.npy` (xtr-warp-rs). Their embeddings come out in document order, those
//! of one passage by centroid: the order within a passage is not in the files, and does not change its score. Decoded
//! embeddings are not scaled to unit length.

use super::parts::{self, Parts};
use crate::array::Kind;
use crate::folder::Folder;
use crate::rows::{self, ByCentroid, Chunk, Chunks, Rows};
use crate::source::{Decoding, Format, Source, SourceCodec};
use crate::{Error, Result, npy};
use serde_json::Value;

/// Opens an index of WARP.
pub(super) fn open_torch(folder: &Folder) -> Result<Source> {
    let codec = codec(folder, None)?;
    let (rows, doclens) = by_centroid(folder, "pt", &codec)?;
    let parts = Parts::new(Format::Warp, codec, doclens, rows);
    // WARP converts an index of ColBERT in place, whose configuration stays.
    let metadata: Option<Value> = folder.has("metadata.json").then(|| folder.json("metadata.json")).transpose()?;
    let config = metadata.as_ref().and_then(|metadata| metadata.get("config"));
    let number = |key: &str| config.and_then(|config| config.get(key)?.as_u64()).map(|number| number as usize);
    let checkpoint = config.and_then(|config| config.get("checkpoint")?.as_str()).map(str::to_owned);
    let (query_maxlen, passage_maxlen) = (number("query_maxlen"), number("doc_maxlen"));
    Parts { checkpoint, query_maxlen, passage_maxlen, ..parts }.source(folder.path())
}

/// Opens an index of xtr-warp-rs.
pub(super) fn open_npy(folder: &Folder) -> Result<Source> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        num_chunks: usize,
        nbits: u8,
    }
    let metadata: Metadata = folder.json("metadata.json")?;
    let codec = codec(folder, Some(metadata.nbits))?;
    let mut parts = match folder.has("0.codes.npy") {
        true => chunked(folder, metadata.num_chunks, codec)?,
        false => {
            let (rows, doclens) = by_centroid(folder, "npy", &codec)?;
            Parts::new(Format::XtrWarp, codec, doclens, rows)
        }
    };
    if folder.has("deleted_pids.npy") {
        let deleted = npy::open(&folder.file("deleted_pids.npy"))?.expect(&[None], &[Kind::I64])?;
        parts.deleted = deleted.all_u32()?;
    }
    if folder.has("metadata.duckdb") {
        parts.notes.push("metadata.duckdb is not read; export its table as JSONL and give it as the collection".into());
    }
    parts.source(folder.path())
}

fn codec(folder: &Folder, nbits: Option<u8>) -> Result<SourceCodec> {
    let array = |name: &str| npy::open(&folder.file(name));
    let centroids = parts::centroids(array("centroids.npy")?)?;
    let cutoffs = folder.has("bucket_cutoffs.npy").then(|| array("bucket_cutoffs.npy")).transpose()?;
    let buckets = parts::buckets(cutoffs, array("bucket_weights.npy")?, nbits)?;
    Ok(parts::codec(centroids, buckets, Decoding::Sum))
}

/// Opens the arrays that are sorted by centroid.
fn by_centroid(folder: &Folder, extension: &str, codec: &SourceCodec) -> Result<(Rows, Vec<u32>)> {
    let name = |of: &str| folder.file(&format!("{of}.compacted.{extension}"));
    let integers = [Kind::I32, Kind::I64];
    let (k, sizes) = (codec.num_centroids() as u64, name("sizes"));
    let sizes_of = rows::open(&sizes)?.expect(&[Some(k)], &integers)?.all_u32()?;
    let pids = rows::open(&name("codes"))?.expect(&[None], &integers)?;
    let residuals = rows::open(&name("residuals"))?.expect(&[None, Some(codec.row_bytes() as u64)], &[Kind::U8])?;
    if residuals.rows() != pids.rows() {
        let (expected, found) = (pids.rows(), residuals.rows());
        return Err(Error::Count { path: residuals.path().into(), of: "residuals", expected, found });
    }
    let (by_centroid, doclens) = ByCentroid::new(residuals, &pids.all_u32()?, &sizes_of, &sizes)?;
    Ok((Rows::ByCentroid(by_centroid), doclens))
}

/// Opens the chunks in document order.
fn chunked(folder: &Folder, num_chunks: usize, codec: SourceCodec) -> Result<Parts> {
    let (mut doclens, mut pids, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..num_chunks {
        let lens =
            npy::open(&folder.file(&format!("doclens.{number}.npy")))?.expect(&[None], &[Kind::I64, Kind::I32])?;
        let lens = lens.all_u32()?;
        let ids = npy::open(&folder.file(&format!("{number}.passage_ids.npy")))?;
        pids.extend(ids.expect(&[Some(lens.len() as u64)], &[Kind::I64])?.all_u32()?);
        chunks.push(Chunk {
            codes: folder.file(&format!("{number}.codes.npy")),
            residuals: folder.file(&format!("{number}.residuals.npy")),
            first_row: 0,
            rows: lens.iter().map(|&length| u64::from(length)).sum(),
            is_part: false,
        });
        doclens.extend(lens);
    }
    let rows = Rows::Chunks(Chunks::new(chunks, codec.row_bytes())?);
    Ok(Parts { pids: Some(pids), ..Parts::new(Format::XtrWarp, codec, doclens, rows) })
}
