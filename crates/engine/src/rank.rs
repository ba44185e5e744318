//! Ranking of passages by embeddings, by words, and by both.
//!
//! | [`RankBy`] | passages found | order |
//! |---|---|---|
//! | `MaxSim` | as `selvedge-search` finds them | MaxSim |
//! | `Lexical` | those with a word of the query | BM25 |
//! | `Hybrid` | the best 100 (or `k`) of each | both scores of each passage, fused |
//! | `LexicalFirst` | the best n by BM25 | MaxSim |
//!
//! A search by words has two steps, so that a collection in shards is ranked as one index is. Each index finds
//! passages, with both of their scores ([`found`]); then [`merged`] takes the best of each ranking and fuses them. One
//! index is the case of one shard.
//!
//! A hybrid search knows both scores of every passage that either side found: MaxSim of the passages that only BM25
//! found is computed, and BM25 of the others.
//!
//! Frequencies of words and lengths count all passages of the index, deleted ones too until their segment is merged: a
//! merge may change BM25, as it does in other engines. MaxSim never changes.

use crate::snapshot::Snapshot;
use crate::{Error, Result, SearchOptions};
use selvedge_lexical::Statistics;
use selvedge_search::fusion::{Scored, reciprocal_ranks, weighted};
use selvedge_search::{Hit, PassageSet, Ranking, SearchParams, StageTimes};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

/// Number of passages of each ranking that a hybrid search fuses, at least.
const FUSED: usize = 100;

/// Score that passages are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RankBy {
    /// MaxSim of the embeddings.
    #[default]
    MaxSim,
    /// BM25 of the words.
    Lexical,
    /// Both, fused.
    Hybrid(Fusion),
    /// MaxSim of the best passages by BM25, which are at most this number.
    LexicalFirst(usize),
}

/// Fusion of the two scores of a hybrid search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fusion {
    /// Sum of the reciprocal ranks.
    #[default]
    ReciprocalRank,
    /// Weighted sum of the normalized scores; MaxSim has this weight, from 0 to 1, and BM25 the rest.
    Weighted(f32),
}

