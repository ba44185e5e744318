//! `approx_scores` with AVX-512: the portable body, whose maxima the compiler keeps in registers.

use super::{Job, portable};

/// Scores of the selected passages from `first` on.
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    portable::run(job, first, scores);
}
