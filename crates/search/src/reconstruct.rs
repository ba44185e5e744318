//! Decodes the compressed bytes of one passage: to embeddings, or to its similarities with a query.

use crate::{Error, ResidentSegment, Result, Searcher, query};
use selvedge_backend::{Backend, Pid, Similarities};
use std::ops::Range;

/// Largest number of components of one reconstructed passage, `L * D`: 1 GiB of f32, 2 Mi tokens at 128 dims. Also the
/// largest number of its similarities with a query.
/// A stored token may take no bytes (one centroid, 0 bits), so a small corrupt index can claim 2^32 of them.
const MAX_COMPONENTS: usize = 1 << 28;

impl<B: Backend> Searcher<B> {
    /// Returns the decoded embeddings of a passage, `(L, D) f32`. They are near the embeddings that the index was built
    /// from, in the same space.
    ///
    /// # Errors
    /// - [`Error::NoSuchPassage`] if `pid` is out of range.
    /// - [`Error::PassageTooLong`] if the embeddings would take more than 1 GiB.
    /// - [`Error::Backend`] if the device fails.
    pub fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>> {
        let (segment, tokens) = self.tokens_of(pid, MAX_COMPONENTS / self.dim())?;
        let mut rows = self.backend.decompress(&segment.passages, tokens)?;
        if let Some(rotation) = self.codec().rotation() {
            rotation.undo(&mut rows);
        }
        Ok(rows)
    }

    /// Returns the similarities of a query `(Q, D) f32` with each token of a passage, as integers: the very ones whose
    /// maxima are summed to its score. They are computed on the host, from the compressed bytes.
    ///
    /// # Errors
    /// - The errors of [`query::check`].
    /// - [`Error::NoSuchPassage`] if `pid` is out of range.
    /// - [`Error::PassageTooLong`] if the similarities would take more than 1 GiB.
    pub fn similarities(&self, embeddings: &[f32], pid: Pid) -> Result<Similarities> {
        query::check(self.dim(), embeddings)?;
        let query = self.codec().quantize_query(embeddings);
        let (segment, tokens) = self.tokens_of(pid, MAX_COMPONENTS / query.len().max(1))?;
        Ok(Similarities::new(self.codec(), &segment.compressed, &query, tokens))
    }

    /// The segment of a passage, and the numbers of its tokens there, at most `limit`.
    fn tokens_of(&self, pid: Pid, limit: usize) -> Result<(&ResidentSegment<B>, Range<usize>)> {
        let num_passages = self.num_pids();
        if pid as usize >= num_passages {
            return Err(Error::NoSuchPassage { pid, num_passages });
        }
        let segment = &self.segments[self.segments.partition_point(|s| s.first_pid <= pid) - 1];
        let tokens = segment.compressed.tokens((pid - segment.first_pid) as usize);
        match tokens.len() {
            found if found > limit => Err(Error::PassageTooLong { pid, found, limit }),
            _ => Ok((segment, tokens)),
        }
    }
}
