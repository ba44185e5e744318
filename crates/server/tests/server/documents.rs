//! Indexes and their documents: create, add, replace, delete, load, restart.

use crate::support::{Server, ids};
use selvedge_server::Config;
use serde_json::{Value, json};

#[test]
fn an_index_lives_from_its_creation_to_its_deletion() {
    let server = Server::start();
    assert_eq!(server.get("/v1/indexes"), (200, json!({"indexes": []})));
    let created = server.ok("/v1/indexes", json!({"name": "notes", "nbits": 4}));
    assert_eq!((&created["state"], &created["generation"]), (&json!("empty"), &json!(0)));
    assert_eq!(server.fails("/v1/indexes", json!({"name": "notes"})), (409, "INDEX_ALREADY_EXISTS".into()));
    assert_eq!(server.fails("/v1/indexes/notes/search", json!({"query": "x"})), (409, "INDEX_EMPTY".into()));
    let documents = json!([
        {"id": "edge", "text": "the woven edge keeps a cloth from fraying", "metadata": {"chapter": 3}},
        {"id": 7, "text": "log files are rotated every night"},
        {"id": "edge", "text": "of two documents with one id the last one counts"},
    ]);
    let change = server.ok("/v1/indexes/notes/documents", json!({"documents": documents}));
    assert_eq!((&change["generation"], &change["added"], &change["passages"]), (&json!(1), &json!(2), &json!(2)));
    let more = json!({"documents": [{"id": "edge", "text": "a selvedge is a woven edge"}]});
    assert_eq!(server.ok("/v1/indexes/notes/documents", more.clone())["deleted"], 1);
    let (status, found) = server.get("/v1/indexes/notes/documents?id=edge");
    assert_eq!((status, &found["text"]), (200, &json!("a selvedge is a woven edge")));
    let refused = json!({"documents": more["documents"], "replace": false});
    assert_eq!(server.fails("/v1/indexes/notes/documents", refused), (409, "ID_EXISTS".into()));
    let change = server.ok("/v1/indexes/notes/delete", json!({"ids": ["7", "none"]}));
    assert_eq!((&change["deleted"], &change["passages"]), (&json!(1), &json!(1)));
    assert_eq!(server.get("/v1/indexes/notes/documents?id=7").0, 404);
    let (_, info) = server.get("/v1/indexes/notes");
    assert_eq!((&info["nbits"], &info["passages"], &info["state"]), (&json!(4), &json!(1), &json!("ready")));
    assert_eq!(server.delete("/v1/indexes/notes").0, 204);
    assert_eq!(server.get("/v1/indexes/notes").0, 404);
    assert_eq!(server.folders(), 0, "the files are gone");
    assert_eq!(server.delete("/v1/indexes/notes").0, 404);
}

/// An index that is deleted while it is written is gone, and its name is free.
#[test]
fn a_deletion_ends_the_write_that_runs() {
    let server = Server::start();
    let many: Vec<_> = (0..2000).map(|id| json!({"id": id, "text": format!("{id} {}", "long ".repeat(50))})).collect();
    for _ in 0..2 {
        server.ok("/v1/indexes", json!({"name": "n"}));
        server.ok("/v1/indexes/n/documents?wait=false", json!({"documents": many}));
        let (_, task) = server.post("/v1/indexes/n/documents?wait=false", json!({"documents": [many[0]]}));
        assert_eq!(server.delete("/v1/indexes/n").0, 204);
        let (_, task) = server.get(&format!("/v1/tasks/{}", task["id"]));
        assert_eq!(task["state"], "cancelled");
        assert_eq!(server.folders(), 0);
    }
}

#[test]
fn documents_are_deleted_by_a_condition() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "n"}));
    let document = |id: usize| json!({"id": id, "text": format!("number {id}"), "metadata": {"n": id}});
    let documents: Vec<_> = (0..20).map(document).collect();
    server.ok("/v1/indexes/n/documents", json!({"documents": documents}));
    assert_eq!(server.ok("/v1/indexes/n/delete", json!({"where": "n >= 15"}))["deleted"], 5);
    assert_eq!(server.ok("/v1/indexes/n/delete", json!({"where": {"lt": ["n", 2]}}))["deleted"], 2);
    for bad in [json!({}), json!({"ids": [], "where": "n = 1"}), json!({"where": "n >"}), json!({"where": {"x": 1}})] {
        assert_eq!(server.fails("/v1/indexes/n/delete", bad).0, 400);
    }
    assert_eq!(server.get("/v1/indexes/n").1["passages"], 13);
}

