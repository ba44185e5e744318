//! `maxsim`: kernels/maxsim.cu.

use super::{
    Cuda,
    context::Buffer,
    modules::Special,
    query,
    resident::{LoadedPassages, Scores, Table},
    scores::scores,
};
use crate::{QuantizedQuery, Result, Select};
use selvedge_kernels::Op;

/// See [`crate::Backend::maxsim`].
///
/// # Panics
/// If the query's dim or length, or the table's, are not those of the passages' codec and of the query.
pub(super) fn maxsim(
    cuda: &Cuda,
    passages: &LoadedPassages,
    query: &QuantizedQuery,
    table: &Table,
    select: Select<'_>,
) -> Result<Scores> {
    let codec = &passages.codec.host;
    assert_eq!(query.dim, codec.dim, "the query's dim is the codec's");
    assert_eq!(table.query_len, query.len(), "the table is the query's");
    // As a rule the table is this query's and has it in device memory.
    let other: Buffer<i8>;
    let arranged = if query.data == table.query {
        &table.arranged
    } else {
        other = cuda.context.upload(&query::arrange(codec.dim, codec.nbits, &query.data))?;
        &other
    };
    scores(cuda, (Op::Maxsim, Special::codec(codec)), passages, table, Some(arranged), select)
}
