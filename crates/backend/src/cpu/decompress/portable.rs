//! `decompress` in plain Rust.

use super::Job;
use crate::cpu::levels::portable::unpack;

/// Vectors of the tokens from `first` on.
pub(super) fn run(job: &Job<'_>, first: usize, vectors: &mut [f32]) {
    let codec = job.passages.codec();
    let (rows, width) = (&job.passages.bytes().residuals, codec.row_bytes());
    job.run(first, &mut vec![0u8; codec.dim], vectors, |token, levels| {
        unpack(&job.levels, &rows[token * width..][..width], levels);
    });
}
