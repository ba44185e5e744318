//! Comparison of the whole index with the model.

use crate::INDEX;
use crate::client::{Client, Outcome, Tally};
use crate::model::{Model, id};
use std::time::{Duration, Instant};

/// Longest time in which the writes that wait are carried out.
const PATIENCE: Duration = Duration::from_secs(300);

/// Looks up every document that was ever written.
pub fn audit(client: &Client<'_>, tally: &Tally, model: &Model, when: &str) {
    let home = format!("/v1/indexes/{INDEX}");
    let started = Instant::now();
    // Writes whose clients hung up go on.
    let info = loop {
        let info = client.call("GET", &home, None, &[]).done().unwrap_or_default();
        if info["waiting_writes"] == 0 || started.elapsed() > PATIENCE {
            break info;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if info["waiting_writes"] != 0 {
        tally.fail(&format!("{when}: writes wait for ever: {info}"));
    }
    for at in 0..model.len() {
        let path = format!("{home}/documents?id={}", id(at));
        let found = match client.call("GET", &path, None, &["DOCUMENT_NOT_FOUND"]) {
            Outcome::Done(document) => document["text"].as_str().map(str::to_owned),
            Outcome::Refused(code) if code == "DOCUMENT_NOT_FOUND" => None,
            _ => {
                tally.fail(&format!("{when}: {} cannot be looked up", id(at)));
                continue;
            }
        };
        tally.expect(model.resolve(at, found.as_deref()).map_err(|what| format!("{when}: {what}")));
    }
    let living = model.living();
    if info["passages"].as_u64() != Some(living as u64) {
        tally.fail(&format!("{when}: {living} documents were found, and the index says {}", info["passages"]));
    }
    println!("{when}: {} ids looked up, {living} exist", model.len());
}
