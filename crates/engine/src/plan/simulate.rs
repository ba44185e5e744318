//! Simulation of a router and its shards: queries arrive at random, ask all shards, and end with the slowest answer.
//!
//! In: a [`Fleet`], with measured times of a search. Out: an [`Outcome`], quantiles of the latency and the share of
//! queries that were answered.
//!
//! ```text
//! arrivals (Poisson) --> a replica of each shard --> cores, or a queue --> all shards have answered
//!                          │ slow: another replica, within the budget
//!                          │ down: another replica, or no answer
//! ```
//!
//! Events are handled in the order of their times, so that the same seed gives the same outcome. Times are in
//! milliseconds of the simulation. Encoding and merging, which happen once a query, are not simulated.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// Share of the first queries that only fill the queues.
const WARM_UP: f64 = 0.1;
/// Most hedges that a budget saves up.
const MOST_SAVED: f64 = 100.0;

/// Machines that answer the queries of a collection.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Fleet {
    /// Number of shards.
    pub shards: usize,
    /// Replicas of each shard, a machine each.
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
    /// Mean time between two failures of a machine in seconds; 0 for none.
    pub failure_every_s: f64,
    /// Time until a machine that failed is back.
    pub repair_s: f64,
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
    /// Share of queries that all shards answered.
    pub answered: f64,
    /// Share of the time that cores were busy.
    pub busy: f64,
    /// Hedges for each request.
    pub hedged: f64,
}

/// A search in one shard for one query.
#[derive(Clone, Copy, Debug)]
struct Request {
    query: usize,
    shard: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrival,
    Answer { machine: usize, life: u32, request: Request },
    Hedge { machine: usize, request: Request },
    Failure { machine: usize },
    Repair { machine: usize },
}

/// An event at a time; of several at one time, the first that was planned.
#[derive(Debug)]
struct Planned {
    at: f64,
    number: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

#[derive(Debug, Default)]
struct Machine {
    running: Vec<Request>,
    queue: VecDeque<Request>,
    is_down: bool,
    /// Number of failures: answers of an earlier life are lost.
    life: u32,
}

#[derive(Debug, Default)]
struct Query {
    began: f64,
    /// Shards that have not answered, and how many.
    waits: Vec<bool>,
    left: usize,
}

impl Fleet {
    /// Simulates a number of queries.
    ///
    /// # Panics
    /// If there are no shards, replicas, cores, queries or times.
    pub fn simulate(&self, queries: usize, seed: u64) -> Outcome {
        assert!(self.shards * self.replicas * self.cores * queries > 0 && !self.search_ms.is_empty());
        let mut run = Run::new(self, queries, seed);
        while run.ended < queries {
            let Reverse(Planned { at, event, .. }) = run.events.pop().expect("queries arrive until all have ended");
            run.now = at;
            run.handle(event);
        }
        run.outcome()
    }
}

/// State of a simulation.
struct Run<'a> {
    fleet: &'a Fleet,
    rng: ChaCha8Rng,
    now: f64,
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    machines: Vec<Machine>,
    queries: Vec<Query>,
    wanted: usize,
    ended: usize,
    /// Latencies of the queries after the first ones, and how many of these had no answer.
    latencies: Vec<f64>,
    unanswered: usize,
    requests: u64,
    hedges: u64,
    /// Hedges that the budget allows now.
    saved: f64,
    busy_ms: f64,
}

impl<'a> Run<'a> {
    fn new(fleet: &'a Fleet, wanted: usize, seed: u64) -> Self {
        let mut run = Self {
            fleet,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: 0.0,
            events: BinaryHeap::new(),
            planned: 0,
            machines: (0..fleet.shards * fleet.replicas).map(|_| Machine::default()).collect(),
            queries: Vec::new(),
            wanted,
            ended: 0,
            latencies: Vec::new(),
            unanswered: 0,
            requests: 0,
            hedges: 0,
            saved: 0.0,
            busy_ms: 0.0,
        };
        run.plan(0.0, Event::Arrival);
        if fleet.failure_every_s > 0.0 {
            for machine in 0..run.machines.len() {
                run.plan_failure(machine);
            }
        }
        run
    }

