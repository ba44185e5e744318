//! Ranking of passages by embeddings, by words, and by both.
//!
//! | [`RankBy`] | passages found | order |
//! |---|---|---|
//! | `MaxSim` | as `selvedge-search` finds them | MaxSim |
//! | `Lexical` | those with a word of the query | BM25 |
//! | `Hybrid` | the best 100 (or `k`) of each | both scores of each passage, fused |
//! | `LexicalFirst` | the best n by BM25 | MaxSim |
//!
//! A hybrid search knows both scores of every passage that either side found: MaxSim of the passages that only BM25
//! found is computed, and BM25 of the others.
//!
//! Frequencies of words and lengths count all passages of the index, deleted ones too until their segment is merged: a
//! merge may change BM25, as it does in other engines. MaxSim never changes.

use crate::snapshot::Snapshot;
use crate::{Error, Result, SearchOptions};
use selvedge_search::fusion::{Scored, reciprocal_ranks, weighted};
use selvedge_search::{Hit, PassageSet, Ranking, SearchParams, StageTimes};
use std::collections::HashSet;
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
    pub(crate) fn needs_embeddings(self) -> bool {
        self != Self::Lexical
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
    let ranker = Ranker { snapshot, query, text, set };
    let k = options.depth();
    match options.rank_by {
        RankBy::MaxSim => {
            let params = options.params(snapshot.searcher(), set);
            Ok(snapshot.searcher().search(query, &params, set)?)
        }
        RankBy::Lexical => {
            let (found, stages_us) = ranker.words(k, set)?;
            Ok(Ranking { hits: hits(found, k), num_scored: 0, stages_us })
        }
        RankBy::LexicalFirst(first) => {
            let (found, stages_us) = ranker.words(first, set)?;
            let ranking = ranker.maxsim(&found, k)?;
            Ok(Ranking { stages_us: ranking.stages_us.plus(stages_us), ..ranking })
        }
        RankBy::Hybrid(fusion) => ranker.hybrid(fusion, k, options),
    }
}

/// One query and the passages that it may find.
struct Ranker<'a> {
    snapshot: &'a Snapshot,
    query: &'a [f32],
    text: &'a str,
    set: Option<&'a PassageSet>,
}

impl Ranker<'_> {
    /// The best `k` passages of a set by BM25.
    fn words(&self, k: usize, set: Option<&PassageSet>) -> Result<(Vec<Scored>, StageTimes)> {
        let started = Instant::now();
        let found = self.snapshot.words(self.text, k, set)?;
        Ok((found, StageTimes { lexical: started.elapsed().as_secs_f64() * 1e6, ..StageTimes::default() }))
    }

    /// The best `k` of some passages by MaxSim.
    fn maxsim(&self, among: &[Scored], k: usize) -> Result<Ranking> {
        let set = self.set_of(among)?;
        Ok(self.snapshot.searcher().search(self.query, &SearchParams::exact(k), Some(&set))?)
    }

    fn hybrid(&self, fusion: Fusion, k: usize, options: &SearchOptions) -> Result<Ranking> {
        let depth = k.max(FUSED);
        let params = options.params_for(depth, self.snapshot.searcher(), self.set);
        let ranking = self.snapshot.searcher().search(self.query, &params, self.set)?;
        let mut by_maxsim: Vec<Scored> = ranking.hits.iter().map(|hit| (hit.pid, hit.score)).collect();
        let (mut by_words, words_us) = self.words(depth, self.set)?;
        let more = self.maxsim(&missing(&by_words, &by_maxsim), usize::MAX)?;
        let (more_words, more_us) = self.words(depth, Some(&self.set_of(&missing(&by_maxsim, &by_words))?))?;
        by_maxsim.extend(more.hits.iter().map(|hit| (hit.pid, hit.score)));
        by_words.extend(more_words);
        for ranking in [&mut by_maxsim, &mut by_words] {
            ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        let fused = match fusion {
            Fusion::ReciprocalRank => reciprocal_ranks([&by_maxsim, &by_words]),
            Fusion::Weighted(alpha) => weighted(&by_maxsim, &by_words, alpha),
        };
        let stages_us = ranking.stages_us.plus(more.stages_us).plus(words_us).plus(more_us);
        Ok(Ranking { hits: hits(fused, k), num_scored: ranking.num_scored + more.num_scored, stages_us })
    }

    fn set_of(&self, passages: &[Scored]) -> Result<PassageSet> {
        let pids: Vec<u32> = passages.iter().map(|&(pid, _)| pid).collect();
        Ok(self.snapshot.searcher().passages(&pids)?)
    }
}

/// Passages of one ranking that another lacks.
fn missing(of: &[Scored], other: &[Scored]) -> Vec<Scored> {
    let known: HashSet<u32> = other.iter().map(|&(pid, _)| pid).collect();
    of.iter().filter(|(pid, _)| !known.contains(pid)).copied().collect()
}

/// The best `k` as hits; their scores are not integers.
fn hits(ranked: Vec<Scored>, k: usize) -> Vec<Hit> {
    ranked.into_iter().take(k).map(|(pid, score)| Hit { pid, score, raw: 0 }).collect()
}
