//! `top_k`: kernels/top_k.cu.

use super::{
    Cuda,
    resident::Scores,
    select::{self, Columns},
    selected::Selected,
};
use crate::{Hit, Result, Select};
use selvedge_kernels::Op;

/// See [`crate::Backend::top_k`].
///
/// # Panics
/// If there are not as many scores as selected passages.
pub(super) fn top_k(cuda: &Cuda, scores: &Scores, select: Select<'_>, k: usize) -> Result<Vec<Hit>> {
    let selected = Selected::new(cuda, select, scores.0.len())?;
    assert_eq!(selected.len(), scores.0.len(), "a score for each selected passage");
    scores.0.assert_of(&cuda.context);
    let ids_end = match select {
        Select::All => selected.len() as u64,
        Select::Pids(pids) => pids.iter().max().map_or(0, |&pid| u64::from(pid) + 1),
    };
    let columns =
        Columns { entries: &scores.0, num: selected.len(), stride: 1, columns: 1, ids: selected.argument(), ids_end };
    let best = select::best(cuda, Op::TopK, &columns, k)?;
    Ok(best.into_iter().flatten().map(|(pid, score)| Hit { pid, score }).collect())
}
