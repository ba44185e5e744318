//! The program and its surroundings: a terminal, full or closed streams, signals, the log, and files for shells.

#![allow(missing_docs)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn selvedge(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.args(words).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"id": "a\u001b]0;title\u0007b", "text": "red \u001b[2J paint \u202e tniap"}"#;
    fs::write(dir.path().join("c.jsonl"), format!("{line}\n")).unwrap();
    printed(&mut selvedge(dir.path(), &["index", "c.jsonl", "i"]));
    let shown = printed(&mut selvedge(dir.path(), &["search", "i", "red \u{1b}[1m", "paint"]));
    assert!(shown.contains("red") && shown.contains(r"\u{1b}]0;title"), "{shown}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
    // A file that is skipped, an index that is not there.
    fs::create_dir(dir.path().join("docs")).unwrap();
    fs::write(dir.path().join("docs/a.txt"), "red paint").unwrap();
    fs::write(dir.path().join("docs/two\nlines \u{1b}[2J"), b"\x89PNG\0\0").unwrap();
    for words in [["index", "docs", "j"], ["search", "no\u{1b}[2J", "red"]] {
        let said = String::from_utf8(selvedge(dir.path(), &words).output().unwrap().stderr).unwrap();
        assert!(said.contains(r"\u{1b}[2J") && !said.contains('\u{1b}') && !said.contains("\nlines"), "{said:?}");
    }
    // JSON has escapes of its own.
    let json = printed(&mut selvedge(dir.path(), &["search", "i", "red", "--json"]));
    assert!(json.contains(r"a\u001b]0;title\u0007b"), "{json}");
}

#[test]
#[cfg(target_os = "linux")]
fn standard_error_that_is_full_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.tsv"), "a\tred paint\nb\tblue paint\n").unwrap();
    let run = |words: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        selvedge(dir.path(), words).stderr(full).status().unwrap().code()
    };
    assert_eq!(run(&["index", "c.tsv", "i"]), Some(0));
    assert_eq!(run(&["index", "none.tsv", "j"]), Some(1));
    assert_eq!(run(&["search", "i", "red", "--model", "no/such/model", "-vv"]), Some(1));
    assert_eq!(run(&["frobnicate"]), Some(2));
    printed(&mut selvedge(dir.path(), &["verify", "i"]));
}

/// `tune` stores nothing that it could not print.
#[test]
#[cfg(target_os = "linux")]
fn standard_output_that_is_full_leaves_the_index_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..40).map(|n| format!("{n}\tpassage number {n} about paint\n")).collect();
    fs::write(dir.path().join("c.tsv"), lines).unwrap();
    printed(&mut selvedge(dir.path(), &["index", "c.tsv", "i"]));
    let words = ["tune", "i", "--queries", "c.tsv", "-k", "10", "--recall", "0.1"];
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(selvedge(dir.path(), &words).stdout(full).status().unwrap().code(), Some(1));
    let stored = || printed(&mut selvedge(dir.path(), &["info", "i", "--json"])).contains("p50_us");
    assert!(!stored());
    printed(&mut selvedge(dir.path(), &words));
    assert!(stored());
}

#[test]
fn quiet_prints_errors_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("docs")).unwrap();
    fs::write(dir.path().join("docs/a.txt"), "red paint").unwrap();
    fs::write(dir.path().join("docs/picture"), b"\x89PNG\0\0").unwrap();
    let run = |words: &[&str]| {
        let output = selvedge(dir.path(), words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, notes) = run(&["index", "docs", "loud"]);
    let is_told = notes.contains("skipped docs/picture") && notes.contains("loud: 1 passage, ");
    assert!(code == Some(0) && is_told, "{notes}");
    assert_eq!(run(&["-q", "index", "docs", "quiet"]), (Some(0), String::new()));
    let (code, errors) = run(&["index", "docs", "quiet", "--quiet"]);
    assert!(code == Some(1) && errors.contains("exists"), "{errors}");
}