#[test]
fn embeddings_are_documents_too() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "rows", "dim": 16}));
    let row = |at: usize| (0..16).map(|d| if d == at { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let documents: Vec<_> =
        (0..10).map(|id| json!({"id": id, "embeddings": [row(id), row(id + 1)], "metadata": {"n": id}})).collect();
    server.ok("/v1/indexes/rows/documents", json!({"documents": documents}));
    let found = server.ok("/v1/indexes/rows/search", json!({"embeddings": [row(4), row(5)], "k": 1}));
    assert_eq!((ids(&found), &found["hits"][0]["metadata"]), (vec!["4".into()], &json!({"n": 4})));
    // The same bytes in base64: 1.0 is 00 00 80 3f.
    let bytes: Vec<u8> = [row(4), row(5)].concat().iter().flat_map(|x| x.to_le_bytes()).collect();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let embeddings = json!({"base64": base64, "shape": [2, 16]});
    let again = server.ok("/v1/indexes/rows/search", json!({"embeddings": embeddings, "k": 1}));
    assert_eq!(again["hits"], found["hits"]);
    let bad = [
        (json!({"query": "a text"}), "MODEL_NOT_LOADED"),
        (json!({"embeddings": [[1.0, 2.0]]}), "DIMENSION_MISMATCH"),
        (json!({"embeddings": [row(1), [1.0]]}), "BAD_REQUEST"),
        (json!({"embeddings": {"base64": "AAAA", "shape": [1, 16]}}), "BAD_REQUEST"),
        (json!({"embeddings": {"base64": "", "shape": [usize::MAX, 16]}}), "BAD_REQUEST"),
    ];
    for (request, code) in bad {
        assert_eq!(server.fails("/v1/indexes/rows/search", request.clone()), (400, code.into()), "{request}");
    }
    // As many numbers, in other rows.
    let halves = json!([vec![0.5; 8], vec![0.5; 8]]);
    let request = json!({"embeddings": halves});
    assert_eq!(server.fails("/v1/indexes/rows/search", request), (400, "DIMENSION_MISMATCH".into()));
    let request = json!({"documents": [{"id": "h", "embeddings": halves}]});
    assert_eq!(server.fails("/v1/indexes/rows/documents", request), (400, "DIMENSION_MISMATCH".into()));
    let text = json!({"documents": [{"id": "t", "text": "a text"}]});
    assert_eq!(server.fails("/v1/indexes/rows/documents", text), (400, "BAD_REQUEST".into()));
    let wrong = json!({"documents": [{"id": "w", "embeddings": [vec![1.0; 8]]}]});
    assert_eq!(server.fails("/v1/indexes/rows/documents", wrong).0, 400);
    assert_eq!(server.get("/v1/indexes/rows").1["generation"], 1, "nothing was changed");
}

#[test]
fn a_bulk_load_names_the_lines_that_fail() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "b"}));
    let lines = [
        r#"{"id": "1", "text": "one"}"#,
        "",
        "not json",
        r#"{"id": "2", "text": "two", "metadata": [1]}"#,
        r#"{"id": "", "text": "no id"}"#,
        r#"{"id": "3"}"#,
        r#"{"id": "4", "text": 4}"#,
        r#"{"id": "5", "text": "five"}"#,
    ];
    let (status, _, text) =
        server.send("POST", "/v1/indexes/b/bulk", "application/x-ndjson", lines.join("\n").as_bytes());
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &report["added"], &report["num_failed"]), (200, &json!(2), &json!(5)), "{report}");
    let failed: Vec<u64> = report["failed"].as_array().unwrap().iter().map(|f| f["line"].as_u64().unwrap()).collect();
    let mut sorted = failed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [3, 4, 5, 6, 7], "{report}");
    let message = &report["failed"][failed.iter().position(|&line| line == 7).unwrap()]["message"];
    assert_eq!(message, "text: invalid type: integer `4`, expected a string at column 21");
    assert_eq!(server.get("/v1/indexes/b").1["passages"], 2);
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "kept"}));
    server.ok("/v1/indexes", json!({"name": "bare", "nbits": 1}));
    server.ok("/v1/indexes/kept/documents", json!({"documents": [{"id": "a", "text": "a woven edge"}]}));
    let dir = server.end();
    std::fs::create_dir(dir.path().join("data/.deleted-old-1")).unwrap();
    // A first build that was interrupted, and an index whose files are damaged.
    std::fs::create_dir(dir.path().join("data/bare/index")).unwrap();
    std::fs::write(dir.path().join("data/bare/index/.selvedge.partial-codec-0000"), "of a build").unwrap();
    std::fs::create_dir_all(dir.path().join("data/broken/index")).unwrap();
    std::fs::write(dir.path().join("data/broken/settings.json"), "{}").unwrap();
    std::fs::write(dir.path().join("data/broken/index/manifest-0001"), "damaged").unwrap();
    let server = Server::in_dir(dir, |_| {});
    assert_eq!(ids(&server.ok("/v1/indexes/kept/search", json!({"query": "edge"}))), ["a"]);
    assert_eq!(server.get("/v1/indexes/bare").1["nbits"], 1);
    server.ok("/v1/indexes/bare/documents", json!({"documents": [{"id": "b", "text": "another"}]}));
    assert_eq!(server.get("/v1/indexes/broken").1["state"], "broken");
    assert_eq!(server.delete("/v1/indexes/broken").0, 204);
    assert!(!server.dir.path().join("data/.deleted-old-1").exists());
}

