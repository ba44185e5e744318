//! Files of queries.
//!
//! **In:** TSV (`id<TAB>text`), JSONL (`id` or `_id`, and `text`), either perhaps compressed, or a BEIR folder, whose
//! `queries.jsonl` is read.
//! **Out:** ids and texts in the order of the file. Every command that takes queries reads them here.

use crate::collection::{Beir, format_of, json};
use crate::lines::{Lines, is_tsv_header, split_tsv};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Queries of a BEIR folder.
const BEIR_FILE: &str = "queries.jsonl";

/// Reads ids and texts.
///
/// # Errors
/// If the file cannot be read, holds no query, or a line has no id, no text, or the id of an earlier line.
pub fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let path: PathBuf = match Beir::find(path) {
        Some(Beir { queries: Some(queries), .. }) => queries,
        _ if path.is_dir() => path.join(BEIR_FILE),
        _ => path.into(),
    };
    let mut lines = Lines::open(&path)?;
    let is_json = match format_of(&path).as_str() {
        "jsonl" | "ndjson" | "json" => true,
        "tsv" | "txt" | "tab" => false,
        _ => lines.peek()? == Some(b'{'),
    };
    let mut queries: Vec<(String, String)> = Vec::new();
    let mut lines_of: HashMap<String, usize> = HashMap::new();
    while let Some(line) = lines.next()? {
        let parsed = if is_json { from_json(line) } else { from_tsv(line) };
        let (id, text) = parsed.map_err(|reason| lines.error(reason))?;
        if !is_json && lines.number() == 1 && is_tsv_header(&id, &text) {
            continue;
        }
        if let Some(before) = lines_of.insert(id.clone(), lines.number()) {
            return Err(lines.error(format!("the id {id:?} is used twice, first in line {before}")));
        }
        queries.push((id, text));
    }
    if queries.is_empty() { Err(Error::Empty { path, of: "query" }) } else { Ok(queries) }
}

fn from_tsv(line: &str) -> Result<(String, String), String> {
    split_tsv(line).map(|(id, text)| (id.into(), text.into()))
}

fn from_json(line: &str) -> Result<(String, String), String> {
    json::parse(line).map(|query| (query.id, query.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<(String, String)>> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        read(&dir.path().join(name))
    }

    fn queries(queries: &[(&str, &str)]) -> Vec<(String, String)> {
        queries.iter().map(|&(id, text)| (id.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn tsv_and_jsonl_give_the_same() {
        let expected = queries(&[("1", "what is a selvedge"), ("q 2", "")]);
        assert_eq!(read_text("q.tsv", "1\twhat is a selvedge\n\nq 2\t\n").unwrap(), expected);
        let json =
            "{\"_id\": 1, \"text\": \"what is a selvedge\", \"metadata\": {}}\n{\"id\": \"q 2\", \"text\": \"\"}\n";
        assert_eq!(read_text("q.jsonl", json).unwrap(), expected);
        assert_eq!(read_text("queries", json).unwrap(), expected, "told by its first byte");
    }

    #[test]
    fn a_header_is_a_first_line_only() {
        assert_eq!(read_text("q.tsv", "ID\ttext\nid\ttext\n").unwrap(), queries(&[("id", "text")]));
    }

    #[test]
    fn a_number_as_id_is_kept_as_it_is_written() {
        let json = "{\"id\": 12345678901234567890123, \"text\": \"\"}\n{\"id\": 1.50, \"text\": \"\"}\n";
        assert_eq!(read_text("q.jsonl", json).unwrap(), queries(&[("12345678901234567890123", ""), ("1.50", "")]));
    }

    #[test]
    fn a_folder_is_one_of_beir() {
        let dir = tempfile::tempdir().unwrap();
        let missing = read(dir.path()).unwrap_err().to_string();
        assert!(missing.contains("queries.jsonl"), "{missing}");
        std::fs::write(dir.path().join("queries.jsonl"), "{\"_id\": \"q\", \"text\": \"t\"}\n").unwrap();
        assert_eq!(read(dir.path()).unwrap(), queries(&[("q", "t")]));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (name, text, reason) in [
            ("q.tsv", "a\tone\nno tab\n", "q.tsv, line 2: expected id<TAB>text, found no tab"),
            ("q.tsv", "\tone\n", "line 1: the id is empty"),
            ("q.tsv", "a\tone\n\nb\ttwo\na\tthree\n", "line 4: the id \"a\" is used twice, first in line 1"),
            (
                "q.jsonl",
                "{\"id\": 1, \"text\": \"\"}\n{\"id\": \"1\", \"text\": \"\"}\n",
                "line 2: the id \"1\" is used twice",
            ),
            ("q.jsonl", "{\"id\": \"\", \"text\": \"\"}\n", "the id is empty"),
            ("q.jsonl", "{\"id\": \"a\"}\n", "\"text\" is missing"),
            ("q.jsonl", "a\tone\n", "malformed JSON"),
            ("q.tsv", "\n", "q.tsv: holds no query"),
        ] {
            let error = read_text(name, text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
