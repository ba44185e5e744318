//! One run of a simulation: its machines, its events, and what it counts.

use super::{Fleet, Outcome};
use crate::shards::HedgeBudget;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Share of the first queries that only fill the queues.
const WARM_UP: f64 = 0.1;
/// Times of single requests that are kept of each run, about.
const KEPT_REQUESTS: usize = 20_000;

/// A search in one shard for one query.
#[derive(Clone, Copy, Debug)]
struct Request {
    query: usize,
    shard: usize,
    /// Replicas that were asked, a bit each.
    tried: u128,
    /// Earliest answer that is on its way.
    answer: f64,
    /// Earliest failure that the router will see.
    failure: f64,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Arrival,
    Hedge(Request),
    Failure(Request),
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

#[derive(Debug)]
struct Machine {
    /// Times at which its cores are free.
    free: Vec<f64>,
    /// The next time at which it fails, or the last one if it is down, and the end of that failure.
    fails: f64,
    back: f64,
}

#[derive(Debug)]
struct Query {
    began: f64,
    /// Latest answer of a shard.
    last: f64,
    is_lost: bool,
}

/// Figures of one or several runs.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Latencies of the queries after the first ones, and how many of these had no answer.
    latencies: Vec<f64>,
    unanswered: usize,
    /// Some times of single requests.
    request_ms: Vec<f64>,
    requests: u64,
    hedges: u64,
    busy_ms: f64,
    span_ms: f64,
}

impl Counts {
    pub(super) fn sum(runs: Vec<Self>) -> Self {
        runs.into_iter().fold(Self::default(), |mut sum, run| {
            sum.latencies.extend(run.latencies);
            sum.request_ms.extend(run.request_ms);
            sum.unanswered += run.unanswered;
            sum.requests += run.requests;
            sum.hedges += run.hedges;
            sum.busy_ms += run.busy_ms;
            sum.span_ms += run.span_ms;
            sum
        })
    }

    pub(super) fn outcome(mut self, fleet: &Fleet) -> Outcome {
        let machines = fleet.shards * fleet.replicas;
        let counted = (self.latencies.len() + self.unanswered) as f64;
        Outcome {
            p50_ms: quantile(&mut self.latencies, 0.5),
            p99_ms: quantile(&mut self.latencies, 0.99),
            request_p98_ms: quantile(&mut self.request_ms, 0.98),
            answered: self.latencies.len() as f64 / counted,
            // Eight queries, one of each run, have no time between them.
            busy: if self.span_ms > 0.0 {
                self.busy_ms / (self.span_ms * (machines * fleet.cores) as f64)
            } else {
                0.0
            },
            hedged: self.hedges as f64 / self.requests as f64,
        }
    }
}

/// Quantile of values that get sorted; infinite if there are none.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    match values.len() {
        0 => f64::INFINITY,
        len => *values.select_nth_unstable_by(((part * len as f64) as usize).min(len - 1), f64::total_cmp).1,
    }
}

/// State of a run.
pub(super) struct Run<'a> {
    fleet: &'a Fleet,
    rng: ChaCha8Rng,
    now: f64,
    events: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    machines: Vec<Machine>,
    queries: Vec<Query>,
    /// Number of queries that arrive, and the first of them that counts.
    arriving: usize,
    counted_from: usize,
    budget: HedgeBudget,
    counts: Counts,
}

impl<'a> Run<'a> {
    pub(super) fn new(fleet: &'a Fleet, seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let machines = (0..fleet.shards * fleet.replicas).map(|_| Machine::new(fleet, &mut rng)).collect();
        Self {
            fleet,
            rng,
            now: 0.0,
            events: BinaryHeap::new(),
            planned: 0,
            machines,
            queries: Vec::new(),
            arriving: 0,
            counted_from: 0,
            budget: HedgeBudget::new(fleet.hedge_budget),
            counts: Counts::default(),
        }
    }

    /// Runs until all of `queries` have ended.
    pub(super) fn all(mut self, queries: usize) -> Counts {
        (self.arriving, self.counted_from) = (queries, (WARM_UP * queries as f64) as usize);
        self.plan(0.0, Event::Arrival);
        while let Some(Reverse(Planned { at, event, .. })) = self.events.pop() {
            self.now = at;
            match event {
                Event::Arrival => self.arrive(),
                Event::Hedge(request) => self.hedge(request),
                Event::Failure(request) => self.retry(request),
            }
        }
        let counted = &self.queries[self.counted_from..];
        self.counts
            .latencies
            .extend(counted.iter().filter(|query| !query.is_lost).map(|query| query.last - query.began));
        self.counts.unanswered = counted.iter().filter(|query| query.is_lost).count();
        self.counts
    }

