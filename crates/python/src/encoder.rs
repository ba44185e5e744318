//! Encoders: texts to embeddings.

use crate::errors::invalid;
use crate::settings::{self, LoadSettings};
use crate::work::{self, Nothing, detached};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use selvedge::{Embeddings, Error, Precision, Result, TextKind, TokenKind, pool};
use std::sync::Arc;

/// Bytes of text that are encoded between two looks for progress and signals.
const CHUNK_BYTES: usize = 1 << 17;

/// Embeddings `(N, D)` of several texts, and the number of rows of each.
type Arrays<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<i64>>);

/// A loaded checkpoint.
#[pyclass(frozen, module = "selvedge_search._selvedge")]
pub(crate) struct Encoder(pub(crate) Arc<selvedge::Encoder>);

#[pymethods]
impl Encoder {
    #[new]
    fn new(py: Python<'_>, model: &str, load: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = settings::read::<LoadSettings>(load)?.options()?;
        let load = |_: &dyn selvedge::Progress, _| Ok(selvedge::Encoder::load(model, &options)?);
        Ok(Self(Arc::new(work::run(py, &None, Nothing, load)?)))
    }

    /// Encodes texts, as queries if `is_query`.
    #[pyo3(signature = (texts, is_query, factor, progress))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        is_query: bool,
        factor: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Arrays<'py>> {
        if factor == 0 {
            return Err(invalid("pool is 0: expected at least 1"));
        }
        let kind = if is_query { TextKind::Query } else { TextKind::Passage };
        let is_short = texts.iter().map(String::len).sum::<usize>() <= CHUNK_BYTES / 16;
        let embeddings = match is_short && progress.is_none() {
            true => detached(py, || encoded(&self.0, &texts, kind, factor, &())),
            false => work::run(py, &progress, Nothing, |progress, _| encoded(&self.0, &texts, kind, factor, progress)),
        };
        arrays(py, embeddings?)
    }

    /// Tokens of a text, one per embedding: spelling, origin, first and last character.
    fn tokens(
        &self,
        py: Python<'_>,
        text: &str,
        is_query: bool,
    ) -> PyResult<Vec<(String, &'static str, usize, usize)>> {
        let kind = if is_query { TextKind::Query } else { TextKind::Passage };
        let tokens = detached(py, || Ok(self.0.embedded_tokens(text, kind)?))?;
        let chars = |bytes: usize| text[..bytes].chars().count();
        let place = |at: std::ops::Range<usize>| (chars(at.start), chars(at.end));
        let token = |token: selvedge::EmbeddedToken| {
            let (start, end) = if token.span.is_empty() { (0, 0) } else { place(token.span) };
            (token.spelling, kind_name(token.kind), start, end)
        };
        Ok(tokens.into_iter().map(token).collect())
    }

    /// Parts of a text that fit the maximum length of a passage.
    fn split(&self, py: Python<'_>, text: &str, overlap: Option<usize>) -> PyResult<Vec<String>> {
        let overlap = overlap.unwrap_or(self.0.text_rules().passage.max_len / 8);
        let parts = detached(py, || Ok(self.0.split_passage(text, overlap)?))?;
        Ok(parts.into_iter().map(|part| text[part].to_owned()).collect())
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[getter]
    fn model(&self) -> &str {
        self.0.model()
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.0.fingerprint()
    }

    #[getter]
    fn family(&self) -> String {
        self.0.family().to_string()
    }

    #[getter]
    fn query_maxlen(&self) -> usize {
        self.0.text_rules().query.max_len
    }

    #[getter]
    fn passage_maxlen(&self) -> usize {
        self.0.text_rules().passage.max_len
    }

    #[getter]
    fn precision(&self) -> &'static str {
        match self.0.precision() {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        }
    }
}

/// Encodes texts in chunks, so that progress is seen.
fn encoded(
    encoder: &selvedge::Encoder,
    texts: &[String],
    kind: TextKind,
    factor: usize,
    progress: &dyn selvedge::Progress,
) -> Result<Embeddings> {
    let mut out = Embeddings { dim: encoder.dim(), ..Embeddings::default() };
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |text: &&String| {
            bytes += text.len();
            bytes <= CHUNK_BYTES
        };
        let (chunk, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let more = match kind {
            TextKind::Query => encoder.encode_queries(chunk)?,
            TextKind::Passage => pool(encoder.encode_passages(chunk)?, factor)?,
        };
        out.data.extend(more.data);
        out.lens.extend(more.lens);
        rest = others;
        let (done, total) = ((texts.len() - rest.len()) as u64, Some(texts.len() as u64));
        progress.report(selvedge::Step { stage: "encode", unit: "texts", done, total });
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    Ok(out)
}

fn arrays(py: Python<'_>, embeddings: Embeddings) -> PyResult<Arrays<'_>> {
    let Embeddings { dim, data, lens, .. } = embeddings;
    let rows = data.len() / dim;
    let lens: Vec<i64> = lens.into_iter().map(i64::from).collect();
    Ok((data.into_pyarray(py).reshape([rows, dim])?, lens.into_pyarray(py)))
}

/// Name of a token's origin.
fn kind_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Text => "text",
        TokenKind::Prompt => "prompt",
        TokenKind::Marker => "marker",
        TokenKind::Special => "special",
        TokenKind::Expansion => "expansion",
    }
}