#[test]
fn tasks_are_watched_and_cancelled() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "t"}));
    let add = |id: usize| json!({"documents": [{"id": id, "text": format!("text {id}")}]});
    let (status, task) = server.post("/v1/indexes/t/documents?wait=false", add(1));
    assert_eq!((status, &task["kind"], &task["index"]), (202, &json!("add"), &json!("t")));
    // The stream ends with the task.
    let (_, headers, events) = server.send("GET", &format!("/v1/tasks/{}/events", task["id"]), "", b"");
    assert_eq!(headers["content-type"], "text/event-stream");
    let last = events.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&last["state"], &last["result"]["added"]), (&json!("done"), &json!(1)), "{events}");
    // Writes are done in order: the one after a long one is cancelled before it begins.
    let many: Vec<_> = (0..2000).map(|id| json!({"id": id, "text": format!("{id} {}", "long ".repeat(50))})).collect();
    let (_, long) = server.post("/v1/indexes/t/documents?wait=false", json!({"documents": many}));
    let (_, next) = server.post("/v1/indexes/t/documents?wait=false", add(9999));
    assert_eq!(server.delete(&format!("/v1/tasks/{}", next["id"])).0, 202);
    assert_eq!(server.delete(&format!("/v1/tasks/{}", long["id"])).0, 202);
    for task in [&long, &next] {
        let (_, _, events) = server.send("GET", &format!("/v1/tasks/{}/events", task["id"]), "", b"");
        assert!(events.contains(r#""state":"cancelled""#), "{events}");
    }
    assert_eq!(server.get("/v1/indexes/t").1["generation"], 1, "what was cancelled changed nothing");
    assert_eq!(server.get("/v1/tasks/999").0, 404);
    let compact = server.ok("/v1/indexes/t/compact", json!({}));
    let (_, _, events) = server.send("GET", &format!("/v1/tasks/{}/events", compact["id"]), "", b"");
    assert!(events.contains(r#""state":"done""#), "{events}");
}

#[test]
fn embeddings_may_be_bytes() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "b", "dim": 8}));
    let unit = |at: usize| (0..8).flat_map(move |i| f32::from(u8::from(i == at)).to_le_bytes());
    let body = |dim: usize| {
        let documents = json!([{"id": "x", "text": "of x", "tokens": 2}, {"id": "y", "tokens": 1}]);
        let header = json!({"documents": documents, "dim": dim}).to_string();
        let rows = unit(0).chain(unit(1)).chain(unit(2));
        (header.len() as u64).to_le_bytes().into_iter().chain(header.into_bytes()).chain(rows).collect::<Vec<u8>>()
    };
    let path = "/v1/indexes/b/documents";
    let (status, _, text) = server.send("POST", path, "application/octet-stream", &body(8));
    assert_eq!(status, 200, "{text}");
    let row: Vec<f32> = (0..8).map(|i| f32::from(u8::from(i == 2))).collect();
    let found = server.ok("/v1/indexes/b/search", json!({"embeddings": [row], "k": 2}));
    assert_eq!(ids(&found), ["y", "x"]);
    let (status, _, text) = server.send("POST", path, "application/octet-stream", &body(24));
    assert_eq!(status, 400, "{text}");
}

