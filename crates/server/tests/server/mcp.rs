//! The Model Context Protocol over HTTP: handshake, tools, roles, mistakes, progress, the end.

use crate::support::Server;
use selvedge_server::{ApiKey, Role, hash};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use tempfile::TempDir;

const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

/// Sends a request of the protocol, and returns the status and the messages of the answer.
fn send(server: &Server, method: &str, params: &Value) -> (u16, Vec<Value>) {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
    let (status, headers, text) = server.send_with("POST", "/mcp", &HEADERS, body.as_bytes());
    let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let lines = match is_stream {
        true => text.lines().filter_map(|line| line.strip_prefix("data: ")).collect(),
        false => vec![text.as_str()],
    };
    (status, lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line))).collect())
}

/// The result of a tool.
fn call(server: &Server, tool: &str, arguments: Value) -> Value {
    let (status, messages) = send(server, "tools/call", &json!({"name": tool, "arguments": arguments}));
    assert_eq!((status, messages.len()), (200, 1), "{messages:?}");
    messages[0]["result"].clone()
}

/// The JSON of a tool that succeeds.
fn ok(server: &Server, tool: &str, arguments: Value) -> Value {
    let result = call(server, tool, arguments);
    assert_eq!(result["isError"], false, "{result}");
    assert!(!text(&result).is_empty());
    result["structuredContent"].clone()
}

/// The code and the message of a tool that fails.
fn fails(server: &Server, tool: &str, arguments: Value) -> (String, String) {
    let result = call(server, tool, arguments);
    assert_eq!(result["isError"], true, "{result}");
    (result["structuredContent"]["code"].as_str().unwrap().to_owned(), text(&result).to_owned())
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// A server with an index of three documents.
fn server() -> Server {
    let server = Server::start();
    server.ok("/v1/indexes", json!({"name": "n"}));
    let documents = json!([
        {"id": "edge", "text": "the woven edge keeps a cloth from fraying", "metadata": {"year": 1990}},
        {"id": "rotate", "text": "rotated log files are compressed and kept for a week", "metadata": {"year": 2005}},
        {"id": "mail", "text": "mail is delivered to the local spool", "metadata": {"year": 2010}},
    ]);
    server.ok("/v1/indexes/n/documents", json!({"documents": documents}));
    server
}

/// A folder with two texts, in a folder of its own.
fn notes() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("notes")).unwrap();
    write(dir.path(), "cloth.txt", "the woven edge keeps a cloth from fraying");
    write(dir.path(), "logs.md", "rotated log files are compressed and kept for a week");
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join("notes").join(name), text).unwrap();
}

/// A server of the folder.
fn of_folder(dir: TempDir, max_waiting_writes: usize) -> Server {
    let (folders, folder_data) = (vec![dir.path().join("notes")], dir.path().join("kept"));
    Server::in_dir(dir, |config| {
        (config.folders, config.folder_data, config.data) = (folders, folder_data, None);
        (config.max_waiting_writes, config.drain_s) = (max_waiting_writes, 3600);
    })
}

#[test]
fn a_client_learns_what_the_tools_are() {
    let server = Server::start();
    let client =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let (status, answer) = send(&server, "initialize", &client);
    let result = &answer[0]["result"];
    assert_eq!((status, &result["protocolVersion"]), (200, &json!("2025-06-18")), "{answer:?}");
    assert_eq!(result["serverInfo"]["name"], "selvedge");
    assert!(result["instructions"].as_str().unwrap().contains("`search`"));
    let (_, answer) = send(&server, "tools/list", &json!({}));
    let tools = answer[0]["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search", "read", "explain", "indexes", "index"]);
    for tool in tools {
        let schema = &tool["inputSchema"];
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{tool}");
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string() && property["type"].is_string(), "{name}: {property}");
            assert!(property.get("default").is_none() && property.get("format").is_none(), "{name}: {property}");
        }
        // Not every assistant follows references.
        assert!(!schema.to_string().contains("$ref"), "{schema}");
        assert_eq!(tool["annotations"]["readOnlyHint"], tool["name"] != "index");
        assert!(tool["description"].as_str().unwrap().len() > 100);
    }
    let search = &tools[0]["inputSchema"];
    let keys: Vec<&str> = search["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        (keys, &search["required"]),
        (vec!["index", "k", "mode", "query", "snippet", "where"], &json!(["query"]))
    );
    assert_eq!(search["properties"]["mode"]["enum"], json!(["maxsim", "hybrid", "lexical"]));
    for method in ["GET", "DELETE"] {
        assert_eq!(server.send_with(method, "/mcp", &HEADERS, b"").0, 405, "there are no sessions");
    }
}

