//! Judgments: the grade of a passage for a query.
//!
//! **In:** a file with one judgment per line, or a BEIR folder, whose `qrels/test.tsv` is read; either may be
//! compressed by gzip or Zstandard. **Out:** [`Qrels`], or the judgments in the order of the file. Every command that
//! takes judgments reads them here.
//!
//! | columns | format |
//! |---|---|
//! | query, passage, grade | the usual one; BEIR's begins with a header, `query-id corpus-id score`, which is skipped |
//! | query, an ignored column, passage, grade | TREC's |
//! | query, passage | pairs of a query and its answer, where the caller accepts them |
//!
//! A line with a tab is split at its tabs, so that ids may contain spaces; any other line is split at white space. A
//! grade is a whole number; a passage is relevant if it is above 0.

use crate::collection::beir;
use crate::lines::Lines;
use crate::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

/// First line of BEIR's judgments.
const BEIR_HEADER: [&str; 3] = ["query-id", "corpus-id", "score"];
/// Path of the judgments in a BEIR folder.
const BEIR_FILE: &str = "qrels/test.tsv";

/// Grade of one passage for one query: a line of a file of judgments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgment {
    /// Id of the query.
    pub query: String,
    /// Id of the passage.
    pub passage: String,
    /// Grade; above 0 if the passage is relevant.
    pub grade: i32,
}

/// Grades of passages, by query and passage; collected from [`Judgment`]s or read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qrels {
    path: PathBuf,
    first: String,
    grades: HashMap<String, HashMap<String, i32>>,
}

impl Qrels {
    /// Reads judgments with a grade.
    ///
    /// # Errors
    /// - [`Error::Io`], [`Error::Utf8`] if the file cannot be read.
    /// - [`Error::Line`] for a line with another number of columns, a grade that is no whole number, or a grade that
    ///   contradicts an earlier line.
    /// - [`Error::Empty`] if the file has no judgment.
    pub fn read(path: &Path) -> Result<Self> {
        let path = file_of(path);
        let judgments = read(&path, None)?;
        Ok(Self { path, ..judgments.into_iter().collect() })
    }

    /// Path of the file that was read; empty if the judgments were collected.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Id of the query that is judged first in the file; empty without a judgment.
    pub fn first_query(&self) -> &str {
        &self.first
    }

    /// Returns the grades of the passages judged for a query, by passage id; `None` if the query is not judged.
    pub fn of_query(&self, query: &str) -> Option<&HashMap<String, i32>> {
        self.grades.get(query)
    }
}

impl FromIterator<Judgment> for Qrels {
    fn from_iter<T: IntoIterator<Item = Judgment>>(judgments: T) -> Self {
        let mut qrels = Self::default();
        for Judgment { query, passage, grade } in judgments {
            if qrels.grades.is_empty() {
                qrels.first.clone_from(&query);
            }
            qrels.grades.entry(query).or_default().insert(passage, grade);
        }
        qrels
    }
}

/// Reads judgments in the order of the file, each once.
///
/// `grade_of_pair`: grade of a line of two columns; without it, such a line is an error.
///
/// # Errors
/// As [`Qrels::read`].
pub fn read(path: &Path, grade_of_pair: Option<i32>) -> Result<Vec<Judgment>> {
    let path = &file_of(path);
    let mut lines = Lines::open(path)?;
    let mut judgments = Vec::new();
    let mut grades: HashMap<(String, String), i32> = HashMap::new();
    let mut is_first = true;
    while let Some(line) = lines.next()? {
        let columns = columns(line);
        if std::mem::take(&mut is_first) && columns == BEIR_HEADER {
            continue;
        }
        let parsed = parse(&columns, grade_of_pair);
        let judgment = parsed.map_err(|reason| lines.error(reason))?;
        match grades.entry((judgment.query.clone(), judgment.passage.clone())) {
            Entry::Occupied(before) if *before.get() == judgment.grade => {}
            Entry::Occupied(before) => {
                let Judgment { query, passage, grade } = judgment;
                let before = before.get();
                let reason =
                    format!("{passage:?} has the grade {grade} for {query:?}, but {before} in an earlier line");
                return Err(lines.error(reason));
            }
            Entry::Vacant(vacant) => {
                vacant.insert(judgment.grade);
                judgments.push(judgment);
            }
        }
    }
    if judgments.is_empty() { Err(Error::Empty { path: path.clone(), of: "judgment" }) } else { Ok(judgments) }
}

/// Returns the file itself, or the judgments of a BEIR folder.
fn file_of(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.into();
    }
    beir::file(path, BEIR_FILE).unwrap_or_else(|| path.join(BEIR_FILE))
}

fn columns(line: &str) -> Vec<&str> {
    if line.contains('\t') { line.split('\t').collect() } else { line.split_whitespace().collect() }
}

