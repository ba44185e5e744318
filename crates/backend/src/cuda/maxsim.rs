//! `maxsim`: kernels/maxsim.cu.

use super::{
    Cuda,
    context::Buffer,
    launches::resident_blocks,
    modules::{Special, value},
    query,
    resident::{LoadedPassages, Scores, Table},
    selected::Selected,
};
use crate::{QuantizedQuery, Result, Select, score_shift};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

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
    assert_eq!((query.dim, table.num_centroids), (codec.dim, codec.num_centroids()), "all of one codec");
    assert_eq!(table.query_len, query.len(), "the table is the query's");
    table.entries.assert_of(&cuda.context);
    // As a rule the table is this query's and has it in device memory.
    let other: Buffer<i8>;
    let arranged = if query.data == table.query {
        &table.arranged
    } else {
        other = cuda.context.upload(&query::arrange(codec.dim, codec.nbits, &query.data))?;
        &other
    };
    let selected = Selected::new(cuda, select, passages.num_passages)?;
    let scores = cuda.context.allocate(selected.len())?;
    let kernel = cuda.modules.kernel(Op::Maxsim, Special::codec(codec), "maxsim")?;
    let (pitch, query_len, shift) = (table.pitch as u32, query.len() as u32, score_shift(query.len()));
    let (passages, len) = (passages.argument(&cuda.context), selected.len() as u32);
    let blocks = resident_blocks(&cuda.context, selected.len(), THREADS);
    let arguments = [
        value(&passages),
        table.entries.argument(),
        value(&pitch),
        arranged.argument(),
        value(&query_len),
        value(&shift),
        selected.argument(),
        value(&len),
        scores.argument(),
    ];
    // SAFETY: the arguments are the kernel's; the table is (K, pitch), the query arranged for this codec, and there is
    // a pid, or none at all, and a score for each selected passage. What passages lie about the kernel checks.
    unsafe { kernel.launch(blocks, THREADS, &arguments)? };
    Ok(Scores(scores))
}
