//! Bodies of searches.

use super::input::{EmbeddingsInput, ids};
use selvedge::Hit;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Score that passages are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SearchMode {
    /// MaxSim of the embeddings.
    #[default]
    Maxsim,
    /// MaxSim and BM25, fused.
    Hybrid,
    /// BM25 of the words.
    Lexical,
    /// MaxSim of the best passages by BM25.
    LexicalFirst,
}

/// Extent of explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum ExplainInput {
    /// In full, or not.
    Full(bool),
    /// Without the similarities of all pairs of tokens.
    Part(ExplainPart),
}

/// Part of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExplainPart {
    /// Tokens, matches and words.
    Words,
}

impl Default for ExplainInput {
    fn default() -> Self {
        Self::Full(false)
    }
}

/// A search, or the next page of one.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// Text of the query.
    pub(crate) query: Option<String>,
    /// Embeddings of the query, instead of a text or with it.
    pub(crate) embeddings: Option<EmbeddingsInput>,
    /// Number of hits, 10 by default.
    #[schema(minimum = 1, maximum = 10000)]
    pub(crate) k: Option<usize>,
    /// Score, `maxsim` by default.
    pub(crate) mode: SearchMode,
    /// Weight of MaxSim in a hybrid search of normalized scores, 0 to 1; reciprocal ranks by default.
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) alpha: Option<f32>,
    /// Number of passages that `lexical_first` ranks by MaxSim, 100 by default.
    #[schema(minimum = 1)]
    pub(crate) lexical_first: Option<usize>,
    /// Whether every passage is scored.
    pub(crate) exact: bool,
    /// Cells probed per query token.
    #[schema(minimum = 1)]
    pub(crate) nprobe: Option<usize>,
    /// Candidates ranked by their centroids.
    #[schema(minimum = 1)]
    pub(crate) ndocs: Option<usize>,
    /// Candidates scored with their residuals.
    #[schema(minimum = 1)]
    pub(crate) num_rescored: Option<usize>,
    /// Condition on the metadata: a text such as `year >= 2020`, or JSON.
    #[serde(rename = "where")]
    #[schema(value_type = Option<Value>)]
    pub(crate) filter: Option<Value>,
    /// Ids of the passages that may be found.
    #[serde(deserialize_with = "ids")]
    pub(crate) ids: Option<Vec<String>>,
    /// Keys whose values are counted among the best passages; they come with the first page.
    pub(crate) facets: Vec<String>,
    /// Number of the best passages that are counted, 100 by default.
    #[schema(minimum = 1, maximum = 10000)]
    pub(crate) facet_depth: Option<usize>,
    /// Whether hits carry their text, true by default.
    pub(crate) text: Option<bool>,
    /// Whether hits carry their metadata, true by default.
    pub(crate) metadata: Option<bool>,
    /// Characters of the best part of the text that hits carry.
    pub(crate) snippet: Option<usize>,
    /// Whether hits carry an explanation: true, or `words` for one without the similarities, which are most of it.
    pub(crate) explain: ExplainInput,
    /// Cursor of the page before; all else is as it was there.
    pub(crate) cursor: Option<String>,
    /// Generation that the answer must have, at least.
    pub(crate) wait_for_generation: Option<u32>,
    /// Longest time in milliseconds.
    pub(crate) timeout_ms: Option<u64>,
}

/// Answer of a search.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SearchResponse {
    /// Generation that answered.
    pub(crate) generation: u32,
    /// Hits, best first.
    #[schema(value_type = Vec<Object>)]
    pub(crate) hits: Vec<selvedge::Hit>,
    /// Counts of the facets.
    #[schema(value_type = Vec<Object>)]
    pub(crate) facets: Vec<selvedge::Facet>,
    /// Mistakes that a search may have: keys of the filter that no passage has.
    pub(crate) warnings: Vec<String>,
    /// Number of passages scored with their residuals.
    pub(crate) num_scored: usize,
    /// Cursor of the next page; null if there is none. After a full page that was the last, the next one is empty.
    pub(crate) cursor: Option<String>,
    /// Time of each stage in microseconds.
    #[schema(value_type = Object)]
    pub(crate) times_us: Value,
    /// About as many bytes as the hits take.
    #[serde(skip)]
    pub(super) bytes: usize,
}

/// About as many bytes as a hit takes.
pub(crate) fn bytes_of(hit: &Hit) -> usize {
    let texts = hit.id.len() + hit.text.as_ref().map_or(0, String::len);
    let snippet = hit.snippet.as_ref().map_or(0, |snippet| snippet.text.len());
    let explanation = hit.explanation.as_ref().map_or(0, |why| {
        let similarities: usize = why.similarities.iter().map(Vec::len).sum();
        100 * (why.query.len() + why.passage.len()) + 8 * similarities
    });
    texts + snippet + explanation + hit.metadata.as_ref().map_or(0, bytes_of_value)
}

fn bytes_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(bytes_of_value).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + bytes_of_value(value)).sum(),
        _ => 8,
    }
}
