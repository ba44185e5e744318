//! A collection in several indexes, its shards, searched as one.
//!
//! Shards are ordinary indexes that share one codec ([`BuildOptions::codec_from`](crate::BuildOptions::codec_from));
//! each holds a contiguous range of the collection. A score is an integer under one codec, and BM25 takes the sums of
//! the statistics of all shards. So the ranking of an exact search is that of one index over the whole collection, with
//! the same scores to the last bit, whatever the number of shards.
//!
//! ```text
//! query --statistics of each shard--> sums --ranking of each shard--> merge --> output of the shards that own the hits
//! ```
//!
//! [`Shards`] does this in one process. A router does it over a network by the same parts: [`Snapshot::statistics`],
//! [`Snapshot::shard_ranking`], [`merge()`], [`Engine::shard_output`] and [`sum_facets`].
//!
//! Each shard returns both scores of all that it finds where the ranking needs both. The best `k` passages of the
//! collection are among the best `k` of their shards, so none is missed. An approximate search has the same parameters
//! in each shard, and so more candidates in all than in one index.

mod collection;
mod hedges;
mod identity;
mod merge;
mod output;

pub use collection::{Collection, CollectionShard};
pub use hedges::{HEDGED_PART, HedgeBudget};
pub use identity::{Identity, ShardsError};
pub use merge::{ShardHit, ShardRanking, merge, sum_facets};
pub use output::{ShardOutput, ShardsHit, ShardsOutput};

use crate::{Engine, Error, HitQuery, Result, SearchOptions, Snapshot};
use rayon::prelude::*;
use selvedge_lexical::Statistics;
use std::sync::Arc;

/// Shards of a collection, open in this process and searched as one index.
///
/// **In:** queries as texts or embeddings. **Out:** a [`ShardsOutput`] per query.
///
/// Calls block, and shards share the threads of the current rayon pool.
#[derive(Debug)]
pub struct Shards {
    engines: Vec<Arc<Engine>>,
}

impl Shards {
    /// Puts shards together, in the order of the collection.
    ///
    /// # Errors
    /// [`ShardsError::None`] without a shard, [`ShardsError::Differ`] if codecs, models or languages of words differ.
    pub fn new(engines: Vec<Arc<Engine>>) -> Result<Self> {
        let first = engines.first().ok_or(ShardsError::None)?.snapshot().identity();
        for (shard, engine) in engines.iter().enumerate() {
            first.check_equal(shard, &engine.snapshot().identity())?;
        }
        Ok(Self { engines })
    }

    /// Returns the shards, in the order of the collection.
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Answers a query given as text.
    ///
    /// # Errors
    /// As [`Engine::search`]; [`ShardsError::Differ`] if a shard has another codec since it was opened.
    pub fn search(&self, text: &str, options: &SearchOptions) -> Result<ShardsOutput> {
        Ok(self.search_batch(&[text], options)?.remove(0))
    }

    /// Answers queries given as texts, in order. They are encoded once, by one shard's encoder, which all share.
    ///
    /// # Errors
    /// As [`Shards::search`]; one bad query fails the batch.
    pub fn search_batch(&self, texts: &[impl AsRef<str> + Sync], options: &SearchOptions) -> Result<Vec<ShardsOutput>> {
        options.check()?; // before the model is loaded
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        if !options.rank_by.needs_embeddings() {
            return self.answers(texts.iter().map(|&text| HitQuery { embeddings: &[], text: Some(text) }), options);
        }
        let encoder = self.engines[0].shared_encoder()?;
        self.engines[1..].iter().try_for_each(|engine| engine.share_encoder(encoder))?;
        let rows = encoder.encode_queries(&texts)?;
        let query = |(embeddings, &text)| HitQuery { embeddings, text: Some(text) };
        self.answers(rows.iter().zip(&texts).map(query), options)
    }

    /// Answers a query given as embeddings `(Q, D) f32`, row-major.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`]; [`ShardsError::Differ`] as [`Shards::search`].
    pub fn search_embeddings(&self, query: &[f32], options: &SearchOptions) -> Result<ShardsOutput> {
        self.answer(&self.snapshots(), HitQuery { embeddings: query, text: None }, options)
    }

    /// Answers queries given as embeddings `(Q, D) f32` each, in order.
    ///
    /// # Errors
    /// As [`Shards::search_embeddings`]; one bad query fails the batch.
    pub fn search_embeddings_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<ShardsOutput>> {
        self.answers(queries.iter().map(|embeddings| HitQuery { embeddings, text: None }), options)
    }

    /// Answers queries on the same generations.
    fn answers<'a>(
        &self,
        queries: impl Iterator<Item = HitQuery<'a>>,
        options: &SearchOptions,
    ) -> Result<Vec<ShardsOutput>> {
        let (snapshots, queries) = (self.snapshots(), queries.collect::<Vec<_>>());
        queries.into_par_iter().map(|query| self.answer(&snapshots, query, options)).collect()
    }

    /// One generation of each shard, which a query keeps from its first phase to its last.
    fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.engines.iter().map(|engine| engine.snapshot()).collect()
    }

    fn answer(
        &self,
        snapshots: &[Arc<Snapshot>],
        query: HitQuery<'_>,
        options: &SearchOptions,
    ) -> Result<ShardsOutput> {
        options.check()?;
        if options.rank_by.needs_words() && query.text.is_none() {
            return Err(Error::NoQueryTexts);
        }
        let statistics = match query.text.filter(|_| options.rank_by.needs_words()) {
            Some(text) => Some(sum_statistics(snapshots, text)?),
            None => None,
        };
        let ranking = |(shard, snapshot): (usize, &Arc<Snapshot>)| {
            Ok((shard, snapshot.shard_ranking(query, options, statistics.as_ref())?))
        };
        let rankings = snapshots.par_iter().enumerate().map(ranking).collect::<Result<Vec<_>>>()?;
        let hits = merge(&rankings, options)?;
        output::of_shards(&self.engines, snapshots, query, &rankings, &hits, options)
    }
}

/// Sums the statistics of the words of a query over shards.
fn sum_statistics(snapshots: &[Arc<Snapshot>], text: &str) -> Result<Statistics> {
    let of_shards = snapshots.par_iter().map(|snapshot| snapshot.statistics(text)).collect::<Result<Vec<_>>>()?;
    Ok(of_shards.iter().fold(Statistics::default(), Statistics::plus))
}
