//! Choice of a fleet: the fewest machines that keep memory, throughput, availability and, as simulated, the latency.

use super::gallop::first_good;
use super::predict::{IndexSize, Laws, Predicted};
use super::simulate::{Fleet, MOST_REPLICAS, Outcome};
use super::{
    BuildPlan, Cost, DETECT_MS, Figures, HEDGE_FLOOR_MS, Latency, MEMORY_SHARE, MOST_BUSY, MOST_SHARDS, Plan, Request,
    ShardPlan, SizeFigures, Totals,
};
use crate::progress::{Progress, Stage};
use crate::shards::HEDGED_PART;
use crate::{Error, Result};

/// Factor between the numbers of shards that are tried.
const STEP: f64 = 1.1;
/// Requests of a simulation, about, and bounds of its queries: a hundred above the 99th percentile at most.
const REQUESTS: usize = 2_000_000;
const QUERIES: (usize, usize) = (1000, 20_000);
/// Bytes of a request and of an answer besides embeddings and hits: HTTP/2 and JSON, rounded up.
const FRAME_BYTES: f64 = 400.0;
/// Bytes of a passage in the answer of a shard, before base64.
const FOUND_BYTES: f64 = 17.0;
const BASE64: f64 = 4.0 / 3.0;
const GIB: f64 = (1u64 << 30) as f64;
const MS_PER_HOUR: f64 = 3600e3;

/// A number of shards and of replicas that keeps everything but, maybe, the latency.
struct Candidate {
    size: IndexSize,
    predicted: Predicted,
    fleet: Fleet,
}

/// Everything that candidates are judged by.
struct Planner<'a> {
    request: &'a Request,
    figures: &'a Figures,
    laws: Laws,
    cores: usize,
    memory_bytes: f64,
    fixed_ms: f64,
}

impl Plan {
    /// Finds the fleet with the fewest machines, of up to [`MOST_SHARDS`] shards: to 2 %, if more machines are never
    /// slower. Reports each fleet that it has simulated.
    ///
    /// # Errors
    /// [`Error::BadOption`] if an option of the request is out of its range, or if no fleet keeps it;
    /// [`Error::Cancelled`] if the listener asks to stop.
    pub fn new(request: &Request, figures: &Figures, progress: &dyn Progress) -> Result<Self> {
        request.check()?;
        let planner = Planner {
            request,
            figures,
            laws: Laws::of(figures),
            cores: request.cores.unwrap_or(figures.cores),
            memory_bytes: request.memory_bytes.unwrap_or(figures.memory_bytes) as f64,
            // To a shard that encodes, and to the shards of the hits.
            fixed_ms: figures.encode_query_ms + 2.0 * request.hop_ms,
        };
        let candidates = planner.candidates()?;
        let mut stage = Stage::new(progress, "planning", "fleets", None);
        let (found, fleet, latency) = planner.search(&candidates, &mut stage)?;
        stage.finish();
        Ok(planner.plan(found, fleet, latency))
    }
}

impl Candidate {
    fn machines(&self) -> usize {
        self.fleet.shards * self.fleet.replicas
    }
}

