//! The f32 micro-kernel of `maxsim_f32` and `linear_f32`: dot products of a few rows with a panel of sixteen.
//!
//! A panel holds sixteen rows of the other side, component by component, `(D, 16) f32`, so that a
//! kernel loads whole registers from it and broadcasts from the plain rows. Each dot product is one
//! chain of additions from component 0 to `D - 1`, so it does not depend on its tile.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

use rayon::prelude::*;

/// Rows in a panel: two AVX2 registers.
pub(super) const WIDTH: usize = 16;

/// Floats of plain rows per block: a quarter of a 1 MiB L2.
pub(super) const BLOCK_FLOATS: usize = 1 << 16;

/// Packs `rows (n, D) f32` into `(ceil(n / 16), D, 16) f32`, padded with copies of the last row.
pub(super) fn pack_panels(dim: usize, rows: &[f32]) -> Vec<f32> {
    let num_rows = rows.len() / dim;
    let mut panels = vec![0f32; num_rows.div_ceil(WIDTH) * dim * WIDTH];
    panels.par_chunks_mut(dim * WIDTH).enumerate().for_each(|(p, panel)| {
        for lane in 0..WIDTH {
            let row = (p * WIDTH + lane).min(num_rows - 1) * dim;
            for (d, &x) in rows[row..row + dim].iter().enumerate() {
                panel[d * WIDTH + lane] = x;
            }
        }
    });
    panels
}
