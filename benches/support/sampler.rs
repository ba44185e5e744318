//! Times of repeated calls within a time budget.
//!
//! The crate criterion samples better, but prints a block per row, cannot be silenced by a program, and does not return
//! its figures, which the one table needs.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Timed calls, however long they take.
const FEWEST: usize = 3;
/// Timed calls after which the median no longer moves.
const MOST: usize = 10_000;
/// Part of the budget that warms up caches, clocks and thread pools.
const WARM_UP: f64 = 0.1;

/// Times of one call, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub median: f64,
    /// Median absolute deviation from the median.
    pub mad: f64,
    pub least: f64,
    /// Number of timed calls.
    pub n: usize,
}

impl Sample {
    /// Summary of at least one time.
    pub fn of(times: &[f64]) -> Self {
        let middle = median(times);
        let deviations: Vec<f64> = times.iter().map(|time| (time - middle).abs()).collect();
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        Self { median: middle, mad: median(&deviations), least, n: times.len() }
    }
}

/// Times `call` for about `budget`, after a warm-up. The time to drop a result is not counted.
pub fn sample<O>(budget: Duration, mut call: impl FnMut() -> O) -> Sample {
    let started = Instant::now();
    loop {
        drop(black_box(call()));
        if started.elapsed() >= budget.mul_f64(WARM_UP) {
            break;
        }
    }
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST || (times.len() < MOST && started.elapsed() < budget) {
        let call_started = Instant::now();
        let out = black_box(call());
        times.push(call_started.elapsed().as_secs_f64());
        drop(out);
    }
    Sample::of(&times)
}

/// Middle value; the mean of the two middle ones if their number is even.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
