//! A searcher without its backend's type: what a program holds that chooses the device at run time.

use crate::{Ranking, Result, SearchParams, Searcher, Subset};
use selvedge_backend::{Backend, Pid};

/// An open index on some backend; object-safe, so that `Box<dyn Search>` stands for any device.
///
/// Every [`Searcher`] is one; its methods of the same names say more.
pub trait Search: Send + Sync {
    /// Name of the backend that computes, such as `cpu/avx2` or `cuda/0`.
    fn backend_name(&self) -> String;

    /// Components of an embedding, `D`.
    fn dim(&self) -> usize;

    /// Number of passages, `P`.
    fn num_passages(&self) -> usize;

    /// Number of centroids, `K`.
    fn num_centroids(&self) -> usize;

    /// Parameters for `k` results: as tuned on this index, or else the defaults.
    fn params(&self, k: usize) -> SearchParams;

    /// Answers one query `(Q, D) f32` on the calling thread.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the embeddings do not fit the index, or the device fails.
    fn search(&self, embeddings: &[f32], params: &SearchParams, subset: Option<&Subset>) -> Result<Ranking>;

    /// Answers many queries `(Q, D) f32` on the current rayon pool.
    ///
    /// # Errors
    /// The first that [`Search::search`] would return.
    fn search_batch(&self, queries: &[&[f32]], params: &SearchParams, subset: Option<&Subset>) -> Result<Vec<Ranking>>;

    /// Embeddings that the compressed bytes of a passage stand for, `(L, D) f32`.
    ///
    /// # Errors
    /// If there is no such passage, or the device fails.
    fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>>;

    /// Rank of each of `pids` among the candidates of a query, once for each of `ndocs`: see
    /// [`Searcher::candidate_ranks`].
    ///
    /// # Errors
    /// As [`Search::search`].
    fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
    ) -> Result<Vec<Vec<Option<usize>>>>;
}

impl<B: Backend> Search for Searcher<B> {
    fn backend_name(&self) -> String {
        self.backend().name()
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

    fn params(&self, k: usize) -> SearchParams {
        self.params(k)
    }

    fn search(&self, embeddings: &[f32], params: &SearchParams, subset: Option<&Subset>) -> Result<Ranking> {
        self.search(embeddings, params, subset)
    }

    fn search_batch(&self, queries: &[&[f32]], params: &SearchParams, subset: Option<&Subset>) -> Result<Vec<Ranking>> {
        self.search_batch(queries, params, subset)
    }

    fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>> {
        self.reconstruct(pid)
    }

    fn candidate_ranks(
        &self,
        embeddings: &[f32],
        nprobe: usize,
        ndocs: &[usize],
        pids: &[Pid],
    ) -> Result<Vec<Vec<Option<usize>>>> {
        self.candidate_ranks(embeddings, nprobe, ndocs, pids)
    }
}
