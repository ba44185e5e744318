//! Clients of other servers, unchanged, against this one.
//!
//! The scripts in `clients/` need the packages of `clients/requirements.txt`. `SELVEDGE_CLIENTS_PYTHON` names a Python
//! that has them; without it the tests say so and pass.

use crate::support::Server;
use selvedge_server::{ApiKey, Role, hash};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Runs a script against a server of its own.
fn run(script: &str) {
    let Ok(python) = std::env::var("SELVEDGE_CLIENTS_PYTHON") else {
        eprintln!("skipped {script}: SELVEDGE_CLIENTS_PYTHON names no Python with tests/clients/requirements.txt");
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let server = Server::start();
    let output =
        Command::new(python).arg(path).arg(format!("http://{}", server.address)).output().expect("Python runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{printed}", output.status);
}

#[test]
fn next_plaid_client() {
    run("plaid_sdk.py");
}

#[test]
fn langchain_plaid() {
    run("langchain_store.py");
}

#[test]
fn cohere() {
    run("cohere_sdk.py");
}

#[test]
fn vllm_and_jina() {
    run("vllm_jina.py");
}

#[test]
fn routes_ask_for_the_role_of_what_they_do() {
    let key = |role, key: &str| ApiKey { name: key.into(), role, sha256: hash(key) };
    let keys = vec![key(Role::Read, "reader"), key(Role::Write, "writer"), key(Role::Admin, "admin")];
    let mut server = Server::with(|config| config.keys = keys);
    let mut status = |key: &str, method: &str, path: &str, body: &serde_json::Value| {
        server.key(key);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        server.send(method, path, "application/json", body.as_bytes()).0
    };
    for (method, path, body, (role, expected)) in [
        ("GET", "/health", json!(null), ("reader", 200)),
        ("GET", "/indices", json!(null), ("reader", 200)),
        ("POST", "/v2/rerank", json!({"query": "a", "documents": ["b"]}), ("reader", 200)),
        ("POST", "/pooling", json!({"input": "a"}), ("reader", 200)),
        ("POST", "/indices", json!({"name": "i"}), ("admin", 200)),
        ("POST", "/indices/i/update_with_encoding?wait=true", json!({"documents": ["a"]}), ("writer", 202)),
        ("DELETE", "/indices/i/documents", json!({"condition": "x = 1"}), ("writer", 202)),
        ("PUT", "/indices/i/config", json!({"max_documents": 3}), ("admin", 200)),
        ("DELETE", "/indices/i", json!(null), ("admin", 200)),
    ] {
        assert_eq!(status("nobody", method, path, &body), 401, "{method} {path}");
        for below in ["reader", "writer", "admin"].into_iter().take_while(|below| *below != role) {
            assert_eq!(status(below, method, path, &body), 403, "{below}: {method} {path}");
        }
        assert_eq!(status(role, method, path, &body), expected, "{method} {path}");
    }
}

#[test]
fn the_description_names_every_route_and_what_it_refers_to() {
    let (_, _, text) = Server::start().send("GET", "/openapi.json", "", b"");
    let api: serde_json::Value = serde_json::from_str(&text).unwrap();
    for path in ["/indices/{name}/search", "/encode", "/rerank", "/v1/rerank", "/v2/rerank", "/score", "/pooling"] {
        assert!(api["paths"][path]["post"].is_object(), "{path}");
    }
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(api["components"]["schemas"][name].is_object(), "{name}");
    }
}
