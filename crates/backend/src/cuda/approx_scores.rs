//! `approx_scores`: kernels/approx_scores.cu.

use super::{
    Cuda,
    modules::KernelVariant,
    resident::{LoadedPassages, Scores},
    score_kernels::scores,
    table::Table,
};
use crate::{Result, Select};
use selvedge_kernels::Op;

/// Launches [`crate::Backend::approx_scores`].
///
/// # Panics
/// If the table has another number of centroids than the codec, or an argument belongs to another `Cuda`.
pub(super) fn approx_scores(
    cuda: &Cuda,
    passages: &LoadedPassages,
    table: &Table,
    select: Select<'_>,
) -> Result<Scores> {
    let kernel = cuda.modules.kernel(Op::ApproxScores, KernelVariant::NONE, "approx_scores")?;
    scores(cuda, &[kernel], passages, table, None, select)
}
