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
            let weight = job.passages.weight(t);
            let (centroid_weight, residual_weight) =
                (i32::from(codec.centroid_weights[weight]), i32::from(codec.residual_weights[weight]));
            let entries = job.table.row(codes.get(t));
            wide.set(0, 0, bytemuck::cast_slice(&levels));
            query.dots(wide.row(0), |i, dot| {
                best[i] = best[i].max(centroid_weight * entries[i] + residual_weight * dot)
            });
        }
        *score = sum(&best);
    }
}
