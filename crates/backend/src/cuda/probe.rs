//! `probe`: kernels/probe.cu.

use super::{
    Cuda,
    constants::Constant,
    modules::{KernelVariant, value},
    resident::Table,
    select::{self, Columns},
};
use crate::{
    Probed, Result,
    missing_score::{GROUP, MissingScore},
};
use selvedge_kernels::Op;

const THREADS: u32 = 128;

pub(super) const CONSTANTS: [Constant; 2] = [("THREADS", THREADS as i64), ("GROUP", GROUP as i64)];

/// Launches [`crate::Backend::probe`].
///
/// # Panics
/// If the table is of another `Cuda`.
pub(super) fn probe(cuda: &Cuda, table: &Table, nprobe: usize) -> Result<Probed> {
    let Table { num_centroids, query_len, pitch, .. } = *table;
    if query_len == 0 {
        return Ok(Probed::default());
    }
    table.entries.assert_of(&cuda.context);
    // Selects one centroid more than are probed, if there is one: the best centroid that is not probed.
    let probed = nprobe.min(num_centroids);
    let columns = Columns {
        entries: &table.entries,
        num: num_centroids,
        stride: pitch,
        columns: query_len,
        ids: value(&0u64),
        ids_end: num_centroids as u64,
    };
    let best = select::best(cuda, Op::Probe, &columns, (probed + 1).min(num_centroids))?;

    let missing_score = MissingScore::new(nprobe, num_centroids);
    let sampled = num_centroids.div_ceil(GROUP).div_ceil(missing_score.step);
    let maxima = cuda.context.allocate::<i32>(query_len * sampled)?;
    let kernel = cuda.modules.kernel(Op::Probe, KernelVariant::NONE, "maxima")?;
    let sizes = [num_centroids, pitch, query_len, missing_score.step].map(|size| size as u32);
    let [k, p, q, step] = sizes.each_ref().map(value);
    // SAFETY: the arguments match the kernel's parameters; the table is (K, pitch), and `maxima` is (Q, sampled).
    unsafe { kernel.launch((sampled, 1), THREADS, &[maxima.argument(), table.entries.argument(), k, p, q, step])? };
    let mut maxima = maxima.download()?;

    let left_out = best.iter().map(|best| best[probed.min(num_centroids - 1)].1);
    let missing = maxima.chunks_exact_mut(sampled).zip(left_out).map(|(m, left_out)| left_out.min(missing_score.of(m)));
    let missing = missing.collect();
    Ok(Probed { cells: best.iter().flat_map(|best| best[..probed].iter().copied()).collect(), missing })
}
