//! Queries as embeddings, from texts, a file or an array.
//!
//! **In:** a [`QuerySource`]. **Out:** [`Queries`]: an id and embeddings per query.

use crate::arrays::Files;
use crate::lines::check_id;
use crate::npy::{NpyFloats, read_lens};
use crate::query_file::QueryFile;
use crate::{Engine, Error, Model, OpenOptions, Result, made_queries, query_file};
use selvedge_bridges::vectors::{Container, Texts};
use selvedge_encoder::{Encoder, Error as Fault, LoadOptions};
use selvedge_index::Index;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Place that queries come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuerySource {
    /// Texts; their ids are numbers from 1.
    Texts(Vec<String>),
    /// File of ids and texts, as [`query_file::read`] reads it.
    File(PathBuf),
    /// Embeddings made elsewhere.
    Arrays {
        /// NumPy array `(queries, tokens, D)`, whose queries end before their trailing zero rows, or `(total_tokens,
        /// D)` with `lens`; f16 or f32. Or an `.npz` or `.safetensors` file, or a folder of `queries.npy`,
        /// `querylens.npy` and perhaps `queryids.txt`, which have the lengths too.
        embeddings: PathBuf,
        /// NumPy array of the number of tokens of each query, i32.
        lens: Option<PathBuf>,
        /// File of ids and texts, as [`query_file::read`] reads it; without it, the ids in `embeddings` are taken, or
        /// numbers from 0.
        texts: Option<PathBuf>,
    },
    /// Runs of words of passages, for [`Engine::tune`] where there are no queries; without texts or a model, runs of
    /// stored embeddings.
    Passages {
        /// Number of queries, each of another passage; fewer of a smaller index.
        count: usize,
    },
}

impl QuerySource {
    /// 300 passages, as many queries as a tuning uses.
    pub fn passages() -> Self {
        Self::Passages { count: 300 }
    }
}

/// Queries ready to search with. All lists have one entry per query, but for embeddings that were not read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queries {
    /// Id of each query.
    pub ids: Vec<String>,
    /// Embeddings `(Q, D) f32` of each query; empty for a query without a token. No entry at all if they were read for
    /// a search by words alone ([`Engine::queries_for`]).
    pub embeddings: Vec<Vec<f32>>,
    /// Text of each query, if known.
    pub texts: Option<Vec<String>>,
    /// File that the ids came from; empty if there is none.
    pub path: PathBuf,
    /// Whether the first line of that file is a header, which is not among the queries.
    pub had_header: bool,
}

impl Queries {
    /// Returns the embeddings of each query as a slice, for [`Engine::search_embeddings_batch`].
    pub fn rows(&self) -> Vec<&[f32]> {
        self.embeddings.iter().map(Vec::as_slice).collect()
    }

    /// Checks that all lists have the same length, and that there are embeddings if they are needed.
    pub(crate) fn check(&self, needs_embeddings: bool) -> Result<()> {
        let expected = self.ids.len();
        let has_embeddings = !self.embeddings.is_empty() || expected == 0;
        if needs_embeddings && !has_embeddings {
            return Err(Error::NoQueryEmbeddings);
        }
        let embeddings = if has_embeddings { self.embeddings.len() } else { expected };
        let texts = self.texts.as_ref().map_or(expected, Vec::len);
        match [embeddings, texts].into_iter().find(|&found| found != expected) {
            Some(found) => Err(Error::Count { path: self.path.clone(), expected, found }),
            None => Ok(()),
        }
    }
}

