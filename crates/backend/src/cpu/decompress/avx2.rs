//! `decompress` with AVX2: levels by byte shuffle, the rest left to the compiler.

use super::Job;
use crate::cpu::levels::{SLACK, avx2::unpack};

/// Vectors of the tokens from `first` on.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(job: &Job<'_>, first: usize, vectors: &mut [f32]) {
    let codec = job.passages.codec();
    let (rows, width) = (&job.passages.bytes().residuals, codec.row_bytes());
    job.run(first, &mut vec![0u8; codec.dim + SLACK], vectors, |token, levels| {
        if width > 0 {
            unpack(&job.levels, rows, width, token, codec.dim, levels);
        }
    });
}