fn parse(columns: &[&str], grade_of_pair: Option<i32>) -> Result<Judgment, String> {
    let (query, passage, grade) = match (columns, grade_of_pair) {
        (&[query, passage, grade], _) | (&[query, _, passage, grade], _) => (query, passage, parse_grade(grade)?),
        (&[query, passage], Some(grade)) => (query, passage, grade),
        (_, grade) => {
            let expected =
                if grade.is_some() { "query and passage, and perhaps a grade" } else { "query, passage and grade" };
            return Err(format!("expected {expected}, found {} columns", columns.len()));
        }
    };
    if query.is_empty() || passage.is_empty() {
        return Err("an id is empty".into());
    }
    Ok(Judgment { query: query.into(), passage: passage.into(), grade })
}

/// Parses a whole number, which may be written as `2.0`. (trec_eval truncates 0.5 to 0 without an error.)
fn parse_grade(text: &str) -> Result<i32, String> {
    let text = text.trim();
    let grade: f64 = text.parse().map_err(|_| format!("the grade {text:?} is not a number"))?;
    if grade.fract() != 0.0 || grade.abs() > f64::from(i32::MAX) {
        return Err(format!("the grade {text} is not a whole number, or not below 2^31"));
    }
    Ok(grade as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, grade_of_pair: Option<i32>) -> Result<Vec<(String, String, i32)>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.tsv");
        std::fs::write(&path, text).unwrap();
        Ok(read(&path, grade_of_pair)?.into_iter().map(|j| (j.query, j.passage, j.grade)).collect())
    }

    fn judgment(query: &str, passage: &str, grade: i32) -> (String, String, i32) {
        (query.into(), passage.into(), grade)
    }

    #[test]
    fn tabs_separate_columns_where_there_are_any() {
        let text = "q1\tmy cat.txt\t1\nq 2\t0\tnotes/two  spaces.md\t-3\r\n\nq3 Q0 d 2\nq4\td\t 2.0 \nq5  d 0\n";
        let expected = [
            judgment("q1", "my cat.txt", 1),
            judgment("q 2", "notes/two  spaces.md", -3),
            judgment("q3", "d", 2),
            judgment("q4", "d", 2),
            judgment("q5", "d", 0),
        ];
        assert_eq!(read_text(text, None).unwrap(), expected);
    }

    #[test]
    fn a_header_of_beir_is_skipped_in_the_first_line_only() {
        let header = "query-id\tcorpus-id\tscore\n";
        assert_eq!(read_text(&format!("{header}q\td\t1\n"), None).unwrap(), [judgment("q", "d", 1)]);
        let late = read_text(&format!("q\td\t1\n{header}"), None).unwrap_err().to_string();
        assert!(late.ends_with("r.tsv, line 2: the grade \"score\" is not a number"), "{late}");
        assert!(read_text(header, None).unwrap_err().to_string().ends_with("holds no judgment"));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, reason) in [
            ("q a 0.5\n", "line 1: the grade 0.5 is not a whole number"),
            ("q a 1\nq b 1.9\n", "line 2: the grade 1.9 is not a whole number"),
            ("q a nan\n", "the grade nan is not a whole number"),
            ("q a -inf\n", "the grade -inf is not a whole number"),
            ("q a 1e12\n", "or not below 2^31"),
            ("q a good\n", "the grade \"good\" is not a number"),
            ("q\ta b 1\n", "expected query, passage and grade, found 2 columns"),
            ("q Q0 a 1 12.5 run\n", "found 6 columns"),
            ("q\t\t1\n", "an id is empty"),
            ("q a 1\nq b 1\nq a 2\n", "line 3: \"a\" has the grade 2 for \"q\", but 1 in an earlier line"),
            ("\n \n", "holds no judgment"),
        ] {
            let error = read_text(text, None).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn pairs_are_answers_only_where_they_are_accepted() {
        assert_eq!(read_text("q\ta b\n", Some(1)).unwrap(), [judgment("q", "a b", 1)]);
        assert!(read_text("q\ta b\n", None).is_err());
        let once = [judgment("q", "b", 2), judgment("q", "a", 2)];
        assert_eq!(read_text("q b 2\nq a 2\nq b 2\n", None).unwrap(), once, "in order, each once");
    }

    #[test]
    fn a_folder_is_one_of_beir() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("qrels")).unwrap();
        assert!(Qrels::read(dir.path()).unwrap_err().to_string().contains("test.tsv"));
        let text = "query-id\tcorpus-id\tscore\nq1\td 1\t2\n";
        let compressed = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
        for (name, bytes) in [("qrels/test.tsv.zst", compressed.as_slice()), ("qrels/test.tsv", text.as_bytes())] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            let qrels = Qrels::read(dir.path()).unwrap();
            assert_eq!(qrels.of_query("q1").unwrap()["d 1"], 2);
            assert_eq!((qrels.path(), qrels.first_query()), (dir.path().join(name).as_path(), "q1"));
            assert_eq!(read(dir.path(), None).unwrap().len(), 1);
        }
    }
}