impl Fusion {
    /// Checks that a weight is from 0 to 1.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Weighted(alpha) if !(0.0..=1.0).contains(&alpha) => {
                Err(Error::option("alpha", alpha, "expected 0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

impl RankBy {
    /// Whether the embeddings of a query are needed.
    pub fn needs_embeddings(self) -> bool {
        self != Self::Lexical
    }

    /// Whether the text of a query is needed.
    pub fn needs_words(self) -> bool {
        self != Self::MaxSim
    }
}

/// A passage that one index has found, with both of its scores, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Number of the passage.
    pub pid: u32,
    /// MaxSim as the integer that passages are ranked by, and as a score.
    pub maxsim: Option<(i32, f32)>,
    /// BM25; `None` for a passage without a word of the query.
    pub words: Option<f32>,
    /// Whether the search by MaxSim has found it.
    pub is_by_maxsim: bool,
    /// Whether the search for words has found it.
    pub is_by_words: bool,
}

/// Passages that one index has found for a query, in the order of pids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FoundHere {
    pub(crate) found: Vec<Found>,
    pub(crate) num_scored: usize,
    pub(crate) stages_us: StageTimes,
}

impl FoundHere {
    /// Passages that a search by MaxSim has found.
    pub(crate) fn of_maxsim(ranking: Ranking) -> Self {
        let mut table = Table::default();
        table.by_maxsim(ranking, true);
        table.found_here()
    }
}

/// Ranks passages for one query `(Q, D) f32`, which has this text, by the score of the options.
pub(crate) fn ranking(
    snapshot: &Snapshot,
    query: &[f32],
    text: &str,
    set: Option<&PassageSet>,
    options: &SearchOptions,
) -> Result<Ranking> {
    let ranker = Ranker { snapshot, query, text, set, statistics: None };
    if options.rank_by == RankBy::MaxSim {
        return ranker.by_maxsim(options.depth(), options);
    }
    let FoundHere { found, num_scored, stages_us } = ranker.found(options)?;
    Ok(Ranking { hits: merged(found, options), num_scored, stages_us })
}

/// Finds passages of one shard for a query, by statistics of the words of all shards.
pub(crate) fn found(
    snapshot: &Snapshot,
    query: &[f32],
    text: &str,
    options: &SearchOptions,
    statistics: Option<&Statistics>,
) -> Result<FoundHere> {
    let set = snapshot.passages(options)?;
    Ranker { snapshot, query, text, set: set.as_deref(), statistics }.found(options)
}

/// Ranks the passages that all shards have found; `pid`s number them in the order of the shards.
///
/// Each ranking is cut as in one index: passages that are among the best of their shard alone are left out.
pub(crate) fn merged(found: Vec<Found>, options: &SearchOptions) -> Vec<Hit> {
    let k = options.depth();
    let mut hits = match options.rank_by {
        RankBy::MaxSim => best_by_maxsim(&found, k).iter().filter_map(maxsim_hit).collect(),
        RankBy::Lexical => best_by_words(&found, k).iter().filter_map(words_hit).collect(),
        RankBy::LexicalFirst(first) => {
            let mut hits: Vec<Hit> = best_by_words(&found, first).iter().filter_map(maxsim_hit).collect();
            hits.sort_by_key(|hit| (Reverse(hit.raw), hit.pid));
            hits
        }
        RankBy::Hybrid(fusion) => fused(&found, fusion, k),
    };
    hits.truncate(k);
    hits
}

/// Fuses the best passages of each ranking by both scores of each.
fn fused(found: &[Found], fusion: Fusion, k: usize) -> Vec<Hit> {
    let depth = k.max(FUSED);
    let both = [best_by_maxsim(found, depth), best_by_words(found, depth)].concat();
    let known: BTreeMap<u32, Found> = both.into_iter().map(|found| (found.pid, found)).collect();
    let ranked = |score: fn(&Found) -> Option<f32>| {
        let mut ranking: Vec<Scored> = known.values().filter_map(|found| Some((found.pid, score(found)?))).collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranking
    };
    let by_maxsim = ranked(|found| found.maxsim.map(|(_, score)| score));
    let by_words = ranked(|found| found.words);
    let fused = match fusion {
        Fusion::ReciprocalRank => reciprocal_ranks([&by_maxsim, &by_words]),
        Fusion::Weighted(alpha) => weighted(&by_maxsim, &by_words, alpha),
    };
    fused.into_iter().map(|(pid, score)| Hit { pid, score, raw: 0 }).collect()
}

/// The best passages that the search by MaxSim has found, best first.
fn best_by_maxsim(found: &[Found], count: usize) -> Vec<Found> {
    let mut best: Vec<Found> = found.iter().filter(|found| found.is_by_maxsim).copied().collect();
    best.sort_by_key(|found| (Reverse(found.maxsim.map(|(raw, _)| raw)), found.pid));
    best.truncate(count);
    best
}

/// The best passages that the search for words has found, best first.
fn best_by_words(found: &[Found], count: usize) -> Vec<Found> {
    let mut best: Vec<Found> = found.iter().filter(|found| found.is_by_words).copied().collect();
    let score = |found: &Found| found.words.unwrap_or(f32::NEG_INFINITY);
    best.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.pid.cmp(&b.pid)));
    best.truncate(count);
    best
}

fn maxsim_hit(found: &Found) -> Option<Hit> {
    found.maxsim.map(|(raw, score)| Hit { pid: found.pid, score, raw })
}

/// A hit by words; their scores are not integers.
fn words_hit(found: &Found) -> Option<Hit> {
    found.words.map(|score| Hit { pid: found.pid, score, raw: 0 })
}

/// One query and the passages that it may find.
struct Ranker<'a> {
    snapshot: &'a Snapshot,
    query: &'a [f32],
    text: &'a str,
    set: Option<&'a PassageSet>,
    /// Statistics of the words of all shards; `None`: of this index.
    statistics: Option<&'a Statistics>,
}

