//! Pace of shards: recent times, from which the delay of a hedge follows, the budget of hedges, and rests of replicas.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Number of recent times of a phase of a shard.
const RECENT: usize = 128;
/// Number of times from which on their percentile is used.
const ENOUGH: usize = 20;
/// Delay of a hedge until there are enough times.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Part of all requests that hedges may add.
const HEDGED_PART: f64 = 0.05;
/// Hedges that quiet times save up at most.
const MOST_SAVED: f64 = 10.0;
/// First rest of a replica that failed; each further failure doubles it, up to the longest.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// Recent times of one phase of one shard.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<VecDeque<Duration>>);

impl Times {
    /// Notes a time.
    pub(crate) fn note(&self, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == RECENT {
            times.pop_front();
        }
        times.push_back(time);
    }

    /// Time after which a request is sent again: the 95th percentile of the recent ones, and at least `floor`.
    pub(crate) fn delay(&self, floor: Duration) -> Duration {
        let mut times: Vec<Duration> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        if times.len() < ENOUGH {
            return UNKNOWN.max(floor);
        }
        let at = times.len() * 95 / 100;
        *times.select_nth_unstable(at).1.max(&mut floor.clone())
    }
}

/// Budget of hedges: each request adds a twentieth of one, so that at most 5 % more requests are sent.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<f64>);

impl Budget {
    /// Notes a request that is no hedge.
    pub(crate) fn note(&self) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + HEDGED_PART).min(MOST_SAVED);
    }

    /// Takes a hedge, if there is one.
    pub(crate) fn take(&self) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Twenty times a twentieth is a little less than one.
        let is_enough = *saved >= 1.0 - 1e-9;
        *saved -= if is_enough { 1.0 } else { 0.0 };
        is_enough
    }
}

/// Failures of a replica in a row, and the end of its rest.
#[derive(Debug, Default)]
pub(crate) struct Rest(Mutex<(u32, Option<Instant>)>);

impl Rest {
    /// End of the rest, if it is not over.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.filter(|&end| end > Instant::now())
    }

    /// Notes a failure: the replica rests while others answer.
    pub(crate) fn failed(&self) {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = FIRST_REST.saturating_mul(1 << rest.0.min(10)).min(LONGEST_REST);
        *rest = (rest.0 + 1, Some(Instant::now() + time));
    }

    /// Notes an answer.
    pub(crate) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_are_a_twentieth_of_all_requests() {
        let budget = Budget::default();
        assert!(!budget.take());
        let mut hedges = 0;
        for _ in 0..1000 {
            budget.note();
            hedges += usize::from(budget.take());
        }
        assert_eq!(hedges, 50);
        (0..10_000).for_each(|_| budget.note());
        let saved = (0..100).filter(|_| budget.take()).count();
        assert_eq!(saved, MOST_SAVED as usize);
    }

    #[test]
    fn the_delay_is_a_percentile_of_recent_times() {
        let (times, floor) = (Times::default(), Duration::from_millis(2));
        let ms = Duration::from_millis;
        assert_eq!(times.delay(floor), UNKNOWN);
        (0..ENOUGH).for_each(|_| times.note(Duration::ZERO));
        assert_eq!(times.delay(floor), floor);
        (0..1000).for_each(|n| times.note(ms(n)));
        assert_eq!(times.delay(floor), ms(1000 - RECENT as u64 + 121));
    }

    #[test]
    fn a_replica_rests_longer_each_time() {
        let rest = Rest::default();
        assert_eq!(rest.until(), None);
        rest.failed();
        let first = rest.until().unwrap();
        rest.failed();
        assert!(rest.until().unwrap() > first);
        rest.answered();
        assert_eq!(rest.until(), None);
    }
}
