//! [`Search`]: a searcher without the type of its backend, for programs that choose the device at run time.

use crate::{Error, Filter, FilterStats, PassageSet, Ranking, Result, SearchParams, Searcher};
use selvedge_backend::{Backend, Cpu, Embeddings, Pid, Similarities};
use selvedge_index::Index;
use std::sync::Arc;

/// Answers whether a search goes on, while it runs.
pub type GoesOn<'a> = dyn Fn() -> bool + Sync + 'a;

/// Open index on any backend. The trait is object-safe: `Box<dyn Search>` is a searcher on any device.
///
/// [`Searcher`] implements it; its methods of the same names have more detail.
pub trait Search: Send + Sync {
    /// Follows an index to another generation: loads only the segments that this searcher lacks.
    ///
    /// # Errors
    /// As [`Searcher::new`].
    fn followed(&self, index: &Index) -> Result<Box<dyn Search>>;

    /// Name of the backend that computes, such as `cpu/avx2` or `cuda/0`.
    fn backend_name(&self) -> String;

    /// Bytes of device memory that its backend holds now; 0 on a CPU.
    fn device_bytes(&self) -> u64;

    /// Counters of the filters whose passages are kept for this generation.
    fn filter_stats(&self) -> FilterStats;

    /// Components of an embedding, `D`.
    fn dim(&self) -> usize;

    /// Number of passages that are not deleted, `P`.
    fn num_passages(&self) -> usize;

    /// Number of centroids, `K`.
    fn num_centroids(&self) -> usize;

    /// Returns parameters for `k` results within `set`, if there is one: those tuned on this index, or else the
    /// defaults; see [`Searcher::params`].
    fn params(&self, k: usize, set: Option<&PassageSet>) -> SearchParams;

    /// Returns the passages of these pids that are not deleted; see [`Searcher::passages`].
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) with the largest pid if it is out of range.
    fn passages(&self, pids: &[Pid]) -> Result<PassageSet>;

    /// Returns the passages that are not deleted; `None` if no passage is.
    fn alive(&self) -> Option<&PassageSet>;

    /// Returns the passages for which a filter is true; see [`Searcher::filtered`].
    ///
    /// # Errors
    /// As [`Searcher::filtered`].
    fn filtered(&self, filter: &Filter) -> Result<Arc<PassageSet>>;

    /// Answers one query `(Q, D) f32`, restricted to the passages of `set` if there is one.
    ///
    /// # Errors
    /// The errors of [`query::check`](crate::query::check);
    /// [`Error::OtherGeneration`](crate::Error::OtherGeneration) if another searcher has made the set;
    /// [`Error::Backend`](crate::Error::Backend) if the device fails.
    fn search(&self, embeddings: &[f32], params: &SearchParams, set: Option<&PassageSet>) -> Result<Ranking>;

    /// Answers many queries `(Q, D) f32` on the current rayon pool.
    ///
    /// # Errors
    /// The error of [`query::check`](crate::query::check) of the first query that has one, before any query is
    /// answered; [`Error::Backend`](crate::Error::Backend) if the device fails.
    fn search_batch(&self, queries: &[&[f32]], params: &SearchParams, set: Option<&PassageSet>)
    -> Result<Vec<Ranking>>;

    /// Answers queries whose embeddings are on the host or on a device; see [`Searcher::search_embeddings`]. The
    /// default body copies them to the host.
    ///
    /// # Errors
    /// As [`Searcher::search_embeddings`].
    fn search_embeddings(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        let queries = queries.iter().map(|query| query.to_host()).collect::<Result<Vec<_>, _>>()?;
        let queries: Vec<&[f32]> = queries.iter().map(|query| &**query).collect();
        self.search_batch(&queries, params, set)
    }

    /// Answers queries while `goes_on` returns true; see [`Searcher::search_embeddings_while`]. The default body asks
    /// once.
    ///
    /// # Errors
    /// As [`Searcher::search_embeddings_while`].
    fn search_embeddings_while(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
        goes_on: &GoesOn,
    ) -> Result<Vec<Ranking>> {
        match goes_on() {
            true => self.search_embeddings(queries, params, set),
            false => Err(Error::Stopped),
        }
    }

    /// Returns the decoded embeddings of a passage, `(L, D) f32`.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`](crate::Error::NoSuchPassage) if `pid` is out of range,
    /// [`Error::PassageTooLong`](crate::Error::PassageTooLong) if the embeddings would take more than 1 GiB, and
    /// [`Error::Backend`](crate::Error::Backend) if the device fails.
    fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>>;

    /// Returns the similarities of a query `(Q, D) f32` with each token of a passage; see [`Searcher::similarities`].
    ///
    /// # Errors
    /// As [`Searcher::similarities`].
    fn similarities(&self, embeddings: &[f32], pid: Pid) -> Result<Similarities>;

    /// Returns the ranks of `pids` among the best candidates of a query `(Q, D) f32` within `set`, for each
    /// number of candidates in `ndocs`; see [`Searcher::candidate_ranks`].
    ///
    /// # Errors
    /// The errors of [`Search::search`].
    fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
        set: Option<&PassageSet>,
    ) -> Result<Vec<Vec<Option<usize>>>>;
}