impl Ranker<'_> {
    /// Passages of the rankings that the options need, each with both scores where both are needed.
    fn found(&self, options: &SearchOptions) -> Result<FoundHere> {
        let mut table = Table::default();
        let k = options.depth();
        match options.rank_by {
            RankBy::MaxSim => return Ok(FoundHere::of_maxsim(self.by_maxsim(k, options)?)),
            RankBy::Lexical => table.by_words(self.words(k, self.set)?, true),
            RankBy::LexicalFirst(first) => {
                table.by_words(self.words(first, self.set)?, true);
                let found = table.lacking(|found| found.maxsim.is_none());
                table.by_maxsim(self.maxsim_of(&found)?, false);
            }
            RankBy::Hybrid(_) => {
                let depth = k.max(FUSED);
                table.by_maxsim(self.by_maxsim(depth, options)?, true);
                table.by_words(self.words(depth, self.set)?, true);
                let (by_words, by_maxsim) =
                    (table.lacking(|found| !found.is_by_maxsim), table.lacking(|found| !found.is_by_words));
                table.by_maxsim(self.maxsim_of(&by_words)?, false);
                table.by_words(self.words(by_maxsim.len(), Some(&self.set_of(&by_maxsim)?))?, false);
            }
        }
        Ok(table.found_here())
    }

    /// The best `k` passages by MaxSim, as the options search.
    fn by_maxsim(&self, k: usize, options: &SearchOptions) -> Result<Ranking> {
        let params = options.params_for(k, self.snapshot.searcher(), self.set);
        Ok(self.snapshot.searcher().search(self.query, &params, self.set)?)
    }

    /// The best `k` passages of a set by BM25.
    fn words(&self, k: usize, set: Option<&PassageSet>) -> Result<(Vec<Scored>, StageTimes)> {
        let started = Instant::now();
        let found = self.snapshot.words(self.text, k, set, self.statistics)?;
        Ok((found, StageTimes { lexical: started.elapsed().as_secs_f64() * 1e6, ..StageTimes::default() }))
    }

    /// MaxSim of some passages.
    fn maxsim_of(&self, pids: &[u32]) -> Result<Ranking> {
        let set = self.set_of(pids)?;
        Ok(self.snapshot.searcher().search(self.query, &SearchParams::exact(usize::MAX), Some(&set))?)
    }

    fn set_of(&self, pids: &[u32]) -> Result<PassageSet> {
        Ok(self.snapshot.searcher().passages(pids)?)
    }
}

/// Passages found so far, by pid.
#[derive(Default)]
struct Table {
    found: BTreeMap<u32, Found>,
    num_scored: usize,
    stages_us: StageTimes,
}

impl Table {
    fn entry(&mut self, pid: u32) -> &mut Found {
        let new = Found { pid, maxsim: None, words: None, is_by_maxsim: false, is_by_words: false };
        self.found.entry(pid).or_insert(new)
    }

    fn found_here(self) -> FoundHere {
        let Self { found, num_scored, stages_us } = self;
        FoundHere { found: found.into_values().collect(), num_scored, stages_us }
    }

    /// Notes MaxSim of passages, which a search has found or which were given.
    fn by_maxsim(&mut self, ranking: Ranking, is_found: bool) {
        for hit in ranking.hits {
            let entry = self.entry(hit.pid);
            entry.maxsim = Some((hit.raw, hit.score));
            entry.is_by_maxsim |= is_found;
        }
        self.num_scored += ranking.num_scored;
        self.stages_us = self.stages_us.plus(ranking.stages_us);
    }

    /// Notes BM25 of passages, which a search has found or which were given.
    fn by_words(&mut self, (found, stages_us): (Vec<Scored>, StageTimes), is_found: bool) {
        for (pid, score) in found {
            let entry = self.entry(pid);
            entry.words = Some(score);
            entry.is_by_words |= is_found;
        }
        self.stages_us = self.stages_us.plus(stages_us);
    }

    /// Pids of the passages that lack something.
    fn lacking(&self, lacks: impl Fn(&Found) -> bool) -> Vec<u32> {
        self.found.values().filter(|found| lacks(found)).map(|found| found.pid).collect()
    }
}
