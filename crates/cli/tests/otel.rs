//! Traces of the server, received by a stand-in for a collector: `cargo test -p selvedge-cli --features otel`.

#![cfg(feature = "otel")]
#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use support::Collection;

/// Receives exports: the line of each request, and its body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            // Before the answer: after it, the server may end.
            if send.send((first, body)).is_err() {
                return;
            }
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    (address, received)
}

#[test]
fn requests_are_spans_of_their_clients_traces() {
    let (endpoint, received) = collector();
    let c = Collection::new();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_ref()), ("OTEL_SERVICE_NAME", "traced".as_ref())];
    let mut command = c.command("serve --data d --listen 127.0.0.1:0", &variables);
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
    let base = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned())).unwrap();
    let log = std::thread::spawn(move || lines.collect::<Vec<String>>());
    let post = |path: &str, body: serde_json::Value| {
        let request = ureq::post(format!("{base}{path}")).header("content-type", "application/json");
        let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        request.header("x-request-id", "the-id-of-a-request").send(body.to_string()).unwrap()
    };
    post("/v1/indexes", json!({"name": "n"}));
    post("/v1/indexes/n/documents", json!({"documents": [{"id": 1, "text": "a red pie"}]}));
    post("/v1/indexes/n/search", json!({"query": "pie"}));
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert!(server.wait().unwrap().success());
    let mut exported = Vec::new();
    for (first, body) in received.try_iter() {
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        exported.extend(body);
    }
    let has = |bytes: &[u8]| exported.windows(bytes.len()).any(|window| window == bytes);
    let trace = 0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes();
    let parent = 0xb7ad6b7169203331_u64.to_be_bytes();
    assert!(has(&trace) && has(&parent), "{} bytes", exported.len());
    let names = ["traced", "POST /v1/indexes/{name}/search", "encode", "search", "output", "the-id-of-a-request"];
    for name in names.iter().chain(&["http.route", "http.response.status_code"]) {
        assert!(has(name.as_bytes()), "{name}: {}", String::from_utf8_lossy(&exported));
    }
    let log = log.join().unwrap().join("\n");
    assert!(log.contains("the-id-of-a-request") && !log.contains("otel"), "{log}");
}
