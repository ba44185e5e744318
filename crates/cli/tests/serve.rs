//! `selvedge serve` as a process: settings, signals, and a crash between writes.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::Collection;

/// A server process, killed when this is dropped.
struct Process {
    child: Child,
    base: String,
}

impl Process {
    /// Starts a server on a free port, and waits until it listens.
    fn start(c: &Collection, words: &str) -> Self {
        Self::of(c.command(&format!("serve --listen 127.0.0.1:0 {words}"), &[]))
    }

    /// Starts a command that listens, and waits until it does.
    fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base = loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            if let Some(base) = line.split("listening on ").nth(1) {
                break base.to_owned();
            }
        };
        // A full pipe would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = ureq::post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn settings_come_from_flags_the_environment_and_a_file() {
    let c = Collection::new();
    let error = c.fails("serve", 2);
    assert!(error.contains("--data"), "{error}");
    assert!(c.fails("serve --data d --listen nowhere", 2).contains("--listen"));
    assert!(c.fails("serve --data d --device gpu --listen 127.0.0.1:0", 1).contains("device"));
    c.write("bad.toml", "data = \"d\"\nlistn = \"127.0.0.1:1\"\n");
    let error = c.fails("serve --config bad.toml", 2);
    assert!(error.contains("bad.toml: line 2: unknown field `listn`"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(c.fails("serve --config none.toml", 2).contains("none.toml"));
    assert!(c.fails("serve --new-key owner", 2).contains("read, write or admin"));
    let made = c.command("serve --new-key write", &[]).output().unwrap();
    let (entry, told) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    let secret = told.split_whitespace().find(|word| word.starts_with("slv_")).unwrap();
    assert!(!entry.contains(secret) && entry.contains("role = \"write\""), "{entry}");
    c.write("good.toml", &format!("data = \"of-file\"\nmax_body = 1234\n{entry}"));
    let server = Process::start(&c, "--config good.toml --data of-flag");
    assert!(c.path("of-flag").is_dir() && !c.path("of-file").exists());
    let info = format!("{}/v1/info", server.base);
    assert!(ureq::get(&info).call().is_err(), "a key is needed");
    assert!(ureq::get(&info).header("authorization", format!("Bearer {secret}")).call().is_ok());
    let address = server.base.trim_start_matches("http://").to_owned();
    c.ok(&format!("serve --data of-flag --listen {address} --check"));
    drop(server);
    assert!(c.fails(&format!("serve --data of-flag --listen {address} --check"), 1).contains("not ready"));
}

#[test]
fn a_signal_lets_open_requests_end() {
    let c = Collection::new();
    let mut server = Process::start(&c, "--data d");
    server.post("/v1/indexes", &json!({"name": "n"})).unwrap();
    let documents: Vec<_> = (0..300).map(|id| json!({"id": id, "text": format!("text {id} ").repeat(20)})).collect();
    let request = json!({"documents": documents});
    let answer = std::thread::scope(|scope| {
        let writing = scope.spawn(|| server.post("/v1/indexes/n/documents", &request));
        // The write has begun when its task runs.
        let tasks = format!("{}/v1/tasks", server.base);
        while !ureq::get(&tasks).call().unwrap().body_mut().read_to_string().unwrap().contains("running") {
            std::thread::sleep(Duration::from_millis(2));
        }
        server.signal("-TERM");
        writing.join().unwrap()
    });
    assert_eq!(answer.unwrap()["added"], 300);
    assert!(server.child.wait().unwrap().success());
}

/// Whatever was acknowledged before a kill is there afterwards, and every byte is whole.
#[test]
fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let c = Collection::new();
    let mut acknowledged = 0;
    for round in 0..3 {
        let server = Process::start(&c, "--data d");
        let exists = round > 0;
        if exists {
            for id in 0..acknowledged {
                let found = ureq::get(format!("{}/v1/indexes/n/documents?id={id}", server.base)).call();
                assert!(found.is_ok(), "round {round}: document {id} of {acknowledged} was lost");
            }
        } else {
            server.post("/v1/indexes", &json!({"name": "n"})).unwrap();
        }
        let of_round = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (of_round, server) = (&of_round, &server);
            scope.spawn(move || {
                // In the middle of a write: the next one has begun by then.
                while of_round.load(Ordering::Relaxed) < 5 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(Duration::from_millis(7 * round));
                server.signal("-KILL");
            });
            loop {
                let document = json!({"id": acknowledged, "text": format!("document {acknowledged}")});
                match server.post("/v1/indexes/n/documents", &json!({"documents": [document]})) {
                    Ok(_) => acknowledged += 1,
                    Err(_) => break,
                }
                of_round.fetch_add(1, Ordering::Relaxed);
            }
        });
        drop(server);
        c.ok("verify d/n/index");
    }
    assert!(acknowledged >= 15, "{acknowledged}");
}