#[test]
fn tools_answer() {
    let server = server();
    let found = ok(&server, "search", json!({"query": "how do I rotate a log file", "k": 2}));
    assert_eq!((&found["index"], &found["generation"]), (&json!("n"), &json!(1)));
    let hit = &found["hits"][0];
    assert_eq!((&hit["id"], &hit["metadata"]), (&json!("rotate"), &json!({"year": 2005})));
    assert!(hit["snippet"].as_str().unwrap().contains("log files") && hit["score"].as_f64().unwrap() > 0.0);
    let ids = |arguments: Value| {
        let found = ok(&server, "search", arguments);
        found["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for mode in ["maxsim", "hybrid", "lexical"] {
        assert_eq!(ids(json!({"query": "log files", "k": 1, "mode": mode, "index": "n"})), ["rotate"], "{mode}");
    }
    assert_eq!(ids(json!({"query": "a text", "where": "year > 2005"})), ["mail"]);
    let whole = ok(&server, "search", json!({"query": "spool", "k": 1, "snippet": 0}));
    assert_eq!(whole["hits"][0]["text"], "mail is delivered to the local spool");
    let short = ok(&server, "search", json!({"query": "spool", "k": 1, "snippet": 10}));
    assert!(short["hits"][0]["snippet"].as_str().unwrap().len() < 30, "{short}");
    let result = call(&server, "search", json!({"query": "spool", "k": 1}));
    assert!(text(&result).starts_with("1. mail (score "), "{}", text(&result));

    let why = ok(&server, "explain", json!({"query": "woven edge", "id": "edge"}));
    let words: Vec<_> = why["words"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert!(words.contains(&"woven") && words.contains(&"edge"), "{words:?}");
    let tokens = why["tokens"].as_array().unwrap();
    assert!(tokens.iter().any(|token| token["query"] == "woven" && token["passage"] == "woven"), "{why}");
    let shares: f64 = tokens.iter().map(|token| token["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 0.05 && why.get("similarities").is_none(), "{shares}");

    let read = ok(&server, "read", json!({"id": "mail"}));
    assert_eq!(read, json!({"id": "mail", "text": "mail is delivered to the local spool", "metadata": {"year": 2010}}));
    let listed = &ok(&server, "indexes", json!({}))["indexes"][0];
    assert_eq!((&listed["name"], &listed["passages"]), (&json!("n"), &json!(3)));
    assert_eq!((&listed["metadata_keys"], listed.get("folder")), (&json!(["year"]), None));
}

#[test]
fn failures_of_tools_are_told_to_the_assistant() {
    let server = server();
    let fails = |tool: &str, arguments: Value| fails(&server, tool, arguments);
    let (code, message) = fails("search", json!({"query": "x", "index": "none"}));
    assert_eq!(code, "INDEX_NOT_FOUND");
    assert!(message.contains("\"none\"") && message.contains("\"n\""), "{message}");
    assert_eq!(fails("read", json!({"id": "none"})).0, "DOCUMENT_NOT_FOUND");
    assert_eq!(fails("explain", json!({"query": "x", "id": "none"})).0, "DOCUMENT_NOT_FOUND");
    assert_eq!(fails("search", json!({"query": "x", "where": "year >"})).0, "BAD_FILTER");
    assert_eq!(fails("search", json!({"query": "x", "k": 0})).0, "BAD_REQUEST");
    let (code, message) = fails("index", json!({}));
    assert!(code == "BAD_REQUEST" && message.contains("selvedge mcp FOLDER"), "{message}");
    server.ok("/v1/indexes", json!({"name": "m"}));
    let (_, message) = fails("search", json!({"query": "x"}));
    assert!(message.contains("\"m\", \"n\""), "{message}");
    assert_eq!(fails("search", json!({"query": "x", "index": "m"})).0, "INDEX_EMPTY");
}

#[test]
fn malformed_requests_are_errors_of_the_protocol() {
    let server = server();
    let error = |name: &str, arguments: Value| {
        let (_, answer) = send(&server, "tools/call", &json!({"name": name, "arguments": arguments}));
        (answer[0]["error"]["code"].clone(), answer[0]["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    for (arguments, named) in [
        (json!({}), "query"),
        (json!({"query": 1}), "string"),
        (json!({"query": "x", "mode": "exact"}), "exact"),
        (json!({"query": "x", "limit": 3}), "limit"),
    ] {
        let (code, message) = error("search", arguments);
        assert!(code == -32602 && message.contains(named), "{code} {message}");
    }
    assert_eq!(error("delete", json!({})).0, -32602);
    let send = |headers: &[(&str, &str)], body: &[u8]| server.send_with("POST", "/mcp", headers, body).0;
    assert_eq!(send(&HEADERS, b"{"), 415, "as the SDK has it");
    assert_eq!(send(&HEADERS[..1], b"{}"), 406);
    let other_site = [HEADERS[0], HEADERS[1], ("origin", "https://evil.example")];
    assert_eq!(send(&other_site, b"{}"), 403);
    let server = Server::with(|config| config.max_body = 1000);
    assert_eq!(server.send_with("POST", "/mcp", &HEADERS, &[b' '; 2000]).0, 413);
}

#[test]
fn an_index_follows_its_folder() {
    let server = of_folder(notes(), 64);
    let found = |query: &str| ok(&server, "search", json!({"query": query, "k": 1}))["hits"][0]["id"].clone();
    // The first update is the one of the start.
    let (_, messages) = send(&server, "tools/call", &json!({"name": "index", "_meta": {"progressToken": "p"}}));
    let (last, before) = messages.split_last().unwrap();
    assert_eq!(last["result"]["structuredContent"]["passages"], 2, "{messages:?}");
    assert!(!before.is_empty());
    for (number, note) in before.iter().enumerate() {
        assert_eq!(
            (&note["method"], &note["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("p"))
        );
        assert_eq!(note["params"]["progress"], number as f64 + 1.0, "it grows");
    }
    assert_eq!(found("how are logs rotated"), "logs.md");
    let listed = &ok(&server, "indexes", json!({}))["indexes"][0];
    assert!(listed["folder"].as_str().unwrap().ends_with("/notes"), "{listed}");

    write(server.dir.path(), "mail.txt", "mail is delivered to the local spool");
    write(server.dir.path(), "logs.md", "the kiln is heated to 900 degrees");
    std::fs::remove_file(server.dir.path().join("notes/cloth.txt")).unwrap();
    let counts = ok(&server, "index", json!({"index": "notes"}));
    assert_eq!((&counts["added"], &counts["deleted"], &counts["passages"]), (&json!(2), &json!(2), &json!(2)));
    assert_eq!(counts["files"]["changed"], 1, "{counts}");
    assert_eq!((found("spool of letters"), found("hot kiln")), (json!("mail.txt"), json!("logs.md")));
    let again = ok(&server, "index", json!({}));
    assert_eq!((&again["added"], &again["deleted"]), (&json!(0), &json!(0)));
    assert_eq!(server.delete("/v1/indexes/notes").0, 403, "clients delete no index of a folder");
}

#[test]
fn a_broken_index_of_a_folder_says_so() {
    let server = of_folder(notes(), 64);
    ok(&server, "index", json!({}));
    let dir = server.end();
    for file in std::fs::read_dir(dir.path().join("kept/notes/index")).unwrap() {
        std::fs::write(file.unwrap().path(), "broken").unwrap();
    }
    let server = of_folder(dir, 64);
    let (_, reason) = fails(&server, "index", json!({}));
    let (code, message) = fails(&server, "search", json!({"query": "x"}));
    assert!(code == "INDEX_BROKEN" && message.contains("kept/notes/index"), "{message}");
    assert!(reason.contains("kept/notes/index"), "{reason}");
}

#[test]
fn an_index_that_is_not_made_yet_says_so_and_limits_hold() {
    let server = of_folder(notes(), 0);
    let (code, message) = fails(&server, "search", json!({"query": "x"}));
    assert!(code == "INDEX_EMPTY" && message.contains("call the tool `index`"), "{message}");
    assert_eq!(fails(&server, "read", json!({"id": "x"})).0, "INDEX_EMPTY");
    assert_eq!(fails(&server, "index", json!({})).0, "RATE_LIMITED");
}

#[test]
fn keys_have_roles() {
    let key = |name: &str, role| ApiKey { name: name.into(), role, sha256: hash(name) };
    let mut server = of_folder(notes(), 64);
    ok(&server, "index", json!({}));
    let dir = server.end();
    let (folders, folder_data) = (vec![dir.path().join("notes")], dir.path().join("kept"));
    server = Server::in_dir(dir, |config| {
        (config.folders, config.folder_data, config.data) = (folders, folder_data, None);
        config.keys = vec![key("reader", Role::Read), key("writer", Role::Write)];
    });
    let search = json!({"query": "cloth"});
    assert_eq!(send(&server, "tools/call", &json!({"name": "search", "arguments": search})).0, 401);
    server.key("reader");
    ok(&server, "search", search);
    let (code, message) = fails(&server, "index", json!({}));
    assert!(code == "FORBIDDEN" && message.contains("write"), "{message}");
    server.key("writer");
    assert_eq!(ok(&server, "index", json!({}))["added"], 0);
}

/// The first build of a large folder, which a client waits for, ends when the server does, and leaves nothing.
#[test]
fn an_update_does_not_hold_the_end() {
    let dir = notes();
    for number in 0..1000 {
        write(dir.path(), &format!("{number}.txt"), &format!("{number} {}", "long ".repeat(60)));
    }
    let server = of_folder(dir, 64);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "index", "_meta": {"progressToken": 1}}})
    .to_string();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                accept: application/json, text/event-stream\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    let (code, message) = fails(&server, "search", json!({"query": "x"}));
    assert!(code == "INDEX_EMPTY" && message.contains("is being made"), "{message}");
    let dir = server.end();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("notifications/progress") && rest.contains("CANCELLED"), "{rest}");
    let left = std::fs::read_dir(dir.path().join("kept/notes")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["settings.json"]);
}
