//! The vectors that an index stores of a passage, as a caller sees them.

use crate::{Error, Result, Searcher};
use selvedge_backend::{Backend, Pid};

impl<B: Backend> Searcher<B> {
    /// Returns the embeddings that the compressed bytes of a passage stand for, `(L, D) f32`: near those that the index was
    /// built from, in the same space.
    ///
    /// # Errors
    /// If there is no such passage, or the device fails.
    pub fn reconstruct(&self, pid: Pid) -> Result<Vec<f32>> {
        let num_passages = self.num_passages();
        if pid as usize >= num_passages {
            return Err(Error::NoSuchPassage { pid, num_passages });
        }
        let segments = self.segments();
        let segment = &segments[segments.partition_point(|s| s.first_pid <= pid) - 1];
        let tokens = segment.compressed.tokens((pid - segment.first_pid) as usize);
        let mut rows = self.backend().decompress(&segment.passages, tokens)?;
        if let Some(rotation) = self.codec().rotation() {
            rotation.undo(&mut rows);
        }
        Ok(rows)
    }
}
