//! Searches, look-ups, explanations, cursors.

use crate::client::{Client, Outcome};
use crate::model::{Model, id, year};
use crate::{INDEX, Load};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Most pages of a search.
const PAGES: usize = 4;

/// One thread that searches, until the load ends.
pub fn search(load: &Load<'_>, thread: u64) {
    let mut random = load.random(thread);
    let reader = Reader { load, client: load.client() };
    while !load.tally.is_stopped() {
        match load.model.pick(&mut random) {
            Some((at, text)) => reader.one(at, text, &mut random),
            None => load.tally.pause(Duration::from_millis(100)),
        }
    }
}

struct Reader<'a> {
    load: &'a Load<'a>,
    client: Client<'a>,
}

impl Reader<'_> {
    /// Asks one question, whose right answer is a document and its text.
    fn one(&self, at: usize, text: usize, random: &mut ChaCha8Rng) {
        let query = self.load.model.text(text);
        match random.random_range(0..100) {
            0..30 => self.finds(at, json!({"query": query})),
            30..40 => self.finds(at, json!({"query": query, "mode": "hybrid", "snippet": 120, "facets": ["kind"]})),
            40..45 => self.finds(at, json!({"query": query, "mode": "lexical_first"})),
            45..50 => self.finds(at, json!({"query": query, "exact": true})),
            50..60 => self.finds_by_embeddings(at, query),
            60..75 => self.finds_among(at, text, random),
            75..80 => self.explains(at, query, random.random_bool(0.3)),
            80..87 => self.pages(query, random),
            87..97 => self.looks_up(at, text),
            97..99 => self.explains_one(at, query),
            _ => drop(self.ask(json!({"query": query, "k": 100, "timeout_ms": random.random_range(0..4)}))),
        }
    }

    /// Searches, checks each hit, and returns the answer.
    fn ask(&self, request: Value) -> Option<Value> {
        self.ask_since(&request, Instant::now())
    }

    fn ask_since(&self, request: &Value, since: Instant) -> Option<Value> {
        let started = Instant::now();
        let path = format!("/v1/indexes/{INDEX}/search");
        let answer = self.client.call("POST", &path, Some(request), &["CURSOR_EXPIRED"]).done()?;
        self.load.tally.searched(started.elapsed());
        for hit in hits(&answer) {
            self.load.tally.expect(check(self.load.model, hit, since));
        }
        Some(answer)
    }

    /// Searches for a document that must be found, unless it is written meanwhile.
    fn finds(&self, at: usize, request: Value) {
        self.answer_with(at, request);
    }

    /// Does the same, and returns the answer.
    fn answer_with(&self, at: usize, request: Value) -> Option<Value> {
        let since = Instant::now();
        let answer = self.ask_since(&request, since)?;
        if !self.has(&answer, at) && self.load.model.is_settled(at, since) && !self.is_outranked(at, &request, since) {
            let found: Vec<&Value> = hits(&answer).iter().map(|hit| &hit["id"]).collect();
            let what = format!("{} is not found by {request}, but {found:?}", id(at));
            self.load.tally.fail(&what);
        }
        Some(answer)
    }

    fn has(&self, answer: &Value, at: usize) -> bool {
        hits(answer).iter().any(|hit| hit["id"] == id(at).as_str())
    }

    /// Whether a document that a search has missed is among the best hundred of all: many descriptions begin alike, and
    /// the search of some cells is no exact one.
    fn is_outranked(&self, at: usize, request: &Value, since: Instant) -> bool {
        let mut all = request.clone();
        all["k"] = json!(100);
        if all["mode"].is_null() {
            all["exact"] = json!(true);
        }
        self.ask_since(&all, since).is_none_or(|answer| self.has(&answer, at))
    }

    fn finds_by_embeddings(&self, at: usize, query: &str) {
        let texts = json!({"texts": [query], "kind": "query", "encoding": "base64"});
        let Some(encoded) = self.client.call("POST", "/v1/encode", Some(&texts), &[]).done() else { return };
        self.finds(at, json!({"embeddings": encoded["embeddings"][0]}));
    }

    /// Searches with a filter that is true of the document.
    fn finds_among(&self, at: usize, text: usize, random: &mut ChaCha8Rng) {
        let least = year(text).saturating_sub(random.random_range(0..50));
        let filter = match random.random_bool(0.5) {
            true => json!(format!("year >= {least}")),
            false => json!({"ge": ["year", least]}),
        };
        let request = json!({"query": self.load.model.text(text), "where": filter});
        let Some(answer) = self.answer_with(at, request) else { return };
        for hit in hits(&answer) {
            if hit["metadata"]["year"].as_u64().unwrap_or(0) < least as u64 {
                self.load.tally.fail(&format!("{} is found by year >= {least}: {}", hit["id"], hit["metadata"]));
            }
        }
    }

    fn explains(&self, at: usize, query: &str, is_full: bool) {
        let explain = if is_full { json!(true) } else { json!("words") };
        let Some(answer) = self.answer_with(at, json!({"query": query, "explain": explain, "k": 3})) else { return };
        for hit in hits(&answer) {
            if !hit["explanation"]["matches"].is_array() {
                self.load.tally.fail(&format!("{} is not explained", hit["id"]));
            }
        }
    }

    fn explains_one(&self, at: usize, query: &str) {
        let (path, request) = (format!("/v1/indexes/{INDEX}/explain"), json!({"query": query, "id": id(at)}));
        let since = Instant::now();
        match self.client.call("POST", &path, Some(&request), &["DOCUMENT_NOT_FOUND"]) {
            Outcome::Done(why) => {
                let text = why["text"].as_str().unwrap_or_default();
                self.load.tally.expect(self.load.model.check(&id(at), text, since));
            }
            Outcome::Refused(code) if code == "DOCUMENT_NOT_FOUND" && self.load.model.is_settled(at, since) => {
                self.load.tally.fail(&format!("{} exists, and is not found to be explained", id(at)));
            }
            _ => {}
        }
    }

    /// Pages through results; no document comes twice, and none from after the first page.
    fn pages(&self, query: &str, random: &mut ChaCha8Rng) {
        let since = Instant::now();
        let (mut request, mut seen, mut generation) = (json!({"query": query, "k": 7}), HashSet::new(), None);
        for _ in 0..PAGES {
            let Some(answer) = self.ask_since(&request, since) else { return };
            let first = generation.get_or_insert_with(|| answer["generation"].clone());
            if *first != answer["generation"] {
                self.load.tally.fail(&format!("a page of generation {} after {first}", answer["generation"]));
            }
            for hit in hits(&answer) {
                if !seen.insert(hit["id"].to_string()) {
                    self.load.tally.fail(&format!("{} is on two pages", hit["id"]));
                }
            }
            if answer["cursor"].is_null() {
                return;
            }
            request["cursor"] = answer["cursor"].clone();
            self.load.tally.pause(Duration::from_millis(random.random_range(0..100)));
        }
    }

    fn looks_up(&self, at: usize, text: usize) {
        let since = Instant::now();
        let path = format!("/v1/indexes/{INDEX}/documents?id={}", id(at));
        match self.client.call("GET", &path, None, &["DOCUMENT_NOT_FOUND"]) {
            Outcome::Done(document) => {
                let found = document["text"].as_str().unwrap_or_default();
                self.load.tally.expect(self.load.model.check(&id(at), found, since));
            }
            Outcome::Refused(code) if code == "DOCUMENT_NOT_FOUND" && self.load.model.is_settled(at, since) => {
                self.load.tally.fail(&format!("{} has text {text}, and is not found", id(at)));
            }
            _ => {}
        }
    }
}

/// Hits of an answer.
fn hits(answer: &Value) -> &[Value] {
    answer["hits"].as_array().map_or(&[], Vec::as_slice)
}

/// Checks that a hit has a text of its document, and the metadata of that text.
fn check(model: &Model, hit: &Value, since: Instant) -> Result<(), String> {
    let (found, text) = (hit["id"].as_str().unwrap_or_default(), hit["text"].as_str().unwrap_or_default());
    let number = hit["metadata"]["n"].as_u64().unwrap_or(u64::MAX) as usize;
    if number >= model.num_texts() || model.text(number) != text || hit["metadata"]["year"] != year(number) {
        return Err(format!("{found}: metadata {} beside the text {text:?}", hit["metadata"]));
    }
    model.check(found, text, since)
}
