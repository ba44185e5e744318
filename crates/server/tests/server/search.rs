//! Search: modes, filters, pages, generations, explanations; reads beside writes.

use crate::support::{Server, ids};
use serde_json::{Value, json};

const TEXTS: [(&str, &str, i64); 6] = [
    ("edge", "the woven edge keeps a cloth from fraying", 1990),
    ("rotate", "rotated log files are compressed and kept for a week", 2005),
    ("mail", "mail is delivered to the local spool", 2010),
    ("bytes", "a query is answered from compressed bytes", 2021),
    ("html", "<img src=x onerror=alert(1)> & <b>bold</b>", 2022),
    ("wide", "Überall weben Fäden 織物 🧵 thread", 2023),
];

fn server() -> Server {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "n"}));
    let document = |&(id, text, year): &(&str, &str, i64)| json!({"id": id, "text": text, "metadata": {"year": year}});
    let documents: Vec<Value> = TEXTS.iter().map(document).collect();
    server.ok("/v1/indexes/n/documents", json!({"documents": documents}));
    server
}

#[test]
fn every_mode_finds_what_it_should() {
    let server = server();
    let search = |request: Value| server.ok("/v1/indexes/n/search", request);
    let found = search(json!({"query": "how do I rotate a log file", "k": 2, "facets": ["year"]}));
    assert_eq!(ids(&found)[0], "rotate");
    assert_eq!(found["hits"][0]["metadata"], json!({"year": 2005}));
    assert_eq!(found["facets"][0]["key"], "year");
    assert_eq!(found["generation"], 1);
    assert!(found["times_us"]["encode"].as_f64().unwrap() > 0.0, "{found}");
    for mode in [
        json!({"mode": "hybrid"}),
        json!({"mode": "hybrid", "alpha": 0.5}),
        json!({"mode": "lexical"}),
        json!({"mode": "lexical_first", "lexical_first": 3}),
        json!({"exact": true}),
        json!({"nprobe": 4, "ndocs": 8}),
    ] {
        let mut request = json!({"query": "log files", "k": 1});
        request.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
        assert_eq!(ids(&search(request)), ["rotate"], "{mode}");
    }
    let within = |filter: Value| ids(&search(json!({"query": "a text", "where": filter})));
    assert_eq!(within(json!("year BETWEEN 2009 AND 2015")), ["mail"]);
    assert_eq!(within(json!({"ge": ["year", 2023]})), ["wide"]);
    assert_eq!(ids(&search(json!({"query": "a", "ids": ["mail", "none"]}))), ["mail"]);
    let bare = search(json!({"query": "edge", "text": false, "metadata": false, "k": 1}));
    assert_eq!(bare["hits"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "score"]);
    assert_eq!(search(json!({"query": ""}))["hits"], json!([]));
}

#[test]
fn mistakes_are_named() {
    let server = server();
    let bad = [
        (json!({}), "BAD_REQUEST"),
        (json!({"query": "x", "k": 0}), "BAD_REQUEST"),
        (json!({"query": "x", "k": 1_000_000}), "BAD_REQUEST"),
        (json!({"query": "x", "k": 101, "explain": true}), "BAD_REQUEST"),
        (json!({"query": "x", "mode": "magic"}), "BAD_REQUEST"),
        (json!({"query": "x", "typo": 1}), "BAD_REQUEST"),
        (json!({"query": 7}), "BAD_REQUEST"),
        (json!({"query": "x", "mode": "hybrid", "alpha": 2}), "BAD_REQUEST"),
        (json!({"query": "x", "where": "year >"}), "BAD_FILTER"),
        (json!({"query": "x", "where": [1]}), "BAD_FILTER"),
        (json!({"query": "x", "cursor": "no cursor"}), "BAD_REQUEST"),
        (json!({"embeddings": [vec![f32::MAX; 128]]}), "BAD_EMBEDDINGS"),
    ];
    for (request, code) in bad {
        assert_eq!(server.fails("/v1/indexes/n/search", request.clone()), (400, code.into()), "{request}");
    }
    let (_, answer) = server.post("/v1/indexes/n/search", json!({"query": "x", "mode": "magic"}));
    assert!(answer["message"].as_str().unwrap().contains("mode"), "the field is named: {answer}");
    let late = json!({"query": "x", "wait_for_generation": 9, "timeout_ms": 50});
    assert_eq!(server.fails("/v1/indexes/n/search", late), (503, "TIMEOUT".into()));
}

