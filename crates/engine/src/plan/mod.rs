//! Plans of fleets: shards, replicas and machines for a collection, a latency and a number of queries, from figures
//! that were measured.
//!
//! ```text
//! figures.rs   measured sizes and times of indexes  <-- measure/, on Linux, in processes of their own
//! fit.rs       laws through them
//! predict.rs   bytes and times of an index of any size; each size from the others, as a check
//! fleet.rs     the smallest fleet that keeps latency, throughput, memory and availability, found by gallop.rs
//! simulate/    the latency of a fleet, query by query
//! curve.rs     latency and availability from 1 to 1,000 shards, and their plot (draw.rs)
//! ```
//!
//! In: a [`Request`] and [`Figures`]. Out: a [`Plan`], with its assumptions in words. Measuring makes pools of one
//! thread of its own; everything else runs on the current rayon pool.

mod assumptions;
mod curve;
mod draw;
mod figures;
mod fit;
mod fleet;
mod gallop;
pub mod measure;
mod predict;
mod simulate;
#[cfg(test)]
mod tests;

pub use curve::{Curve, CurvePoint};
pub use figures::{Built, Figures, Searched, SizeFigures};
pub use predict::{Check, IndexSize, Laws, Predicted, leave_one_out};
pub use simulate::{Fleet, MOST_REPLICAS, Outcome};

use crate::{Error, Result};

/// Part of a machine's memory that an index may take; the rest is for queries and the system.
pub const MEMORY_SHARE: f64 = 0.8;
/// Part of the time that cores may be busy: above it, queues become long.
pub const MOST_BUSY: f64 = 0.6;
/// Largest number of shards of a plan.
pub const MOST_SHARDS: usize = 20_000;
/// Least delay of a hedge, the default of `selvedge router --hedge-ms`.
pub const HEDGE_FLOOR_MS: f64 = 5.0;
/// Time until the router knows that a machine is gone: it asks a silent connection after 5 s whether it is there, and
/// waits 5 s.
pub const DETECT_MS: f64 = 10e3;

/// Wishes for a fleet.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Request {
    /// Number of passages.
    pub passages: u64,
    /// Mean number of tokens of a passage.
    pub tokens: usize,
    /// Bits per residual component.
    pub nbits: u8,
    /// Bytes on disk of the text, id and metadata of a passage.
    pub text_bytes: u64,
    /// Time within which 99 of 100 queries are answered.
    pub latency_ms: f64,
    /// Queries per second.
    pub qps: f64,
    /// Share of the time in which every shard has a replica that runs.
    pub availability: f64,
    /// Replicas of each shard; `None` for as many as are needed.
    pub replicas: Option<usize>,
    /// Cores of a machine; `None` for the measured number.
    pub cores: Option<usize>,
    /// Bytes of memory of a machine; `None` for the measured number.
    pub memory_bytes: Option<u64>,
    /// Time on the network between router and shard, there and back.
    pub hop_ms: f64,
    /// Mean time from one failure of a machine to the next; 0 for none.
    pub failure_every_ms: f64,
    /// Time until a machine that failed answers again.
    pub repair_ms: f64,
    /// Share of searches that take [`straggler_factor`](Self::straggler_factor) times as long.
    pub straggler_share: f64,
    /// See [`straggler_share`](Self::straggler_share).
    pub straggler_factor: f64,
    /// Seed of the simulation.
    pub seed: u64,
}

/// 1 M passages of 60 tokens, 2 bits, 100 queries per second in 100 ms, 0.999 of the time, on machines that fail every
/// 30 days for 10 minutes, half a millisecond away; one search of a thousand takes ten times as long.
impl Default for Request {
    fn default() -> Self {
        Self {
            passages: 1_000_000,
            tokens: 60,
            nbits: 2,
            text_bytes: 0,
            latency_ms: 100.0,
            qps: 100.0,
            availability: 0.999,
            replicas: None,
            cores: None,
            memory_bytes: None,
            hop_ms: 0.5,
            failure_every_ms: 30.0 * 86_400e3,
            repair_ms: 600e3,
            straggler_share: 0.001,
            straggler_factor: 10.0,
            seed: 42,
        }
    }
}

/// A fleet for a request.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Plan {
    /// The request.
    pub request: Request,
    /// Number of shards.
    pub shards: usize,
    /// Replicas of each, a machine each.
    pub replicas: usize,
    /// Number of machines.
    pub machines: usize,
    /// Cores of a machine.
    pub cores: usize,
    /// One shard.
    pub shard: ShardPlan,
    /// All machines together.
    pub total: Totals,
    /// The build.
    pub build: BuildPlan,
    /// Units of cost.
    pub cost: Cost,
    /// Latency: of the fan-out as simulated, and of what comes before and after.
    pub latency: Latency,
    /// Assumptions, a sentence each.
    pub assumptions: Vec<String>,
    /// Fleet that was simulated, hedges included if there are replicas.
    #[serde(skip)]
    pub fleet: Fleet,
}

