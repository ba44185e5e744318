//! Clients of other servers, unchanged, against this one.
//!
//! The scripts in `clients/` need the packages of `clients/requirements.txt`. `SELVEDGE_CLIENTS_PYTHON` names a Python
//! that has them; without it the tests say so and pass.

use selvedge_server::{Config, serve};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Runs a script against a server of its own.
fn run(script: &str) {
    let Ok(python) = std::env::var("SELVEDGE_CLIENTS_PYTHON") else {
        eprintln!("skipped {script}: SELVEDGE_CLIENTS_PYTHON names no Python with tests/clients/requirements.txt");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data: Some(dir.path().join("data")),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        threads: 2,
        drain_s: 5,
        ..Config::default()
    };
    let (started, address) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let end = async {
            let _ = ended.await;
        };
        runtime.block_on(serve(config, |address| started.send(address).unwrap(), end)).unwrap();
    });
    let address = address.recv().expect("the server starts");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(python).arg(path).arg(format!("http://{address}")).output().expect("Python runs");
    end.send(()).expect("the server runs");
    server.join().expect("the server ends well");
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
