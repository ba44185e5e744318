//! Bad manners: keys, origins, names, bodies, headers, slow and numerous clients.

use crate::support::Server;
use selvedge_server::{ApiKey, Role, hash};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn names_are_no_paths() {
    let server = Server::start();
    let long = "x".repeat(129);
    for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0b", "a b", "é", "-rf", &long] {
        assert_eq!(server.fails("/v1/indexes", json!({"name": name})), (400, "BAD_REQUEST".into()), "{name:?}");
    }
    for path in ["/v1/indexes/..", "/v1/indexes/..%2f..%2fetc", "/page/..%2fCargo.toml", "/page/../Cargo.toml", "/%00"]
    {
        assert_eq!(server.get(path).0, 404, "{path}");
    }
    assert_eq!(std::fs::read_dir(server.dir.path()).unwrap().count(), 1, "nothing but the data folder");
}

#[test]
fn ids_may_be_any_text() {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "i"}));
    let ids = ["../../etc/passwd", "a/b?c#d", "<script>", "tab\tand\u{1b}[2J", "織物 🧵", "' OR 1=1 --"];
    let documents: Vec<_> = ids.iter().map(|id| json!({"id": id, "text": "a text"})).collect();
    server.ok("/v1/indexes/i/documents", json!({"documents": documents}));
    for id in ids {
        let found = server.ok("/v1/indexes/i/search", json!({"query": "text", "ids": [id]}));
        assert_eq!(found["hits"][0]["id"], id);
        assert_eq!(server.ok("/v1/indexes/i/delete", json!({"ids": [id]}))["deleted"], 1);
    }
}

