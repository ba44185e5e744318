//! Requests as they should be, and ways to spoil them.

use serde_json::{Value, json};

/// Kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It changes nothing.
    Read,
    /// It changes the documents of an index, which is made anew from time to time.
    Write,
    /// It creates an index, which is deleted afterwards.
    Create,
}

/// Routes with a body of JSON: kind, method, path, and a body that is right. The indexes are `t` of texts and `e` of
/// embeddings, to read; `w` and `v` likewise, to write.
pub const ROUTES: [(Kind, &str, &str, &str); 37] = [
    (
        Kind::Read,
        "POST",
        "/v1/indexes/t/search",
        r#"{"query": "red pie", "k": 3, "mode": "hybrid", "alpha": 0.5, "where": "pages >= 1 AND tags = 'food'",
            "ids": ["0", "b"], "facets": ["pages", "tags"], "facet_depth": 10, "text": true, "metadata": true,
            "snippet": 10, "explain": "words", "nprobe": 2, "ndocs": 4, "num_rescored": 4, "exact": false,
            "timeout_ms": 1000, "lexical_first": 3}"#,
    ),
    (Kind::Read, "POST", "/v1/indexes/t/search", r#"{"query": "tea", "cursor": "AQAAAAAAAAA", "k": 1}"#),
    (Kind::Read, "POST", "/v1/indexes/t/search", r#"{"query": "tea", "explain": true, "wait_for_generation": 1}"#),
    (
        Kind::Read,
        "POST",
        "/v1/indexes/t/search",
        r#"{"query": "tea", "where":
        "NOT (pages BETWEEN 1 AND 9) OR tags LIKE 'f%' OR made < '2025-01-01' OR pages IN (1, 2.5) OR x IS NOT NULL"}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/v1/indexes/t/search",
        r#"{"query": "tea", "mode": "lexical", "where": {"and": [{"ge":
        ["pages", 1]}, {"not": {"like": ["tags", "f%"]}}, {"or": [{"in": ["tags", ["food"]]}, {"isnull": "x"}]}]}}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/v1/indexes/e/search",
        r#"{"embeddings": {"base64":
        "AACAPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "shape": [1, 8]}, "k": 3, "cursor": "AQAAAAAAAAA"}"#,
    ),
    (Kind::Read, "POST", "/v1/indexes/e/search", r#"{"embeddings": [[1, 0, 0, 0, 0, 0, 0, 0.5]], "explain": true}"#),
    (Kind::Read, "POST", "/v1/indexes/t/explain", r#"{"query": "red", "id": "0"}"#),
    (Kind::Read, "POST", "/v1/indexes/e/explain", r#"{"embeddings": [[1, 0, 0, 0, 0, 0, 0, 0]], "id": "0"}"#),
    (
        Kind::Read,
        "POST",
        "/v1/encode",
        r#"{"texts": ["a", "tea"], "kind": "query", "encoding": "base64",
        "timeout_ms": 1000}"#,
    ),
    (Kind::Read, "POST", "/encode", r#"{"texts": ["a"], "input_type": "query", "pool_factor": 1}"#),
    (
        Kind::Read,
        "POST",
        "/rerank",
        r#"{"query": "red", "documents": ["a", {"text": "b", "title": "c"}], "top_n": 1,
        "return_documents": true, "rank_fields": ["title"], "relevant_spans": {"mode": "enabled", "threshold": 0.1,
        "max_spans": 2}, "score": "mean", "model": "x"}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/rerank",
        r#"{"query": [[1, 0, 0, 0, 0, 0, 0, 0]], "documents": [{"embeddings":
        [[1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]]}]}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/rerank",
        r#"{"query_b64": "AACAPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "query_shape":
        [1, 8], "documents": [{"embeddings_b64": "AACAPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "shape": [1, 8]}]}"#,
    ),
    (Kind::Read, "POST", "/v2/rerank", r#"{"model": "x", "query": "red", "documents": ["a", "b"], "top_n": 0}"#),
    (Kind::Read, "POST", "/rerank_with_encoding", r#"{"query": "red", "documents": ["a", "b"], "pool_factor": 2}"#),
    (Kind::Read, "POST", "/score", r#"{"text_1": "a", "text_2": ["b", "c"], "model": "x"}"#),
    (Kind::Read, "POST", "/v1/score", r#"{"queries": ["a", "d"], "documents": ["b", "c"]}"#),
    (Kind::Read, "POST", "/pooling", r#"{"input": ["a"], "input_type": "query", "encoding_format": "base64"}"#),
    (
        Kind::Read,
        "POST",
        "/indices/t/search_with_encoding",
        r#"{"queries": ["red"], "text_query": "pie", "params":
        {"top_k": 3, "n_ivf_probe": 2, "n_full_scores": 4}, "subset": [0, 1], "filter_condition":
        "pages >= ? AND tags LIKE ?", "filter_parameters": [1, "f%"], "alpha": 0.5, "fusion": "rrf"}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/indices/t/search/filtered_with_encoding",
        r#"{"queries": ["red"], "filter_condition":
        "NOT (pages = ? OR tags IN (?, 'x''y'))", "filter_parameters": [true, "food"]}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/indices/e/search/filtered",
        r#"{"queries": [{"embeddings": [[1, 0, 0, 0, 0, 0, 0, 0]]}],
        "filter_condition": "pages BETWEEN ? AND ?", "filter_parameters": [0, 1e3]}"#,
    ),
    (
        Kind::Read,
        "POST",
        "/indices/e/search",
        r#"{"queries": [{"embeddings_b64":
        "AACAPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "shape": [1, 8]}], "params": {"top_k": 2}}"#,
    ),
    (Kind::Read, "POST", "/indices/t/metadata/query", r#"{"condition": "pages >= ?", "parameters": [1]}"#),
    (Kind::Read, "POST", "/indices/t/metadata/get", r#"{"condition": "pages < ?", "parameters": [7], "limit": 2}"#),
    (Kind::Read, "POST", "/indices/t/metadata/get", r#"{"document_ids": [0, -3, 1], "limit": 2}"#),
    (Kind::Read, "POST", "/indices/t/metadata/check", r#"{"document_ids": [0, -3, 9223372036854775807]}"#),
    (
        Kind::Write,
        "POST",
        "/v1/indexes/w/documents",
        r#"{"documents": [{"id": "n", "text": "A pie", "metadata":
        {"pages": 1, "tags": ["food"], "made": "2024-05-06"}}, {"id": 7, "text": ""}], "replace": true}"#,
    ),
    (
        Kind::Write,
        "POST",
        "/v1/indexes/v/documents",
        r#"{"documents": [{"id": "n", "text": "x", "embeddings":
        [[1, 0, 0, 0, 0, 0, 0, 0]]}, {"id": "m", "embeddings": {"base64": "", "shape": [0, 8]}}]}"#,
    ),
    (Kind::Write, "POST", "/v1/indexes/w/delete", r#"{"ids": ["n", "none"]}"#),
    (Kind::Write, "POST", "/v1/indexes/w/delete", r#"{"where": "pages > 1"}"#),
    (Kind::Write, "POST", "/v1/indexes/w/compact", r#"{"retrain": "never"}"#),
    (
        Kind::Write,
        "POST",
        "/indices/w/update_with_encoding?wait=true",
        r#"{"documents": ["a", "b"], "metadata":
        [{"pages": 1}, {}], "pool_factor": 1}"#,
    ),
    (
        Kind::Write,
        "POST",
        "/indices/v/documents?wait=true",
        r#"{"documents": [{"embeddings":
        [[1, 0, 0, 0, 0, 0, 0, 0]]}], "metadata": [{"pages": 1}]}"#,
    ),
    (
        Kind::Write,
        "POST",
        "/indices/w/metadata/update",
        r#"{"condition": "pages = ?", "parameters": [1], "updates":
        {"pages": 2, "tags": null}}"#,
    ),
    (
        Kind::Create,
        "POST",
        "/v1/indexes",
        r#"{"name": "made", "nbits": 2, "language": "english", "pool": 1, "dim": 8}"#,
    ),
    (
        Kind::Create,
        "POST",
        "/indices",
        r#"{"name": "made", "config": {"nbits": 4, "max_documents": 5, "seed": 1,
        "fts_tokenizer": "unicode61", "binary": false}}"#,
    ),
];

