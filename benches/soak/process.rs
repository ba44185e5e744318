//! The server as a child process, and its resources.

use crate::INDEX;
use crate::client::{Client, Outcome};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server process, killed when this is dropped.
pub struct Process {
    child: Child,
    data: PathBuf,
    /// Beginning of its URLs.
    pub base: String,
}

/// Resources of a process at a moment.
pub struct Sample {
    /// Time since the load began.
    pub at: Duration,
    /// Resident memory in MiB.
    pub rss: f64,
    /// The part of it that is no page of a file, in MiB.
    pub anon: f64,
    files: usize,
    threads: u64,
    /// Bytes of the data folder.
    bytes: u64,
    segments: u64,
    passages: u64,
}

impl Process {
    /// Starts a server on a free port, and waits until it listens.
    pub fn start(binary: &Path, data: &Path) -> Self {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs([("HF_HUB_OFFLINE", "1"), ("SELVEDGE_LOG", "warn")]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
        let base = loop {
            let line = lines.next().expect("the server says where it listens").expect("a line");
            if let Some(base) = line.split("listening on ").nth(1) {
                break base.to_owned();
            }
        };
        // A full pipe would stop the server. Requests that are shed are errors in its log, too: the tally counts them.
        std::thread::spawn(move || {
            let told = lines.map_while(Result::ok).filter(|line| !line.contains("took longer than its timeout"));
            told.for_each(|line| println!("server: {line}"));
        });
        Self { child, data: data.to_owned(), base }
    }

    /// Address without the scheme.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Kills the process, which has no chance to end well.
    pub fn kill(&self) {
        self.signal("-KILL");
    }

    /// Waits for the end of a killed process.
    pub fn wait_after_kill(&mut self) {
        let _ = self.child.wait();
    }

    /// Asks the process to end, and returns whether it did so well.
    pub fn end(&mut self) -> bool {
        self.signal("-TERM");
        self.child.wait().is_ok_and(|status| status.success())
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([name, &pid]).status();
    }

    /// Measures the resources.
    pub fn sample(&self, at: Duration, client: &Client<'_>) -> Sample {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let info = match client.call("GET", &format!("/v1/indexes/{INDEX}"), None, &[]) {
            Outcome::Done(info) => info,
            _ => serde_json::Value::Null,
        };
        let of_index = |key: &str| info[key].as_u64().unwrap_or(0);
        Sample {
            at,
            rss: number("VmRSS") as f64 / 1024.0,
            anon: number("RssAnon") as f64 / 1024.0,
            files: std::fs::read_dir(folder.join("fd")).map_or(0, Iterator::count),
            threads: number("Threads"),
            bytes: bytes(&self.data),
            segments: of_index("segments"),
            passages: of_index("passages"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:4.0} s, RSS {:.1} MiB (anonymous {:.1}), {} files, {} threads, {} passages, {} segments, {:.1} MiB kept",
            self.at.as_secs_f64(),
            self.rss,
            self.anon,
            self.files,
            self.threads,
            self.passages,
            self.segments,
            self.bytes as f64 / f64::from(1 << 20),
        )
    }
}

/// Bytes of all files of a folder. Files may vanish while they are counted.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