    fn plan(&mut self, at: f64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse(Planned { at, number: self.planned, event }));
    }

    fn arrive(&mut self) {
        let (query, shards) = (self.queries.len(), self.fleet.shards);
        self.queries.push(Query { began: self.now, last: self.now, is_lost: false });
        for shard in 0..shards {
            self.counts.requests += 1;
            self.budget.note(shards);
            let mut request = Request { query, shard, tried: 0, answer: f64::INFINITY, failure: f64::INFINITY };
            // Replicas take turns.
            match self.replica(&request, query + shard) {
                None => self.lose(query),
                Some(replica) => {
                    self.send(&mut request, replica);
                    self.follow(request);
                }
            }
        }
        if self.queries.len() < self.arriving {
            let after = exponential(&mut self.rng, 1e3 / self.fleet.qps);
            self.plan(self.now + after, Event::Arrival);
        }
        // Hedges come after the last arrival, too, but cores are then no longer as busy as they were.
        self.counts.span_ms = self.now;
    }

    /// The first replica from `first` on that was not asked, and is not known to be down.
    fn replica(&mut self, request: &Request, first: usize) -> Option<usize> {
        let Fleet { replicas, detect_ms, .. } = *self.fleet;
        (0..replicas).map(|turn| (first + turn) % replicas).find(|replica| {
            let machine = &self.machines[request.shard * replicas + replica];
            let is_known = self.now >= machine.fails + detect_ms && self.now < machine.back;
            request.tried & (1 << replica) == 0 && !is_known
        })
    }

    /// Sends a request to a replica, whose answer or failure is known from then on.
    fn send(&mut self, request: &mut Request, replica: usize) {
        let fleet = self.fleet;
        request.tried |= 1 << replica;
        let mut time = fleet.search_ms[self.rng.random_range(0..fleet.search_ms.len())];
        if fleet.straggler_share > 0.0 && self.rng.random::<f64>() < fleet.straggler_share {
            time *= fleet.straggler_factor;
        }
        let machine = &mut self.machines[request.shard * fleet.replicas + replica];
        let arrives = self.now + fleet.hop_ms / 2.0;
        machine.forget_failures(arrives, fleet, &mut self.rng);
        let core = machine.free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("a machine has cores");
        let ends = core.max(arrives) + time;
        *core = ends;
        if ends < machine.fails {
            self.counts.busy_ms += time;
            request.answer = request.answer.min(ends + fleet.hop_ms / 2.0);
        } else {
            let seen = (machine.fails + fleet.detect_ms).max(self.now + fleet.hop_ms);
            request.failure = request.failure.min(seen);
        }
    }

    /// Plans the next step of a request, or notes its answer if it needs none.
    fn follow(&mut self, request: Request) {
        let (hedge, next) = (self.now + self.fleet.hedge_ms, request.answer.min(request.failure));
        let step = (self.arriving * self.fleet.shards / KEPT_REQUESTS).max(1) as u64;
        if self.counts.requests.is_multiple_of(step) && request.answer.is_finite() {
            self.counts.request_ms.push(request.answer - self.now);
        }
        match self.fleet.hedge_ms > 0.0 && hedge < next {
            true => self.plan(hedge, Event::Hedge(request)),
            false => self.settle(request),
        }
    }

    /// Notes the answer of a request that is not hedged any more, or plans its next attempt.
    fn settle(&mut self, request: Request) {
        match request.answer.is_finite() {
            true => {
                let query = &mut self.queries[request.query];
                query.last = query.last.max(request.answer);
            }
            false => self.plan(request.failure, Event::Failure(request)),
        }
    }

    fn hedge(&mut self, mut request: Request) {
        let first = request.tried.trailing_zeros() as usize + 1;
        let is_lost = self.queries[request.query].is_lost;
        if let Some(replica) = self.replica(&request, first).filter(|_| !is_lost && self.budget.take()) {
            self.counts.hedges += 1;
            self.send(&mut request, replica);
        }
        self.settle(request);
    }

    /// Sends a request that failed to another replica.
    fn retry(&mut self, mut request: Request) {
        let first = request.tried.trailing_zeros() as usize + 1;
        match self.replica(&request, first) {
            None => self.lose(request.query),
            Some(replica) => {
                request.failure = f64::INFINITY;
                self.send(&mut request, replica);
                self.settle(request);
            }
        }
    }

    fn lose(&mut self, query: usize) {
        self.queries[query].is_lost = true;
    }
}

impl Machine {
    /// A machine at any time of its life.
    fn new(fleet: &Fleet, rng: &mut ChaCha8Rng) -> Self {
        let mut machine = Self { free: vec![0.0; fleet.cores], fails: f64::INFINITY, back: f64::INFINITY };
        if fleet.failure_every_ms > 0.0 {
            machine.fails = match rng.random::<f64>() < fleet.down_share() {
                true => -fleet.repair_ms * rng.random::<f64>(),
                false => exponential(rng, fleet.failure_every_ms),
            };
            machine.back = machine.fails + fleet.repair_ms;
        }
        machine
    }

    /// Draws the next failure if the last one is over at `now`.
    fn forget_failures(&mut self, now: f64, fleet: &Fleet, rng: &mut ChaCha8Rng) {
        while self.back <= now {
            self.free.fill(self.back);
            self.fails = self.back + exponential(rng, fleet.failure_every_ms);
            self.back = self.fails + fleet.repair_ms;
        }
    }
}

/// Draws a time of which the mean is known, as of events that do not depend on each other.
fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}
