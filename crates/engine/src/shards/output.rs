//! Output of a collection in shards: each shard reads ids and texts of its own hits.

use super::{ShardHit, ShardRanking, sum_facets};
use crate::{Engine, Facet, Hit, HitQuery, Result, SearchOptions, Snapshot, facet};
use rayon::prelude::*;
use selvedge_search::StageTimes;
use std::sync::Arc;
use std::time::Instant;

/// Output of one shard: its part of the hits and of the counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardOutput {
    /// Hits of this shard, in the order in which they were given.
    pub hits: Vec<Hit>,
    /// Values of the facets among the passages of this shard.
    pub facets: Vec<Facet>,
}

/// Hit of a collection in shards.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardsHit {
    /// Number of the shard, from 0.
    pub shard: usize,
    /// Passage, with its pid in its shard.
    pub hit: Hit,
}

/// Result of one query in all shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardsOutput {
    /// At most `k` passages, best first; ties in the order of the collection.
    pub hits: Vec<ShardsHit>,
    /// Generation of each shard that answered.
    pub generations: Vec<u32>,
    /// Number of passages whose residuals were read, in all shards.
    pub num_scored: usize,
    /// Sum of the times of each stage over the shards, in microseconds.
    pub stages_us: StageTimes,
    /// Time in microseconds in which the ranking became hits.
    pub output_us: f64,
    /// Values of [`SearchOptions::facets`] among the best passages, in the order of the options.
    pub facets: Vec<Facet>,
}

impl Engine {
    /// Converts passages of a generation, given by pids and scores, to hits with all that `options` request, and counts
    /// the values of the facets among the passages `counted`.
    ///
    /// # Errors
    /// As [`Engine::output`].
    pub fn shard_output(
        &self,
        snapshot: &Snapshot,
        query: HitQuery<'_>,
        hits: &[(u32, f32)],
        counted: &[u32],
        options: &SearchOptions,
    ) -> Result<ShardOutput> {
        let facets = facet::count(snapshot, &options.facets, counted)?;
        let hit = |&(pid, score)| self.hit(snapshot, query, &selvedge_search::Hit { pid, score, raw: 0 }, options);
        let hits = hits.iter().map(hit).collect::<Result<_>>()?;
        Ok(ShardOutput { hits, facets })
    }
}

/// Outputs of all shards, put together in the order of the ranking.
pub(super) fn of_shards(
    engines: &[Arc<Engine>],
    snapshots: &[Arc<Snapshot>],
    query: HitQuery<'_>,
    rankings: &[(usize, ShardRanking)],
    ranked: &[ShardHit],
    options: &SearchOptions,
) -> Result<ShardsOutput> {
    let started = Instant::now();
    let best = &ranked[..ranked.len().min(options.k)];
    let output = |shard: usize| {
        let own = |hits: &[ShardHit]| -> Vec<(u32, f32)> {
            hits.iter().filter(|hit| hit.shard == shard).map(|hit| (hit.hit.pid, hit.hit.score)).collect()
        };
        let counted: Vec<u32> = own(ranked).iter().map(|&(pid, _)| pid).collect();
        engines[shard].shard_output(&snapshots[shard], query, &own(best), &counted, options)
    };
    let outputs = (0..engines.len()).into_par_iter().map(output).collect::<Result<Vec<_>>>()?;
    let (hits, facets): (Vec<_>, Vec<_>) =
        outputs.into_iter().map(|output| (output.hits.into_iter(), output.facets)).unzip();
    let mut hits: Vec<_> = hits;
    let next = |ranked: &ShardHit| Some(ShardsHit { shard: ranked.shard, hit: hits[ranked.shard].next()? });
    Ok(ShardsOutput {
        hits: best.iter().filter_map(next).collect(),
        generations: snapshots.iter().map(|snapshot| snapshot.generation()).collect(),
        num_scored: rankings.iter().map(|(_, ranking)| ranking.num_scored).sum(),
        stages_us: rankings.iter().fold(StageTimes::default(), |sum, (_, ranking)| sum.plus(ranking.stages_us)),
        output_us: started.elapsed().as_secs_f64() * 1e6,
        facets: sum_facets(facets),
    })
}