impl Planner<'_> {
    /// The first candidate that keeps the latency, its fleet with hedges, and its latency.
    fn search<'a>(
        &self,
        candidates: &'a [Candidate],
        stage: &mut Stage<'_>,
    ) -> Result<(&'a Candidate, Fleet, Latency)> {
        let machines: Vec<usize> = candidates.iter().map(Candidate::machines).collect();
        let mut fastest = f64::INFINITY;
        let found = first_good(&machines, |at| {
            let (fleet, latency) = self.simulate(candidates[at].fleet.clone());
            fastest = fastest.min(latency.p99_ms);
            stage.add(1).map(|()| (latency.p99_ms <= self.request.latency_ms).then_some((fleet, latency)))
        })?;
        let Some((at, (fleet, latency))) = found else {
            let found = format!("{} ms, and the fastest fleet tried takes {fastest:.1} ms", self.request.latency_ms);
            return Err(Error::option("latency", found, "allow more time, or give machines more cores"));
        };
        Ok((&candidates[at], fleet, latency))
    }

    /// Candidates, the fewest machines first.
    fn candidates(&self) -> Result<Vec<Candidate>> {
        let most_shards = MOST_SHARDS.min(self.request.passages as usize);
        let mut candidates: Vec<Candidate> = Vec::new();
        let (mut shards, mut has_memory, mut least_ms) = (1, false, f64::INFINITY);
        while shards <= most_shards {
            let size =
                IndexSize::new((self.request.passages as f64 / shards as f64).ceil(), self.request.tokens as f64);
            let predicted = self.laws.at(&size, self.request.nbits);
            if predicted.memory_bytes <= MEMORY_SHARE * self.memory_bytes {
                has_memory = true;
                for replicas in self.replicas(shards, &size, &predicted) {
                    let fleet = self.fleet(shards, replicas, &size, &predicted);
                    least_ms = least_ms.min(self.least_ms(&fleet));
                    candidates.push(Candidate { size, predicted, fleet });
                }
            }
            shards = (shards + 1).max((shards as f64 * STEP) as usize);
        }
        if !has_memory {
            let found = format!("{:.1} GiB", self.memory_bytes / GIB);
            return Err(Error::option("memory", found, "20,000 such machines cannot hold the collection"));
        }
        if candidates.is_empty() {
            let reason = "no fleet of at most 128 replicas, or of as many as are given, answers that many queries as \
                          often as it should; give machines more cores, or shards more replicas";
            return Err(Error::option("qps", self.request.qps, reason));
        }
        candidates.retain(|one| self.least_ms(&one.fleet) <= self.request.latency_ms);
        if candidates.is_empty() {
            let found = format!("{} ms, and the fastest fleet needs {least_ms:.1} ms", self.request.latency_ms);
            return Err(Error::option("latency", found, "allow more time"));
        }
        candidates.sort_by_key(|one| (one.machines(), one.fleet.shards));
        Ok(candidates)
    }

    /// 99th percentile of a query without stragglers, queues and failures: the slowest of the shards' searches.
    fn least_ms(&self, fleet: &Fleet) -> f64 {
        let quantile = 0.99f64.powf(1.0 / fleet.shards as f64);
        let at = ((quantile * fleet.search_ms.len() as f64) as usize).min(fleet.search_ms.len() - 1);
        self.fixed_ms + fleet.hop_ms + fleet.search_ms[at]
    }

    /// Numbers of replicas to try: the least that keep throughput and availability, and one more.
    fn replicas(&self, shards: usize, size: &IndexSize, predicted: &Predicted) -> Vec<usize> {
        let keeps = |replicas: usize| {
            let fleet = self.fleet(shards, replicas, size, predicted);
            let mean = fleet.search_ms.iter().sum::<f64>() / fleet.search_ms.len() as f64;
            let mean = mean * (1.0 + fleet.straggler_share * (fleet.straggler_factor - 1.0));
            let busy = self.request.qps * mean / 1e3 / (replicas * self.cores) as f64;
            busy <= MOST_BUSY && fleet.availability() >= self.request.availability
        };
        match self.request.replicas {
            Some(given) => Some(given).filter(|&given| keeps(given)).into_iter().collect(),
            None => {
                let least = (1..=MOST_REPLICAS).find(|&replicas| keeps(replicas));
                least.into_iter().flat_map(|least| least..=(least + 1).min(MOST_REPLICAS)).collect()
            }
        }
    }

    /// A fleet without hedges. Times are spread as in the nearest measured size.
    fn fleet(&self, shards: usize, replicas: usize, size: &IndexSize, predicted: &Predicted) -> Fleet {
        let distance = |one: &SizeFigures| (one.vectors as f64 / size.vectors).ln().abs();
        let sizes = self.figures.sizes.iter();
        let nearest = sizes.min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("figures have sizes");
        let (spread, scale) = (&nearest.searched, predicted.search_ms / nearest.searched.search_ms);
        Fleet {
            shards,
            replicas,
            cores: self.cores,
            qps: self.request.qps,
            search_ms: spread.search_quantiles_ms.iter().map(|ms| ms * scale).collect(),
            hop_ms: self.request.hop_ms,
            straggler_share: self.request.straggler_share,
            straggler_factor: self.request.straggler_factor,
            failure_every_ms: self.request.failure_every_ms,
            repair_ms: self.request.repair_ms,
            detect_ms: DETECT_MS.min(self.request.repair_ms),
            hedge_ms: 0.0,
            hedge_budget: HEDGED_PART,
        }
    }

    /// Simulates a fleet without hedges, and with them if it has replicas; returns the fleet that hedges.
    fn simulate(&self, fleet: Fleet) -> (Fleet, Latency) {
        let queries = (REQUESTS / fleet.shards).clamp(QUERIES.0, QUERIES.1);
        let unhedged = fleet.simulate(queries, self.request.seed);
        let hedge_ms = unhedged.request_p98_ms.max(HEDGE_FLOOR_MS);
        let fleet = Fleet { hedge_ms: if fleet.replicas > 1 { hedge_ms } else { 0.0 }, ..fleet };
        let hedged = (fleet.replicas > 1).then(|| fleet.simulate(queries, self.request.seed));
        let answered = hedged.as_ref().unwrap_or(&unhedged);
        let latency = Latency {
            fixed_ms: self.fixed_ms,
            p50_ms: self.fixed_ms + answered.p50_ms,
            p99_ms: self.fixed_ms + answered.p99_ms,
            availability: fleet.availability(),
            hedge_ms: fleet.hedge_ms,
            unhedged,
            hedged,
        };
        (fleet, latency)
    }

    fn plan(&self, candidate: &Candidate, fleet: Fleet, latency: Latency) -> Plan {
        let (request, predicted) = (self.request, &candidate.predicted);
        let (shards, machines) = (fleet.shards as f64, (fleet.shards * fleet.replicas) as f64);
        let disk_bytes = predicted.disk_bytes + candidate.size.passages * request.text_bytes as f64;
        let tokens = request.passages as f64 * request.tokens as f64;
        let encode_core_hours = tokens / self.figures.encode_tokens_per_s / 3600.0;
        // The codec is trained once.
        let trained = self.laws.train_cpu_s(&candidate.size);
        let index_core_hours = (shards * (predicted.build_cpu_s - trained) + trained) / 3600.0;
        let asked = latency.hedged.as_ref().map_or(1.0, |hedged: &Outcome| 1.0 + hedged.hedged) * request.qps * shards;
        let query_bytes = (self.figures.query_tokens * self.figures.dim * 4) as f64 * BASE64 + FRAME_BYTES;
        let answer_bytes = self.figures.k as f64 * FOUND_BYTES * BASE64 + FRAME_BYTES;
        // Of an hour, for a million of its queries.
        let per_million = 1e6 / (request.qps * 3600.0);
        Plan {
            request: request.clone(),
            shards: fleet.shards,
            replicas: fleet.replicas,
            machines: fleet.shards * fleet.replicas,
            cores: self.cores,
            shard: ShardPlan {
                passages: candidate.size.passages as u64,
                vectors: candidate.size.vectors as u64,
                centroids: candidate.size.centroids as u64,
                disk_bytes: disk_bytes as u64,
                memory_bytes: predicted.memory_bytes as u64,
                search_ms: predicted.search_ms,
            },
            total: Totals {
                copy_bytes: (shards * disk_bytes) as u64,
                disk_bytes: (machines * disk_bytes) as u64,
                memory_bytes: (machines * predicted.memory_bytes) as u64,
                sent_bytes_per_s: (asked * query_bytes) as u64,
                received_bytes_per_s: (asked * answer_bytes) as u64,
                encoding_cores: request.qps * self.figures.encode_query_ms / 1e3,
            },
            build: BuildPlan {
                encode_core_hours,
                index_core_hours,
                wall_hours: (encode_core_hours + index_core_hours) / (machines * self.cores as f64),
            },
            cost: Cost {
                core_hours: machines * self.cores as f64 * per_million,
                memory_gib_hours: machines * self.memory_bytes / GIB * per_million,
                disk_gib_hours: machines * disk_bytes / GIB * per_million,
            },
            assumptions: super::assumptions::of(request, self.figures, &candidate.size),
            latency,
            fleet,
        }
    }
}

/// Milliseconds as hours.
pub(super) fn hours(ms: f64) -> f64 {
    ms / MS_PER_HOUR
}
