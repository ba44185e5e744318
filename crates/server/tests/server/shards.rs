//! A router over shards against one index with the same passages, and the failures of its shards.

use crate::collection::{
    COUNT, Collection, Proxy, QUERIES, base, build, found, metric, nowhere, on_one, passages, router, router_with,
};
use crate::support::{Server, ids};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn searches() -> Vec<Value> {
    let modes = [
        json!({"exact": true}),
        json!({"mode": "lexical"}),
        json!({"mode": "hybrid", "exact": true}),
        json!({"mode": "hybrid", "alpha": 0.3, "exact": true}),
        json!({"mode": "lexical_first", "lexical_first": 7}),
    ];
    let more = [
        json!({"k": 5}),
        json!({"k": 80, "text": false, "metadata": false}),
        json!({"where": "n < 50 AND kind = 'weft'", "facets": ["kind", "n", "none"], "facet_depth": 20, "snippet": 20}),
        json!({"ids": ["p1", "p30", "p31", "p89", "unknown"], "explain": "words"}),
    ];
    let mut all = Vec::new();
    for (mode, more) in modes.iter().flat_map(|mode| more.iter().map(move |more| (mode, more))) {
        for query in QUERIES {
            let mut search = json!({"query": query});
            for part in [mode, more] {
                search.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            all.push(search);
        }
    }
    all
}

#[test]
fn shards_behind_a_router_answer_as_one_index() {
    let counts = [1, 2, 4, 8];
    let collection = Collection::new(&counts);
    let names: Vec<String> =
        counts.iter().flat_map(|count| (0..*count).map(move |number| format!("s{count}-{number}"))).collect();
    let (server, whole) = (collection.serve(&names), collection.serve(&["whole".into()]));
    let expected: Vec<(Value, Value)> = searches()
        .into_iter()
        .map(|search| {
            let answer = whole.ok("/v1/indexes/whole/search", search.clone());
            (search, answer)
        })
        .collect();
    assert!(expected.iter().filter(|(_, answer)| !ids(answer).is_empty()).count() > 40);
    for count in counts {
        let router = router(&on_one(&server, count));
        for (search, expected) in &expected {
            let answer = router.ok("/v1/indexes/all/search", search.clone());
            assert_eq!(found(&answer), found(expected), "{count} shards: {search}");
            assert_eq!(answer["shards"]["ok"], count, "{answer}");
            assert_eq!((&answer["shards"]["failed"], &answer["cursor"]), (&json!([]), &Value::Null));
        }
        // Embeddings of the client, and a warning that holds for all shards.
        let query = json!({"texts": [QUERIES[0]], "kind": "query", "index": "whole"});
        let embeddings = whole.ok("/v1/encode", query)["embeddings"][0].clone();
        let search = json!({"embeddings": embeddings, "exact": true, "where": "unknown = 1 OR n >= 0"});
        let (one, all) =
            (whole.ok("/v1/indexes/whole/search", search.clone()), router.ok("/v1/indexes/all/search", search));
        assert_eq!((found(&one), &one["warnings"]), (found(&all), &all["warnings"]));
        assert_eq!(one["warnings"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_router_has_the_other_routes_of_reads() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let router = router(&on_one(&server, 2));
    let (status, info) = router.get("/v1/indexes/all");
    assert_eq!((status, &info["passages"], &info["generation"]), (200, &json!(COUNT), &json!(1)), "{info}");
    assert_eq!((info["shards"].as_array().unwrap().len(), &info["metadata_keys"]), (2, &json!(["half", "kind", "n"])));
    assert_eq!(router.get("/v1/indexes").1["indexes"][0]["tokens"], info["tokens"]);
    assert_eq!(router.get("/v1/indexes/other").0, 404);
    assert_eq!(router.get("/v1/indexes/all/documents?id=p80"), server.get("/v1/indexes/s2-1/documents?id=p80"));
    let (status, missing) = router.get("/v1/indexes/all/documents?id=none");
    assert_eq!((status, &missing["code"]), (404, &json!("DOCUMENT_NOT_FOUND")));
    let texts = json!({"texts": ["warp"], "kind": "query"});
    assert_eq!(router.ok("/v1/encode", texts.clone())["embeddings"], server.ok("/v1/encode", texts)["embeddings"]);
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
        assert_eq!(router.get(path).0, 200, "{path}");
    }
    let api = router.get("/openapi.json").1;
    assert!(api["paths"]["/v1/indexes/{name}/search"]["post"].is_object());
    let request = &api["components"]["schemas"]["RouterRequest"]["allOf"];
    assert!(request[0]["$ref"].is_string() && request[1]["properties"]["partial"].is_object(), "{request}");
    assert!(server.get("/openapi.json").1["paths"]["/v1/indexes/{name}/shard/rank"]["post"].is_object());
    // Writes are refused with the places where they go.
    for path in ["documents", "bulk", "delete", "compact"] {
        let (status, refused) = router.post(&format!("/v1/indexes/all/{path}"), json!({}));
        let message = refused["message"].as_str().unwrap();
        assert_eq!((status, &refused["code"]), (403, &json!("READ_ONLY")), "{path}");
        assert!(message.contains("s2-1") && message.contains(&base(server.address)), "{message}");
    }
    assert_eq!(router.fails("/v1/indexes", json!({"name": "new"})), (403, "READ_ONLY".into()));
    assert_eq!(router.delete("/v1/indexes/all").0, 403);
    // Mistakes of clients are told as a server tells them.
    for (search, code) in [
        (json!({"query": "x", "where": "n <"}), "BAD_FILTER"),
        (json!({"query": "x", "k": 0}), "BAD_REQUEST"),
        (json!({"query": "x", "partial": 1}), "BAD_REQUEST"),
        (json!({"query": "x", "colour": 1}), "BAD_REQUEST"),
        (json!({"k": 3}), "BAD_REQUEST"),
        (json!({"query": "x", "cursor": "x"}), "BAD_REQUEST"),
        (json!({"embeddings": [[0.5, 0.5]]}), "DIMENSION_MISMATCH"),
    ] {
        assert_eq!(router.fails("/v1/indexes/all/search", search.clone()), (400, code.into()), "{search}");
    }
}

#[test]
fn a_dead_replica_is_not_missed_and_a_dead_shard_is_named() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into(), "s2-1".into()]);
    let dead = nowhere();
    let of = |bases: [&str; 2]| bases.map(str::to_owned).to_vec();
    let live = base(server.address);
    let router_of = |second: Vec<String>| router(&[("s2-0".into(), of([&dead, &live])), ("s2-1".into(), second)]);
    let all = router_of(vec![live.clone()]);
    let before = metric(&all, "selvedge_router_retries_total");
    for search in searches().into_iter().take(10) {
        assert_eq!(all.ok("/v1/indexes/all/search", search)["shards"]["ok"], 2);
    }
    assert!(metric(&all, "selvedge_router_retries_total") > before);
    let lacking = router_of(vec![dead.clone()]);
    let search = |partial: bool| json!({"query": QUERIES[0], "exact": true, "k": COUNT, "partial": partial});
    let (status, refused) = lacking.post("/v1/indexes/all/search", search(false));
    assert_eq!((status, &refused["code"]), (503, &json!("SHARDS_FAILED")), "{refused}");
    assert_eq!((&refused["details"]["total"], &refused["details"]["failed"][0]["shard"]), (&json!(2), &json!(1)));
    assert!(refused["message"].as_str().unwrap().contains(&dead), "{refused}");
    for mode in ["maxsim", "hybrid", "lexical"] {
        let mut search = search(true);
        search["mode"] = mode.into();
        let answer = lacking.ok("/v1/indexes/all/search", search);
        let shards = &answer["shards"];
        assert_eq!((&shards["total"], &shards["ok"], &shards["failed"][0]["shard"]), (&json!(2), &json!(1), &json!(1)));
        assert_eq!(shards["generations"], json!([1, null]));
        let number = |id: &String| id[1..].parse::<usize>().unwrap();
        assert!(!ids(&answer).is_empty() && ids(&answer).iter().all(|id| number(id) < 45), "{answer}");
    }
    assert_eq!(lacking.get("/v1/indexes/all/documents?id=p3").0, 200);
    assert_eq!(lacking.get("/v1/indexes/all/documents?id=p80").0, 503, "it may be there");
    assert_eq!((lacking.get("/v1/indexes/all").0, lacking.get("/health/ready").0), (503, 200));
    // Nothing is left to answer.
    let none = router(&[("s2-0".into(), vec![dead.clone()]), ("s2-1".into(), vec![dead])]);
    assert_eq!(none.fails("/v1/indexes/all/search", search(true)), (503, "SHARDS_FAILED".into()));
    assert_eq!(none.get("/health/ready").0, 503);
}

