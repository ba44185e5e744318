//! `maxsim` in plain Rust, one token at a time.

use super::{Job, sum};
use crate::cpu::{
    dots::portable::Wide,
    levels::{LevelTable, portable::unpack},
};

/// Scores of the selected passages from `first` on.
pub(super) fn run(job: &Job<'_>, first: usize, scores: &mut [i32]) {
    let (codec, codes) = (job.passages.codec(), job.passages.codes());
    let (rows, width) = (&job.passages.bytes().residuals, codec.row_bytes());
    let table = LevelTable::levels(codec);
    let mut levels = vec![0u8; codec.dim];
    let (query, mut wide) = (Wide::new(codec.dim, &job.query.data), Wide::zeros(codec.dim, 1));
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
            wide.set(0, 0, bytemuck::cast_slice(&levels));
            query.dots(wide.row(0), |i, dot| best[i] = best[i].max(norm * entries[i] + gain * dot));
        }
        *score = sum(&best);
    }
}
