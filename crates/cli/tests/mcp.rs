//! `selvedge mcp` as a process: the protocol on standard input and output, and nothing else.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use support::Collection;

/// A process and its client; the process is killed when this is dropped.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    requests: u64,
}

impl Process {
    fn start(c: &Collection, words: &str) -> Self {
        let mut command: Command = c.command(&format!("-q mcp {words}"), &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()).lines());
        let mut this = Self { child, input, output, requests: 0 };
        let client = json!({"name": "test", "version": "1"});
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        assert_eq!(this.ask("initialize", hello)["serverInfo"]["name"], "selvedge");
        this.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        this
    }

    fn send(&mut self, message: Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The next message of the process: each line is one.
    fn receive(&mut self) -> Option<Value> {
        let line = self.output.next()?.unwrap();
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert_eq!(message["jsonrpc"], "2.0");
        Some(message)
    }

    /// Sends a request, and returns its result.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.receive().expect("an answer");
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    }

    /// The JSON of a tool that succeeds.
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].clone()
    }

    /// The id of the best passage.
    fn best(&mut self, query: &str, index: &str) -> Value {
        self.call("search", json!({"query": query, "index": index, "k": 1}))["hits"][0]["id"].clone()
    }

    /// Ends the input; the process then ends well, and writes nothing more.
    fn end(mut self) {
        self.input = None;
        assert_eq!(self.receive(), None);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of notes, without the other files of a collection.
fn notes() -> Collection {
    let c = Collection::new();
    std::fs::create_dir_all(c.path("notes/sub")).unwrap();
    c.write("notes/cloth.txt", "the woven edge keeps a cloth from fraying");
    c.write("notes/sub/logs.md", "rotated log files are compressed and kept for a week");
    c
}

#[test]
fn an_assistant_searches_a_folder_that_changes() {
    let c = notes();
    let mut process = Process::start(&c, "notes --data kept");
    assert_eq!(process.ask("tools/list", json!({}))["tools"].as_array().unwrap().len(), 5);
    assert_eq!(process.call("index", json!({}))["passages"], 2);
    assert_eq!(process.best("how are logs rotated", "notes"), "sub/logs.md");
    c.write("notes/sub/logs.md", "the kiln is heated to 900 degrees");
    let counts = process.call("index", json!({}));
    assert_eq!((&counts["added"], &counts["deleted"]), (&json!(1), &json!(1)), "{counts}");
    let found = process.call("search", json!({"query": "hot kiln"}));
    assert_eq!(found["hits"][0]["snippet"], "the kiln is heated to 900 degrees");
    std::fs::remove_file(c.path("notes/cloth.txt")).unwrap();
    assert_eq!(process.call("index", json!({}))["passages"], 1);
    assert_eq!(process.call("read", json!({"id": "sub/logs.md"}))["text"], "the kiln is heated to 900 degrees");
    process.end();
    // What changed meanwhile is seen at the next start.
    c.write("notes/mail.txt", "mail is delivered to the local spool");
    let mut process = Process::start(&c, "notes --data kept");
    let counts = process.call("index", json!({}));
    assert_eq!((&counts["passages"], &counts["added"]), (&json!(2), &json!(0)), "the start has added it: {counts}");
    process.end();
}

#[test]
fn folders_of_one_name_and_indexes_are_served_together() {
    let c = notes();
    std::fs::create_dir_all(c.path("other/notes")).unwrap();
    c.write("other/notes/mail.txt", "mail is delivered to the local spool");
    c.ok("index notes made.index");
    let mut process = Process::start(&c, "notes other/notes made.index --data kept");
    let listed = process.call("indexes", json!({}));
    let names: Vec<_> =
        listed["indexes"].as_array().unwrap().iter().map(|index| index["name"].as_str().unwrap()).collect();
    let other = names[2].to_owned();
    assert!(names[..2] == ["made.index", "notes"] && other.starts_with("notes-"), "{names:?}");
    assert_eq!(process.call("index", json!({"index": &other}))["passages"], 1);
    assert_eq!(process.best("letters", &other), "mail.txt");
    assert_eq!(process.best("cloth", "made.index"), "cloth.txt");
    process.end();
    // The names stay, whatever is served.
    let mut process = Process::start(&c, "other/notes --data kept");
    assert_eq!(process.call("indexes", json!({}))["indexes"][0]["name"], other.as_str());
    process.end();
}

/// The first build is stopped by the end of the input, or by a signal, and the next start makes up for it.
#[test]
fn an_end_leaves_nothing_half_written() {
    let c = notes();
    for number in 0..500 {
        c.write(&format!("notes/{number}.txt"), &format!("{number} {}", "long ".repeat(60)));
    }
    let left = |c: &Collection| {
        let entries = std::fs::read_dir(c.path("kept/notes")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    Process::start(&c, "notes --data kept").end();
    assert_eq!(left(&c), ["settings.json"]);
    let mut process = Process::start(&c, "notes --data kept");
    let pid = process.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(process.child.wait().unwrap().success());
    assert_eq!(left(&c), ["settings.json"]);
    for number in 0..500 {
        std::fs::remove_file(c.path(&format!("notes/{number}.txt"))).unwrap();
    }
    let mut process = Process::start(&c, "notes --data kept");
    assert_eq!(process.call("index", json!({}))["passages"], 2);
    process.end();
}

#[test]
fn mistakes_are_named() {
    let c = notes();
    assert!(c.fails("mcp", 2).contains("FOLDER|INDEX"));
    assert!(c.fails("mcp none", 2).contains("no such folder"));
    assert!(c.fails("mcp ids.txt", 2).contains("expected a folder"));
    // Without a word of the client, the input has ended.
    let output = c.command("mcp notes --data kept", &[]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let error = c.fails("mcp notes --data kept --model other/model", 1);
    assert!(error.contains("\"shipped\"") && error.contains("delete"), "{error}");
}
