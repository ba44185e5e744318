//! Clients of other servers, unchanged, against this one.
//!
//! The scripts in `clients/` need the packages of `clients/requirements.txt`. `SELVEDGE_CLIENTS_PYTHON` names a Python
//! that has them; without it the tests say so and pass.

use selvedge_server::{ApiKey, Config, Role, hash, serve};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Starts a server, calls `work` with its address, and ends the server.
fn with_server<T>(change: impl FnOnce(&mut Config), work: impl FnOnce(&str) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config {
        data: Some(dir.path().join("data")),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        threads: 2,
        drain_s: 5,
        ..Config::default()
    };
    change(&mut config);
    let (started, address) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let end = async {
            let _ = ended.await;
        };
        runtime.block_on(serve(config, |address| started.send(address).unwrap(), end)).unwrap();
    });
    let result = work(&format!("http://{}", address.recv().expect("the server starts")));
    end.send(()).expect("the server runs");
    server.join().expect("the server ends well");
    result
}

/// Runs a script against a server of its own.
fn run(script: &str) {
    let Ok(python) = std::env::var("SELVEDGE_CLIENTS_PYTHON") else {
        eprintln!("skipped {script}: SELVEDGE_CLIENTS_PYTHON names no Python with tests/clients/requirements.txt");
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let run = |url: &str| Command::new(python).arg(path).arg(url).output().expect("Python runs");
    let output = with_server(|_| {}, run);
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
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    with_server(
        |config| config.keys = keys,
        |url| {
            let status = |key: &str, method: &str, path: &str, body: &str| {
                let request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
                let request = request.header("content-type", "application/json").header("x-api-key", key);
                agent.run(request.body(body.as_bytes()).unwrap()).unwrap().status().as_u16()
            };
            let pair = r#"{"query": "a", "documents": ["b"]}"#;
            let declared = r#"{"name": "i"}"#;
            let added = r#"{"documents": ["a"]}"#;
            let deleted = r#"{"condition": "x = 1"}"#;
            for (method, path, body, with_role) in [
                ("GET", "/health", "", ("reader", 200)),
                ("GET", "/indices", "", ("reader", 200)),
                ("POST", "/v2/rerank", pair, ("reader", 200)),
                ("POST", "/pooling", r#"{"input": "a"}"#, ("reader", 200)),
                ("POST", "/indices", declared, ("admin", 200)),
                ("POST", "/indices/i/update_with_encoding?wait=true", added, ("writer", 202)),
                ("DELETE", "/indices/i/documents", deleted, ("writer", 202)),
                ("PUT", "/indices/i/config", r#"{"max_documents": 3}"#, ("admin", 200)),
                ("DELETE", "/indices/i", "", ("admin", 200)),
            ] {
                let roles = ["nobody", "reader", "writer", "admin"];
                let place = roles.iter().position(|role| *role == with_role.0).unwrap();
                assert_eq!(status("nobody", method, path, body), 401, "{method} {path}");
                for below in &roles[1..place] {
                    assert_eq!(status(below, method, path, body), 403, "{below}: {method} {path}");
                }
                assert_eq!(status(with_role.0, method, path, body), with_role.1, "{method} {path}");
            }
        },
    );
}

#[test]
fn the_description_names_every_route_and_what_it_refers_to() {
    let text = with_server(
        |_| {},
        |url| {
            let mut answer = ureq::get(format!("{url}/openapi.json")).call().unwrap();
            answer.body_mut().read_to_string().unwrap()
        },
    );
    let api: serde_json::Value = serde_json::from_str(&text).unwrap();
    for path in ["/indices/{name}/search", "/encode", "/rerank", "/v1/rerank", "/v2/rerank", "/score", "/pooling"] {
        assert!(api["paths"][path]["post"].is_object(), "{path}");
    }
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(api["components"]["schemas"][name].is_object(), "{name}");
    }
}