#[test]
fn a_slow_replica_is_hedged_within_the_budget() {
    let collection = Collection::new(&[1]);
    let server = collection.serve(&["s1-0".into()]);
    let proxy = Proxy::of(server.address);
    // A delay that a busy machine does not reach, so that the budget is saved up.
    let shards = [("s1-0".into(), vec![base(proxy.address), base(server.address)])];
    let router = router_with(&shards, |config| config.hedge_ms = 250.0);
    let search = json!({"query": QUERIES[0], "mode": "lexical", "text": false, "metadata": false});
    let ask = || {
        let started = Instant::now();
        router.ok("/v1/indexes/all/search", search.clone());
        started.elapsed()
    };
    // Times and budget: two requests of shards each.
    (0..100).for_each(|_| _ = ask());
    let before = metric(&router, "selvedge_router_hedges_total");
    proxy.delay_ms.store(4000, Ordering::Relaxed);
    let times: Vec<Duration> = (0..4).map(|_| ask()).collect();
    assert!(times.iter().all(|time| *time < Duration::from_millis(3500)), "{times:?}");
    assert!(metric(&router, "selvedge_router_hedges_total") > before);
}

#[test]
fn a_generation_that_changes_between_phases_begins_again() {
    let collection = Collection::new(&[2]);
    let server = collection.serve(&["s2-0".into()]);
    // A server that keeps no generation but the last, and whose answers take a while.
    let changed = Server::with(|config| {
        config.indexes = vec![collection.path("s2-1")];
        config.follow_ms = 5;
        config.cursor_ttl_s = 0;
    });
    let proxy = Proxy::of(changed.address);
    let router = router(&[("s2-0".into(), vec![base(server.address)]), ("s2-1".into(), vec![base(proxy.address)])]);
    let search = json!({"query": QUERIES[0], "mode": "hybrid", "k": COUNT, "exact": true});
    let ask = || {
        let answer = router.ok("/v1/indexes/all/search", search.clone());
        (ids(&answer).len(), answer["shards"]["generations"].clone())
    };
    assert_eq!(ask(), (COUNT, json!([1, 1])));
    let before = metric(&router, "selvedge_router_restarts_total");
    // While the statistics of the first generation are on their way, the second one takes its place.
    proxy.delay_ms.store(1500, Ordering::Relaxed);
    let (path, delay_ms) = (collection.path("s2-1"), Arc::clone(&proxy.delay_ms));
    let change = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        selvedge::change::delete(&path, &["p80"], false).unwrap();
        // Bytes that wait already still do.
        delay_ms.store(0, Ordering::Relaxed);
    });
    assert_eq!(ask(), (COUNT - 1, json!([1, 2])));
    change.join().unwrap();
    assert_eq!(metric(&router, "selvedge_router_restarts_total") - before, 1.0);
    // The same, by hand: a version that was never here.
    let rank = json!({"search": {"query": "x", "mode": "lexical"}, "version": "1-0000000000000000",
        "statistics": {"passages": 1, "tokens": 1, "having": {}}});
    assert_eq!(changed.fails("/v1/indexes/s2-1/shard/rank", rank), (410, "VERSION_GONE".into()));
}

