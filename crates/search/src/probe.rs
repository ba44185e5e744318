//! Stage 2: the cells worth opening, for each query token the `nprobe` centroids with the best table entry.

use crate::Result;
use selvedge_backend::Backend;

/// The cells to open for one query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// For each query token, its cells (code, table entry), best first: `(Q, nprobe)`.
    pub cells: Vec<(u32, i32)>,
    /// For each query token, the entry imputed to passages that none of its cells holds: `(Q) i32`.
    pub missing: Vec<i32>,
}

impl Probed {
    /// Cells of query token `i`.
    pub fn token(&self, i: usize) -> &[(u32, i32)] {
        let nprobe = self.cells.len() / self.missing.len();
        &self.cells[i * nprobe..(i + 1) * nprobe]
    }
}

/// Chooses the `nprobe` best cells of each query token.
pub fn probe<B: Backend>(backend: &B, table: &B::Table, nprobe: usize) -> Result<Probed> {
    let (cells, missing) = backend.probe(table, nprobe)?;
    Ok(Probed { cells, missing })
}
