//! Options of opening an index and of searching it. `Default` suits most programs.

use crate::{Device, Error, RankBy, Result};
use selvedge_encoder::LoadOptions;
use selvedge_search::{Filter, Mode, PassageSet, Search, SearchParams};
use std::sync::Arc;

/// Encoder of the queries of an open index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// The encoder that made the index, found by the name that the index stores.
    #[default]
    OfIndex,
    /// A local folder or a hub id. It must be the encoder that made the index, unless [`OpenOptions::any_model`] is
    /// set.
    Named(String),
}

/// Options of [`Engine::open`](crate::Engine::open).
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Encoder of the queries.
    pub model: Model,
    /// Whether an encoder whose fingerprint is not the index's is accepted, with a warning.
    pub any_model: bool,
    /// Options of loading the encoder. For a maximum length that is `None`, the one stored in the index is used.
    pub encoder: LoadOptions,
    /// Device that scores passages. The encoder runs where [`LoadOptions::executor`] says.
    pub device: Device,
    /// Whether the encoder is loaded with the index, rather than by the first text that needs it.
    pub load_model: bool,
}

/// Options of a search.
///
/// ```
/// use selvedge::SearchOptions;
///
/// let options = SearchOptions { k: 3, text: true, ..SearchOptions::default() };
/// ```
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Number of results, at least 1.
    pub k: usize,
    /// Score that passages are ranked by.
    pub rank_by: RankBy,
    /// Whether every passage is scored, instead of the candidates of an approximate search; `nprobe`, `ndocs` and
    /// `num_rescored` then have no effect.
    pub exact: bool,
    /// Number of cells probed per query token, at least 1. `None`: as tuned for `k`, or else by default.
    pub nprobe: Option<usize>,
    /// Number of candidates ranked by their centroids, at least 1; raised to `num_rescored`. `None`: as for `nprobe`.
    pub ndocs: Option<usize>,
    /// Number of candidates scored with their residuals, at least 1; raised to `k`. `None`: as for `nprobe`.
    pub num_rescored: Option<usize>,
    /// Condition on the metadata of the passages that may be found: see [`filter`](mod@crate::filter).
    pub filter: Option<Arc<Filter>>,
    /// Ids of the passages that may be found; those that the index does not have are ignored. To look them up once,
    /// give the same [`Arc`] to each search.
    pub ids: Option<Arc<[String]>>,
    /// Keys of metadata whose values are counted among the best passages. The search is then as deep as for
    /// [`SearchOptions::facet_depth`] results.
    pub facets: Vec<String>,
    /// Number of the best passages whose values are counted, at least 1; raised to `k`.
    pub facet_depth: usize,
    /// Whether hits carry the text of their passage.
    pub text: bool,
    /// Whether hits carry the metadata of their passage.
    pub metadata: bool,
    /// Maximum length in characters of the part of the text that matched best. `None`: hits carry no such part. In a
    /// pooled index, or before the encoder is loaded, the part is the beginning of the text.
    pub snippet: Option<usize>,
    /// Whether hits carry the [reasons](crate::Explanation) for their score, if the query has embeddings.
    pub explain: bool,
}

/// 10 results of an approximate search over all passages, without text, metadata or snippet.
impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            k: 10,
            rank_by: RankBy::MaxSim,
            exact: false,
            nprobe: None,
            ndocs: None,
            num_rescored: None,
            filter: None,
            ids: None,
            facets: Vec::new(),
            facet_depth: 100,
            text: false,
            metadata: false,
            snippet: None,
            explain: false,
        }
    }
}

impl SearchOptions {
    /// Number of passages that a search by these options ranks: those that are returned, and those that are counted.
    pub(crate) fn depth(&self) -> usize {
        if self.facets.is_empty() { self.k } else { self.k.max(self.facet_depth) }
    }

    /// Returns the parameters of a search by these options within `set`, if there is one: as given, or else as tuned on
    /// the index, or else the defaults.
    pub fn params(&self, search: &dyn Search, set: Option<&PassageSet>) -> SearchParams {
        self.params_for(self.depth(), search, set)
    }

    /// Returns the parameters of [`SearchOptions::params`] for another number of results.
    pub(crate) fn params_for(&self, k: usize, search: &dyn Search, set: Option<&PassageSet>) -> SearchParams {
        // What is given belongs with the defaults that do not depend on a set.
        let is_given = self.nprobe.or(self.ndocs).or(self.num_rescored).is_some();
        let set = set.filter(|_| !is_given);
        let mut params = if self.exact { SearchParams::exact(k) } else { search.params(k, set) };
        if let Mode::Approximate { nprobe, ndocs, num_rescored } = &mut params.mode {
            *nprobe = self.nprobe.unwrap_or(*nprobe);
            *ndocs = self.ndocs.unwrap_or(*ndocs);
            *num_rescored = self.num_rescored.unwrap_or(*num_rescored);
        }
        params
    }

    /// Checks that every number is at least 1.
    ///
    /// # Errors
    /// [`Error::BadOption`] with the first that is not.
    pub fn check(&self) -> Result<()> {
        let numbers = [
            ("k", Some(self.k)),
            ("nprobe", self.nprobe),
            ("ndocs", self.ndocs),
            ("num_rescored", self.num_rescored),
            ("facet_depth", Some(self.facet_depth)),
        ];
        if let RankBy::Hybrid(fusion) = self.rank_by {
            fusion.check()?;
        }
        match numbers.into_iter().find(|&(_, number)| number == Some(0)) {
            Some((option, _)) => Err(Error::option(option, 0, "expected at least 1")),
            None => Ok(()),
        }
    }
}