#[test]
fn bodies_are_limited() {
    let server = Server::with(|config| config.max_body = 10_000);
    server.ok("/v1/indexes", json!({"name": "b"}));
    let large = json!({"query": "x".repeat(20_000)});
    assert_eq!(server.fails("/v1/indexes/b/search", large), (413, "BODY_TOO_LARGE".into()));
    let deep = format!(r#"{{"query": "x", "where": {}1{}}}"#, "[".repeat(4000), "]".repeat(4000));
    let (status, _, text) = server.send("POST", "/v1/indexes/b/search", "application/json", deep.as_bytes());
    assert_eq!(status, 400, "{text}");
    for (kind, body, expected) in [
        ("text/plain", r#"{"query": "x"}"#, 415),
        ("application/x-www-form-urlencoded", r#"{"query": "x"}"#, 415),
        ("application/json", "{", 400),
        ("application/json", "", 400),
        ("application/json", "\u{feff}{}", 400),
        ("application/json", "null", 400),
    ] {
        let (status, _, text) = server.send("POST", "/v1/indexes/b/search", kind, body.as_bytes());
        assert_eq!(status, expected, "{kind} {body}: {text}");
        assert!(text.contains("\"code\""), "{text}");
    }
    let many: Vec<String> = (0..100).map(|n| format!("the text of number {n}")).collect();
    for path in ["/v1/encode", "/encode"] {
        let texts = json!({"texts": many, "input_type": "document"});
        let texts = if path == "/encode" { texts } else { json!({"texts": many}) };
        assert_eq!(server.fails(path, texts), (413, "ANSWER_TOO_LARGE".into()), "{path}");
    }
    // A line of a stream is limited too, the stream is not.
    let line = format!("{}\n", json!({"id": "1", "text": "x".repeat(5000)}));
    let (status, _, _) = server.send("POST", "/v1/indexes/b/bulk", "application/x-ndjson", line.repeat(20).as_bytes());
    assert_eq!(status, 200);
    let endless = "x".repeat(100_000);
    let (status, _, _) = server.send("POST", "/v1/indexes/b/bulk", "application/x-ndjson", endless.as_bytes());
    assert_eq!(status, 400);
}

#[test]
fn keys_have_roles() {
    let key = |name: &str, role| ApiKey { name: name.into(), role, sha256: hash(name) };
    let keys = vec![key("reader", Role::Read), key("writer", Role::Write), key("admin", Role::Admin)];
    let mut server = Server::with(|config| config.keys = keys);
    let statuses = |server: &Server| {
        [
            server.get("/v1/indexes").0,
            server.post("/v1/indexes/x/documents", json!({"documents": []})).0,
            server.post("/v1/indexes", json!({"name": "x"})).0,
        ]
    };
    assert_eq!(statuses(&server), [401, 401, 401]);
    for open in ["/health/live", "/health/ready", "/openapi.json", "/"] {
        assert_eq!(server.get(open).0, 200, "{open}");
    }
    assert_eq!(server.get("/metrics").0, 401);
    server.key("wrong");
    assert_eq!(statuses(&server), [401, 401, 401]);
    server.key("reader");
    assert_eq!(statuses(&server), [200, 403, 403]);
    server.key("writer");
    assert_eq!(statuses(&server), [200, 404, 403]);
    server.key("admin");
    assert_eq!(statuses(&server), [200, 404, 201]);
}

/// Sends bytes as they are, and returns the answer until the connection ends or pauses.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may close the connection before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn pages_of_other_sites_are_refused() {
    let server = Server::start();
    let port = server.address.port();
    let status = |headers: &str| {
        let answer = raw(&server, format!("GET /v1/info HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").as_bytes());
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status(&format!("host: localhost:{port}\r\n")), "200");
    assert_eq!(status(&format!("host: localhost:{port}\r\norigin: http://localhost:{port}\r\n")), "200");
    assert_eq!(status(&format!("host: localhost:{port}\r\norigin: https://evil.example\r\n")), "403");
    assert_eq!(status("host: [::1]\r\n"), "200");
    assert_eq!(status("host: [::1]:8080\r\n"), "200");
    for own in ["LOCALHOST", "localhost."] {
        assert_eq!(status(&format!("host: {own}\r\n")), "200", "{own}");
    }
    for other in ["evil.example", "localhost:80.evil.example", "localhost.evil.example", "evil.example:80"] {
        assert_eq!(status(&format!("host: {other}\r\n")), "403", "{other}: a name of elsewhere that leads here");
    }
    assert_eq!(status("host: ev\u{ef}l.example\r\n"), "400");
    let server = Server::with(|config| config.cors_origins = vec!["https://good.example".into()]);
    let request =
        "GET /v1/info HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\norigin: https://good.example\r\n\r\n";
    let answer = raw(&server, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("access-control-allow-origin: https://good.example"), "{answer}");
}

#[test]
fn floods_and_slow_clients_are_cut_off() {
    let server = Server::with(|config| (config.headers_timeout_ms, config.timeout_ms) = (300, 300));
    let flood: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = raw(&server, format!("GET /v1/info HTTP/1.1\r\nhost: localhost\r\n{flood}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let wide = format!("GET /v1/info HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    assert!(!raw(&server, wide.as_bytes()).starts_with("HTTP/1.1 200"));
    // A body that never ends: its request does.
    let head =
        "POST /v1/encode HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    assert!(raw(&server, head.as_bytes()).starts_with("HTTP/1.1 408"));
    // Nothing at all.
    assert_eq!(raw(&server, b""), "");
    // Headers that never end: the connection does.
    let answer = raw(&server, b"GET /v1/info HTTP/1.1\r\nhost: local");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(raw(&server, b"\x16\x03\x01 no HTTP at all\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert_eq!(server.get("/health/ready").0, 200);
}

/// Whether the queue or the client's own clock notices first that the time is over.
#[test]
fn late_requests_are_told_so() {
    let server = Server::start();
    let text = "a text of many words ".repeat(20);
    server.ok("/v1/encode", json!({"texts": ["loads the model"]}));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (server, text) = (&server, &text);
            scope.spawn(move || {
                for n in 0..50 {
                    let request = json!({"texts": [text], "timeout_ms": 1 + (thread + n) % 6});
                    let (status, answer) = server.post("/v1/encode", request);
                    assert!(status == 200 || answer["code"] == "TIMEOUT", "{status} {answer}");
                }
            });
        }
    });
}

#[test]
fn more_requests_than_places_are_shed() {
    let server = Server::with(|config| config.max_requests = 1);
    server.ok("/v1/indexes", json!({"name": "s"}));
    // One client holds the only place with a body that does not end.
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = "POST /v1/indexes/s/bulk HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let shed = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let (status, headers, text) = server.send("GET", "/v1/indexes", "", b"");
        (status != 200).then_some((status, headers, text))
    });
    let (status, headers, text) = shed.expect("a request was shed");
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (503, "1"), "{text}");
    assert!(text.contains("SERVICE_UNAVAILABLE"), "{text}");
    assert_eq!(server.get("/health/live").0, 200, "health is answered under any load");
}

