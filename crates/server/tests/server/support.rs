//! A server in this process, and a client of it.

use selvedge_server::{Config, serve};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A server that ends when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub dir: TempDir,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    key: Option<String>,
}

/// Resolves when a server is to end.
type End = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Status and body of an answer.
pub type Answer = (u16, Value);

impl Server {
    /// Starts a server with a data folder of its own.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a server with changed settings.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), change)
    }

    /// Starts a server on what another one left.
    pub fn in_dir(dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            data: Some(dir.path().join("data")),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 2,
            drain_s: 5,
            ..Config::default()
        };
        change(&mut config);
        Self::run(dir, |started, end| serve(config, started, end))
    }

    /// Runs a server in a thread of its own.
    pub fn run<F: Future<Output = selvedge_server::Result<()>>>(
        dir: TempDir,
        serve: impl FnOnce(Box<dyn FnOnce(SocketAddr)>, End) -> F + Send + 'static,
    ) -> Self {
        let (started, address) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let end = Box::pin(async {
                let _ = ended.await;
            });
            let started = Box::new(move |address| started.send(address).unwrap());
            runtime.block_on(serve(started, end)).unwrap();
        };
        let thread = std::thread::spawn(run);
        let address = address.recv().expect("the server starts");
        Self { address, dir, end: Some(end), thread: Some(thread), key: None }
    }

    /// Sends this key from now on.
    pub fn key(&mut self, key: &str) {
        self.key = Some(key.to_owned());
    }

    /// Ends the server, and returns its folder.
    pub fn end(mut self) -> TempDir {
        self.stop();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }

    fn stop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends well");
        }
    }

    /// Number of the folders in the data folder.
    pub fn folders(&self) -> usize {
        let entries = std::fs::read_dir(self.dir.path().join("data")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request with a body, and returns status, headers and body.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, ureq::http::HeaderMap, String) {
        self.send_with(method, path, &[("content-type", kind)], body)
    }

    /// Sends a request with these headers.
    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, ureq::http::HeaderMap, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let text = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        (response.status().as_u16(), response.headers().clone(), text)
    }

    fn json(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let (status, _, text) = self.send(method, path, "application/json", body);
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.json("GET", path, b"")
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.json("POST", path, body.to_string().as_bytes())
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.json("DELETE", path, b"")
    }

    /// The body of an answer that succeeds.
    pub fn ok(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Status and code of an answer that fails.
    pub fn fails(&self, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.post(path, body);
        assert!(status >= 400, "{path}: {status} {answer}");
        (status, answer["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ids of the hits of an answer.
pub fn ids(answer: &Value) -> Vec<String> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}
