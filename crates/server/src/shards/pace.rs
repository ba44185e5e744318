//! Pace of shards: recent times, from which the delay of a hedge follows, and rests of replicas.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Number of recent times of a phase of a shard.
const RECENT: usize = 128;
/// Number of times from which on their percentile is used.
const ENOUGH: usize = 20;
/// Delay of a hedge until there are enough times.
const UNKNOWN: Duration = Duration::from_millis(100);
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

    /// Time after which a request is sent again: the 98th percentile of the recent ones, and at least `floor`.
    ///
    /// A percentile at which routine requests do not use up the budget, so that the rare ones find some left: see
    /// `benches/record/epyc-zen4-2c/2026-12-01-plan.md`.
    pub(crate) fn delay(&self, floor: Duration) -> Duration {
        let mut times: Vec<Duration> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        if times.len() < ENOUGH {
            return UNKNOWN.max(floor);
        }
        let at = times.len() * 98 / 100;
        *times.select_nth_unstable(at).1.max(&mut floor.clone())
    }
}

/// Failures of a replica, and its rest after them.
#[derive(Debug, Default)]
pub(crate) struct Rest(Mutex<Health>);

#[derive(Debug, Default)]
struct Health {
    /// Failures in a row.
    failures: u32,
    /// End of the rest.
    until: Option<Instant>,
    /// Time of the last failure that counts.
    failed: Option<Instant>,
    /// Time of the last answer.
    answered: Option<Instant>,
}

impl Rest {
    /// End of the rest, if it is not over.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.lock().until.filter(|&end| end > Instant::now())
    }

    /// Notes the failure of a request that was sent at `since`: the replica rests while others answer. Requests that
    /// were under way at an earlier failure failed with that one.
    pub(crate) fn failed(&self, since: Instant) {
        let mut health = self.lock();
        if health.failed.is_some_and(|failed| since <= failed) {
            return;
        }
        let now = Instant::now();
        let time = FIRST_REST.saturating_mul(1 << health.failures.min(10)).min(LONGEST_REST);
        (health.failures, health.until, health.failed) = (health.failures + 1, Some(now + time), Some(now));
    }

    /// Notes that a request that was sent at `since` was answered by another replica first. If this one has answered
    /// nothing since, it may hang.
    pub(crate) fn beaten(&self, since: Instant) {
        if self.lock().answered.is_none_or(|answered| answered < since) {
            self.failed(since);
        }
    }

    /// Notes an answer.
    pub(crate) fn answered(&self) {
        let mut health = self.lock();
        (health.failures, health.until, health.answered) = (0, None, Some(Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_a_percentile_of_recent_times() {
        let (times, floor) = (Times::default(), Duration::from_millis(2));
        let ms = Duration::from_millis;
        assert_eq!(times.delay(floor), UNKNOWN);
        (0..ENOUGH).for_each(|_| times.note(Duration::ZERO));
        assert_eq!(times.delay(floor), floor);
        (0..1000).for_each(|n| times.note(ms(n)));
        assert_eq!(times.delay(floor), ms(1000 - RECENT as u64 + 125));
    }

    #[test]
    fn a_replica_rests_longer_each_time() {
        let rest = Rest::default();
        assert_eq!(rest.until(), None);
        let before = Instant::now();
        rest.failed(before);
        let first = rest.until().unwrap();
        // Many requests were under way when a server ended.
        (0..10).for_each(|_| rest.failed(before));
        assert_eq!(rest.until(), Some(first));
        std::thread::sleep(Duration::from_millis(1));
        rest.failed(Instant::now());
        assert!(rest.until().unwrap() > first + FIRST_REST / 2);
        rest.answered();
        assert_eq!(rest.until(), None);
    }

    #[test]
    fn a_replica_that_hangs_rests_and_one_that_answers_others_does_not() {
        let (hanging, slow) = (Rest::default(), Rest::default());
        let since = Instant::now();
        slow.answered();
        for rest in [&hanging, &slow] {
            rest.beaten(since);
        }
        assert!(hanging.until().is_some() && slow.until().is_none());
    }
}
