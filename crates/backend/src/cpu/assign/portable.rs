//! `assign` in plain Rust.

use super::{Panels, lowest_best};

/// `rows (n, D) i8` -> `codes (n) u32`.
pub(super) fn run(rows: &[i8], panels: &Panels, codes: &mut [u32]) {
    let Panels { dim, lanes, .. } = *panels;
    for (row, code) in rows.chunks_exact(dim).zip(codes) {
        let best = panels.data.chunks_exact(lanes * dim).enumerate().map(|(p, panel)| {
            let mut sums = [0i32; super::super::passages::LANES];
            for (steps, four) in panel.chunks_exact(4 * lanes).zip(row.chunks_exact(4)) {
                for (sum, c) in sums.iter_mut().zip(steps.chunks_exact(4)) {
                    *sum += (0..4).map(|i| i32::from(c[i]) * i32::from(four[i])).sum::<i32>();
                }
            }
            let first = (p * lanes) as u32;
            let code = lowest_best(sums.into_iter().zip(first..));
            (sums[(code - first) as usize], code)
        });
        *code = lowest_best(best);
    }
}