#[test]
fn shards_of_other_codecs_are_refused() {
    let collection = Collection::new(&[2]);
    build(&collection.path("other"), &passages()[45..], None);
    let server = collection.serve(&["s2-0".into(), "other".into()]);
    let at = || vec![base(server.address)];
    let router = router(&[("s2-0".into(), at()), ("other".into(), at())]);
    let (status, refused) = router.post("/v1/indexes/all/search", json!({"query": "warp", "partial": true}));
    assert_eq!((status, &refused["code"]), (409, &json!("SHARDS_DIFFER")), "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("shard 1 has another codec") && message.matches("checksum").count() == 2, "{message}");
}

/// Requests of a router that a shard refuses, as they are no search of one index.
#[test]
fn routes_of_a_shard_check_what_they_get() {
    let collection = Collection::new(&[1]);
    let server = collection.serve(&["s1-0".into()]);
    let fails = |route: &str, body: Value| server.fails(&format!("/v1/indexes/s1-0/shard/{route}"), body);
    let bad = || (400, "BAD_REQUEST".to_owned());
    assert_eq!(fails("rank", json!({"search": {"query": "x", "mode": "lexical"}})), bad());
    assert_eq!(fails("rank", json!({"search": {"query": "x", "cursor": "x"}})), bad());
    let statistics = json!({"passages": 1, "tokens": 1, "having": {"warp": 2}});
    assert_eq!(fails("rank", json!({"search": {"query": "warp", "mode": "lexical"}, "statistics": statistics})), bad());
    let ranked = server.ok("/v1/indexes/s1-0/shard/rank", json!({"search": {"query": "warp"}, "with_ids": true}));
    assert_eq!(ranked["ids"].as_array().unwrap().len(), 10, "{ranked}");
    let (search, version) = (json!({"query": "warp"}), &ranked["version"]);
    let output = |hits: &str, counted: Value| {
        let (search, version) = (search.clone(), version.clone());
        json!({"search": search, "version": version, "hits": hits, "counted": counted})
    };
    assert_eq!(fails("output", output("AAAA", json!([]))), bad());
    assert_eq!(fails("output", output("/////wAAAAA=", json!([]))), bad());
    assert_eq!(fails("output", output("", json!([90]))), bad());
    let hits = server.ok("/v1/indexes/s1-0/shard/output", output("AgAAAAAAAD8=", json!([])));
    assert_eq!((&hits["hits"][0]["id"], &hits["hits"][0]["score"]), (&json!("p2"), &json!(0.5)), "{hits}");
}
