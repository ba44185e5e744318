//! Requests, and the tally of their answers.

use crate::process::Process;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most failures that are printed.
const MOST_PRINTED: u64 = 50;
/// Longest time of a request: longer than any timeout of the server.
const PATIENCE: Duration = Duration::from_secs(120);
/// Age of an unused connection after which it is not used again: younger than the server closes one.
const IDLE: Duration = Duration::from_secs(3);

/// Counts of all answers, and the state of the load.
#[derive(Default)]
pub struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    /// Answers that were no success, by their codes: those that the load causes, and shed load.
    refused: Mutex<BTreeMap<String, u64>>,
    /// Milliseconds of each search.
    searches: Mutex<Vec<f64>>,
    is_stopped: AtomicBool,
    is_killed: AtomicBool,
}

/// Result of a request.
pub enum Outcome {
    /// The body of a success; null if it is empty.
    Done(Value),
    /// The code of an error.
    Refused(String),
    /// No answer: it may have been carried out or not.
    Lost,
}

impl Outcome {
    /// The body of a success.
    pub fn done(self) -> Option<Value> {
        match self {
            Self::Done(body) => Some(body),
            _ => None,
        }
    }
}

impl Tally {
    /// Notes that something was wrong.
    pub fn fail(&self, what: &str) {
        if self.failures.fetch_add(1, Ordering::Relaxed) < MOST_PRINTED {
            println!("FAILURE: {}", what.chars().take(600).collect::<String>());
        }
    }

    /// Notes a failure if there is one.
    pub fn expect(&self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(&what);
        }
    }

    /// Counts something that is neither a success nor a failure.
    pub fn note(&self, code: &str) {
        *self.refused.lock().expect("no panic").entry(code.to_owned()).or_default() += 1;
    }

    /// Notes the time of a search.
    pub fn searched(&self, time: Duration) {
        self.searches.lock().expect("no panic").push(time.as_secs_f64() * 1e3);
    }

    /// Number of failures.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the load should end.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Waits for a while, or until the load should end.
    pub fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20).min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// Asks all threads of the load to end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Lets the next load begin.
    pub fn go_on(&self) {
        self.is_stopped.store(false, Ordering::Relaxed);
    }

    /// Kills the server; from here on, answers may be missing.
    pub fn kill(&self, process: &Process) {
        self.is_killed.store(true, Ordering::SeqCst);
        process.kill();
    }

    /// Whether answers may be missing.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// Expects all answers again.
    pub fn begin_again(&self) {
        self.is_killed.store(false, Ordering::SeqCst);
    }

    /// Counts so far in a few words.
    pub fn line(&self) -> String {
        let refused: u64 = self.refused.lock().expect("no panic").values().sum();
        let requests = self.requests.load(Ordering::Relaxed);
        format!("{requests} requests, {refused} refused, {} failures", self.failures())
    }

    /// Prints all counts.
    pub fn summary(&self) {
        let mut times = std::mem::take(&mut *self.searches.lock().expect("no panic"));
        times.sort_unstable_by(f64::total_cmp);
        let percentile = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        println!("searches: {}, p50 {:.1} ms, p99 {:.1} ms", times.len(), percentile(0.5), percentile(0.99));
        println!("{}; refused: {:?}", self.line(), self.refused.lock().expect("no panic"));
    }
}

/// A client with connections of its own.
pub struct Client<'a> {
    agent: ureq::Agent,
    base: &'a str,
    tally: &'a Tally,
}

impl<'a> Client<'a> {
    /// Makes a client of the server at `base`.
    pub fn new(base: &'a str, tally: &'a Tally) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_age(IDLE)
            .build();
        Self { agent: config.into(), base, tally }
    }

    /// Sends a request with a body of JSON. Codes that are neither `expected` nor of shed load are
    /// failures.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>, expected: &[&str]) -> Outcome {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(method, path, "application/json", body, expected)
    }

    /// Sends a request with a body of any kind.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: String, expected: &[&str]) -> Outcome {
        self.tally.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(url).header("content-type", kind);
        let request = request.body(body).expect("a request");
        let answer = self.agent.run(request).and_then(|mut answer| {
            let text = answer.body_mut().with_config().limit(1 << 30).read_to_string()?;
            Ok((answer.status().as_u16(), text))
        });
        let (status, text) = match answer {
            Ok(answer) => answer,
            Err(_) if self.tally.is_killed() => return Outcome::Lost,
            Err(error) => {
                self.tally.fail(&format!("{method} {path}: no answer: {error}"));
                return Outcome::Lost;
            }
        };
        let body: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_default() };
        let code = body["code"].as_str().unwrap_or("none").to_owned();
        match status {
            200..300 => return Outcome::Done(body),
            429 | 503 => self.tally.note(&format!("{status} {code}")),
            _ if expected.contains(&code.as_str()) => self.tally.note(&code),
            _ => self.tally.fail(&format!("{method} {path}: {status} {text}")),
        }
        Outcome::Refused(code)
    }
}
