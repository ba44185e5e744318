//! Queries and the options of a search, as Python gives them.

use crate::arrays::rows_of;
use crate::documents::ids_of;
use crate::errors::{invalid, to_py, wrong_type};
use crate::json::{named, text, type_name};
use pyo3::prelude::*;
use pyo3::types::PyString;
use selvedge::{Filter, Fusion, RankBy, SearchError, SearchOptions, Snapshot};
use std::sync::Arc;

/// Queries of one call.
pub(crate) enum Queries {
    Texts(Vec<String>),
    /// Embeddings `(Q, D)` each, and their dimension.
    Embedded(Vec<Vec<f32>>, usize),
}

impl Queries {
    /// Converts texts, or arrays `(Q, D)`.
    fn new(queries: &[Bound<'_, PyAny>]) -> PyResult<Self> {
        let Some(first) = queries.first() else { return Ok(Self::Texts(Vec::new())) };
        let number_of = |number: usize| if queries.len() > 1 { format!("query {number}") } else { "the query".into() };
        if first.is_instance_of::<PyString>() {
            let of = |(number, query): (usize, &Bound<'_, PyAny>)| match query.is_instance_of::<PyString>() {
                true => text(query).map_err(|error| named(query.py(), error, || number_of(number))),
                false => {
                    Err(wrong_type(format!("{} is a {}, not a str as the first", number_of(number), type_name(query))))
                }
            };
            return queries.iter().enumerate().map(of).collect::<PyResult<_>>().map(Self::Texts);
        }
        let mut dim = None;
        let of = |(number, query): (usize, &Bound<'_, PyAny>)| {
            let rows = rows_of(query)?;
            match *dim.get_or_insert(rows.dim) == rows.dim {
                true => Ok(rows.data),
                false => Err(invalid(format!("{} has dimension {}, the first {:?}", number_of(number), rows.dim, dim))),
            }
        };
        let rows = queries.iter().enumerate().map(of).collect::<PyResult<_>>()?;
        Ok(Self::Embedded(rows, dim.unwrap_or_default()))
    }

    /// Converts queries, and checks their dimension: the engine sees the rows of a query as one list.
    pub(crate) fn checked(snapshot: &Snapshot, queries: &[Bound<'_, PyAny>]) -> PyResult<Self> {
        let queries = Self::new(queries)?;
        if let Self::Embedded(_, found) = queries {
            check_dim(snapshot, found)?;
        }
        Ok(queries)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Embedded(rows, _) => rows.len(),
        }
    }
}

/// Checks the dimension of queries.
pub(crate) fn check_dim(snapshot: &Snapshot, found: usize) -> PyResult<()> {
    let expected = snapshot.index().dim();
    match found == expected {
        true => Ok(()),
        false => Err(to_py(SearchError::DimMismatch { expected, found }.into())),
    }
}

/// Options of a search.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct SearchSettings<'py> {
    k: usize,
    rank_by: String,
    pub(crate) alpha: Option<f32>,
    first: Option<usize>,
    exact: bool,
    nprobe: Option<usize>,
    ndocs: Option<usize>,
    num_rescored: Option<usize>,
    #[pyo3(item("where"))]
    filter: Option<String>,
    ids: Option<Bound<'py, PyAny>>,
    text: bool,
    metadata: bool,
    snippet: Option<usize>,
    explain: bool,
    facets: Vec<String>,
}

/// Number of the best passages by words that `lexical-first` scores, as the program's.
const LEXICAL_FIRST: usize = 1000;

impl SearchSettings<'_> {
    /// Whether texts have to be encoded.
    pub(crate) fn needs_model(&self) -> bool {
        self.rank_by != "lexical"
    }

    /// Fusion of a hybrid ranking.
    pub(crate) fn fusion(&self) -> Fusion {
        self.alpha.map_or(Fusion::ReciprocalRank, Fusion::Weighted)
    }

    pub(crate) fn options(&self) -> PyResult<SearchOptions> {
        for (name, is_given, of) in
            [("alpha", self.alpha.is_some(), "hybrid"), ("first", self.first.is_some(), "lexical-first")]
        {
            if is_given && self.rank_by != of {
                return Err(invalid(format!("{name} goes with rank_by={of:?}")));
            }
        }
        if self.first == Some(0) {
            return Err(invalid("first is 0: expected at least 1"));
        }
        let rank_by = match self.rank_by.as_str() {
            "maxsim" => RankBy::MaxSim,
            "lexical" => RankBy::Lexical,
            "hybrid" => RankBy::Hybrid(self.fusion()),
            "lexical-first" => RankBy::LexicalFirst(self.first.unwrap_or(LEXICAL_FIRST)),
            other => {
                let expected = "\"maxsim\", \"lexical\", \"hybrid\" or \"lexical-first\"";
                return Err(invalid(format!("rank_by is {other:?}; expected {expected}")));
            }
        };
        let filter = self.filter.as_deref().map(str::parse::<Filter>).transpose();
        let filter = filter.map_err(|error| to_py(error.into()))?;
        let ids = self.ids.as_ref().map(ids_of).transpose()?;
        Ok(SearchOptions {
            k: self.k,
            rank_by,
            exact: self.exact,
            nprobe: self.nprobe,
            ndocs: self.ndocs,
            num_rescored: self.num_rescored,
            filter: filter.map(Arc::new),
            ids: ids.map(Into::into),
            facets: self.facets.clone(),
            text: self.text,
            metadata: self.metadata,
            snippet: self.snippet,
            explain: self.explain,
            ..SearchOptions::default()
        })
    }
}
