//! `maxsim`: kernels/maxsim.cu.

use super::{
    Cuda,
    modules::KernelVariant,
    query_layout::Query,
    resident::{LoadedPassages, Scores, Table},
    score_kernels::scores,
};
use crate::{Result, Select};
use selvedge_kernels::Op;

/// Launches [`crate::Backend::maxsim`].
///
/// # Panics
/// If the sizes of query, table and passages do not fit together, or one of them belongs to another `Cuda`.
pub(super) fn maxsim(
    cuda: &Cuda,
    passages: &LoadedPassages,
    query: &Query,
    table: &Table,
    select: Select<'_>,
) -> Result<Scores> {
    let codec = &passages.codec.host;
    query.assert_for(&cuda.context, codec);
    assert_eq!(table.query_len, query.len(), "the table is the query's");
    scores(cuda, (Op::Maxsim, KernelVariant::codec(codec)), passages, table, Some(&query.arranged), select)
}
