//! Medians of calls.

use std::time::Instant;

/// Calls that are made before those that count: kernels are loaded, launches recorded, clocks rise.
const WARM_CALLS: usize = 3;

/// Returns the median time of `rounds` calls in milliseconds.
pub fn median_ms<T>(rounds: usize, mut call: impl FnMut() -> super::Result<T>) -> super::Result<f64> {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..WARM_CALLS + rounds.max(1) {
        let started = Instant::now();
        call()?;
        if round >= WARM_CALLS {
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
