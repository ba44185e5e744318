//! Models by hub id: fetched from a test server on this machine, cached, and found again without it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::Collection;

const MODEL: &str = "selvedge/tiny";
/// A commit's name that is a path: seen from `.no_exist` of the model, a folder beside the cache.
const OUTSIDE: &str = "../../../../outside";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Behaviour of the test server.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// Accepts connections and never answers.
    Silent,
    /// Stops sending within the weights.
    Stalling,
    /// Answers requests for the weights after a second.
    Slow,
    /// Lists the files after four seconds.
    Late,
    /// Names a commit that is a path out of the cache.
    Lying,
}

/// A hub with one model on a free port, which serves until the test ends.
struct Hub {
    endpoint: String,
    /// Request lines and authorization headers so far.
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Hub {
    fn good() -> Self {
        Self::of(Mood::Good)
    }

    fn of(mood: Mood) -> Self {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/pylate_bert"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (folder, log) = (folder.clone(), Arc::clone(&log));
                std::thread::spawn(move || {
                    // The client may hang up early.
                    let _ = stream.and_then(|stream| answer(stream, &folder, mood, &log));
                });
            }
        });
        Self { endpoint, requests }
    }

    fn num_requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Keeps a connection open until the test ends.
fn hold() -> ! {
    loop {
        std::thread::park();
    }
}

/// Answers one request: the list of files, a file, or a range of one.
fn answer(mut stream: TcpStream, folder: &Path, mood: Mood, log: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let headers: Vec<String> = lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let header = |name: &str| {
        let of =
            |line: &String| Some(line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name))?.1.to_owned());
        headers.iter().find_map(of).unwrap_or_default()
    };
    log.lock().unwrap().push((request.clone(), header("authorization")));
    let path = request.split(' ').nth(1).unwrap_or_default();
    let is_of_weights =
        path.ends_with("main/model.safetensors") || path.ends_with(&format!("{COMMIT}/model.safetensors"));
    // The client requests the first byte to learn a file's size.
    let is_of_bytes = is_of_weights && header("range") != "bytes=0-0";
    match mood {
        Mood::Silent => hold(),
        Mood::Late if path.starts_with("/api") => std::thread::sleep(Duration::from_secs(4)),
        Mood::Slow if is_of_bytes => std::thread::sleep(Duration::from_secs(1)),
        _ => {}
    }
    let (mut status, mut body, mut range) = ("200 OK", Vec::new(), String::new());
    if path.starts_with(&format!("/api/models/{MODEL}")) {
        let sha = if mood == Mood::Lying { OUTSIDE } else { COMMIT };
        let mut files: Vec<_> = files(folder, "").iter().map(|file| serde_json::json!({ "rfilename": file })).collect();
        // A file that the commit lacks is noted in the cache, in a folder of the commit's name.
        files.retain(|_| mood != Mood::Lying);
        body = serde_json::json!({ "sha": sha, "siblings": files }).to_string().into_bytes();
    } else {
        let of = |revision: &str| path.strip_prefix(&format!("/{MODEL}/resolve/{revision}/"));
        match of("main").or_else(|| of(COMMIT)).map(|file| std::fs::read(folder.join(file))) {
            Some(Ok(bytes)) => {
                let (first, last) = header("range")
                    .strip_prefix("bytes=")
                    .and_then(|r| {
                        let (first, last) = r.split_once('-')?;
                        Some((first.parse().ok()?, last.parse().unwrap_or(bytes.len() - 1)))
                    })
                    .unwrap_or((0, bytes.len() - 1));
                (status, range) =
                    ("206 Partial Content", format!("Content-Range: bytes {first}-{last}/{}\r\n", bytes.len()));
                body = bytes[first..=last.min(bytes.len() - 1)].to_vec();
            }
            _ => status = "404 Not Found",
        }
    }
    let tag = tag(path);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\nX-Repo-Commit: {COMMIT}\r\n{range}\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if mood == Mood::Stalling && is_of_bytes {
        stream.write_all(&body[..1000])?;
        hold();
    }
    stream.write_all(&body)
}