impl Searcher<Cpu> {
    /// Opens an index on the CPU, as a searcher on any device. A program that needs no more of [`Searcher`] does not
    /// compile it once more.
    ///
    /// # Errors
    /// As [`Searcher::new`].
    pub fn on_cpu(cpu: Cpu, index: &Index) -> Result<Arc<dyn Search>> {
        Ok(Arc::new(Self::new(cpu, index)?))
    }
}

#[cfg(feature = "cuda")]
impl Searcher<selvedge_backend::Cuda> {
    /// Opens an index on a GPU, as a searcher on any device. A program that needs no more of [`Searcher`] does not
    /// compile it once more.
    ///
    /// # Errors
    /// As [`Searcher::new`].
    pub fn on_gpu(gpu: selvedge_backend::Cuda, index: &Index) -> Result<Arc<dyn Search>> {
        Ok(Arc::new(Self::new(gpu, index)?))
    }
}

impl<B: Backend + 'static> Search for Searcher<B> {
    fn followed(&self, index: &Index) -> Result<Box<dyn Search>> {
        Ok(Box::new(self.followed(index)?))
    }

    fn backend_name(&self) -> String {
        self.backend().name()
    }

    fn device_bytes(&self) -> u64 {
        self.backend().device_bytes()
    }

    fn filter_stats(&self) -> FilterStats {
        self.filtered.stats()
    }

    fn dim(&self) -> usize {
        self.dim()
    }

    fn num_passages(&self) -> usize {
        self.num_passages()
    }

    fn num_centroids(&self) -> usize {
        self.num_centroids()
    }

    fn params(&self, k: usize, set: Option<&PassageSet>) -> SearchParams {
        self.params(k, set)
    }

    fn passages(&self, pids: &[Pid]) -> Result<PassageSet> {
        self.passages(pids)
    }

    fn alive(&self) -> Option<&PassageSet> {
        self.alive.as_ref()
    }

    fn filtered(&self, filter: &Filter) -> Result<Arc<PassageSet>> {
        self.filtered(filter)
    }

    fn search(&self, embeddings: &[f32], params: &SearchParams, set: Option<&PassageSet>) -> Result<Ranking> {
        self.search(embeddings, params, set)
    }

    fn search_batch(
        &self,
        queries: &[&[f32]],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        self.search_batch(queries, params, set)
    }

    fn search_embeddings(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        self.search_embeddings(queries, params, set)
    }

    fn search_embeddings_while(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
        goes_on: &GoesOn,
    ) -> Result<Vec<Ranking>> {
        self.search_embeddings_while(queries, params, set, goes_on)
    }

    fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>> {
        self.reconstruct(pid)
    }

    fn similarities(&self, embeddings: &[f32], pid: Pid) -> Result<Similarities> {
        self.similarities(embeddings, pid)
    }

    fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
        set: Option<&PassageSet>,
    ) -> Result<Vec<Vec<Option<usize>>>> {
        self.candidate_ranks(embeddings, nprobe, ndocs, pids, set)
    }
}
