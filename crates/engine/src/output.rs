//! Results of a query: passages with their ids, texts, snippets and metadata, and counts of values.

use crate::explain::Explanation;
use crate::facet::{self, Facet};
use crate::snippet::{Similarities, Snippet};
use crate::{Engine, Result, SearchOptions, Snapshot};
use selvedge_index::Document;
use selvedge_lexical::matches;
use selvedge_search::{Ranking, StageTimes};
use std::time::Instant;

/// A passage found for a query.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Hit {
    /// Number of the passage in this generation of the index. Its id is the name that lasts.
    #[serde(skip)]
    pub pid: u32,
    /// Id of the passage, as the collection has it.
    pub id: String,
    /// Score that passages were ranked by ([`SearchOptions::rank_by`]), higher is better. MaxSim is the sum over query
    /// tokens of the largest inner product with a passage token.
    pub score: f32,
    /// Text of the passage, if [`SearchOptions::text`] is set and the index stores one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Part of the text that the query matched best, if [`SearchOptions::snippet`] is set and the index
    /// stores a text of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
    /// Metadata of the passage, if [`SearchOptions::metadata`] is set and the passage has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// Reasons for the passage's MaxSim, if [`SearchOptions::explain`] is set and the query has embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Box<Explanation>>,
}

/// A query as a hit's snippet and explanation need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HitQuery<'a> {
    /// Embeddings `(Q, D) f32`; may be empty if no snippet and no explanation is requested.
    pub embeddings: &'a [f32],
    /// The text that was encoded to the embeddings, if there is one.
    pub text: Option<&'a str>,
}

/// Result of one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchOutput {
    /// At most `k` passages, best first; ties in the order of the collection. Empty for a query without a token.
    pub hits: Vec<Hit>,
    /// Number of passages whose residuals were read.
    pub num_scored: usize,
    /// Time of each stage in microseconds, without query encoding and [`output_us`](Self::output_us).
    pub stages_us: StageTimes,
    /// Time in microseconds in which the ranking became hits: ids, texts and metadata were read, snippets and
    /// explanations made, facets counted.
    pub output_us: f64,
    /// Values of [`SearchOptions::facets`] among the best passages, in the order of the options.
    pub facets: Vec<Facet>,
}

impl Engine {
    /// Converts a ranking of a generation to hits with ids, and with all that `options`
    /// request.
    ///
    /// # Errors
    /// [`Error::Index`](crate::Error::Index) if an id, a text or metadata cannot be read,
    /// [`Error::Encoder`](crate::Error::Encoder) if a snippet is requested and the text cannot be tokenized.
    pub fn output(
        &self,
        snapshot: &Snapshot,
        query: HitQuery<'_>,
        ranking: Ranking,
        options: &SearchOptions,
    ) -> Result<SearchOutput> {
        let started = Instant::now();
        let pids: Vec<u32> = ranking.hits.iter().map(|hit| hit.pid).take(options.depth()).collect();
        let facets = facet::count(snapshot, &options.facets, &pids)?;
        let hit = |found| self.hit(snapshot, query, found, options);
        let hits = ranking.hits.iter().take(options.k).map(hit).collect::<Result<_>>()?;
        let output_us = started.elapsed().as_secs_f64() * 1e6;
        Ok(SearchOutput { hits, num_scored: ranking.num_scored, stages_us: ranking.stages_us, output_us, facets })
    }

    pub(crate) fn hit(
        &self,
        snapshot: &Snapshot,
        query: HitQuery<'_>,
        found: &selvedge_search::Hit,
        options: &SearchOptions,
    ) -> Result<Hit> {
        let &selvedge_search::Hit { pid, score, .. } = found;
        let index = snapshot.index();
        let wants_text = options.text || options.snippet.is_some();
        let wants_explanation = options.explain && !query.embeddings.is_empty();
        let explain = || self.explain(snapshot, query.embeddings, query.text, pid);
        let explanation = wants_explanation.then(explain).transpose()?.map(Box::new);
        if !(wants_text || options.metadata) {
            return Ok(Hit { pid, id: index.id(pid)?, score, text: None, snippet: None, metadata: None, explanation });
        }
        let Document { id, text, metadata } = index.document(pid)?;
        // Embeddings may come without texts, which are stored as empty ones.
        let has_text = index.manifest().encoder.is_some() || !text.is_empty();
        let snippet =
            options.snippet.filter(|_| has_text).map(|chars| self.snippet(snapshot, query, pid, &text, chars));
        Ok(Hit {
            pid,
            id,
            score,
            snippet: snippet.transpose()?,
            text: Some(text).filter(|_| has_text && options.text),
            metadata: metadata.filter(|_| options.metadata),
            explanation,
        })
    }

    /// Returns the part of a passage that a query matched. In a pooled index, or without a loaded encoder, embeddings
    /// cannot be paired with tokens, and the part is the one with the most words of the query.
    fn snippet(&self, snapshot: &Snapshot, query: HitQuery<'_>, pid: u32, text: &str, chars: usize) -> Result<Snippet> {
        let manifest = snapshot.index().manifest();
        let (is_pooled, has_embeddings) = (manifest.build.pool.is_some(), !query.embeddings.is_empty());
        let Some(encoder) = self.loaded_encoder().filter(|_| !is_pooled && has_embeddings) else {
            let language = manifest.language.as_ref().map(|language| language.parse()).transpose()?;
            return Ok(match (query.text, language) {
                (Some(words), Some(language)) => Snippet::of_words(text, chars, &matches(language, words, text)),
                _ => Snippet::beginning(text, chars),
            });
        };
        let spans = encoder.passage_token_spans(text)?;
        let search = snapshot.searcher();
        let rows = search.reconstruct(pid)?;
        Ok(Snippet::of_match(text, chars, &spans, &Similarities::new(search.dim(), query.embeddings, &rows)))
    }
}
