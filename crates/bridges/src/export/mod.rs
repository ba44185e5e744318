//! Export: an index of this project in the layout of PLAID, fast-plaid or next-plaid.
//!
//! ```text
//! ColBERTv2's codec   codes, buckets        --repacked-->  the same codes and buckets
//! any other           decoded, unit length  --> residual of the same centroid --> buckets at its quantiles
//! ```
//!
//! The second way compresses a second time, so the exported index finds a little less than the index itself. Passages
//! that are deleted are left out, and the others numbered anew; `documents.jsonl` has their ids, texts and metadata in
//! this order. The folder appears when it is complete.

mod codes;
mod files;

use self::codes::{Coder, Coding};
use self::files::{Data, json, npy, torch};
use crate::{Error, Result};
use selvedge_codec::{Progress, Step};
use selvedge_index::Index;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Passages of a chunk, as in ColBERT, and tokens at which a chunk ends earlier.
const CHUNK_PASSAGES: usize = 25_000;
const CHUNK_TOKENS: usize = 1 << 22;

/// Layout that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// PLAID of Stanford's ColBERT.
    Plaid,
    /// fast-plaid.
    FastPlaid,
    /// next-plaid.
    NextPlaid,
}

/// Counts of an export.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Exported {
    /// Layout.
    pub format: Layout,
    /// Number of passages.
    pub passages: usize,
    /// Number of embeddings.
    pub tokens: u64,
    /// Number of centroids.
    pub centroids: usize,
    /// Bits per component.
    pub nbits: u8,
    /// Whether codes and buckets are the index's own; they are made anew otherwise.
    pub as_is: bool,
}

/// Writes `index` to the new folder `path`. Residuals that are made anew have `nbits` bits: 1, 2, 4 or 8.
///
/// # Errors
/// [`Error::Export`] if the format cannot hold the index, [`Error::Io`] if `path` exists or cannot be written,
/// [`Error::Index`] if the index is damaged, [`Error::Cancelled`]. Nothing is left at `path` after an error.
pub fn export(index: &Index, path: &Path, layout: Layout, nbits: u8, progress: &dyn Progress) -> Result<Exported> {
    if path.exists() {
        return Err(Error::io(path)(std::io::ErrorKind::AlreadyExists.into()));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let staged = tempfile::Builder::new().prefix(".selvedge.partial-").tempdir_in(parent).map_err(Error::io(parent))?;
    let coder = Coder::new(index, nbits)?;
    let writer = Folder { path: staged.path(), layout };
    writer.codec(&coder.coding)?;
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); coder.coding.num_centroids()];
    let (mut chunk, mut number, mut passages, mut tokens) = (Chunk::default(), 0, 0usize, 0u64);
    let pids: Vec<u32> = index.pids().collect();
    for &pid in &pids {
        let first = chunk.codes.len();
        coder.push(pid, &mut chunk.codes, &mut chunk.residuals)?;
        for &code in &chunk.codes[first..] {
            let list = &mut lists[code as usize];
            if list.last() != Some(&(passages as u32)) {
                list.push(passages as u32);
            }
        }
        chunk.doclens.push((chunk.codes.len() - first) as u32);
        passages += 1;
        if chunk.doclens.len() == CHUNK_PASSAGES || chunk.codes.len() >= CHUNK_TOKENS || passages == pids.len() {
            let before = tokens;
            tokens += chunk.codes.len() as u64;
            writer.chunk(number, std::mem::take(&mut chunk), passages, before)?;
            number += 1;
            let (done, total) = (passages as u64, Some(pids.len() as u64));
            progress.report(Step { stage: "export", unit: "passages", done, total });
        }
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    let exported = Exported {
        format: layout,
        passages,
        tokens,
        centroids: coder.coding.num_centroids(),
        nbits: coder.coding.nbits,
        as_is: coder.is_as_is(),
    };
    writer.finish(index, &exported, &coder.coding, number, &lists)?;
    documents(index, &pids, &staged.path().join("documents.jsonl"))?;
    let staged = staged.keep();
    std::fs::rename(&staged, path).map_err(|error| {
        _ = std::fs::remove_dir_all(&staged);
        Error::io(path)(error)
    })?;
    Ok(exported)
}

/// Passages that are written together.
#[derive(Default)]
struct Chunk {
    codes: Vec<u32>,
    residuals: Vec<u8>,
    doclens: Vec<u32>,
}

/// Folder that is written.
struct Folder<'a> {
    path: &'a Path,
    layout: Layout,
}