/// Reads queries, and encodes them if they are texts and their embeddings are needed.
pub(crate) fn load(source: &QuerySource, engine: &Engine, needs_embeddings: bool) -> Result<Queries> {
    let (path, file) = match source {
        QuerySource::Arrays { embeddings, lens, texts } => {
            let snapshot = engine.snapshot();
            return from_arrays(embeddings, lens.as_deref(), texts.as_deref(), snapshot.index());
        }
        QuerySource::Passages { count } => return made_queries::make(engine, *count),
        QuerySource::File(path) => (path.clone(), query_file::read(path)?),
        QuerySource::Texts(texts) => {
            let numbered = texts.iter().enumerate().map(|(i, text)| ((i + 1).to_string(), text.clone()));
            (PathBuf::new(), QueryFile { queries: numbered.collect(), had_header: false })
        }
    };
    let (ids, texts): (Vec<String>, Vec<String>) = file.queries.into_iter().unzip();
    let embeddings = match needs_embeddings {
        true => engine.encoder()?.encode_queries(&texts)?.iter().map(<[f32]>::to_vec).collect(),
        false => Vec::new(),
    };
    Ok(Queries { ids, embeddings, texts: Some(texts), path, had_header: file.had_header })
}

/// Loads the encoder that made `index`, or the one that `options` name, and checks that its fingerprint is the index's.
pub(crate) fn encoder_of(index: &Index, options: &OpenOptions) -> Result<Encoder> {
    let model = match &options.model {
        Model::OfIndex => None,
        Model::Named(model) => Some(model.as_str()),
    };
    let Some(made_by) = &index.manifest().encoder else {
        let Some(model) = model else { return Err(Error::NoEncoder) };
        let encoder = fitting(index, Encoder::load(model, &options.encoder)?)?;
        tracing::warn!("the index was made from embeddings; whether {model} made them is unknown");
        return Ok(encoder);
    };
    let (query_maxlen, passage_maxlen) = made_by.lengths();
    let load = LoadOptions {
        query_maxlen: options.encoder.query_maxlen.or(query_maxlen),
        passage_maxlen: options.encoder.passage_maxlen.or(passage_maxlen),
        ..options.encoder.clone()
    };
    let not_loaded = |source| match source {
        // The fault of the caller's length or executor, not of the model's name.
        source @ (Fault::MaxLength { .. }
        | Fault::NoCandle
        | Fault::NoCandleDevice { .. }
        | Fault::CandleInt8
        | Fault::UnsupportedArchitecture { candle_has_it: true, .. }) => Error::Encoder(source),
        source => Error::StoredModel { model: made_by.model.clone(), source: Box::new(source) },
    };
    let encoder = match model {
        Some(model) => Encoder::load(model, &load)?,
        None => Encoder::load(&made_by.model, &load).map_err(not_loaded)?,
    };
    match check_fingerprint(index, &encoder) {
        Ok(()) => fitting(index, encoder),
        Err(_) if options.any_model => {
            let model = model.unwrap_or(&made_by.model);
            tracing::warn!("the index was made with {}; {model} differs, and is used as requested", made_by.model);
            fitting(index, encoder)
        }
        Err(error) => Err(error),
    }
}

/// Checks that an encoder fits an index, and is the one that made it unless `any_model`.
pub(crate) fn check_encoder(index: &Index, encoder: &Encoder, any_model: bool) -> Result<()> {
    if !any_model {
        check_fingerprint(index, encoder)?;
    }
    check_dim(index, encoder)
}

/// Checks that an encoder is the one that made an index of text. An imported index names its model, but no fingerprint:
/// any model is then accepted with a warning, as its dimension is checked elsewhere.
pub(crate) fn check_fingerprint(index: &Index, encoder: &Encoder) -> Result<()> {
    match index.encoder() {
        Some(made_by) if !made_by.is_known() => {
            tracing::warn!("the index was imported; whether {} is its {} is unknown", encoder.model(), made_by.model);
            Ok(())
        }
        Some(made_by) if made_by.fingerprint != encoder.fingerprint() => Err(Error::OtherEncoder {
            expected_model: made_by.model.clone(),
            expected: made_by.fingerprint.clone(),
            found_model: encoder.model().into(),
            found: encoder.fingerprint().into(),
        }),
        _ => Ok(()),
    }
}