    fn plan(&mut self, after: f64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at: self.now + after, number: self.planned, event }));
    }

    /// Draws a time of which the mean is known, as of events that do not depend on each other.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.rng.random::<f64>()).ln()
    }

    fn plan_failure(&mut self, machine: usize) {
        let after = self.exponential(self.fleet.failure_every_s * 1e3);
        self.plan(after, Event::Failure { machine });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Answer { machine, life, request } => self.answer(machine, life, request),
            Event::Hedge { machine, request } => self.hedge(machine, request),
            Event::Failure { machine } => self.fail(machine),
            Event::Repair { machine } => {
                self.machines[machine].is_down = false;
                self.plan_failure(machine);
            }
        }
    }

    fn arrive(&mut self) {
        let (query, shards) = (self.queries.len(), self.fleet.shards);
        self.queries.push(Query { began: self.now, waits: vec![true; shards], left: shards });
        for shard in 0..shards {
            let request = Request { query, shard };
            self.requests += 1;
            self.saved = (self.saved + self.fleet.hedge_budget).min(MOST_SAVED);
            // Replicas take turns.
            let Some(machine) = self.replica(request, (query + shard) % self.fleet.replicas) else {
                self.lose(query);
                break;
            };
            self.send(machine, request);
            if self.fleet.hedge_ms > 0.0 {
                self.plan(self.fleet.hedge_ms, Event::Hedge { machine, request });
            }
        }
        if self.queries.len() < self.wanted {
            let after = self.exponential(1e3 / self.fleet.qps);
            self.plan(after, Event::Arrival);
        }
    }

    /// The first replica from `first` on that is not down.
    fn replica(&self, request: Request, first: usize) -> Option<usize> {
        let replicas = self.fleet.replicas;
        let machine = |turn| request.shard * replicas + (first + turn) % replicas;
        (0..replicas).map(machine).find(|&machine| !self.machines[machine].is_down)
    }

    fn waits(&self, request: Request) -> bool {
        let query = &self.queries[request.query];
        query.left > 0 && query.waits[request.shard]
    }

    fn send(&mut self, machine: usize, request: Request) {
        match self.machines[machine].running.len() < self.fleet.cores {
            true => self.start(machine, request),
            false => self.machines[machine].queue.push_back(request),
        }
    }

    fn start(&mut self, machine: usize, request: Request) {
        let fleet = self.fleet;
        let mut time = fleet.search_ms[self.rng.random_range(0..fleet.search_ms.len())];
        if self.rng.random::<f64>() < fleet.straggler_share {
            time *= fleet.straggler_factor;
        }
        self.busy_ms += time;
        self.machines[machine].running.push(request);
        let life = self.machines[machine].life;
        self.plan(time + fleet.hop_ms, Event::Answer { machine, life, request });
    }

    fn answer(&mut self, machine: usize, life: u32, request: Request) {
        if self.machines[machine].life != life {
            return;
        }
        let running = &mut self.machines[machine].running;
        let at = running.iter().position(|of| (of.query, of.shard) == (request.query, request.shard));
        running.swap_remove(at.expect("an answer is of a request that runs"));
        // A request that another replica has answered is not begun.
        while let Some(next) = self.machines[machine].queue.pop_front() {
            if self.waits(next) {
                self.start(machine, next);
                break;
            }
        }
        if !self.waits(request) {
            return;
        }
        let query = &mut self.queries[request.query];
        query.waits[request.shard] = false;
        query.left -= 1;
        if query.left == 0 {
            let latency = self.now - query.began;
            self.end(request.query, Some(latency));
        }
    }

    fn hedge(&mut self, machine: usize, request: Request) {
        if self.saved < 1.0 || !self.waits(request) {
            return;
        }
        let next = machine % self.fleet.replicas + 1;
        if let Some(other) = self.replica(request, next).filter(|&other| other != machine) {
            self.saved -= 1.0;
            self.hedges += 1;
            self.send(other, request);
        }
    }

    fn fail(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        of.is_down = true;
        of.life += 1;
        let lost: Vec<Request> = of.running.drain(..).chain(of.queue.drain(..)).collect();
        self.plan(self.fleet.repair_s * 1e3, Event::Repair { machine });
        for request in lost {
            if !self.waits(request) {
                continue;
            }
            // The connection breaks, so the router knows.
            match self.replica(request, machine % self.fleet.replicas + 1) {
                Some(other) => self.send(other, request),
                None => self.lose(request.query),
            }
        }
    }

    fn lose(&mut self, query: usize) {
        if self.queries[query].left > 0 {
            self.queries[query].left = 0;
            self.end(query, None);
        }
    }

    fn end(&mut self, query: usize, latency: Option<f64>) {
        self.ended += 1;
        self.queries[query].waits = Vec::new();
        if query as f64 >= WARM_UP * self.wanted as f64 {
            match latency {
                Some(latency) => self.latencies.push(latency),
                None => self.unanswered += 1,
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        self.latencies.sort_unstable_by(f64::total_cmp);
        let quantile = |share: f64| match self.latencies.len() {
            0 => f64::INFINITY,
            len => self.latencies[((share * len as f64) as usize).min(len - 1)],
        };
        let counted = (self.latencies.len() + self.unanswered) as f64;
        Outcome {
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            answered: self.latencies.len() as f64 / counted,
            busy: self.busy_ms / (self.now * (self.machines.len() * self.fleet.cores) as f64),
            hedged: self.hedges as f64 / self.requests as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(shards: usize, replicas: usize) -> Fleet {
        Fleet {
            shards,
            replicas,
            cores: 4,
            qps: 10.0,
            search_ms: (0..1000).map(|i| 1.0 + f64::from(i) / 1000.0).collect(),
            hop_ms: 0.5,
            straggler_share: 0.0,
            straggler_factor: 20.0,
            failure_every_s: 0.0,
            repair_s: 60.0,
            hedge_ms: 0.0,
            hedge_budget: 0.05,
        }
    }

    fn near(found: f64, expected: f64, part: f64) -> bool {
        (found / expected - 1.0).abs() < part
    }

    /// Without queues, the median of the slowest of S uniform times is at the quantile 2^(-1/S).
    #[test]
    fn a_query_waits_for_its_slowest_shard() {
        for shards in [1, 4, 32] {
            let found = fleet(shards, 1).simulate(20_000, 1);
            let expected = 1.5 + 0.5f64.powf(1.0 / shards as f64);
            assert!(near(found.p50_ms, expected, 0.01), "{shards}: {found:?}, expected {expected}");
            assert_eq!(found.answered, 1.0);
        }
    }

    /// One core, times of 1 ms, 0.5 queries per ms: M/D/1 has a mean wait of 0.5 ms, and cores are busy half of the
    /// time.
    #[test]
    fn busy_cores_have_queues() {
        let one = Fleet { cores: 1, qps: 500.0, search_ms: vec![1.0], hop_ms: 0.0, ..fleet(1, 1) };
        let found = one.simulate(200_000, 2);
        assert!(near(found.busy, 0.5, 0.02), "{found:?}");
        // P(no wait) = 1/2, so that the median is just above the time of a search.
        assert!((1.0..1.1).contains(&found.p50_ms) && found.p99_ms > 3.0, "{found:?}");
    }

    #[test]
    fn hedges_answer_for_stragglers_within_their_budget() {
        let slow = Fleet { straggler_share: 0.01, ..fleet(16, 2) };
        let without = slow.simulate(20_000, 3);
        let with = Fleet { hedge_ms: 3.0, ..slow.clone() }.simulate(20_000, 3);
        assert!(without.p99_ms > 20.0 && with.p99_ms < 6.0, "{without:?} {with:?}");
        assert!(with.hedged > 0.005 && with.hedged <= 0.05, "{with:?}");
        let stingy = Fleet { hedge_ms: 3.0, hedge_budget: 0.001, ..slow }.simulate(20_000, 3);
        assert!(stingy.hedged <= 0.0011 && stingy.p99_ms > with.p99_ms, "{stingy:?}");
    }

    /// A machine is there 9 of 10 times; 4 shards of one replica are all there 0.9^4 of the time, of two 0.99^4.
    #[test]
    fn replicas_answer_for_those_that_are_down() {
        let failing = |replicas| Fleet { failure_every_s: 90.0, repair_s: 10.0, ..fleet(4, replicas) };
        let (one, two) = (failing(1).simulate(100_000, 4), failing(2).simulate(100_000, 4));
        assert!(near(one.answered, 0.9f64.powi(4), 0.03), "{one:?}");
        assert!(near(two.answered, 0.99f64.powi(4), 0.01), "{two:?}");
    }

    #[test]
    fn a_seed_decides() {
        let noisy = Fleet { straggler_share: 0.01, failure_every_s: 100.0, hedge_ms: 3.0, ..fleet(3, 2) };
        assert_eq!(noisy.simulate(5000, 7), noisy.simulate(5000, 7));
        assert_ne!(noisy.simulate(5000, 7), noisy.simulate(5000, 8));
    }
}
