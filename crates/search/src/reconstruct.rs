//! Reconstruction: decodes the compressed bytes of a passage to embeddings.

use crate::{Error, Result, Searcher};
use selvedge_backend::{Backend, Pid};

/// Largest number of components of one reconstructed passage, `L * D`: 1 GiB of f32, 2 Mi tokens at 128 dims.
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
        let num_passages = self.num_pids();
        if pid as usize >= num_passages {
            return Err(Error::NoSuchPassage { pid, num_passages });
        }
        let segment = &self.segments[self.segments.partition_point(|s| s.first_pid <= pid) - 1];
        let tokens = segment.compressed.tokens((pid - segment.first_pid) as usize);
        let limit = MAX_COMPONENTS / self.dim();
        if tokens.len() > limit {
            return Err(Error::PassageTooLong { pid, found: tokens.len(), limit });
        }
        let mut rows = self.backend.decompress(&segment.passages, tokens)?;
        if let Some(rotation) = self.codec().rotation() {
            rotation.undo(&mut rows);
        }
        Ok(rows)
    }
}