/// One shard of a plan.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct ShardPlan {
    /// Passages.
    pub passages: u64,
    /// Embeddings.
    pub vectors: u64,
    /// Centroids of the codec, which all shards share.
    pub centroids: u64,
    /// Bytes on disk, texts included.
    pub disk_bytes: u64,
    /// Resident memory of its server, all pages of the index included.
    pub memory_bytes: u64,
    /// Median time of a search on one core.
    pub search_ms: f64,
}

/// Sums over the machines of a plan.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Totals {
    /// Bytes of one copy of the collection.
    pub copy_bytes: u64,
    /// Bytes on disk of all machines.
    pub disk_bytes: u64,
    /// Resident memory of all servers.
    pub memory_bytes: u64,
    /// Bytes per second from the routers to the shards, and back.
    pub sent_bytes_per_s: u64,
    /// See [`sent_bytes_per_s`](Self::sent_bytes_per_s).
    pub received_bytes_per_s: u64,
    /// Cores that encode queries, on the machines of the first shard.
    pub encoding_cores: f64,
}

/// The build of a plan.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct BuildPlan {
    /// Core-hours that encode the passages with the shipped model.
    pub encode_core_hours: f64,
    /// Core-hours that train the codec, once, and compress.
    pub index_core_hours: f64,
    /// Hours if all machines build.
    pub wall_hours: f64,
}

/// Units of cost without a currency: what a fleet holds in an hour, divided by the queries of that hour.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Cost {
    /// Core-hours of a million queries.
    pub core_hours: f64,
    /// Hours of a GiB of memory, of a million queries; machines have [`MEMORY_SHARE`] of it filled at most.
    pub memory_gib_hours: f64,
    /// Hours of a GiB on disk, of a million queries.
    pub disk_gib_hours: f64,
}

/// Latency of a plan.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Latency {
    /// Encoding of the query and the ways to and from the machines of the hits, which the simulation leaves out.
    pub fixed_ms: f64,
    /// Median and 99th percentile of a query, hedged if there are replicas.
    pub p50_ms: f64,
    /// See [`p50_ms`](Self::p50_ms).
    pub p99_ms: f64,
    /// Share of the time in which every shard has a replica that runs.
    pub availability: f64,
    /// Time after which a request is hedged.
    pub hedge_ms: f64,
    /// The fan-out without hedges.
    pub unhedged: Outcome,
    /// The fan-out with hedges; `None` if no shard has a second replica.
    pub hedged: Option<Outcome>,
}

impl Request {
    /// Checks the values that have a range of their own.
    fn check(&self) -> Result<()> {
        let positive = [("passages", self.passages as f64), ("tokens", self.tokens as f64), ("qps", self.qps)];
        let positive = positive.into_iter().chain([("latency", self.latency_ms)]);
        let replicas = [("cores", self.cores), ("replicas", self.replicas)];
        let positive = positive.chain(replicas.map(|(name, count)| (name, count.map_or(1.0, |count| count as f64))));
        for (name, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::option(name, value, "expected a number above 0"));
            }
        }
        for (name, ms) in [("hop", self.hop_ms), ("failure_every", self.failure_every_ms), ("repair", self.repair_ms)] {
            if !(ms >= 0.0 && ms.is_finite()) {
                return Err(Error::option(name, ms, "expected a time of at least 0"));
            }
        }
        if !matches!(self.nbits, 0 | 1 | 2 | 4 | 8) {
            return Err(Error::option("nbits", self.nbits, "expected 0, 1, 2, 4 or 8"));
        }
        if !(0.0..1.0).contains(&self.availability) {
            return Err(Error::option("availability", self.availability, "expected at least 0 and below 1"));
        }
        if !(0.0..1.0).contains(&self.straggler_share) {
            return Err(Error::option("straggler_share", self.straggler_share, "expected at least 0 and below 1"));
        }
        if !(self.straggler_factor >= 1.0 && self.straggler_factor.is_finite()) {
            return Err(Error::option("straggler_factor", self.straggler_factor, "expected at least 1"));
        }
        match self.replicas {
            Some(count) if count > MOST_REPLICAS => Err(Error::option("replicas", count, "expected at most 128")),
            _ => Ok(()),
        }
    }
}

/// Pool of one thread: a search of a busy server has one core.
fn one_thread() -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.map_err(|error| Error::Io { path: "a thread".into(), source: std::io::Error::other(error) })
}
