//! `maxsim` in plain Rust, one token at a time.

use super::{Job, sum};
use crate::cpu::{
    dots::dot,
    levels::{LevelTable, portable::unpack},
};

/// Scores of the selected passages from `first` on.
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let (codec, codes) = (job.passages.codec(), job.passages.codes());
    let (rows, width) = (&job.passages.bytes().residuals, codec.row_bytes());
    let table = LevelTable::levels(codec);
    let mut levels = vec![0u8; codec.dim];
    let mut best = vec![0i32; job.query.len()];
    for (i, score) in scores.iter_mut().enumerate() {
        let tokens = job.passages.bytes().tokens(job.select.pid(first + i) as usize);
        if tokens.is_empty() {
            continue;
        }
        best.fill(i32::MIN);
        for t in tokens {
            unpack(&table, &rows[t * width..][..width], &mut levels);
            let scale = job.passages.scale(t);
            let (norm, gain) = (i32::from(codec.norms[scale]), i32::from(codec.gains[scale]));
            let entries = job.table.row(codes.get(t));
            for (i, (best, entry)) in best.iter_mut().zip(entries).enumerate() {
                let sim = norm * entry + gain * dot(job.query.row(i), bytemuck::cast_slice(&levels));
                *best = sim.max(*best);
            }
        }
        *score = sum(&best);
    }
}
