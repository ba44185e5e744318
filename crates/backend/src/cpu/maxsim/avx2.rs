//! `maxsim` with AVX2: a tile of tokens is unpacked, then four tokens are multiplied with sixteen query tokens at a
//! time. Each lane of the sums is aligned with its entry of the token's table row.
//!
//! Levels of a small range, as at 1 and 2 bits, are stored relative to the lowest, `w = lo + u`:
//! `dot(q, w) = dot(q, u) + lo * sum(q)`, and the unsigned kernel multiplies `u` with half the
//! instructions. Other levels use the signed kernel. Neither rounds nor saturates; the proofs
//! are in [`crate::cpu::dots::avx2`]. The products that follow are bounded by the contract:
//! `|centroid_weight * T| < 2^30`, `|residual_weight * dot| <= 2^30`.

use super::{Job, tile::Tile};
use crate::cpu::{
    dots::avx2::{self, ROWS, signed, steps, unsigned},
    levels::{LevelTable, SLACK, avx2::unpack},
    passages::LANES,
};
use std::arch::x86_64::*;

/// The form in which levels are unpacked and multiplied.
enum Form {
    /// Signed levels.
    Signed,
    /// Unsigned differences from the `lowest` level; sums are widened every `steps`.
    Above { lowest: i32, steps: usize },
}

/// Scores of the selected passages from `first` on.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let codec = job.passages.codec();
    let lowest = codec.levels.iter().copied().min().unwrap_or(0);
    let highest = codec.levels.iter().copied().max().unwrap_or(0);
    let (form, table) = match steps(highest.abs_diff(lowest)) {
        0 => (Form::Signed, LevelTable::levels(codec)),
        steps => (Form::Above { lowest: i32::from(lowest), steps }, LevelTable::above(codec, lowest)),
    };
    let (rows, row_bytes) = (&job.passages.bytes().residuals, codec.row_bytes());
    let width = job.panels.width();
    Tile::new(width, SLACK, job.panels.len() * LANES).run(
        job,
        first,
        scores,
        |tile, tokens| tile.read_weights(job, tokens),
        |tokens, levels| {
            for (slot, t) in tokens.enumerate() {
                if row_bytes > 0 {
                    unpack(&table, rows, row_bytes, t, width, &mut levels[slot * width..]);
                }
            }
        },
        |tile, num_tokens| {
            for panel in (0..job.panels.len()).step_by(2) {
                match job.panels.len() - panel {
                    1 => maximize::<1>(job, &form, tile, num_tokens, panel),
                    _ => maximize::<2>(job, &form, tile, num_tokens, panel),
                }
            }
        },
    );
}

/// Raises the best similarities of `V` panels over a tile of `num_tokens`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn maximize<const V: usize>(job: &Job<'_>, form: &Form, of: &mut Tile<'_>, num_tokens: usize, panel: usize) {
    let width = of.width;
    let panels = job.panels.panels(panel, V).as_ptr();
    let lowest = if let Form::Above { lowest, .. } = *form { lowest } else { 0 };
    let (mut best, mut below) = ([_mm256_setzero_si256(); V], [_mm256_setzero_si256(); V]);
    for v in 0..V {
        best[v] = load_lanes(of.best[(panel + v) * LANES..][..LANES].try_into().expect("whole panels"));
        below[v] = _mm256_mullo_epi32(
            load_lanes(job.panels.sums(panel + v).try_into().expect("whole panels")),
            _mm256_set1_epi32(lowest),
        );
    }
    for group in (0..num_tokens).step_by(ROWS) {
        if panel == 0 {
            of.prefetch_ahead(job, group, ROWS);
        }
        let levels = of.levels.part(group * width, ROWS * width).as_ptr();
        // Not a closure, since a call would spill all registers.
        let mut rows = [levels; ROWS];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = levels.wrapping_add(r * width);
        }
        // SAFETY: each row is `width` levels of the slice in the given `form`; there are `V` panels of `8 * width`
        // bytes; no level and no query component is -128.
        let products: avx2::Tile<V> = unsafe {
            match *form {
                Form::Signed => signed(rows, panels, LANES * width, width),
                Form::Above { steps, .. } => unsigned(rows, panels, LANES * width, width, steps),
            }
        };
        for (slot, products) in (group..).zip(products) {
            let centroid_weight = _mm256_set1_epi32(of.centroid_weights[slot]);
            let residual_weight = _mm256_set1_epi32(of.residual_weights[slot]);
            let entries = &job.table.padded_row(of.codes[slot] as usize)[panel * LANES..];
            for (v, entries) in entries.chunks_exact(LANES).take(V).enumerate() {
                let entries = load_lanes(entries.try_into().expect("whole panels"));
                let dot = _mm256_add_epi32(products[v], below[v]);
                let sim = _mm256_add_epi32(
                    _mm256_mullo_epi32(centroid_weight, entries),
                    _mm256_mullo_epi32(residual_weight, dot),
                );
                best[v] = _mm256_max_epi32(best[v], sim);
            }
        }
    }
    for (out, best) in of.best[panel * LANES..].chunks_exact_mut(LANES).zip(best) {
        // SAFETY: `out` is one register long.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), best) };
    }
}

/// Eight lanes from memory.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_lanes(lanes: &[i32; LANES]) -> __m256i {
    // SAFETY: eight i32 are one register.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}
