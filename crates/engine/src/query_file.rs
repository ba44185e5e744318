//! Files of queries.
//!
//! **In:** TSV (`id<TAB>text`, perhaps after a header), JSONL (`id` or `_id`, and `text`), or a BEIR folder, whose
//! `queries.jsonl` is read; any of them may be compressed by gzip or Zstandard. **Out:** ids and texts in the order of
//! the file. Every command that takes queries reads them here.

use crate::collection::beir;
use crate::lines::Lines;
use crate::{Error, Result, records};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Name of the file of queries in a BEIR folder.
const BEIR_FILE: &str = "queries.jsonl";

/// Queries of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryFile {
    /// Id and text of each query; at least one, and no id twice.
    pub queries: Vec<(String, String)>,
    /// Whether the first line of a TSV file is a header, `id<TAB>text`, which is not among the queries.
    pub had_header: bool,
}

/// Reads the ids and texts of a file of queries; `-` is standard input.
///
/// # Errors
/// - [`Error::Io`], [`Error::Utf8`] if the file cannot be read.
/// - [`Error::Line`] for a line without an id or a text, or with the id of an earlier line.
/// - [`Error::Empty`] if the file has no query.
pub fn read(path: &Path) -> Result<QueryFile> {
    let path = file_of(path);
    let mut queries: Vec<(String, String)> = Vec::new();
    let mut lines_of: HashMap<String, usize> = HashMap::new();
    let had_header = records::read(Lines::open(&path)?, |query, lines| {
        if let Some(before) = lines_of.insert(query.id.clone(), lines.number()) {
            return Err(lines.error(format!("the id {:?} is used twice, first in line {before}", query.id)));
        }
        queries.push((query.id, query.text));
        Ok(())
    })?;
    if queries.is_empty() { Err(Error::Empty { path, of: "query" }) } else { Ok(QueryFile { queries, had_header }) }
}

/// Returns the file itself, or the queries of a BEIR folder; the corpus need not be beside them.
fn file_of(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.into();
    }
    beir::file(path, BEIR_FILE).unwrap_or_else(|| path.join(BEIR_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<(String, String)>> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        Ok(read(&dir.path().join(name))?.queries)
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
        assert_eq!(read_text("queries", json).unwrap(), expected, "recognized by its first byte");
    }

    #[test]
    fn a_header_is_a_first_line_only_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let read_text = |text: &str| {
            std::fs::write(dir.path().join("q.tsv"), text).unwrap();
            read(&dir.path().join("q.tsv")).unwrap()
        };
        let expected = QueryFile { queries: queries(&[("id", "text")]), had_header: true };
        assert_eq!(read_text("ID\ttext\nid\ttext\n"), expected);
        assert!(!read_text("1\ttext\nid\ttext\n").had_header);
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
        let json = "{\"_id\": \"q\", \"text\": \"t\"}\n";
        let compressed = zstd::stream::encode_all(json.as_bytes(), 1).unwrap();
        std::fs::write(dir.path().join("queries.jsonl.zst"), compressed).unwrap();
        assert_eq!(read(dir.path()).unwrap().queries, queries(&[("q", "t")]), "without a corpus");
        std::fs::write(dir.path().join("queries.jsonl"), json.replace("\"q\"", "\"plain\"")).unwrap();
        assert_eq!(read(dir.path()).unwrap().queries, queries(&[("plain", "t")]));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (name, text, reason) in [
            ("q.tsv", "a\tone\nno tab\n", "q.tsv, line 2: expected id<TAB>text, found no tab"),
            ("q.tsv", "\tone\n", "line 1: the id \"\" is blank"),
            ("q.tsv", "a\tone\n\nb\ttwo\na\tthree\n", "line 4: the id \"a\" is used twice, first in line 1"),
            (
                "q.jsonl",
                "{\"id\": 1, \"text\": \"\"}\n{\"id\": \"1\", \"text\": \"\"}\n",
                "line 2: the id \"1\" is used twice",
            ),
            ("q.jsonl", "{\"id\": \"\", \"text\": \"\"}\n", "the id \"\" is blank"),
            ("q.jsonl", "{\"id\": \"a\"}\n", "\"text\" is missing"),
            ("q.jsonl", "a\tone\n", "malformed JSON"),
            ("q.tsv", "\n", "q.tsv: holds no query"),
        ] {
            let error = read_text(name, text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
