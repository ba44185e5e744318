//! `maxsim_f32`: kernels/maxsim_f32.cu.

use super::{
    Cuda,
    constants::Constant,
    context::Buffer,
    grid::BATCH_BYTES,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;
use std::ops::Range;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 1] = [("THREADS", THREADS as i64)];

/// Limits of one launch, far below the limits of a device.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of the embeddings of the queries, and the same for the passages. A longer query or passage has a launch of
    /// its own.
    bytes: usize,
    /// Pairs of a query and a passage; each is a block.
    scores: usize,
}

const LIMITS: Limits = Limits { bytes: BATCH_BYTES, scores: 1 << 24 };

/// Launches [`crate::Backend::maxsim_f32`].
///
/// # Panics
/// If `query_offsets` or `passage_offsets` is empty, descends, or ends after the last row.
pub(super) fn maxsim_f32(
    cuda: &Cuda,
    dim: usize,
    queries: &[f32],
    query_offsets: &[usize],
    embeddings: &[f32],
    passage_offsets: &[usize],
) -> Result<Vec<f32>> {
    let fits = |rows: &[f32], offsets: &[usize]| {
        offsets.is_sorted() && offsets.last().is_some_and(|&end| end * dim <= rows.len())
    };
    assert!(fits(queries, query_offsets) && fits(embeddings, passage_offsets), "offsets ascend within the rows");
    in_batches(cuda, dim, (queries, query_offsets), (embeddings, passage_offsets), LIMITS)
}

/// Rows of embeddings, and the numbers of the first row of each query or passage and of the row after the last one.
type Ragged<'a> = (&'a [f32], &'a [usize]);

fn in_batches(cuda: &Cuda, dim: usize, queries: Ragged<'_>, passages: Ragged<'_>, limits: Limits) -> Result<Vec<f32>> {
    let num_passages = passages.1.len() - 1;
    let mut all = vec![0.0; (queries.1.len() - 1) * num_passages];
    for of_queries in batches(queries.1, dim, limits.bytes, limits.scores) {
        let (queries, query_offsets) = upload(cuda, dim, queries, &of_queries)?;
        for of_passages in batches(passages.1, dim, limits.bytes, limits.scores / of_queries.len()) {
            let (embeddings, passage_offsets) = upload(cuda, dim, passages, &of_passages)?;
            let scores = cuda.context.allocate::<f32>(of_queries.len() * of_passages.len())?;
            let kernel = cuda.modules.kernel(Op::MaxsimF32, KernelVariant::NONE, "maxsim_f32")?;
            let (num_passages_here, width) = (of_passages.len() as u32, dim as u32);
            let arguments = [
                scores.argument(),
                queries.argument(),
                query_offsets.argument(),
                embeddings.argument(),
                passage_offsets.argument(),
                value(&num_passages_here),
                value(&width),
            ];
            // SAFETY: the arguments match the kernel's parameters; offsets are within the rows, and there is a score
            // for each pair.
            unsafe { kernel.launch((scores.len(), 1), THREADS, &arguments)? };
            for (query, scores) in of_queries.clone().zip(scores.download()?.chunks_exact(of_passages.len())) {
                let row = query * num_passages;
                all[row + of_passages.start..row + of_passages.end].copy_from_slice(scores);
            }
        }
    }
    Ok(all)
}

/// Uploads the rows of a batch, and its offsets, which start with 0.
fn upload(
    cuda: &Cuda,
    dim: usize,
    (rows, offsets): Ragged<'_>,
    batch: &Range<usize>,
) -> Result<(Buffer<f32>, Buffer<u64>)> {
    let offsets = &offsets[batch.start..=batch.end];
    let (first, end) = (offsets[0], offsets[offsets.len() - 1]);
    let offsets: Vec<u64> = offsets.iter().map(|&offset| (offset - first) as u64).collect();
    Ok((cuda.context.upload(&rows[first * dim..end * dim])?, cuda.context.upload(&offsets)?))
}

/// Splits the items between `offsets` into batches of at most `most_bytes` of rows and at most `most` items, but at
/// least one.
fn batches(offsets: &[usize], dim: usize, most_bytes: usize, most: usize) -> Vec<Range<usize>> {
    let rows = most_bytes / (dim * size_of::<f32>()).max(1);
    let (mut batches, mut start) = (Vec::new(), 0);
    while start + 1 < offsets.len() {
        let fitting = offsets[start + 1..].partition_point(|&end| end - offsets[start] <= rows);
        let end = start + fitting.min(most).max(1);
        batches.push(start..end);
        start = end;
    }
    batches
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Backend, Cpu};

    #[test]
    fn batches_hold_their_limits() {
        let of = |bytes, most| batches(&[0, 2, 2, 5, 5, 14, 15], 2, bytes, most);
        assert_eq!(of(1 << 20, 100), [0..6]);
        assert_eq!(of(5 * 8, 100), [0..4, 4..5, 5..6]);
        assert_eq!(of(5 * 8, 3), [0..3, 3..4, 4..5, 5..6]);
        assert_eq!(of(0, 100), [0..1, 1..2, 2..3, 3..4, 4..5, 5..6]);
        assert_eq!(of(1 << 20, 0), [0..1, 1..2, 2..3, 3..4, 4..5, 5..6]);
        assert!(batches(&[3], 2, 100, 100).is_empty());
    }

    /// A test of `cuda::process`: batches give the scores of the whole.
    pub(in crate::cuda) fn batches_give_the_scores_of_the_whole(cuda: &Cuda) {
        let rows: Vec<f32> = (0..8 * 40).map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5).collect();
        let (queries, passages) = ([1, 4, 4, 6], [0, 3, 3, 10, 11, 30, 40]);
        let expected = Cpu::new().unwrap().maxsim_f32(8, &rows, &queries, &rows, &passages).unwrap();
        for (bytes, scores) in [(1 << 20, 1 << 20), (6 * 32, 4), (0, 1)] {
            let found = in_batches(cuda, 8, (&rows, &queries), (&rows, &passages), Limits { bytes, scores }).unwrap();
            let near = |(a, b): (&f32, &f32)| a == b || (a - b).abs() < 1e-4;
            assert!(found.len() == expected.len() && found.iter().zip(&expected).all(near), "{found:?} {expected:?}");
        }
    }
}
