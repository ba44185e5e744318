//! `top_k`: kernels/top_k.cu.

use super::{
    Cuda,
    resident::Scores,
    select::{self, Columns},
};
use crate::{RawHit, Result};
use selvedge_kernels::Op;

/// Launches [`crate::Backend::top_k`].
///
/// # Panics
/// If the scores are of another `Cuda`.
pub(super) fn top_k(cuda: &Cuda, scores: &Scores, k: usize) -> Result<Vec<RawHit>> {
    let Scores { scores, selected } = scores;
    scores.assert_of(&cuda.context);
    let columns = Columns {
        entries: scores,
        num: selected.len(),
        stride: 1,
        columns: 1,
        ids: selected.argument(),
        ids_end: selected.end(),
    };
    let best = select::best(cuda, Op::TopK, &columns, k)?;
    Ok(best.into_iter().flatten().map(|(pid, score)| RawHit { pid, score }).collect())
}
