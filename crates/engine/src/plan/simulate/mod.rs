//! Simulation of a router and its shards: queries arrive at random, ask all shards, and end with the slowest answer.
//!
//! In: a [`Fleet`], with times of searches that were measured. Out: an [`Outcome`], quantiles of the latency and the
//! share of queries that were answered.
//!
//! ```text
//! arrivals (Poisson) --> a replica of each shard --> a core, or a queue --> all shards have answered
//!                          │ slow: another replica, within the budget
//!                          │ down: another replica, or no answer
//! ```
//!
//! It follows the rules of `selvedge router`: replicas take turns, a request that is slow goes to another one, hedges
//! are a part of all requests, and a failed request is sent again. It differs in these:
//!
//! - A search goes on when its caller has another answer. Servers stop then, which frees their cores earlier.
//! - The delay of a hedge is fixed. The router follows a percentile of recent times, which [`Outcome::request_p98_ms`]
//!   tells.
//! - A machine that was down is asked again as soon as it is back.
//!
//! Queues are in the order of arrival, so the end of a search is known when it is sent: the only events are arrivals,
//! hedges, and requests that fail. A run begins with machines down as often as in the long run. The same seed gives the
//! same outcome. Times are in milliseconds. Encoding and merging, once a query, are not simulated.

mod run;
#[cfg(test)]
mod tests;

use rayon::prelude::*;
use run::{Counts, Run};

/// Independent runs, each of a part of the queries: in one, the machines that are down would be down for all queries.
const RUNS: usize = 8;
/// Most replicas of a shard.
pub const MOST_REPLICAS: usize = 128;

/// Machines that answer the queries of a collection.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Fleet {
    /// Number of shards.
    pub shards: usize,
    /// Replicas of each shard, a machine each; at most [`MOST_REPLICAS`].
    pub replicas: usize,
    /// Queries that a machine answers at a time.
    pub cores: usize,
    /// Queries per second.
    pub qps: f64,
    /// Times of a search in a shard, of which each request draws one.
    pub search_ms: Vec<f64>,
    /// Time of a request on the way, there and back.
    pub hop_ms: f64,
    /// Share of searches that take [`straggler_factor`](Self::straggler_factor) times as long.
    pub straggler_share: f64,
    /// See [`straggler_share`](Self::straggler_share).
    pub straggler_factor: f64,
    /// Mean time between two failures of a machine; 0 for none.
    pub failure_every_ms: f64,
    /// Time until a machine that failed is back.
    pub repair_ms: f64,
    /// Time until the router knows that a machine has failed. Requests that were sent to it fail then.
    pub detect_ms: f64,
    /// Time after which a slow request goes to another replica, too; 0 for never.
    pub hedge_ms: f64,
    /// Hedges for each request, at most.
    pub hedge_budget: f64,
}

/// Figures of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// Median latency of the queries that were answered.
    pub p50_ms: f64,
    /// 99th percentile of the same.
    pub p99_ms: f64,
    /// 98th percentile of the first answers of single shards.
    pub request_p98_ms: f64,
    /// Share of queries that all shards answered.
    pub answered: f64,
    /// Share of the time that cores were busy; above 1 if queues grow without end.
    pub busy: f64,
    /// Hedges for each request.
    pub hedged: f64,
}

impl Fleet {
    /// Simulates a number of queries.
    ///
    /// # Panics
    /// If there are no shards, replicas, cores, queries or times, or more than [`MOST_REPLICAS`].
    pub fn simulate(&self, queries: usize, seed: u64) -> Outcome {
        assert!(self.shards * self.replicas * self.cores * queries > 0 && !self.search_ms.is_empty());
        assert!(self.replicas <= MOST_REPLICAS);
        let each = queries.div_ceil(RUNS);
        let runs: Vec<Counts> =
            (0..RUNS as u64).into_par_iter().map(|run| Run::new(self, seed, run).all(each)).collect();
        Counts::sum(runs).outcome(self)
    }

    /// Share of the time in which every shard has a replica that runs. Machines fail independently.
    pub fn availability(&self) -> f64 {
        (1.0 - self.down_share().powi(self.replicas as i32)).powi(self.shards as i32)
    }

    /// Share of the time in which a machine is down.
    fn down_share(&self) -> f64 {
        match self.failure_every_ms > 0.0 {
            true => self.repair_ms / (self.failure_every_ms + self.repair_ms),
            false => 0.0,
        }
    }
}
