//! Additions, replacements, deletions, merges, and a second index.

use crate::client::{Client, Outcome};
use crate::model::{Kind, Model, Write, id};
use crate::{INDEX, Load};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::time::Duration;

/// Share of the texts that documents have at first, and about which their number stays.
const FILLED: f64 = 0.5;
/// Name of the index that comes and goes.
const SECOND: &str = "second";
/// Number of merges of which one trains another codec.
const RETRAINED: usize = 8;

/// Creates the index, and loads the first documents in bulk.
pub fn fill(client: &Client<'_>, model: &Model) {
    client.call("POST", "/v1/indexes", Some(&json!({"name": INDEX})), &[]).done().expect("a new index");
    let count = (model.num_texts() as f64 * FILLED) as usize;
    let writes = model.begin(Kind::Add, count, &mut ChaCha8Rng::seed_from_u64(0));
    let lines: String = writes.iter().map(|write| format!("{}\n", model.document(write))).collect();
    let answer = client.send("POST", &format!("/v1/indexes/{INDEX}/bulk"), "application/x-ndjson", lines, &[]);
    let report = answer.done().expect("a bulk load");
    assert_eq!((report["added"].as_u64(), report["num_failed"].as_u64()), (Some(count as u64), Some(0)), "{report}");
    model.end(&writes, Some(true));
    println!("loaded {count} documents");
}

/// Carries out a write, and notes its end. `count` names the field of the answer that counts its documents.
fn commit(load: &Load<'_>, writes: &[Write], answer: Outcome, count: &str) {
    match answer {
        Outcome::Done(change) => {
            load.model.end(writes, Some(true));
            if change[count].as_u64() != Some(writes.len() as u64) {
                load.tally.fail(&format!("{} documents written, and the answer is {change}", writes.len()));
            }
        }
        Outcome::Refused(_) => load.model.end(writes, Some(false)),
        Outcome::Lost => load.model.end(writes, None),
    }
}

/// Adds and replaces documents, singly, by the dozen and in bulk.
pub fn write(load: &Load<'_>) {
    let (client, mut random) = (load.client(), load.random(100));
    while !load.tally.is_stopped() {
        let is_sparse = (load.model.living() as f64) < load.model.num_texts() as f64 * FILLED;
        let kind = if is_sparse && random.random_bool(0.7) { Kind::Add } else { Kind::Replace };
        let is_bulk = random.random_bool(0.1);
        let count = if is_bulk { random.random_range(20..60) } else { [1, 1, 2, 12][random.random_range(0..4)] };
        let writes = load.model.begin(kind, count, &mut random);
        let documents: Vec<Value> = writes.iter().map(|write| load.model.document(write)).collect();
        let answer = if is_bulk {
            let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
            client.send("POST", &format!("/v1/indexes/{INDEX}/bulk"), "application/x-ndjson", lines, &[])
        } else {
            let path = format!("/v1/indexes/{INDEX}/documents");
            client.call("POST", &path, Some(&json!({"documents": documents})), &[])
        };
        commit(load, &writes, answer, "added");
        load.tally.pause(Duration::from_millis(random.random_range(0..300)));
    }
}

/// Deletes documents by their ids, or by a condition on their metadata.
pub fn delete(load: &Load<'_>) {
    let (client, mut random) = (load.client(), load.random(101));
    while !load.tally.is_stopped() {
        load.tally.pause(Duration::from_millis(random.random_range(0..600)));
        if (load.model.living() as f64) < load.model.num_texts() as f64 * FILLED * 0.9 {
            continue;
        }
        let writes = load.model.begin(Kind::Delete, random.random_range(1..8), &mut random);
        let ids: Vec<String> = writes.iter().map(|write| id(write.at)).collect();
        let request = match random.random_bool(0.7) {
            true => json!({"ids": ids}),
            false => {
                let numbers: Vec<String> = writes.iter().filter_map(Write::number_before).collect();
                json!({"where": format!("n IN ({})", numbers.join(", "))})
            }
        };
        let answer = client.call("POST", &format!("/v1/indexes/{INDEX}/delete"), Some(&request), &[]);
        commit(load, &writes, answer, "deleted");
    }
}

/// Merges segments from time to time, and watches the task to its end.
pub fn merge(load: &Load<'_>) {
    let (client, mut random) = (load.client(), load.random(102));
    for round in 1.. {
        load.tally.pause(Duration::from_millis(random.random_range(8_000..25_000)));
        if load.tally.is_stopped() {
            return;
        }
        let retrain = if round % RETRAINED == 0 { "always" } else { "never" };
        let path = format!("/v1/indexes/{INDEX}/compact");
        let Some(task) = client.call("POST", &path, Some(&json!({"retrain": retrain})), &[]).done() else { continue };
        let path = format!("/v1/tasks/{}", task["id"]);
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let task = match client.call("GET", &path, None, &[]) {
                Outcome::Done(task) => task,
                Outcome::Refused(_) => continue,
                Outcome::Lost => break,
            };
            match task["state"].as_str() {
                Some("waiting" | "running") => {}
                Some("done") => break load.tally.note(&format!("merge, retrain {retrain}")),
                _ => break load.tally.fail(&format!("a merge ended so: {task}")),
            }
        }
    }
}

/// Creates an index, fills and searches it, and deletes it.
pub fn second_index(load: &Load<'_>) {
    let (client, mut random) = (load.client(), load.random(103));
    let home = format!("/v1/indexes/{SECOND}");
    // One that was there when the process was killed.
    client.call("DELETE", &home, None, &["INDEX_NOT_FOUND"]);
    while !load.tally.is_stopped() {
        load.tally.pause(Duration::from_millis(random.random_range(500..4000)));
        let nbits = 1 << random.random_range(0..3);
        let settings = json!({"name": SECOND, "nbits": nbits});
        if client.call("POST", "/v1/indexes", Some(&settings), &[]).done().is_none() {
            continue;
        }
        let text = load.model.text(random.random_range(0..load.model.num_texts()));
        let documents: Vec<Value> =
            (0..random.random_range(1..20)).map(|n| json!({"id": n, "text": format!("{n} {text}")})).collect();
        let request = json!({"documents": documents});
        let is_filled = client.call("POST", &format!("{home}/documents"), Some(&request), &[]).done().is_some();
        if is_filled {
            let request = json!({"query": format!("0 {text}"), "k": documents.len()});
            let found = client.call("POST", &format!("{home}/search"), Some(&request), &[]).done();
            if found.is_some_and(|found| found["hits"].as_array().map(Vec::len) != Some(documents.len())) {
                load.tally.fail("the second index does not find all that it has");
            }
        }
        // Refused under load: the next creation would find it.
        while let Outcome::Refused(_) = client.call("DELETE", &home, None, &[]) {
            std::thread::sleep(Duration::from_millis(100));
        }
        if let Outcome::Done(_) = client.call("GET", &home, None, &["INDEX_NOT_FOUND"]) {
            load.tally.fail("a deleted index is there");
        }
    }
}
