//! `maxsim`: kernels/maxsim.cu.

use super::{
    Cuda,
    approx_scores::approx_scores,
    modules::{Kernel, KernelVariant},
    query_layout::Query,
    resident::{LoadedCodec, LoadedPassages, Scores},
    score_kernels::scores,
    table::Table,
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
    // Without query tokens the scores of both ops are 0, and the kernels here have no panel.
    if query.len() == 0 {
        return approx_scores(cuda, passages, table, select);
    }
    let kernels = kernels(cuda, &passages.codec)?;
    scores(cuda, &kernels, passages, table, Some(&query.arranged), select)
}

/// Returns the kernels for the passages of a codec. Where there are two, for tables with entries of i16 and of i32, the
/// width is known on the device only: both are launched, and one of them ends at once.
pub(super) fn kernels(cuda: &Cuda, codec: &LoadedCodec) -> Result<Vec<Kernel>> {
    let names: &[&str] = match codec.by_window {
        true if codec.narrow_below == 0 => &["maxsim_windows"],
        true => &["maxsim_narrow", "maxsim_windows"],
        false => &["maxsim"],
    };
    let variant = KernelVariant::codec(&codec.host);
    names.iter().map(|name| cuda.modules.kernel(Op::Maxsim, variant, name)).collect()
}
