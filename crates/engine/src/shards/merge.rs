//! Answer of one shard, and the merge of the answers of all.
//!
//! These functions are all that decides on the ranking of a collection in shards, in one process and over a network.

use super::Identity;
use crate::rank::{self, Found, FoundHere};
use crate::{Error, Facet, HitQuery, Result, SearchOptions, Snapshot, facet};
use selvedge_lexical::Statistics;
use selvedge_search::{Hit, Ranking, StageTimes};
use std::borrow::Borrow;
use std::collections::BTreeSet;

/// Answer of one shard to a query: its best passages, with both scores where the ranking needs both.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardRanking {
    /// Generation of the shard that answered.
    pub generation: u32,
    /// Identity of the shard.
    pub identity: Identity,
    /// Passages found, in the order of pids.
    pub found: Vec<Found>,
    /// Number of passages whose residuals were read.
    pub num_scored: usize,
    /// Time of each stage in microseconds.
    pub stages_us: StageTimes,
}

/// Passage of a collection in shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardHit {
    /// Number of the shard, from 0.
    pub shard: usize,
    /// Passage and score in its shard.
    pub hit: Hit,
}

impl Snapshot {
    /// Returns the statistics of the words of a query, for a search by words in all shards of a collection.
    ///
    /// # Errors
    /// [`Error::NoWords`] if the index has no words, [`Error::Words`] if they are damaged.
    pub fn statistics(&self, text: &str) -> Result<Statistics> {
        self.open_words()?.statistics(text)
    }

    /// Finds the passages of this shard that may be among the best of the collection, by the options of the whole
    /// search. `statistics` are the sums over all shards, which a search by words needs.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`](crate::Engine::search_embeddings).
    pub fn shard_ranking(
        &self,
        query: HitQuery<'_>,
        options: &SearchOptions,
        statistics: Option<&Statistics>,
    ) -> Result<ShardRanking> {
        options.check()?;
        if options.rank_by.needs_words() && query.text.is_none() {
            return Err(Error::NoQueryTexts);
        }
        let text = query.text.unwrap_or_default();
        let FoundHere { found, num_scored, stages_us } =
            rank::found(self, query.embeddings, text, options, statistics)?;
        Ok(ShardRanking { generation: self.generation(), identity: self.identity(), found, num_scored, stages_us })
    }
}

impl ShardRanking {
    /// Answer of a shard to a search by MaxSim alone, whose ranking is known, such as from a [`Queue`](crate::Queue).
    pub fn of_maxsim(snapshot: &Snapshot, ranking: Ranking) -> Self {
        let FoundHere { found, num_scored, stages_us } = FoundHere::of_maxsim(ranking);
        Self { generation: snapshot.generation(), identity: snapshot.identity(), found, num_scored, stages_us }
    }
}

/// Merges the answers of shards to the ranking of the collection, best first. Each comes with the number of its shard;
/// equal scores are in the order of shards, then of pids.
///
/// # Errors
/// [`ShardsError::Differ`](super::ShardsError::Differ) if two shards have another codec, model or language of words.
pub fn merge<R: Borrow<ShardRanking>>(rankings: &[(usize, R)], options: &SearchOptions) -> Result<Vec<ShardHit>> {
    let rankings: Vec<(usize, &ShardRanking)> =
        rankings.iter().map(|(shard, ranking)| (*shard, ranking.borrow())).collect();
    if let Some(((_, first), rest)) = rankings.split_first() {
        rest.iter().try_for_each(|(shard, ranking)| first.identity.check_equal(*shard, &ranking.identity))?;
    }
    let all = rankings.iter().flat_map(|(shard, ranking)| ranking.found.iter().map(|found| (*shard, found.pid)));
    // Numbers in the order of the collection take the places of pids: so ties go to the earlier passage everywhere.
    let places: Vec<(usize, u32)> = all.collect::<BTreeSet<_>>().into_iter().collect();
    let number = |shard: usize, pid: u32| places.partition_point(|&place| place < (shard, pid)) as u32;
    let numbered = |shard: usize, found: &Found| Found { pid: number(shard, found.pid), ..*found };
    let found = rankings.iter().flat_map(|(shard, ranking)| ranking.found.iter().map(|found| numbered(*shard, found)));
    let hit = |hit: Hit| {
        let (shard, pid) = places[hit.pid as usize];
        ShardHit { shard, hit: Hit { pid, ..hit } }
    };
    Ok(rank::merged(found.collect(), options).into_iter().map(hit).collect())
}

/// Sums the counts of the facets of several shards; each has the same keys in the same order.
pub fn sum_facets(facets: impl IntoIterator<Item = Vec<Facet>>) -> Vec<Facet> {
    let mut sums: Vec<Facet> = Vec::new();
    for of_shard in facets {
        for (at, facet) in of_shard.into_iter().enumerate() {
            match sums.get_mut(at) {
                Some(sum) => sum.counts.extend(facet.counts),
                None => sums.push(facet),
            }
        }
    }
    sums.iter_mut().for_each(|facet| facet::sum(&mut facet.counts));
    sums
}
