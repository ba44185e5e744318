//! A model by its hub id: fetched from a hub of our own on this machine, cached, and found again without it.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use support::Collection;

const MODEL: &str = "selvedge/tiny";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one model, on a port of its own; it serves until the test ends.
struct Hub {
    endpoint: String,
    /// Request lines and authorizations so far.
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Hub {
    fn of(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that hangs up has what it wanted.
                let _ = stream.and_then(|stream| answer(stream, &folder, &log));
            }
        });
        Self { endpoint, requests }
    }
}

/// Answers one request: the list of files, a file, or a range of one.
fn answer(mut stream: TcpStream, folder: &Path, log: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
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
    let (mut status, mut body, mut range) = ("200 OK", Vec::new(), String::new());
    if path.starts_with(&format!("/api/models/{MODEL}")) {
        let files: Vec<_> = files(folder, "").iter().map(|file| serde_json::json!({ "rfilename": file })).collect();
        body = serde_json::json!({ "sha": COMMIT, "siblings": files }).to_string().into_bytes();
    } else {
        match path.strip_prefix(&format!("/{MODEL}/resolve/main/")).map(|file| std::fs::read(folder.join(file))) {
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
        "HTTP/1.1 {status}\r\nETag: \"{tag}\"\r\nX-Repo-Commit: {COMMIT}\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// A name for a file's contents: one for each path will do.
fn tag(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Every file below a folder, by its path from there.
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
    Command::new(env!("CARGO_BIN_EXE_selvedge"))
        .args(["index", "c.tsv", index, "--model", MODEL, "--nbits", "2"])
        .current_dir(c.path("."))
        .env("HF_ENDPOINT", &hub.endpoint)
        .env("HF_HOME", c.path(cache))
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_TOKEN")
        .envs(more.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_hub_id_is_fetched_once_and_found_again() {
    let c = Collection::new();
    c.write("c.tsv", "a\tthe woven edge keeps a cloth from fraying\nb\tanother passage\n");
    let hub = Hub::of(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/pylate_bert")));
    let requests = || hub.requests.lock().unwrap().len();

    let offline = index(&c, &hub, "none.index", "cache", &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!((offline.status.code(), requests()), (Some(1), 0), "nothing is cached and the hub is not asked");
    let message = String::from_utf8_lossy(&offline.stderr).into_owned();
    assert!(message.contains(MODEL) && message.contains("HF_HUB_OFFLINE"), "{message}");

    let fetched = index(&c, &hub, "a.index", "cache", &[("HF_TOKEN", "hf_secret")]);
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    let log = hub.requests.lock().unwrap().clone();
    assert!(log.iter().any(|(line, _)| line.contains("/resolve/main/1_Dense/model.safetensors")), "{log:?}");
    assert!(log.iter().all(|(_, authorization)| authorization == "Bearer hf_secret"), "{log:?}");

    let so_far = requests();
    let cached = index(&c, &hub, "b.index", "cache", &[("HF_HUB_OFFLINE", "1")]);
    assert!(cached.status.success(), "{}", String::from_utf8_lossy(&cached.stderr));
    assert_eq!(requests(), so_far, "the cache has all of it");
    let residuals = |index: &str| std::fs::read(c.path(index).join("residuals-0000")).unwrap();
    assert_eq!(residuals("a.index"), residuals("b.index"));

    let nobody = Hub { endpoint: "http://127.0.0.1:9".to_owned(), requests: Arc::default() };
    let refused = index(&c, &nobody, "c.index", "other-cache", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(MODEL) && !c.path("c.index").exists());
}
