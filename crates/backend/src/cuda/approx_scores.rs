//! `approx_scores`: kernels/approx_scores.cu.

use super::{
    Cuda,
    modules::Special,
    resident::{LoadedPassages, Scores, Table},
    scores::scores,
};
use crate::{Result, Select};
use selvedge_kernels::Op;

/// See [`crate::Backend::approx_scores`].
///
/// # Panics
/// If the table is another codec's.
pub(super) fn approx_scores(
    cuda: &Cuda,
    passages: &LoadedPassages,
    table: &Table,
    select: Select<'_>,
) -> Result<Scores> {
    scores(cuda, (Op::ApproxScores, Special::NONE), passages, table, None, select)
}
