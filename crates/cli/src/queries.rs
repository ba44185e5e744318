//! Queries from the command line, a TSV file or an array, as embeddings.

use crate::args::{EncodeArgs, PrecisionArg, QueryArgs};
use crate::lines::read_tsv;
use crate::npy::{NpyFloats, read_lens};
use crate::{Error, Result};
use selvedge_encoder::{Encoder, LoadOptions, Precision};
use selvedge_index::Index;
use std::path::Path;

/// Queries ready to search with.
pub struct Queries {
    /// One id a query.
    pub ids: Vec<String>,
    /// `(Q, D) f32` a query; empty for a query without a token.
    pub embeddings: Vec<Vec<f32>>,
    /// Texts, where the queries were texts.
    pub texts: Option<Vec<String>>,
}

/// Reads and, where they are texts, encodes the queries.
pub fn load(source: &QueryArgs, texts: &[String], index: &Index, encode: &EncodeArgs) -> Result<Queries> {
    let (ids, texts): (Vec<String>, Vec<String>) = match (&source.query_embeddings, &source.queries) {
        (Some(path), queries) => return from_array(path, source.query_lens.as_deref(), queries.as_deref(), index),
        (None, Some(path)) => read_tsv(path)?.into_iter().unzip(),
        (None, None) if texts.is_empty() => {
            return Err(Error::Usage("no query: give one as an argument, or --queries, or --query-embeddings".into()));
        }
        (None, None) => texts.iter().enumerate().map(|(i, text)| ((i + 1).to_string(), text.clone())).unzip(),
    };
    let encoder = encoder_of(index, source.model.as_deref(), encode)?;
    let encoded = encoder.encode_queries(&texts)?;
    let mut rest = encoded.data.as_slice();
    let embeddings = encoded.lens.iter().map(|&len| {
        let (query, tail) = rest.split_at(len as usize * encoded.dim);
        rest = tail;
        query.to_vec()
    });
    Ok(Queries { ids, embeddings: embeddings.collect(), texts: Some(texts) })
}

/// How a checkpoint is loaded.
pub fn load_options(encode: &EncodeArgs) -> LoadOptions {
    let precision = encode.precision.map(|precision| match precision {
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::Int8 => Precision::Int8,
    });
    let EncodeArgs { query_maxlen, passage_maxlen, .. } = *encode;
    LoadOptions { query_maxlen, passage_maxlen, precision, ..LoadOptions::default() }
}

/// How a teacher is loaded: at its own lengths.
pub fn teacher_options(encode: &EncodeArgs) -> LoadOptions {
    LoadOptions { precision: load_options(encode).precision, ..LoadOptions::default() }
}

/// Loads a checkpoint.
pub fn load_encoder(model: &str, encode: &EncodeArgs) -> Result<Encoder> {
    Ok(Encoder::load(model, &load_options(encode))?)
}

/// Loads the encoder that made `index`, or `model` in its place, and checks that it is the same.
pub fn encoder_of(index: &Index, model: Option<&str>, encode: &EncodeArgs) -> Result<Encoder> {
    let Some(made_by) = &index.manifest().encoder else {
        let Some(model) = model else {
            let reason =
                "the index was made from embeddings, so it names no encoder: give --query-embeddings, or --model";
            return Err(Error::Usage(reason.into()));
        };
        let encoder = load_encoder(model, encode)?;
        if encoder.dim() != index.codec().params.dim {
            let (expected, found) = (index.codec().params.dim, encoder.dim());
            return Err(selvedge_search::Error::DimMismatch { expected, found }.into());
        }
        eprintln!("warning: the index was made from embeddings; nothing tells whether {model} made them");
        return Ok(encoder);
    };
    let lengths = EncodeArgs {
        query_maxlen: encode.query_maxlen.or(Some(made_by.query_maxlen)),
        passage_maxlen: encode.passage_maxlen.or(Some(made_by.passage_maxlen)),
        ..*encode
    };
    let model = model.unwrap_or(&made_by.model);
    let encoder = load_encoder(model, &lengths)?;
    if encoder.fingerprint() != made_by.fingerprint {
        return Err(Error::OtherEncoder {
            expected_model: made_by.model.clone(),
            expected: made_by.fingerprint.clone(),
            found_model: model.into(),
            found: encoder.fingerprint().into(),
        });
    }
    Ok(encoder)
}

/// Ids of the queries of an array: those of a TSV file beside it, or numbers from 0.
fn from_array(path: &Path, lens: Option<&Path>, queries: Option<&Path>, index: &Index) -> Result<Queries> {
    let mut npy = NpyFloats::open(path)?;
    let (dim, expected) = (npy.dim(), index.codec().params.dim);
    if dim != expected {
        return Err(Error::Npy { path: path.into(), reason: format!("has dim {dim}, the index has {expected}") });
    }
    let mut rows = Vec::new();
    npy.read_rows(0, npy.num_rows(), &mut rows)?;
    let lens: Vec<usize> = match (lens, npy.shape.as_slice()) {
        (Some(lens), _) => read_lens(lens)?.into_iter().map(|l| l as usize).collect(),
        // An array without an element may claim any number of queries.
        (None, shape @ &[_, 0, _]) => {
            return Err(Error::Npy { path: path.into(), reason: format!("has shape {shape:?}: no query has a token") });
        }
        (None, &[queries, tokens, _]) => vec![tokens; queries],
        (None, shape) => {
            let reason = format!("has shape {shape:?}, expected (queries, tokens, D), or --query-lens beside it");
            return Err(Error::Npy { path: path.into(), reason });
        }
    };
    let embeddings = cut(path, &npy.shape, dim, &rows, &lens)?;
    let (ids, texts) = match queries {
        None => ((0..embeddings.len()).map(|i| i.to_string()).collect(), None),
        Some(tsv) => {
            let (ids, texts): (Vec<String>, Vec<String>) = read_tsv(tsv)?.into_iter().unzip();
            if ids.len() != embeddings.len() {
                return Err(Error::Count { path: tsv.into(), expected: embeddings.len(), found: ids.len() });
            }
            (ids, Some(texts))
        }
    };
    Ok(Queries { ids, embeddings, texts })
}

/// Cuts rows into queries: ragged for two axes; for three, the first rows of each, zero tails dropped.
fn cut(path: &Path, shape: &[usize], dim: usize, rows: &[f32], lens: &[usize]) -> Result<Vec<Vec<f32>>> {
    let (stride, expected) = match shape {
        &[queries, tokens, _] => (Some(tokens), queries * tokens),
        _ => (None, lens.iter().sum()),
    };
    let fits = expected * dim == rows.len()
        && stride.is_none_or(|tokens| lens.len() * tokens == expected && lens.iter().all(|&l| l <= tokens));
    if !fits {
        let reason = format!("has shape {shape:?}, which the {} query lengths do not fit", lens.len());
        return Err(Error::Npy { path: path.into(), reason });
    }
    let mut start = 0;
    Ok(lens
        .iter()
        .map(|&len| {
            let mut query = &rows[start * dim..(start + len) * dim];
            start += stride.unwrap_or(len);
            // Padding rows of three axes are zero.
            while stride.is_some() && query.len() >= dim && query[query.len() - dim..].iter().all(|&x| x == 0.0) {
                query = &query[..query.len() - dim];
            }
            query.to_vec()
        })
        .collect())
}