#[test]
fn an_index_that_cannot_be_opened_says_why() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i"}));
    server.ok("/v1/indexes/i/documents", json!({"documents": [{"id": "1", "text": "a loom"}]}));
    let dir = server.end();
    let manifest = dir.path().join("data/i/index/manifest-0001");
    let sound = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, "{}").unwrap();
    let server = Server::in_dir(dir, |_| {});
    let (status, info) = server.get("/v1/indexes/i");
    assert_eq!((status, &info["state"]), (200, &json!("broken")), "{info}");
    assert!(info["error"].as_str().unwrap().contains("manifest"), "{info}");
    for (path, body) in [
        ("/v1/indexes/i/search", json!({"query": "loom"})),
        ("/v1/indexes/i/documents", json!({"documents": [{"id": "2", "text": "another"}]})),
        ("/v1/indexes/i/delete", json!({"ids": ["1"]})),
    ] {
        assert_eq!(server.fails(path, body).0, 500, "{path}");
    }
    // Nothing was written over it.
    std::fs::write(&manifest, sound).unwrap();
    let server = Server::in_dir(server.end(), |_| {});
    assert_eq!(ids(&server.ok("/v1/indexes/i/search", json!({"query": "loom"}))), ["1"]);
}

#[test]
fn a_bulk_load_waits_for_a_place() {
    let server = Server::with(|config| config.max_waiting_writes = 1);
    server.ok("/v1/indexes", json!({"name": "i"}));
    let line = |n: usize| format!("{}\n", json!({"id": n.to_string(), "text": format!("text number {n}")}));
    let lines = |from: usize| (from..from + 20).map(line).collect::<String>();
    std::thread::scope(|scope| {
        for from in [0, 100, 200, 300] {
            let (server, body) = (&server, lines(from));
            scope.spawn(move || {
                let (status, _, text) =
                    server.send("POST", "/v1/indexes/i/bulk", "application/x-ndjson", body.as_bytes());
                assert_eq!(status, 200, "{text}");
            });
        }
    });
    assert_eq!(server.get("/v1/indexes/i").1["passages"], 80);
}

#[test]
fn fields_beside_the_known_ones_are_metadata() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "f"}));
    let lines = [
        json!({"id": 1, "text": "a loom", "year": 1990, "venue": "A"}),
        json!({"id": 2, "text": "a kiln", "metadata": {"year": 2000}, "venue": "B"}),
        json!({"id": 3, "text": "twice", "metadata": {"year": 2000}, "year": 2001}),
        json!({"id": 4, "txt": "misspelled"}),
    ];
    let body = lines.map(|line| line.to_string()).join("\n");
    let (status, _, text) = server.send("POST", "/v1/indexes/f/bulk", "application/x-ndjson", body.as_bytes());
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &report["added"], &report["num_failed"]), (200, &json!(2), &json!(2)), "{text}");
    assert!(report["failed"].to_string().contains("\\\"year\\\" twice"), "{text}");
    let (_, found) = server.get("/v1/indexes/f/documents?id=2");
    assert_eq!(found["metadata"], json!({"year": 2000, "venue": "B"}));
    let found = server.ok("/v1/indexes/f/search", json!({"query": "x", "where": "venue = 'A' AND yeer > 1"}));
    assert_eq!(found["hits"], json!([]));
    assert_eq!(found["warnings"], json!(["no passage has the key \"yeer\", which the filter names"]));
}

