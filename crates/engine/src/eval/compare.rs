//! Rankings of one index beside each other: by one vector per passage, by words, by MaxSim, and hybrid.

use super::dense;
use super::metrics::Quality;
use crate::progress::{Progress, Stage};
use crate::rank;
use crate::snapshot::Snapshot;
use crate::{Engine, EvalOptions, Queries, RankBy, Result, SearchOptions};
use selvedge_search::PassageSet;
use std::time::Instant;

/// A ranking to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// One vector per passage.
    Dense,
    /// BM25 of the words.
    Lexical,
    /// MaxSim, by the search that is measured.
    MaxSim,
    /// MaxSim and BM25, fused.
    Hybrid,
}

/// Quality and time of a ranking.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ComparedReport {
    /// The ranking.
    pub ranking: Compared,
    /// Quality of the ranking.
    #[serde(flatten)]
    pub quality: Quality,
    /// Median time of one query in milliseconds, without query encoding; `None` for one vector per passage, which has
    /// no index.
    pub p50_ms: Option<f64>,
}

/// Rankings to compare, with the queries and the passages that they may find.
pub(super) struct Comparison<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) queries: &'a Queries,
    pub(super) set: Option<&'a PassageSet>,
    pub(super) options: &'a EvalOptions,
    pub(super) k: usize,
    pub(super) progress: &'a dyn Progress,
}

impl Comparison<'_> {
    /// Measures each ranking; `pids` are the passages that may be found, and `quality` judges rankings.
    pub(super) fn measure(
        &self,
        engine: &Engine,
        pids: &[u32],
        quality: impl Fn(&[Vec<u32>]) -> Quality,
    ) -> Result<Vec<ComparedReport>> {
        let texts = self.queries.texts.as_deref().unwrap_or_default();
        let mut reports = Vec::new();
        for &ranking in &self.options.compare {
            let (found, p50_ms) = match ranking {
                Compared::Dense => {
                    let index = self.snapshot.index();
                    (dense::rankings(engine.encoder()?, index, texts, pids, self.k, self.progress)?, None)
                }
                Compared::Lexical => self.ranked(RankBy::Lexical, texts)?,
                Compared::MaxSim => self.ranked(RankBy::MaxSim, texts)?,
                Compared::Hybrid => self.ranked(RankBy::Hybrid(self.options.fusion), texts)?,
            };
            reports.push(ComparedReport { ranking, quality: quality(&found), p50_ms });
        }
        Ok(reports)
    }

    /// Pids found for each query, one query at a time, and the median time.
    fn ranked(&self, rank_by: RankBy, texts: &[String]) -> Result<(Vec<Vec<u32>>, Option<f64>)> {
        let options = SearchOptions { k: self.k, rank_by, ..self.options.search.clone() };
        let mut stage = Stage::new(self.progress, "compare", "queries", Some(self.queries.embeddings.len() as u64));
        let (mut found, mut times) = (Vec::new(), Vec::new());
        for (number, query) in self.queries.embeddings.iter().enumerate() {
            let started = Instant::now();
            let text = texts.get(number).map_or("", String::as_str);
            let ranking = rank::ranking(self.snapshot, query, text, self.set, &options)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            found.push(ranking.hits.iter().map(|hit| hit.pid).collect());
            stage.add(1)?;
        }
        times.sort_by(f64::total_cmp);
        Ok((found, times.get(times.len() / 2).copied()))
    }
}