/// Whether a connection that has sent this is closed in a few times the time for headers.
fn is_closed(server: &Server, sent: &[u8]) -> bool {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(sent).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    !matches!(stream.read_to_end(&mut Vec::new()), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn connections_without_a_request_are_closed() {
    let server = Server::with(|config| config.headers_timeout_ms = 300);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for sent in [&b""[..], b"P", &preface[..10], preface, &settings, b"GET / HTTP/1.1\r\n"] {
        assert!(is_closed(&server, sent), "{:?}", String::from_utf8_lossy(sent));
    }
    // Nor do they hold the end.
    let server = Server::with(|config| (config.headers_timeout_ms, config.drain_s) = (3_600_000, 3600));
    let open: Vec<TcpStream> = [&b""[..], b"P", &settings]
        .map(|sent| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(sent).unwrap();
            stream
        })
        .into();
    std::thread::sleep(Duration::from_millis(100));
    server.end();
    drop(open);
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let server = Server::with(|config| (config.max_connections, config.timeout_ms) = (2, 500));
    server.ok("/v1/indexes", json!({"name": "i"}));
    let note = "x".repeat(1 << 20);
    let documents: Vec<_> = (0..20).map(|n| json!({"id": n.to_string(), "text": "x", "note": note})).collect();
    server.ok("/v1/indexes/i/documents", json!({"documents": documents}));
    let body = json!({"query": "x", "k": 20}).to_string();
    let request = format!(
        "POST /v1/indexes/i/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // They take all places.
    let clients = [(), ()].map(|()| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    });
    assert_eq!(server.get("/health/live").0, 200);
    drop(clients);
}

#[test]
fn streams_of_events_have_places() {
    let server = Server::with(|config| config.max_streams = 1);
    let open = |path: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, String::from_utf8_lossy(&answer[9..]).into_owned())
    };
    let (first, status) = open("/v1/events");
    assert_eq!(status, "200");
    assert_eq!(open("/v1/events").1, "503");
    drop(first);
    // The server sees that the client has gone when it next writes.
    server.ok("/v1/indexes", serde_json::json!({"name": "x"}));
    let is_free = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        open("/v1/events").1 == "200"
    });
    assert!(is_free);
}

#[test]
fn parameters_that_are_wrong_are_errors_in_json() {
    let server = Server::start();
    for path in ["/v1/tasks/x", "/v1/indexes/i/documents", "/v1/tasks/1/events?x=%ff", "/indices/%ff"] {
        let (status, body) = server.get(path);
        assert!(status >= 400 && body["code"].is_string(), "{path}: {status} {body}");
    }
    let (status, body) = server.post("/v1/indexes/i/documents?wait=maybe", json!({"documents": []}));
    assert_eq!((status, &body["code"]), (400, &json!("BAD_REQUEST")), "{body}");
}

#[test]
fn unknown_routes_and_methods_are_errors_in_json() {
    let server = Server::start();
    assert_eq!(server.get("/nowhere").1["code"], "NOT_FOUND");
    assert_eq!(server.delete("/v1/info").1["code"], "METHOD_NOT_ALLOWED");
    server.ok("/v1/indexes", json!({"name": "n"}));
    for path in ["/v1/tasks/first", "/v1/indexes/%ff", "/v1/indexes/n/documents?Id=0", "/page/%ff"] {
        let (status, answer) = server.get(path);
        assert_eq!((status, &answer["code"]), (400, &json!("BAD_REQUEST")), "{path}: {answer}");
    }
    let (_, headers, _) = server.send("GET", "/v1/info", "", b"");
    assert!(headers.contains_key("x-request-id"));
    let (_, headers, _) = server.send("GET", "/", "", b"");
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let (status, api) = server.get("/openapi.json");
    assert_eq!((status, &api["openapi"]), (200, &json!("3.1.0")));
    assert!(api["paths"].as_object().unwrap().len() >= 14);
}

/// A client that watches for changes would never leave by itself.
#[test]
fn clients_that_watch_do_not_hold_the_end() {
    let server = Server::with(|config| config.drain_s = 3600);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.end();
}
