//! `probe`: kernels/probe.cu.

use super::{
    Cuda,
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

/// See [`crate::Backend::probe`].
pub(super) fn probe(cuda: &Cuda, table: &Table, nprobe: usize) -> Result<Probed> {
    let Table { num_centroids, query_len, pitch, .. } = *table;
    if query_len == 0 {
        return Ok(Probed::default());
    }
    table.entries.assert_of(&cuda.context);
    // One more than are taken, where there is one: the best of those that are left out.
    let taken = nprobe.min(num_centroids);
    let columns = Columns {
        entries: &table.entries,
        num: num_centroids,
        stride: pitch,
        columns: query_len,
        ids: value(&0u64),
        ids_end: num_centroids as u64,
    };
    let best = select::best(cuda, Op::Probe, &columns, (taken + 1).min(num_centroids))?;

    let imputed = MissingScore::new(nprobe, num_centroids);
    let sampled = num_centroids.div_ceil(GROUP).div_ceil(imputed.step);
    let maxima = cuda.context.allocate::<i32>(query_len * sampled)?;
    let kernel = cuda.modules.kernel(Op::Probe, KernelVariant::NONE, "maxima")?;
    let (k, p, q, step) = (num_centroids as u32, pitch as u32, query_len as u32, imputed.step as u32);
    let arguments = [table.entries.argument(), value(&k), value(&p), value(&q), value(&step), maxima.argument()];
    // SAFETY: the arguments are the kernel's; the table is (K, pitch), and a maximum has room for each group.
    unsafe { kernel.launch((sampled, 1), THREADS, &arguments)? };
    let mut maxima = maxima.download()?;

    let left_out = best.iter().map(|best| best[taken.min(num_centroids - 1)].1);
    let missing = maxima.chunks_exact_mut(sampled).zip(left_out).map(|(m, left_out)| left_out.min(imputed.of(m)));
    let missing = missing.collect();
    Ok(Probed { cells: best.iter().flat_map(|best| best[..taken].iter().copied()).collect(), missing })
}