/// Processes: two shards of one codec and their router, against one index.
#[test]
fn a_router_searches_the_shards_of_its_file() {
    let c = Collection::new();
    let line =
        |n: usize| format!("{}\n", json!({"id": n.to_string(), "text": format!("passage {} of the loom", n % 3)}));
    let lines = |range: std::ops::Range<usize>| range.map(line).collect::<String>();
    for (name, range) in [("all", 0..30), ("first", 0..15), ("second", 15..30)] {
        c.write(&format!("{name}.jsonl"), &lines(range));
    }
    c.ok("index all.jsonl all.index");
    c.ok("index first.jsonl first.index --codec-from all.index");
    c.ok("index second.jsonl second.index --codec-from all.index");
    assert!(c.fails("index second.jsonl x.index --codec-from all.index --nbits 4", 2).contains("--nbits"));
    let server = Process::start(&c, "all.index first.index second.index");
    let shard = |name: &str| json!({"index": name, "replicas": [server.base]});
    c.write("t.json", &json!({"name": "t", "shards": [shard("first.index"), shard("second.index")]}).to_string());
    c.write("bad.json", r#"{"name": "t", "shards": []}"#);
    assert!(c.fails("router --shards bad.json --listen 127.0.0.1:0", 1).contains("bad.json: shards: a collection"));
    assert!(c.fails("router", 2).contains("--shards"));
    let router = Process::of(c.command("router --shards t.json --listen 127.0.0.1:0", &[]));
    for mode in ["maxsim", "hybrid", "lexical"] {
        let search = json!({"query": "passage 2", "mode": mode, "exact": true, "k": 20});
        let (all, one) =
            (router.post("/v1/indexes/t/search", &search), server.post("/v1/indexes/all.index/search", &search));
        assert_eq!(all.unwrap()["hits"].to_string(), one.unwrap()["hits"].to_string(), "{mode}");
    }
    router.signal("-TERM");
}

/// Writes the file of a collection as the Python package does.
fn commit(folder: &Path, generation: u32, shards: usize) {
    let folder_of = |number| format!("shards/{number:04}");
    let shard = |folder| json!({"folder": folder, "generation": generation, "passages": 300, "tokens": 3000});
    let file = json!({"version": 1, "shards": (0..shards).map(folder_of).map(shard).collect::<Vec<_>>()});
    std::fs::write(folder.join("collection"), file.to_string()).unwrap();
}

#[test]
fn a_collection_and_patterns_of_addresses_are_enough() {
    let c = Collection::new();
    let papers = c.path("papers");
    std::fs::create_dir_all(papers.join("shards")).unwrap();
    c.index("papers/shards/0000", "");
    commit(&papers, 1, 1);
    let server = Process::start(&c, "papers --shard 0");
    let words = format!("router --listen 127.0.0.1:0 --collection papers --shard-address {}", server.base);
    let router = Process::of(c.command(&words, &[]));
    let body = json!({"embeddings": [vec![0.5; support::DIM]], "k": 3});
    let answer = router.post("/v1/indexes/papers/search", &body).unwrap();
    assert_eq!((answer["hits"].as_array().unwrap().len(), &answer["shards"]["ok"]), (3, &json!(1)), "{answer}");
}

#[test]
fn mistakes_in_the_shards_of_a_router_name_the_way_out() {
    let c = Collection::new();
    let papers = c.path("papers");
    std::fs::create_dir_all(&papers).unwrap();
    let fails = |words: &str, code: i32, fault: &str| {
        let message = c.fails(&format!("router --listen 127.0.0.1:0 {words}"), code);
        assert!(message.contains(fault), "{words}: {message}");
    };
    fails("", 2, "--shards FILE.json, or --collection URL with --shard-address");
    fails("--collection papers", 2, "--shard-address PATTERN or --shards");
    fails("--shard-address http://h:1", 2, "--collection URL");
    fails("--collection papers --shard-address http://h:1", 1, "no collection, or one whose build has not ended");
    fails("--collection s3://bucket/papers --shard-address http://h:1", 1, "s3://bucket/papers");
    commit(&papers, 1, 2);
    fails("--collection papers --shard-address http://h:1", 1, "lacks {shard}");
    c.write("one.json", r#"{"name": "papers", "shards": [{"index": "0000", "replicas": ["http://h:1"]}]}"#);
    fails("--collection papers --shards one.json", 1, "1 shards, but the collection has 2");
    fails("--collection papers --shards one.json --shard-address http://h-{shard}:1", 2, "not both");
    assert!(c.fails("serve papers --shard 2", 1).contains("no shard 2; the numbers of its shards are 0 to 1"));
    assert!(c.fails("serve papers papers --shard 0", 2).contains("give its folder or URL, and no other"));
}