impl Folder<'_> {
    /// Writes arrays under a name without its ending.
    fn arrays(&self, name: &str, arrays: &[Data]) -> Result<()> {
        match self.layout {
            Layout::Plaid => torch(&self.path.join(format!("{name}.pt")), arrays),
            _ => npy(&self.path.join(format!("{name}.npy")), &arrays[0]),
        }
    }

    fn json(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        json(&self.path.join(name), value)
    }

    fn codec(&self, coding: &Coding) -> Result<()> {
        let (k, dim) = (coding.num_centroids(), coding.dim);
        let centroids = match self.layout {
            Layout::NextPlaid => Data::f32(&[k, dim], &coding.centroids),
            _ => Data::f16(&[k, dim], &coding.centroids),
        };
        self.arrays("centroids", &[centroids])?;
        let cutoffs = Data::f32(&[coding.cutoffs.len()], &coding.cutoffs);
        let weights = Data::f32(&[coding.weights.len()], &coding.weights);
        let mean = coding.weights.iter().map(|weight| weight.abs()).sum::<f32>() / coding.weights.len() as f32;
        if self.layout == Layout::Plaid {
            self.arrays("avg_residual", &[Data::f32(&[1], &[mean])])?;
            return self.arrays("buckets", &[cutoffs, weights]);
        }
        self.arrays("bucket_cutoffs", &[cutoffs])?;
        self.arrays("bucket_weights", &[weights])?;
        self.arrays("avg_residual", &[Data::f32(&[dim], &vec![mean; dim])])?;
        self.arrays("cluster_threshold", &[Data::f32(&[1], &[mean * (dim as f32).sqrt()])])
    }

    /// Writes a chunk; `end` is the number of passages up to its end, `first` that of embeddings before it.
    fn chunk(&self, number: usize, chunk: Chunk, end: usize, first: u64) -> Result<()> {
        let Chunk { codes, residuals, doclens } = chunk;
        let (passages, tokens) = (doclens.len(), codes.len());
        let is_plaid = self.layout == Layout::Plaid;
        let width = residuals.len() / tokens.max(1);
        self.arrays(&format!("{number}.codes"), &[if is_plaid { Data::i32(&codes) } else { Data::i64(&codes) }])?;
        self.arrays(&format!("{number}.residuals"), &[Data::u8(&[tokens, width], residuals)])?;
        self.json(&format!("doclens.{number}.json"), &doclens)?;
        let metadata = json!({
            "passage_offset": end - passages, "num_passages": passages, "num_documents": passages,
            "num_embeddings": tokens, "embedding_offset": first,
        });
        self.json(&format!("{number}.metadata.json"), &metadata)
    }

    /// Writes the inverted lists and the metadata.
    fn finish(
        &self,
        index: &Index,
        exported: &Exported,
        coding: &Coding,
        chunks: usize,
        lists: &[Vec<u32>],
    ) -> Result<()> {
        let lengths: Vec<u32> = lists.iter().map(|list| list.len() as u32).collect();
        let pids = lists.concat();
        if self.layout == Layout::Plaid {
            self.arrays("ivf.pid", &[Data::i32(&pids), Data::i64(&lengths)])?;
        } else {
            self.arrays("ivf", &[Data::i64(&pids)])?;
            self.arrays("ivf_lengths", &[Data::i32(&lengths)])?;
        }
        let avg_doclen = exported.tokens as f64 / exported.passages.max(1) as f64;
        let mut metadata = json!({
            "num_chunks": chunks, "nbits": coding.nbits, "num_partitions": lists.len(),
            "num_embeddings": exported.tokens, "avg_doclen": avg_doclen, "num_documents": exported.passages,
        });
        match self.layout {
            Layout::Plaid => metadata["config"] = config(index, coding),
            Layout::FastPlaid => metadata["compress_only"] = false.into(),
            Layout::NextPlaid => {
                metadata["embedding_dim"] = coding.dim.into();
                metadata["next_plaid_compatible"] = true.into();
            }
        }
        self.json("metadata.json", &metadata)?;
        self.json("plan.json", &metadata)
    }
}

/// Configuration that ColBERT reads back.
fn config(index: &Index, coding: &Coding) -> Value {
    let encoder = index.encoder();
    let length = |found: Option<usize>, default: usize| found.filter(|&found| found > 0).unwrap_or(default);
    json!({
        "dim": coding.dim,
        "nbits": coding.nbits,
        "checkpoint": encoder.map(|encoder| encoder.model.clone()),
        "query_maxlen": length(encoder.map(|encoder| encoder.query_maxlen), 32),
        "doc_maxlen": length(encoder.map(|encoder| encoder.passage_maxlen), 220),
    })
}

/// Writes ids, texts and metadata, one object per line.
fn documents(index: &Index, pids: &[u32], path: &Path) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path).map_err(Error::io(path))?);
    let mut reader = index.documents().reader();
    for &pid in pids {
        let document = reader.document(pid)?;
        let mut object = match document.metadata {
            Some(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        object.insert("id".into(), document.id.into());
        object.insert("text".into(), document.text.into());
        serde_json::to_writer(&mut out, &object).map_err(|error| Error::io(path)(error.into()))?;
        out.write_all(b"\n").map_err(Error::io(path))?;
    }
    out.flush().map_err(Error::io(path))
}