/// Spoils a body: each step names a value in it, and replaces, repeats or removes it. The last replacement is the text
/// that follows the steps.
pub fn spoiled(body: &str, bytes: &[u8]) -> Value {
    let mut body: Value = serde_json::from_str(body).expect("a body that is right");
    let Some((&steps, mut bytes)) = bytes.split_first() else { return body };
    for _ in 0..steps % 4 {
        let [at, how, rest @ ..] = bytes else { break };
        bytes = rest;
        let mut left = *at as usize % count(&body).max(1);
        spoil(&mut body, &mut left, &|value| replace(value, *how, rest));
    }
    body
}

/// Number of values in a value.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value that is `left` values away; true once it is changed.
fn spoil(value: &mut Value, left: &mut usize, change: &dyn Fn(&mut Value)) -> bool {
    if *left == 0 {
        change(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().any(|value| spoil(value, left, change)),
        Value::Object(fields) => fields.values_mut().any(|value| spoil(value, left, change)),
        _ => false,
    }
}

fn replace(value: &mut Value, how: u8, rest: &[u8]) {
    let text = || String::from_utf8_lossy(&rest[..rest.len().min(4096)]).into_owned();
    *value = match how % 32 {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(-1),
        3 => json!(1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(1e-320),
        8 => json!(3.5e38),
        9 => json!(""),
        10 => json!([]),
        11 => json!({}),
        12 => json!([[]]),
        13 => json!([value.clone(), value.clone()]),
        14 => json!(true),
        15 => json!("a".repeat(3000)),
        16 => json!(vec![1; 5000]),
        17 => json!(10_000),
        18 => json!(4096),
        19 => json!("\u{0}\u{1b}[2J\u{202e}é👩‍👩‍👧"),
        20 => json!({"base64": text(), "shape": [1, 8]}),
        21 => json!({"base64": "AADAfwAAgP8AAIB/AACAPwAAgD8AAIA/AACAPwAAgD8=", "shape": [1, 8]}),
        22 => json!([[1e38, 1e38, 1e38, 1e38, 1e38, 1e38, 1e38, 1e38]]),
        23 => json!({"not": value.clone()}),
        24 => json!({"pages": value.clone()}),
        25 => json!([rest.first(), rest.get(1)]),
        26 => json!(rest.first()),
        27 => json!(vec![vec![0.5; 8]; 600]),
        28 => match value.as_str() {
            Some(words) => json!(format!("{words}{}", text())),
            None => json!(text()),
        },
        _ => json!(text()),
    };
}
