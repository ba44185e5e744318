//! Answers of the tools that read.

use super::tools::{ExplainArgs, ReadArgs, SearchArgs};
use crate::error::{ApiError, Result};
use crate::routes::documents;
use crate::routes::explain::{self, ExplainRequest, ExplainResponse};
use crate::routes::indexes::{self, IndexInfo};
use crate::routes::search;
use crate::routes::search_bodies::SearchRequest;
use crate::served::Served;
use crate::state::App;
use crate::tasks::{TaskInfo, TaskState};
use axum::http::StatusCode;
use selvedge::{Document, ExplainedToken, Hit, TokenKind};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// Number of passages that a search returns by default.
const HITS: usize = 5;
/// Most passages that a search returns.
const MOST_HITS: usize = 100;
/// Characters of a passage that a search returns by default.
const SNIPPET: usize = 500;

/// Answer of a tool: as text, and as JSON.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) json: Value,
}

/// Finds passages.
pub(super) async fn search(app: &Arc<App>, args: SearchArgs) -> Result<Answer> {
    let served = index(app, args.index.as_deref())?;
    let snippet = args.snippet.unwrap_or(SNIPPET);
    if let Some(k) = args.k.filter(|&k| k > MOST_HITS) {
        return Err(ApiError::bad_request(format!("k is {k}; at most {MOST_HITS}")));
    }
    let request = SearchRequest {
        query: Some(args.query),
        k: Some(args.k.unwrap_or(HITS)),
        mode: args.mode.into(),
        filter: args.filter.map(Value::String),
        text: Some(snippet == 0),
        snippet: (snippet > 0).then_some(snippet),
        ..SearchRequest::default()
    };
    let found = search::answer(app, &served.name, request).await.map_err(|error| not_ready(app, &served, error))?;
    let mut text = String::new();
    for (rank, hit) in found.hits.iter().enumerate() {
        let _ = writeln!(text, "{}. {} (score {:.2}){}", rank + 1, hit.id, hit.score, in_words(hit.metadata.as_ref()));
        let _ = writeln!(text, "{}\n", text_of(hit).unwrap_or_default());
    }
    if found.hits.is_empty() {
        text.push_str("No passage was found. Try other words, or fewer conditions.");
    }
    let hits: Vec<Value> = found.hits.iter().map(json_of).collect();
    Ok(Answer { text, json: json!({"index": served.name, "generation": found.generation, "hits": hits}) })
}

/// The text that a hit carries, whole or in part.
fn text_of(hit: &Hit) -> Option<&str> {
    hit.snippet.as_ref().map(|snippet| snippet.text.as_str()).or(hit.text.as_deref())
}

fn json_of(hit: &Hit) -> Value {
    let mut json = Map::from_iter([("id".into(), json!(hit.id)), ("score".into(), json!(hit.score))]);
    let key = if hit.snippet.is_some() { "snippet" } else { "text" };
    json.extend(text_of(hit).map(|text| (key.into(), json!(text))));
    json.extend(hit.metadata.clone().map(|metadata| ("metadata".into(), metadata)));
    Value::Object(json)
}

/// Metadata beside an id.
fn in_words(metadata: Option<&Value>) -> String {
    metadata.map(|metadata| format!(" {metadata}")).unwrap_or_default()
}

/// Explains a score.
pub(super) async fn explain(app: &Arc<App>, args: ExplainArgs) -> Result<Answer> {
    let served = index(app, args.index.as_deref())?;
    let request = ExplainRequest { query: Some(args.query), id: args.id, ..ExplainRequest::default() };
    let found = explain::answer(app, &served.name, request).await.map_err(|error| not_ready(app, &served, error))?;
    let (tokens, words) = (tokens(&found), words(&found));
    let share = |value: &Value| 100.0 * value["share"].as_f64().unwrap_or_default();
    let mut text = format!("{} has score {:.2}.\n\nWords that matched:", found.id, found.explanation.score);
    for word in &words {
        let _ = write!(text, " {} {:.0}%", word["word"].as_str().unwrap_or_default(), share(word));
    }
    text.push_str("\n\nquery token -> best passage token, share of the score\n");
    for token in &tokens {
        let name = |key: &str| token[key].as_str().unwrap_or("?").to_owned();
        let _ = writeln!(text, "{} -> {}, {:.1}%", name("query"), name("passage"), share(token));
    }
    let json = json!({"id": found.id, "score": found.explanation.score, "tokens": tokens, "words": words});
    Ok(Answer { text, json })
}

/// Each token of the query with the passage token that it matched best.
fn tokens(found: &ExplainResponse) -> Vec<Value> {
    let explanation = &found.explanation;
    let spelling = |tokens: &[ExplainedToken], at: usize| tokens.get(at).map(|token| token.token.clone());
    let token = |(at, best): (usize, &selvedge::Match)| {
        let mut json = json!({
            "query": spelling(&explanation.query, at),
            "passage": spelling(&explanation.passage, best.passage_token),
            "similarity": rounded(best.similarity),
            "share": rounded(best.share),
        });
        // Markers and the like are no words of the user.
        if let Some(token) = explanation.query.get(at).filter(|token| token.kind != TokenKind::Text) {
            json["kind"] = json!(token.kind);
        }
        json
    };
    explanation.matches.iter().enumerate().map(token).collect()
}