#[test]
fn dimensions_are_limited() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i"}));
    for shape in [json!([0, 1u64 << 63]), json!([0, 4104]), json!([1u64 << 62, 8])] {
        let documents = json!([{"id": "a", "embeddings": {"base64": "", "shape": shape}}]);
        assert_eq!(server.fails("/v1/indexes/i/documents", json!({"documents": documents})).0, 400, "{shape}");
    }
    let header = json!({"documents": [{"id": "a", "tokens": 0}], "dim": 1u64 << 63}).to_string();
    let body = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert_eq!(server.send("POST", "/v1/indexes/i/documents", "application/octet-stream", &body).0, 400);
}

/// K-means makes few centroids of equal embeddings, however often it runs.
#[test]
fn an_index_that_no_codec_fits_is_left_alone() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i"}));
    let text = "This page is intentionally left blank.";
    let documents: Vec<_> = (0..600).map(|n| json!({"id": n.to_string(), "text": text})).collect();
    server.ok("/v1/indexes/i/documents", json!({"documents": documents}));
    for n in 0..6 {
        let documents = json!([{"id": format!("more {n}"), "text": format!("sentence number {n} of other words")}]);
        server.ok("/v1/indexes/i/documents", json!({"documents": documents}));
    }
    let tasks = || server.get("/v1/tasks").1["tasks"].as_array().unwrap().clone();
    while tasks().iter().any(|task| task["ended_ms"].is_null()) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let trained = tasks().iter().filter(|task| task["kind"] == "compact").count();
    assert!(trained <= 1, "{trained} codecs");
}

#[test]
fn damaged_settings_and_a_second_server_are_named() {
    let server = Server::start();
    for name in ["sound", "damaged"] {
        server.ok("/v1/indexes", json!({"name": name}));
    }
    let config = Config { data: Some(server.dir.path().join("data")), ..Config::default() };
    let refused = selvedge_server::App::new(config).err().unwrap();
    assert!(refused.message.contains("another server"), "{refused}");
    let dir = server.end();
    std::fs::write(dir.path().join("data/damaged/settings.json"), r#"{"nbitz": 2}"#).unwrap();
    let server = Server::in_dir(dir, |_| {});
    assert_eq!(server.get("/v1/indexes/sound").1["state"], "empty");
    let (_, damaged) = server.get("/v1/indexes/damaged");
    assert_eq!(damaged["state"], "broken");
    assert!(damaged["error"].as_str().unwrap().contains("nbitz"), "{damaged}");
    assert_eq!(server.delete("/v1/indexes/damaged").0, 204);
}

#[test]
fn an_index_whose_model_is_gone_says_so() {
    let models = tempfile::tempdir().unwrap();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/shipped");
    for folder in ["", "1_MultiVectorMask", "2_Normalize"] {
        std::fs::create_dir_all(models.path().join(folder)).unwrap();
        for file in std::fs::read_dir(shipped.join(folder)).unwrap().map(Result::unwrap) {
            if file.path().is_file() {
                std::fs::copy(file.path(), models.path().join(folder).join(file.file_name())).unwrap();
            }
        }
    }
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i", "model": models.path()}));
    server.ok("/v1/indexes/i/documents", json!({"documents": [{"id": 1, "text": "a loom"}]}));
    let dir = server.end();
    drop(models);
    let server = Server::in_dir(dir, |_| {});
    let (_, info) = server.get("/v1/indexes/i");
    assert_eq!(info["state"], "broken", "{info}");
    assert_eq!(server.fails("/v1/indexes/i/search", json!({"query": "loom"})).0, 400);
}

#[test]
fn numbers_are_ids_as_they_are_written() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i"}));
    for id in ["12345678901234567890123", "1e3", "1.5"] {
        let body = format!(r#"{{"documents": [{{"id": {id}, "text": "x"}}]}}"#);
        let (status, _, text) = server.send("POST", "/v1/indexes/i/documents", "application/json", body.as_bytes());
        assert_eq!(status, 400, "{id}: {text}");
    }
    let documents = json!([{"id": u64::MAX, "text": "a loom"}, {"id": -7, "text": "a loom"}]);
    server.ok("/v1/indexes/i/documents", json!({"documents": documents}));
    let found = server.ok("/v1/indexes/i/search", json!({"query": "loom", "ids": [u64::MAX]}));
    assert_eq!(ids(&found), [u64::MAX.to_string()]);
    assert_eq!(server.ok("/v1/indexes/i/delete", json!({"ids": [-7]}))["deleted"], 1);
}