#[test]
fn pages_come_from_the_generation_of_the_first() {
    let server = server();
    let request = json!({"query": "woven cloth", "k": 2, "facets": ["lang"]});
    let all = ids(&server.ok("/v1/indexes/n/search", json!({"query": "woven cloth", "k": 10})));
    let (mut paged, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut next = request.clone();
        let is_first = cursor.is_null();
        next["cursor"] = cursor;
        let page = server.ok("/v1/indexes/n/search", next);
        assert_eq!(page["facets"].as_array().unwrap().len(), usize::from(is_first));
        assert_eq!(page["generation"], 1);
        paged.extend(ids(&page));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
        // A change between the pages is not seen by them.
        server.ok("/v1/indexes/n/documents", json!({"documents": [{"id": "new", "text": "woven cloth, new"}]}));
        server.ok("/v1/indexes/n/delete", json!({"ids": ["mail"]}));
    }
    assert_eq!(paged, all);
    // Nine generations later the first is not kept any more.
    let first = server.ok("/v1/indexes/n/search", request.clone());
    for at in 0..9 {
        server.ok("/v1/indexes/n/documents", json!({"documents": [{"id": format!("g{at}"), "text": "another"}]}));
    }
    let mut next = request;
    next["cursor"] = first["cursor"].clone();
    assert_eq!(server.fails("/v1/indexes/n/search", next.clone()), (410, "CURSOR_EXPIRED".into()));
    // Nor does another index of the same name answer, though it has a generation of this number.
    let found = server.ok("/v1/indexes/n/search", json!({"query": "woven cloth", "k": 2}));
    next["cursor"] = found["cursor"].clone();
    assert_eq!(server.delete("/v1/indexes/n").0, 204);
    server.ok("/v1/indexes", json!({"name": "n"}));
    let generation = |found: &Value| found["generation"].as_u64().unwrap();
    while generation(&server.get("/v1/indexes/n").1) < generation(&found) {
        server.ok("/v1/indexes/n/documents", json!({"documents": [{"id": "1", "text": "another"}]}));
    }
    assert_eq!(server.fails("/v1/indexes/n/search", next), (410, "CURSOR_EXPIRED".into()));
}

#[test]
fn a_client_reads_its_writes() {
    let server = server();
    let change = server.ok("/v1/indexes/n/documents?wait=false", json!({"documents": [{"id": "z", "text": "zebra"}]}));
    assert_eq!(change["kind"], "add");
    let found = server.ok("/v1/indexes/n/search", json!({"query": "zebra", "k": 1, "wait_for_generation": 2}));
    assert_eq!(ids(&found), ["z"]);
}

#[test]
fn an_explanation_names_characters() {
    let server = server();
    let why = server.ok("/v1/indexes/n/explain", json!({"query": "thread", "id": "wide"}));
    let text: Vec<char> = why["text"].as_str().unwrap().chars().collect();
    let word = |word: &Value| -> String {
        let at = |key: &str| word[key].as_u64().unwrap() as usize;
        text[at("start")..at("end")].iter().collect()
    };
    let words: Vec<String> = why["words"].as_array().unwrap().iter().map(word).collect();
    assert!(words.contains(&"thread".to_owned()), "{words:?}");
    let found = server.ok("/v1/indexes/n/search", json!({"query": "thread", "ids": ["wide"], "explain": true}));
    let of_hit = &found["hits"][0];
    assert_eq!((&of_hit["explanation"]["words"], &of_hit["score"]), (&why["words"], &why["score"]));
    let short = server.ok("/v1/indexes/n/search", json!({"query": "thread", "ids": ["wide"], "explain": "words"}));
    let short = &short["hits"][0]["explanation"];
    assert_eq!((&short["words"], short.get("similarities")), (&why["words"], None));
    assert_eq!(server.fails("/v1/indexes/n/search", json!({"query": "x", "explain": "all"})).0, 400);
    assert_eq!(server.fails("/v1/indexes/n/explain", json!({"query": "x", "id": "none"})).0, 404);
}

#[test]
fn texts_are_encoded_alone_and_together() {
    let server = server();
    let answer = server.ok("/v1/encode", json!({"texts": ["a woven edge", "", "x"], "kind": "query"}));
    let rows = answer["embeddings"].as_array().unwrap();
    assert_eq!((rows.len(), rows[0][0].as_array().unwrap().len(), rows[1].as_array().unwrap().len()), (3, 128, 0));
    let found = server.ok("/v1/indexes/n/search", json!({"embeddings": rows[0]}));
    let by_text = server.ok("/v1/indexes/n/search", json!({"query": "a woven edge"}));
    assert_eq!(found["hits"], by_text["hits"]);
    let many: Vec<String> = (0..1200).map(|n| format!("text {n}")).collect();
    assert_eq!(server.ok("/v1/encode", json!({"texts": many}))["embeddings"].as_array().unwrap().len(), 1200);
    let server = Server::with(|config| config.max_waiting = 3);
    assert_eq!(server.ok("/v1/encode", json!({"texts": many}))["embeddings"].as_array().unwrap().len(), 1200);
    let other = json!({"texts": ["x"], "model": "/etc"});
    assert_eq!(server.fails("/v1/encode", other), (400, "MODEL_NOT_LOADED".into()));
}

/// While a long write runs, searches go on from the generation before; so do 8 clients at a time.
#[test]
fn reads_do_not_wait_for_writes() {
    let server = server();
    let many: Vec<_> = (0..3000).map(|id| json!({"id": id, "text": format!("{id} {}", "long ".repeat(60))})).collect();
    let (_, task) = server.post("/v1/indexes/n/documents?wait=false", json!({"documents": many}));
    let expected = ids(&server.ok("/v1/indexes/n/search", json!({"query": "woven edge", "k": 3})));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let found = server.ok("/v1/indexes/n/search", json!({"query": "woven edge", "k": 3}));
                    assert_eq!((ids(&found), &found["generation"]), (expected.clone(), &json!(1)));
                }
            });
        }
    });
    let (_, running) = server.get(&format!("/v1/tasks/{}", task["id"]));
    assert_eq!(running["state"], "running", "the searches were answered meanwhile: {running}");
    server.delete(&format!("/v1/tasks/{}", task["id"]));
}