/// Returns the encoder, if its dimension is the index's.
fn fitting(index: &Index, encoder: Encoder) -> Result<Encoder> {
    check_dim(index, &encoder).map(|()| encoder)
}

fn check_dim(index: &Index, encoder: &Encoder) -> Result<()> {
    let (expected, found) = (index.dim(), encoder.dim());
    if found == expected { Ok(()) } else { Err(selvedge_search::Error::DimMismatch { expected, found }.into()) }
}

/// Reads queries as embeddings; ids come from a file of texts or that of the embeddings, or are numbers from 0.
fn from_arrays(path: &Path, lens: Option<&Path>, queries: Option<&Path>, index: &Index) -> Result<Queries> {
    let (embeddings, own_ids) = match Container::of(path).is_some() || path.is_dir() {
        true => from_files(path, lens, index)?,
        false => (from_array(path, lens, index)?, None),
    };
    let (ids, texts, had_header) = match queries {
        None => {
            let numbers = || (0..embeddings.len()).map(|i| i.to_string()).collect();
            (own_ids.unwrap_or_else(numbers), None, false)
        }
        Some(file) => {
            let QueryFile { queries, had_header } = query_file::read(file)?;
            let (ids, texts): (Vec<String>, Vec<String>) = queries.into_iter().unzip();
            (ids, Some(texts), had_header)
        }
    };
    let path = queries.unwrap_or(path).to_owned();
    if ids.len() != embeddings.len() {
        return Err(Error::Count { path, expected: embeddings.len(), found: ids.len() });
    }
    if embeddings.is_empty() {
        return Err(Error::Empty { path, of: "query" });
    }
    Ok(Queries { ids, embeddings, texts, path, had_header })
}

/// Embeddings of queries, and their ids if there are any.
type Embedded = (Vec<Vec<f32>>, Option<Vec<String>>);

/// Reads the queries of a file or folder that may have their ids.
fn from_files(path: &Path, lens: Option<&Path>, index: &Index) -> Result<Embedded> {
    let mut files = Files::open(path, lens, None, Texts::Queries)?;
    check_query_dim(&files.path, files.vectors.dim(), index)?;
    let mut embeddings = vec![Vec::new(); files.len()];
    for (query, rows) in embeddings.iter_mut().enumerate() {
        files.read(query..query + 1, rows)?;
    }
    let (mut ids, mut known) = (Vec::with_capacity(embeddings.len()), HashSet::new());
    let has_ids = files.ids(|id| {
        let fault =
            check_id(&id).err().or_else(|| (!known.insert(id.clone())).then(|| format!("the id {id:?} is used twice")));
        ids.push(id);
        match fault {
            None => Ok(()),
            Some(reason) => {
                Err(Error::Npy { path: files.path.clone(), reason: format!("query {}: {reason}", ids.len()) })
            }
        }
    })?;
    Ok((embeddings, has_ids.then_some(ids)))
}

fn check_query_dim(path: &Path, dim: usize, index: &Index) -> Result<()> {
    match index.dim() {
        expected if expected == dim => Ok(()),
        expected => Err(Error::Npy { path: path.into(), reason: format!("has dim {dim}, the index has {expected}") }),
    }
}

/// Reads the queries of a `.npy` array.
fn from_array(path: &Path, lens: Option<&Path>, index: &Index) -> Result<Vec<Vec<f32>>> {
    let mut npy = NpyFloats::open(path)?;
    let dim = npy.dim();
    check_query_dim(path, dim, index)?;
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
            let reason = format!(
                "has shape {shape:?}, expected (queries, tokens, D), or (total_tokens, D) with an array of lengths"
            );
            return Err(Error::Npy { path: path.into(), reason });
        }
    };
    cut(path, &npy.shape, dim, &rows, &lens)
}

/// Splits the rows of an array into queries. With two axes, each query has the next `len` rows, by `lens`. With three,
/// it has the first `len` rows of its entry, without trailing zero rows.
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
