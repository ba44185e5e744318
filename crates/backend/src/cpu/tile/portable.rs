//! Dot products of two rows with a panel of sixteen. With SSE2 or NEON they take eight registers of four
//! sums.

use super::WIDTH;

/// Rows of a tile.
pub(in crate::cpu) const ROWS: usize = 2;

/// Dot products of two rows, `(D) f32` each, with `panel (D, 16) f32`.
#[inline]
pub(in crate::cpu) fn tile(rows: [&[f32]; ROWS], panel: &[f32]) -> [[f32; WIDTH]; ROWS] {
    let mut sums = [[0f32; WIDTH]; ROWS];
    for ((lanes, &x), &y) in panel.chunks_exact(WIDTH).zip(rows[0]).zip(rows[1]) {
        for lane in 0..WIDTH {
            sums[0][lane] += x * lanes[lane];
            sums[1][lane] += y * lanes[lane];
        }
    }
    sums
}