/// The test is skipped without the program `script` of util-linux, which gives a command a terminal.
#[test]
#[cfg(target_os = "linux")]
fn quiet_hides_progress_bars() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.tsv"), "a\tred paint\nb\tblue paint\n").unwrap();
    let shown = |words: &str| {
        let command = format!("{} {words}", env!("CARGO_BIN_EXE_selvedge"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(dir.path()).env("TERM", "xterm").stdin(Stdio::null());
        let output = script.output().ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(loud) = shown("index c.tsv loud") else { return };
    assert!(loud.contains("        read "), "{loud:?}");
    assert_eq!(shown("index c.tsv quiet -q").unwrap(), "");
}

#[test]
#[cfg(unix)]
fn a_reader_that_closes_the_pipe_does_not_hide_a_broken_index() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.tsv"), "a\tred paint\nb\tblue paint\n").unwrap();
    printed(&mut selvedge(dir.path(), &["index", "c.tsv", "i"]));
    let into_closed_pipe = |words: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = selvedge(dir.path(), words).stdout(writer).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for words in [&["verify", "i"][..], &["info", "i"], &["search", "i", "red"]] {
        assert_eq!(into_closed_pipe(words), (Some(0), String::new()), "{words:?}");
    }
    fs::write(dir.path().join("i/residuals-0001"), "cut").unwrap();
    let (code, errors) = into_closed_pipe(&["verify", "i"]);
    assert!(code == Some(1) && errors.contains("files are broken"), "{errors}");
}

/// Files and folders below `folder` that an unfinished command would leave.
fn left_over(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "c.tsv" && name != "out").collect()
}

#[test]
#[cfg(unix)]
fn a_signal_ends_a_build_and_removes_its_files() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    let words = "about the weather of one day and another in the city of plenty ".repeat(4);
    let lines: String = (0..4_000).map(|n| format!("{n}\tdocument number {n} {words}\n")).collect();
    fs::write(dir.path().join("c.tsv"), lines).unwrap();
    for (name, signal) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        let words = ["index", "c.tsv", "out/i", "--threads", "1", "--save-embeddings", "out/vectors"];
        let mut child = selvedge(dir.path(), &words).spawn().unwrap();
        // The embeddings' file is created after the passages are read; encoding them takes longer than the test waits.
        let begun = Instant::now();
        while !out.join("vectors").exists() {
            assert!(begun.elapsed() < Duration::from_secs(120), "nothing was created");
            std::thread::sleep(Duration::from_millis(5));
        }
        Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal), "SIG{name}");
        assert_eq!(left_over(dir.path()), Vec::<String>::new(), "SIG{name}");
        assert_eq!(left_over(&out), Vec::<String>::new(), "SIG{name}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn a_command_with_nothing_to_clean_up_ends_at_the_first_signal() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    // The search reads queries from a pipe that stays open and empty, so it waits until the signal.
    fs::write(dir.path().join("c.tsv"), "a\tred paint\nb\tblue paint\n").unwrap();
    printed(&mut selvedge(dir.path(), &["index", "c.tsv", "i"]));
    let mut search = selvedge(dir.path(), &["search", "i", "--queries", "-", "-vv"]);
    let mut child = search.stdin(Stdio::piped()).spawn().unwrap();
    // `wait` would close the pipe, and the command would end without a signal.
    let _queries = child.stdin.take().unwrap();
    let mut said = String::new();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    while !said.contains("index opened") {
        assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
    }
    // Not SIGINT, which a shell makes its background commands ignore.
    Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap();
    let sent = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if sent.elapsed() > Duration::from_secs(20) => {
                child.kill().unwrap();
                panic!("the signal did not end the command");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&mut selvedge(dir.path(), &["completions", shell]));
        assert!(script.contains("memory-budget") && script.contains("tune"), "{shell}");
    }
    printed(&mut selvedge(dir.path(), &["man", "man1"]));
    for page in ["selvedge.1", "selvedge-index.1", "selvedge-search.1"] {
        let text = fs::read_to_string(dir.path().join("man1").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn flags_and_the_environment_choose_the_log() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.tsv"), "a\tred paint\nb\tblue paint\n").unwrap();
    printed(&mut selvedge(dir.path(), &["index", "c.tsv", "i"]));
    let said = |words: &[&str], log: Option<&str>| {
        let mut command = selvedge(dir.path(), words);
        log.map(|log| command.env("SELVEDGE_LOG", log));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert_eq!(said(&["search", "i", "red"], None), "");
    assert!(said(&["search", "i", "red", "-vv"], None).contains("index opened"));
    assert!(said(&["search", "i", "red"], Some("debug")).contains("index opened"));
    assert_eq!(said(&["search", "i", "red", "-vv"], Some("warn")), "");
    assert!(said(&["search", "i", "red"], Some("not=a=level")).contains("SELVEDGE_LOG"));
}
