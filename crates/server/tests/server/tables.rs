//! Tables of a router that change while it runs, and that do not fit.

use crate::collection::{Collection, Proxy, QUERIES, base, metric, nowhere, on_one, router_with, table};
use crate::support::{Server, ids};
use selvedge_server::{RouterConfig, Source};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SEARCH: &str = "/v1/indexes/all/search";
const REFUSED: &str = "selvedge_router_tables_total{result=\"refused\"}";

fn search() -> Value {
    json!({"query": QUERIES[0], "exact": true})
}

/// Replaces a file in one step.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A router that follows a file.
fn following(path: PathBuf) -> Server {
    router_with(&[], |config: &mut RouterConfig| {
        config.tables = vec![Source::File { path, collection: None }];
        config.server.follow_ms = 10;
    })
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_table_is_read_again_when_it_changes() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let (good, file) = (on_one(&server, 2), collection.path("shards.json"));
    let mut lacking = good.clone();
    lacking[1].1 = vec![nowhere()];
    replace(&file, &table(&lacking).to_string());
    let router = following(file.clone());
    assert_eq!(router.fails(SEARCH, search()), (503, "SHARDS_FAILED".into()));
    // The shard has moved.
    replace(&file, &table(&good).to_string());
    until("the new address is used", || router.post(SEARCH, search()).0 == 200);
    let expected = ids(&router.ok(SEARCH, search()));
    // A bad table changes nothing, and neither does none.
    let mut other = table(&good);
    for text in ["{\"name\": \"all\", \"sha", "", "{\"name\": \"all\", \"shards\": []}"] {
        let before = metric(&router, REFUSED);
        replace(&file, text);
        until("the bad table is noted", || metric(&router, REFUSED) > before);
        assert_eq!(ids(&router.ok(SEARCH, search())), expected, "{text}");
    }
    let before = metric(&router, REFUSED);
    std::fs::remove_file(&file).unwrap();
    until("the lost table is noted", || metric(&router, REFUSED) > before);
    assert_eq!(ids(&router.ok(SEARCH, search())), expected);
    other["name"] = "other".into();
    replace(&file, &other.to_string());
    until("another name is used", || router.post("/v1/indexes/other/search", search()).0 == 200);
    assert_eq!(router.fails(SEARCH, search()), (404, "INDEX_NOT_FOUND".into()));
}

#[test]
fn a_search_ends_on_the_table_that_it_began_with() {
    let collection = Collection::new(&[1]);
    let server = collection.serve(&["s1-0".into()]);
    let proxy = Proxy::of(server.address);
    let file = collection.path("shards.json");
    let at = |bases: String| table(&[("s1-0".into(), vec![bases])]).to_string();
    replace(&file, &at(base(proxy.address)));
    let router = following(file.clone());
    let words = || json!({"query": QUERIES[0], "mode": "lexical", "text": false, "metadata": false});
    let expected = ids(&router.ok(SEARCH, words()));
    proxy.delay_ms.store(250, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| ids(&router.ok(SEARCH, words())));
        std::thread::sleep(Duration::from_millis(100));
        replace(&file, &at(base(server.address)));
        let timed = || {
            let started = Instant::now();
            router.ok(SEARCH, words());
            started.elapsed()
        };
        until("the new table is used", || timed() < Duration::from_millis(200));
        assert_eq!(slow.join().unwrap(), expected);
    });
}

#[test]
fn shards_that_are_old_or_the_same_are_refused() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let mut old = table(&on_one(&server, 2));
    old["shards"][1]["generation"] = 2.into();
    let file = collection.path("shards.json");
    replace(&file, &old.to_string());
    let (status, refused) = following(file).post(SEARCH, search());
    let message = refused["message"].as_str().unwrap();
    assert_eq!((status, &refused["code"]), (503, &json!("SHARDS_FAILED")));
    assert!(message.contains("shard 1") && message.contains("generation 1, but the collection has 2"), "{message}");

    let twice = vec![on_one(&server, 2)[0].clone(); 2];
    let (status, refused) = crate::collection::router(&twice).post(SEARCH, search());
    assert_eq!((status, &refused["code"]), (409, &json!("SHARDS_EQUAL")), "{refused}");
}