/// Words of the passage that matched, by their share of the score.
fn words(found: &ExplainResponse) -> Vec<Value> {
    let chars: Vec<char> = found.text.as_deref().unwrap_or_default().chars().collect();
    let mut words = found.explanation.words.clone();
    words.sort_by(|a, b| b.share.total_cmp(&a.share));
    let word = |word: &selvedge::MatchedWord| {
        let text: String = chars.get(word.start..word.end).unwrap_or_default().iter().collect();
        json!({"word": text, "share": rounded(word.share)})
    };
    words.iter().map(word).collect()
}

/// Three decimals: more are noise to a reader.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1000.0).round() / 1000.0
}

/// Reads a passage.
pub(super) async fn read(app: &Arc<App>, args: ReadArgs) -> Result<Answer> {
    let served = index(app, args.index.as_deref())?;
    let open = served.open().map_err(|error| not_ready(app, &served, error))?;
    let Document { id, text, metadata } = documents::find(app, open, args.id).await?;
    let json = json!({"id": id, "text": text, "metadata": metadata});
    Ok(Answer { text: format!("{id}{}\n\n{text}", in_words(metadata.as_ref())), json })
}

/// Lists the indexes.
pub(super) async fn indexes(app: &Arc<App>) -> Result<Answer> {
    let infos = indexes::all(app).await?;
    let list: Vec<Value> = infos.iter().map(|info| listed(app, info)).collect();
    let mut text = String::new();
    for index in &list {
        let _ = write!(text, "{}: {} passages", index["name"].as_str().unwrap_or_default(), index["passages"]);
        for key in ["metadata_keys", "folder", "error", "task"] {
            if let Some(value) = index.get(key) {
                let _ = write!(text, ", {key} {value}");
            }
        }
        text.push('\n');
    }
    if list.is_empty() {
        text.push_str("There is no index. `selvedge mcp FOLDER` serves one of the documents in a folder.");
    }
    Ok(Answer { text, json: json!({"indexes": list}) })
}

fn listed(app: &App, info: &IndexInfo) -> Value {
    let mut json = json!({
        "name": info.name,
        "state": info.state,
        "generation": info.generation,
        "passages": info.passages,
        "metadata_keys": info.metadata_keys,
    });
    if let Some(folder) = app.index(&info.name).ok().and_then(|served| served.folder.clone()) {
        json["folder"] = json!(folder.to_string_lossy());
    }
    if let Some(error) = &info.error {
        json["error"] = json!(error);
    }
    if let Some(task) = info.tasks.first() {
        json["task"] = json!(progress(task));
    }
    json
}

/// The index of a name, or the only one.
pub(super) fn index(app: &App, name: Option<&str>) -> Result<Arc<Served>> {
    let all = app.indexes();
    let names = || all.iter().map(|served| format!("{:?}", served.name)).collect::<Vec<_>>().join(", ");
    match (name, all.as_slice()) {
        (Some(name), _) => app.index(name).map_err(|error| {
            let message = format!("{error}; there is {}", if all.is_empty() { "none at all".into() } else { names() });
            ApiError { message, ..error }
        }),
        (None, [only]) => Ok(Arc::clone(only)),
        (None, []) => Err(ApiError::new(StatusCode::NOT_FOUND, "INDEX_NOT_FOUND", "this server has no index")),
        (None, _) => Err(ApiError::bad_request(format!("name the index to use: there are {}", names()))),
    }
}

/// The error of an index of a folder that is not made yet, with what is known of its making.
fn not_ready(app: &App, served: &Served, error: ApiError) -> ApiError {
    if error.code != "INDEX_EMPTY" || served.folder.is_none() {
        return error;
    }
    let tasks = app.tasks.list(Some(&served.name));
    let message = match tasks.iter().find(|task| !task.state.is_end()).or(tasks.last()) {
        Some(task) if !task.state.is_end() => {
            format!("index {:?} is being made of its folder ({}); try again in a while", served.name, progress(task))
        }
        Some(TaskInfo { error: Some(error), .. }) => {
            let reason = error["message"].as_str().unwrap_or_default();
            let way_out = "once that is put right, call the tool `index`";
            format!("the folder of index {:?} could not be indexed: {reason}; {way_out}", served.name)
        }
        _ => format!("the folder of index {:?} is not indexed yet; call the tool `index`", served.name),
    };
    ApiError { message, ..error }
}

/// How far a task is.
pub(super) fn progress(task: &TaskInfo) -> String {
    match (&task.stage, &task.unit, task.total) {
        (Some(stage), Some(unit), Some(total)) => format!("{stage}: {} of {total} {unit}", task.done),
        (Some(stage), Some(unit), None) => format!("{stage}: {} {unit}", task.done),
        _ if task.state == TaskState::Waiting => "waiting for another change".into(),
        _ => "starting".into(),
    }
}
