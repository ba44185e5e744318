//! One generation of an index on a device.

use crate::device::on_device;
use crate::words::{self, OpenWords};
use crate::{Device, Error, HitQuery, Result, SearchOptions, rank};
use selvedge_backend::Backend;
use selvedge_index::{Check, Index};
use selvedge_lexical::Statistics;
use selvedge_search::fusion::Scored;
use selvedge_search::{PassageSet, Ranking, Search, Searcher};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Size in bytes up to which all checksums of an index are verified when it is opened; that takes well under a second.
const CHECKED_BYTES: u64 = 1 << 30;

/// One generation of an index, loaded to a device. It stays as it is while writers commit others; pids are its own.
pub struct Snapshot {
    index: Index,
    search: Arc<dyn Search>,
    /// Words of the texts, `None` in an index without words; or the reason why they cannot be read, which only a search
    /// for words returns.
    words: Result<Option<OpenWords>, Arc<Error>>,
    /// The last list of ids that a search was restricted to, and their passages.
    listed: Mutex<Option<Listed>>,
    /// Name of the contents, once it was asked.
    pub(crate) version: OnceLock<String>,
}

/// A list of ids, and their passages.
type Listed = (Arc<[String]>, Arc<PassageSet>);

impl Snapshot {
    /// Opens the newest generation, and verifies its checksums if it is small.
    pub(crate) fn open(path: &Path, device: Device) -> Result<Self> {
        on_device!(device, backend => Self::open_on(path, backend))
    }

    /// Opens the newest generation on a backend.
    pub(crate) fn open_on(path: &Path, backend: impl Backend + 'static) -> Result<Self> {
        let index = Index::open(path, Check::Structure)?;
        let index = if is_small(&index) { Index::open(path, Check::Checksums)? } else { index };
        let search = Arc::new(Searcher::new(backend, &index)?);
        let words = words::open(&index, None).map_err(Arc::new);
        Ok(Self { index, search, words, listed: Mutex::default(), version: OnceLock::new() })
    }

    /// Opens the newest generation if it is not this one. Only segments that this one lacks are read and loaded.
    pub(crate) fn followed(&self) -> Result<Option<Self>> {
        let check = if is_small(&self.index) { Check::Checksums } else { Check::Structure };
        let Some(index) = self.index.refreshed(check)? else { return Ok(None) };
        let search = self.search.followed(&index)?.into();
        let before = self.words.as_ref().ok().and_then(Option::as_ref);
        let words = words::open(&index, before).map_err(Arc::new);
        Ok(Some(Self { index, search, words, listed: Mutex::default(), version: OnceLock::new() }))
    }

    /// Returns the open index, which holds the documents and the manifest.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the searcher, whose results are pids and scores without ids and texts.
    pub fn searcher(&self) -> &dyn Search {
        &*self.search
    }

    /// Returns the searcher for callers that share it, such as a [`Queue`](crate::Queue).
    pub fn shared_searcher(&self) -> Arc<dyn Search> {
        Arc::clone(&self.search)
    }

    /// Number of the generation; it grows with each commit.
    pub fn generation(&self) -> u32 {
        self.index.generation()
    }

    /// Returns the passages that a search may find by these options, those that a filter and ids leave; `None` if it
    /// may find all.
    ///
    /// # Errors
    /// [`Error::Search`](crate::Error::Search) if the filter has a mistake, or the index has no columns of metadata;
    /// [`Error::Index`](crate::Error::Index) if an id or a column cannot be read.
    pub fn passages(&self, options: &SearchOptions) -> Result<Option<Arc<PassageSet>>> {
        let filtered = options.filter.as_ref().map(|filter| self.search.filtered(filter)).transpose()?;
        let listed = options.ids.as_ref().map(|ids| self.with_ids(ids)).transpose()?;
        Ok(match (filtered, listed) {
            (Some(filtered), Some(listed)) => Some(Arc::new(filtered.intersection(&listed)?)),
            (filtered, listed) => filtered.or(listed),
        })
    }

    /// Ranks the passages of this generation for a query, by the score of the options. Its text is needed where
    /// passages are ranked by words, its embeddings where they are ranked by MaxSim.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`](crate::Engine::search_embeddings).
    pub fn rank(&self, query: HitQuery<'_>, options: &SearchOptions) -> Result<Ranking> {
        options.check()?;
        let set = self.passages(options)?;
        if options.rank_by.needs_words() && query.text.is_none() {
            return Err(Error::NoQueryTexts);
        }
        rank::ranking(self, query.embeddings, query.text.unwrap_or_default(), set.as_deref(), options)
    }

    /// Returns the best `k` passages for the words of a query, best first, of a set or of all, by the statistics of
    /// this index or by other ones.
    pub(crate) fn words(
        &self,
        text: &str,
        k: usize,
        set: Option<&PassageSet>,
        statistics: Option<&Statistics>,
    ) -> Result<Vec<Scored>> {
        self.open_words()?.search(&self.index, text, k, set.or(self.search.alive()), statistics)
    }

    /// Returns the words of the texts.
    pub(crate) fn open_words(&self) -> Result<&OpenWords> {
        let words = self.words.as_ref().map_err(|error| Error::UnreadableWords { source: Arc::clone(error) })?;
        words.as_ref().ok_or_else(|| Error::NoWords { path: self.index.path().into() })
    }

    /// Returns the passages of these ids that are in the index. The set of the last list is kept.
    fn with_ids(&self, ids: &Arc<[String]>) -> Result<Arc<PassageSet>> {
        let lock = || self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, set)) = lock().as_ref().filter(|(listed, _)| Arc::ptr_eq(listed, ids)) {
            return Ok(Arc::clone(set));
        }
        let mut documents = self.index.documents().reader();
        let mut pids = Vec::with_capacity(ids.len());
        for id in &**ids {
            pids.extend(documents.find(id)?);
        }
        let set = Arc::new(self.search.passages(&pids)?);
        *lock() = Some((Arc::clone(ids), Arc::clone(&set)));
        Ok(set)
    }

    /// Pids of a set, or of all passages that are not deleted.
    pub(crate) fn pids(&self, set: Option<&PassageSet>) -> Vec<u32> {
        set.map_or_else(|| self.index.pids().collect(), |set| set.pids().collect())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, generation) = (self.index.path(), self.generation());
        f.debug_struct("Snapshot").field("path", &path).field("generation", &generation).finish_non_exhaustive()
    }
}

fn is_small(index: &Index) -> bool {
    index.bytes_on_disk().values().sum::<u64>() <= CHECKED_BYTES
}