/// Tag of a file's contents: a hash of its path.
fn tag(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Paths of all files below a folder, relative to it.
fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found
}

/// Indexes `c.tsv` with the model of `hub` and a cache of its own.
fn index(c: &Collection, hub: &Hub, index: &str, cache: &str, more: &[(&str, &str)]) -> Output {
    command(c, hub, index, cache, MODEL).envs(more.iter().copied()).output().unwrap()
}

fn command(c: &Collection, hub: &Hub, index: &str, cache: &str, model: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command
        .args(["index", "c.tsv", index, "--model", model, "--nbits", "2"])
        .current_dir(c.path("."))
        .env("HF_ENDPOINT", &hub.endpoint)
        .env("HF_HOME", c.path(cache))
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_ETAG_TIMEOUT")
        .env_remove("HF_HUB_DOWNLOAD_TIMEOUT")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A collection of two passages.
fn collection() -> Collection {
    let c = Collection::new();
    c.write("c.tsv", "a\tthe woven edge keeps a cloth from fraying\nb\tanother passage\n");
    c
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_hub_id_is_fetched_once_and_found_again() {
    let c = collection();
    let hub = Hub::good();
    let requests = || hub.num_requests();

    let offline = index(&c, &hub, "none.index", "cache", &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!((offline.status.code(), requests()), (Some(1), 0), "nothing is cached and the hub is not asked");
    let message = String::from_utf8_lossy(&offline.stderr).into_owned();
    assert!(message.contains(&format!("{MODEL}: no such folder")) && message.contains("HF_HUB_OFFLINE"), "{message}");

    let fetched = index(&c, &hub, "a.index", "cache", &[("HF_TOKEN", " hf_secret\n")]);
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let log = hub.requests.lock().unwrap().clone();
    assert!(log.iter().any(|(line, _)| line.contains("/1_Dense/model.safetensors")), "{log:?}");
    assert!(log.iter().all(|(_, authorization)| authorization == "Bearer hf_secret"), "{log:?}");

    let so_far = requests();
    let cached = index(&c, &hub, "b.index", "cache", &[("HF_HUB_OFFLINE", "1")]);
    assert!(cached.status.success(), "{}", String::from_utf8_lossy(&cached.stderr));
    assert!(index(&c, &hub, "d.index", "cache", &[]).status.success());
    assert_eq!(requests(), so_far, "the cache has all of it");
    let residuals = |index: &str| std::fs::read(c.path(index).join("residuals-0001")).unwrap();
    assert_eq!(residuals("a.index"), residuals("b.index"));

    let nobody = Hub { endpoint: "http://127.0.0.1:9".to_owned(), requests: Arc::default() };
    let refused = index(&c, &nobody, "c.index", "other-cache", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("no such folder; from the hub: ")
            && !c.path("c.index").exists()
    );
}

#[test]
fn a_silent_hub_is_not_waited_for() {
    let c = collection();
    let (good, silent) = (Hub::good(), Hub::of(Mood::Silent));
    let fetched = index(&c, &good, "a.index", "cache", &[]);
    assert!(fetched.status.success(), "{}", message(&fetched));
    let quick = [("HF_HUB_ETAG_TIMEOUT", "1")];
    // A cache that another program filled has no notes of the files that the model lacks.
    std::fs::remove_dir_all(c.path("cache/hub/models--selvedge--tiny/.no_exist")).unwrap();
    let cached = index(&c, &silent, "b.index", "cache", &quick);
    assert!(cached.status.success() && silent.num_requests() == 1, "{}", message(&cached));
    assert!(message(&cached).contains("the hub does not answer"), "{}", message(&cached));

    let nothing = index(&c, &silent, "c.index", "other-cache", &quick);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(
        message(&nothing).contains(MODEL) && message(&nothing).contains("did not answer within 1 seconds"),
        "{}",
        message(&nothing)
    );

    // Four seconds are within the default timeout, and not within this one.
    let late = index(&c, &Hub::of(Mood::Late), "c.index", "other-cache", &quick);
    assert!(late.status.code() == Some(1) && message(&late).contains("did not answer within"), "{}", message(&late));

    let stalling = index(&c, &Hub::of(Mood::Stalling), "d.index", "third-cache", &[("HF_HUB_DOWNLOAD_TIMEOUT", "1")]);
    assert_eq!(stalling.status.code(), Some(1));
    assert!(
        message(&stalling).contains("model.safetensors: the hub sent nothing for 1 seconds"),
        "{}",
        message(&stalling)
    );
}

/// Settings files decide how texts are encoded, so a cache that neither has one nor notes its absence is an error.
#[test]
fn a_settings_file_of_unknown_presence_is_an_error() {
    let c = collection();
    let (good, silent) = (Hub::good(), Hub::of(Mood::Silent));
    let fetched = index(&c, &good, "a.index", "cache", &[]);
    assert!(fetched.status.success(), "{}", message(&fetched));
    let model = "cache/hub/models--selvedge--tiny";
    let snapshot = format!("{model}/snapshots/{COMMIT}");
    for file in ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"] {
        let cached = c.path(&snapshot).join(file);
        let bytes = std::fs::read(&cached).unwrap();
        std::fs::remove_file(&cached).unwrap();
        let offline = ("HF_HUB_OFFLINE", "1");
        for (name, hub, environment) in
            [("b.index", &good, offline), ("c.index", &silent, ("HF_HUB_ETAG_TIMEOUT", "1"))]
        {
            let unknown = index(&c, hub, name, "cache", &[environment]);
            assert_eq!((unknown.status.code(), c.path(name).exists()), (Some(1), false), "{file}: {environment:?}");
            let message = message(&unknown);
            assert!(message.contains(&format!("{MODEL}: {file} is neither in the cache")), "{message}");
            assert!(message.contains(&snapshot), "the folder to name instead is not in {message}");
        }
        std::fs::write(&cached, bytes).unwrap();
    }

    // A note that the commit has no such file is an answer: without modules this is a plain transformer.
    std::fs::remove_file(c.path(&snapshot).join("modules.json")).unwrap();
    for file in ["modules.json", "artifact.metadata", "sentence_bert_config.json"] {
        c.write(&format!("{model}/.no_exist/{COMMIT}/{file}"), "");
    }
    let plain = index(&c, &good, "d.index", "cache", &[("HF_HUB_OFFLINE", "1")]);
    assert!(plain.status.success(), "{}", message(&plain));
}

#[test]
fn a_commit_that_is_a_path_is_refused() {
    let c = collection();
    let refused = index(&c, &Hub::of(Mood::Lying), "a.index", "cache/hf", &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", message(&refused));
    assert!(message(&refused).contains(&format!("names a commit {OUTSIDE:?}")), "{}", message(&refused));
    assert!(!c.path("cache/outside").exists(), "a file was written outside the cache");
}

#[test]
fn two_processes_fetch_a_model_once() {
    let c = collection();
    let hub = Hub::of(Mood::Slow);
    let both = ["a.index", "b.index"].map(|name| command(&c, &hub, name, "cache", MODEL).spawn().unwrap());
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
    }
    let log = hub.requests.lock().unwrap();
    let weights = log.iter().filter(|(line, _)| line.contains(&format!("/{COMMIT}/model.safetensors"))).count();
    // Once for the size, once for the bytes.
    assert_eq!(weights, 2, "{log:?}");
}

#[test]
fn a_name_without_an_owner_is_not_looked_up() {
    let c = collection();
    let hub = Hub::good();
    let output = command(&c, &hub, "a.index", "cache", "mymodle").output().unwrap();
    assert_eq!((output.status.code(), hub.num_requests()), (Some(1), 0));
    let message = message(&output);
    assert!(message.contains("mymodle: no such folder, and not a hub id"), "{message}");
}
