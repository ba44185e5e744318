//! Budget of hedges: second requests to a replica because the first one is slow.

/// Part of all requests that hedges may add.
pub const HEDGED_PART: f64 = 0.05;
/// Hedges that quiet times save up: as many as two queries add, and at least this many. A query asks all shards at
/// once, so that a smaller limit would cut off what its own requests have added.
const LEAST_SAVED: f64 = 10.0;
const SAVED_QUERIES: f64 = 2.0;

/// Budget to which each request adds a part of a hedge, such as a twentieth, so that at most 5 % more are sent.
#[derive(Clone, Copy, Debug)]
pub struct HedgeBudget {
    part: f64,
    saved: f64,
}

impl HedgeBudget {
    /// An empty budget, for this part of all requests.
    pub fn new(part: f64) -> Self {
        Self { part, saved: 0.0 }
    }

    /// Notes a request to one of a number of shards, which is no hedge.
    pub fn note(&mut self, shards: usize) {
        let most = (SAVED_QUERIES * self.part * shards as f64).max(LEAST_SAVED);
        self.saved = (self.saved + self.part).min(most);
    }

    /// Takes a hedge, if there is one.
    pub fn take(&mut self) -> bool {
        // Twenty times a twentieth is a little less than one.
        let is_enough = self.saved >= 1.0 - 1e-9;
        self.saved -= if is_enough { 1.0 } else { 0.0 };
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_are_a_twentieth_of_all_requests() {
        let mut budget = HedgeBudget::new(HEDGED_PART);
        assert!(!budget.take());
        let mut hedges = 0;
        for _ in 0..1000 {
            budget.note(1);
            hedges += usize::from(budget.take());
        }
        assert_eq!(hedges, 50);
        for (shards, saved) in [(1, 10), (100, 10), (1000, 100)] {
            (0..10_000).for_each(|_| budget.note(shards));
            assert_eq!((0..1000).filter(|_| budget.take()).count(), saved, "{shards} shards");
        }
    }
}
