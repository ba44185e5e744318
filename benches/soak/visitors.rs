//! Listeners that come and go, and clients that hang up in the middle of a request.

use crate::model::Kind;
use crate::{INDEX, Load};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Most listeners at a time.
const LISTENERS: usize = 8;

/// Listens to the events of all indexes, with several connections that end at different times.
pub fn listen(load: &Load<'_>) {
    let mut random = load.random(200);
    let mut open: Vec<(Instant, TcpStream)> = Vec::new();
    while !load.tally.is_stopped() {
        if open.len() < LISTENERS
            && let Some(stream) = send(load, b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        {
            let end = Instant::now() + Duration::from_millis(random.random_range(0..8000));
            open.push((end, stream));
        }
        open.retain_mut(|(end, stream)| {
            let is_open = hears(stream);
            if !is_open && !load.tally.is_killed() {
                load.tally.fail("the server ended a stream of events");
            }
            is_open && Instant::now() < *end
        });
        load.tally.pause(Duration::from_millis(random.random_range(50..500)));
    }
}

/// Reads what has arrived of a stream; false at its end.
fn hears(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 16 << 10];
    let _ = stream.set_nonblocking(true);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Sends requests in part, or whole without waiting for their answers.
pub fn hang_up(load: &Load<'_>) {
    let mut random = load.random(201);
    while !load.tally.is_stopped() {
        load.tally.note("hung up");
        match random.random_range(0..6) {
            0 => cut(load, "POST", "search", &json!({"query": "cut off"}).to_string(), &mut random),
            1 => {
                // The end of its body never arrives: it must not be carried out.
                let ghosts = json!({"documents": [{"id": "ghost", "text": "a document that was never sent whole"}]});
                cut(load, "POST", "documents", &ghosts.to_string(), &mut random);
            }
            2 => {
                let ghosts = "{\"id\": \"ghost\", \"text\": \"a line that was sent, of a stream that broke\"}\n";
                cut(load, "POST", "bulk", &ghosts.repeat(20), &mut random);
            }
            3 => {
                // A whole search, without a client at its end.
                let query = load.model.text(random.random_range(0..load.model.num_texts()));
                drop(whole(load, "search", &json!({"query": query, "k": 100, "explain": "words"}).to_string()));
            }
            4 => {
                let stream = send(load, b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\nGET /v1/inf");
                load.tally.pause(Duration::from_millis(50));
                drop(stream);
            }
            _ => orphan(load, &mut random),
        }
        load.tally.pause(Duration::from_millis(random.random_range(100..1500)));
    }
}

/// Sends a whole write, and does not wait for its answer: it may be carried out or not.
fn orphan(load: &Load<'_>, random: &mut ChaCha8Rng) {
    let writes = load.model.begin(Kind::Add, 1, random);
    let documents: Vec<_> = writes.iter().map(|write| load.model.document(write)).collect();
    let stream = whole(load, "documents", &json!({"documents": documents}).to_string());
    load.tally.pause(Duration::from_millis(random.random_range(0..30)));
    drop(stream);
    load.model.end(&writes, None);
}

/// Sends the beginning of a request, and hangs up.
fn cut(load: &Load<'_>, method: &str, route: &str, body: &str, random: &mut ChaCha8Rng) {
    let request = request(method, route, body);
    let stream = send(load, &request.as_bytes()[..random.random_range(1..request.len())]);
    load.tally.pause(Duration::from_millis(random.random_range(0..50)));
    drop(stream);
}

fn whole(load: &Load<'_>, route: &str, body: &str) -> Option<TcpStream> {
    send(load, request("POST", route, body).as_bytes())
}

fn request(method: &str, route: &str, body: &str) -> String {
    let kind = if route == "bulk" { "application/x-ndjson" } else { "application/json" };
    format!(
        "{method} /v1/indexes/{INDEX}/{route} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Connects and sends bytes.
fn send(load: &Load<'_>, bytes: &[u8]) -> Option<TcpStream> {
    let sent = TcpStream::connect(load.process.address()).and_then(|mut stream| {
        stream.write_all(bytes)?;
        Ok(stream)
    });
    if let Err(error) = &sent
        && !load.tally.is_killed()
    {
        load.tally.fail(&format!("no connection: {error}"));
    }
    sent.ok()
}
