//! The tools: names, descriptions and arguments, as an assistant reads them.
//!
//! The doc comments of the arguments are their descriptions in the schemas.

use crate::routes::search_bodies::SearchMode;
use rmcp::handler::server::common::schema_for_input;
use rmcp::model::{Tool, ToolAnnotations};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Arguments of `search`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArgs {
    /// The question in natural language, or a sentence as the answer might say it. Exact names, codes and error
    /// messages are best searched with mode "hybrid" or "lexical".
    pub(super) query: String,
    /// Name of the index to search, as `indexes` lists them. May be left out if there is only one.
    pub(super) index: Option<String>,
    /// Number of passages to return, 5 by default. Ask for more if the first ones do not answer the question.
    #[schemars(range(min = 1, max = 100))]
    pub(super) k: Option<usize>,
    /// How passages are ranked: "maxsim" by meaning (default), "lexical" by the words that they share with the query
    /// (BM25), "hybrid" by both.
    #[serde(default)]
    pub(super) mode: Mode,
    /// Condition on the metadata, such as "year >= 2020 AND lang = 'en'". Only keys that `indexes` lists as
    /// metadata_keys can be used. Operators: = != < <= > >=, IN, BETWEEN, LIKE, IS NULL, AND, OR, NOT.
    #[serde(rename = "where")]
    pub(super) filter: Option<String>,
    /// Most characters of each passage to return, around what matched best; 500 by default, 0 for whole passages.
    pub(super) snippet: Option<usize>,
}

/// Ranking of a search.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Mode {
    #[default]
    Maxsim,
    Hybrid,
    Lexical,
}

impl From<Mode> for SearchMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Maxsim => Self::Maxsim,
            Mode::Hybrid => Self::Hybrid,
            Mode::Lexical => Self::Lexical,
        }
    }
}

/// Arguments of `explain`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainArgs {
    /// The query, as it was given to `search`.
    pub(super) query: String,
    /// Id of the passage, as `search` returned it.
    pub(super) id: String,
    /// Name of the index. May be left out if there is only one.
    pub(super) index: Option<String>,
}

/// Arguments of `read`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArgs {
    /// Id of the passage, as `search` returned it. A long file has several passages: PATH#1, PATH#2, ...
    pub(super) id: String,
    /// Name of the index. May be left out if there is only one.
    pub(super) index: Option<String>,
}

/// Arguments of `indexes`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexesArgs {}

/// Arguments of `index`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexArgs {
    /// Name of the index. May be left out if there is only one.
    pub(super) index: Option<String>,
}

/// All tools.
pub(super) fn all() -> Vec<Tool> {
    let read_only = || ToolAnnotations::new().read_only(true).idempotent(true).open_world(false);
    vec![
        tool::<SearchArgs>("search", "Search documents", SEARCH, read_only()),
        tool::<ReadArgs>("read", "Read a passage", READ, read_only()),
        tool::<ExplainArgs>("explain", "Explain a match", EXPLAIN, read_only()),
        tool::<IndexesArgs>("indexes", "List indexes", INDEXES, read_only()),
        tool::<IndexArgs>(
            "index",
            "Update an index",
            INDEX,
            ToolAnnotations::new().read_only(false).destructive(false).idempotent(true).open_world(false),
        ),
    ]
}

fn tool<T: JsonSchema + 'static>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    annotations: ToolAnnotations,
) -> Tool {
    let mut schema = schema_for_input::<T>().map(Arc::unwrap_or_clone).expect("structs are objects");
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        plain(property.1);
    }
    Tool::new(name, description, schema).with_title(title).with_annotations(annotations)
}

/// Keeps of the schema of an argument what assistants know: an optional one is left out, never null.
fn plain(schema: &mut Value) {
    if let Some(of_option) = schema["type"].as_array().and_then(|types| types.first()).cloned() {
        schema["type"] = of_option;
    }
    if let Some(text) = schema["description"].as_str().map(|text| text.replace('\n', " ")) {
        schema["description"] = text.into();
    }
    schema.as_object_mut().and_then(|schema| schema.remove("format"));
}

const SEARCH: &str = "\
Finds the passages of the user's documents that best answer a query, by meaning rather than by keywords, best first. \
Returns id, score, the part of the text that matched, and metadata. Scores compare passages of one search only. Use \
`read` for the whole text of a passage. If nothing fits, say it in other words, or try mode \"hybrid\".";

const READ: &str = "\
Returns the whole text and the metadata of one passage by its id, such as `search` returns. Read the neighbours of a \
passage PATH#2 as PATH#1 and PATH#3.";

const EXPLAIN: &str = "\
Shows why a passage matched a query: each token of the query with the passage token that it matched best and its share \
of the score, and the words of the passage that matter. Use it to judge whether a result is about the question or \
shares a few words with it.";

const INDEXES: &str = "\
Lists the indexes that can be searched: name, number of passages, generation, keys of the metadata for `where`, and \
the folder of documents that an index is kept up to date with, if it has one.";

const INDEX: &str = "\
Brings an index up to date with its folder: files that are new or changed are read, passages of deleted files are \
removed. Only what changed is encoded, so it takes seconds unless much is new. Returns the numbers of added and \
deleted passages. Use it after files were edited, or if a search misses what a file should hold. Documents themselves \
are never changed.";
