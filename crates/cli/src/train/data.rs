//! Training data: queries with their passages, in the usual file formats.
//!
//! | file | line | contents |
//! |---|---|---|
//! | `.jsonl` | `[query, [passage, score], [passage, score], ...]` | Stanford's n-way tuples; scores may be left out |
//! | `.tsv`, 3 columns | `query<TAB>passage<TAB>negative` | triples |
//! | `.tsv`, 2 columns | `query<TAB>passage` | pairs |
//! | `.tsv`, 1 column | `passage` | texts alone, for the loss of `--tokens` |
//!
//! The first passage of a line answers its query. A query is an id of `--queries`, or without `--queries` its text; a
//! passage is an id of `--collection`, or without `--collection` its text.

use crate::index::{note_header, note_skipped};
use crate::{Error, Result};
use selvedge::collection::{self, ReadOptions};
use selvedge::lines::Lines;
use selvedge::query_file;
use selvedge_trainer::{Example, Examples};
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// Training file and its texts, which the lines share.
pub(crate) struct TrainingData {
    /// Path of the file, for messages.
    name: String,
    texts: Vec<String>,
    lines: Vec<Line>,
}

/// Line of a training file; its texts are indices into [`TrainingData::texts`].
struct Line {
    /// Number of the line, from 1.
    number: usize,
    query: u32,
    passages: Vec<u32>,
    /// Score of each passage, or empty.
    scores: Vec<f32>,
}

/// Texts, and their indices by id where a file of ids is given.
struct Texts {
    all: Vec<String>,
    queries: Option<HashMap<String, u32>>,
    passages: Option<HashMap<String, u32>>,
}

impl TrainingData {
    /// Reads `data`, at most `ways` passages per line.
    ///
    /// # Errors
    /// - [`selvedge::Error::Line`] for a line that is malformed, has an unknown id or fewer than `ways` passages.
    /// - [`selvedge::Error::RefusedLine`] for a line of the collection with the id of an earlier one.
    /// - [`Error::Usage`] if there is no example.
    /// - Errors of [`query_file::read`] and [`collection::read`].
    pub(crate) fn read(
        data: &Path,
        queries: Option<&Path>,
        passages: Option<&Path>,
        ways: Option<usize>,
    ) -> Result<Self> {
        let mut texts = Texts { all: Vec::new(), queries: None, passages: None };
        if let Some(path) = queries {
            let file = query_file::read(path)?;
            note_header(file.had_header);
            texts.queries = Some(file.queries.into_iter().map(|(id, text)| (id, texts.push(text))).collect());
        }
        if let Some(path) = passages {
            texts.passages = Some(read_collection(path, &mut texts)?);
        }
        let mut lines = Lines::open(data)?;
        let is_json = lines.peek()? == Some(b'[');
        let mut read = Vec::new();
        while let Some(text) = lines.next()? {
            let parsed = if is_json { from_json(text) } else { from_tsv(text) };
            let found = parsed.and_then(|(query, passages)| texts.line(lines.number(), &query, passages));
            read.push(found.map_err(|reason| lines.error(reason))?);
        }
        let fewest = read.iter().map(|line| line.passages.len()).min();
        let Some(fewest) = fewest else {
            return Err(Error::Usage(format!("{}: holds no example", data.display())));
        };
        let has_query = |line: &Line| !texts.all[line.query as usize].is_empty();
        if let Some(without) = read.iter().find(|line| !has_query(line))
            && read.iter().any(has_query)
        {
            let reason = "has no query, but other lines have one: expected query<TAB>passage";
            return Err(selvedge::Error::line(data, without.number, reason).into());
        }
        // All queries of a batch have the same number of passages.
        let ways = ways.unwrap_or(fewest);
        if let Some(short) = read.iter().find(|line| line.passages.len() < ways) {
            let reason = format!("has {} passages, but --ways {ways} requests more", short.passages.len());
            return Err(selvedge::Error::line(data, short.number, reason).into());
        }
        for line in &mut read {
            line.passages.truncate(ways);
            line.scores.truncate(ways);
        }
        Ok(Self { name: data.display().to_string(), texts: texts.all, lines: read })
    }

    /// Returns whether every line has a teacher's scores.
    pub(crate) fn has_scores(&self) -> bool {
        self.lines.iter().all(|line| line.scores.len() == line.passages.len())
    }

    /// Returns whether every line has a query.
    pub(crate) fn has_queries(&self) -> bool {
        self.lines.iter().all(|line| !self.texts[line.query as usize].is_empty())
    }

    /// Returns the number of passages per query.
    pub(crate) fn ways(&self) -> usize {
        self.lines[0].passages.len()
    }
}

impl Examples for TrainingData {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn get(&self, at: usize) -> selvedge_trainer::Result<Example> {
        let line = &self.lines[at];
        let text = |&number: &u32| self.texts[number as usize].clone();
        Ok(Example {
            name: format!("{}, line {}", self.name, line.number),
            query: text(&line.query),
            passages: line.passages.iter().map(text).collect(),
            scores: line.scores.clone(),
        })
    }
}

/// Reads the passages of a collection into `texts`; returns their indices by id. Notes skipped files and a header.
fn read_collection(path: &Path, texts: &mut Texts) -> Result<HashMap<String, u32>> {
    // Position in the collection and index of each id's text.
    let mut ids: HashMap<String, (u32, u32)> = HashMap::new();
    let mut pid = 0;
    let report = collection::read(path, None, &ReadOptions::default(), |document| {
        match ids.entry(document.id) {
            Entry::Occupied(known) => {
                let (id, (first, _)) = (known.key().clone(), *known.get());
                return Err(selvedge_index::Error::DuplicateId { id, first, second: pid }.into());
            }
            Entry::Vacant(new) => new.insert((pid, texts.push(document.text))),
        };
        pid += 1;
        Ok(())
    })?;
    note_skipped(&report);
    Ok(ids.into_iter().map(|(id, (_, text))| (id, text)).collect())
}

impl Texts {
    /// Adds a text; returns its index.
    fn push(&mut self, text: String) -> u32 {
        self.all.push(text);
        self.all.len() as u32 - 1
    }

    /// Looks up the ids of a line, or adds its texts; the error names an unknown id.
    fn line(&mut self, number: usize, query: &str, passages: Vec<(String, Option<f32>)>) -> Result<Line, String> {
        let known = |ids: &Option<HashMap<String, u32>>, name: &str| ids.as_ref().map(|ids| ids.get(name).copied());
        let query = match known(&self.queries, query).filter(|_| !query.is_empty()) {
            Some(found) => found.ok_or_else(|| format!("no query {query:?} in --queries"))?,
            None => self.push(query.to_owned()),
        };
        let scores: Vec<f32> = passages.iter().filter_map(|&(_, score)| score).collect();
        let mut numbers = Vec::new();
        for (name, _) in passages {
            numbers.push(match known(&self.passages, &name) {
                Some(found) => found.ok_or_else(|| format!("no passage {name:?} in --collection"))?,
                None => self.push(name),
            });
        }
        if !scores.is_empty() && scores.len() != numbers.len() {
            return Err(format!("{} of {} passages have a score", scores.len(), numbers.len()));
        }
        Ok(Line { number, query, passages: numbers, scores })
    }
}

/// Query of a line, and its passages with their scores: ids or texts.
type Names = (String, Vec<(String, Option<f32>)>);

fn from_tsv(line: &str) -> Result<Names, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    match columns.as_slice() {
        [passage] => Ok((String::new(), vec![((*passage).to_owned(), None)])),
        [query, passages @ ..] if (1..=2).contains(&passages.len()) => {
            Ok(((*query).to_owned(), passages.iter().map(|&passage| (passage.to_owned(), None)).collect()))
        }
        columns => Err(format!(
            "has {} columns, expected passage, query<TAB>passage or query<TAB>passage<TAB>negative",
            columns.len()
        )),
    }
}

fn from_json(line: &str) -> Result<Names, String> {
    const FORM: &str = "expected [query, [passage, score], ...]";
    let name = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let passage = |value: &Value| match value.as_array().map(Vec::as_slice) {
        None => Some((name(value)?, None)),
        Some([passage, score]) => Some((name(passage)?, Some(score.as_f64()? as f32))),
        Some(_) => None,
    };
    let value: Value = serde_json::from_str(line).map_err(|error| format!("{FORM}: {error}"))?;
    match value.as_array().map(Vec::as_slice) {
        Some([query, passages @ ..]) if !passages.is_empty() => {
            let passages = passages.iter().map(passage).collect::<Option<Vec<_>>>();
            Ok((name(query).ok_or(FORM)?, passages.ok_or(FORM)?))
        }
        _ => Err(FORM.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn every_format_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let queries = write(dir.path(), "q.tsv", "1\tone\n2\ttwo\n");
        let collection = write(dir.path(), "c.tsv", "a\tA\nb\tB\n7\tseven\n");
        let jsonl = write(dir.path(), "t.jsonl", "[1, [\"a\", 2.5], [7, 1]]\n[2, [\"b\", 1], [\"a\", 0.5], [7, 0]]\n");
        let data = TrainingData::read(&jsonl, Some(&queries), Some(&collection), None).unwrap();
        assert!(data.has_scores() && data.ways() == 2 && data.len() == 2);
        let second = data.get(1).unwrap();
        assert_eq!(
            (second.query.as_str(), second.passages, second.scores),
            ("two", vec!["B".into(), "A".into()], vec![1.0, 0.5])
        );

        let triples = write(dir.path(), "t.tsv", "1\ta\tb\n2\t7\ta\n");
        let data = TrainingData::read(&triples, Some(&queries), Some(&collection), None).unwrap();
        assert!(!data.has_scores() && data.ways() == 2);
        assert_eq!(data.get(1).unwrap().passages, ["seven", "A"]);

        let pairs = write(dir.path(), "p.tsv", "a question\ta\n");
        assert_eq!(TrainingData::read(&pairs, None, Some(&collection), None).unwrap().get(0).unwrap().passages, ["A"]);
        assert_eq!(TrainingData::read(&pairs, None, None, None).unwrap().get(0).unwrap().passages, ["a"]);
    }

    #[test]
    fn an_id_that_the_collection_repeats_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let collection = write(dir.path(), "c.tsv", "a\tA\nb\tB\na\tC\n");
        let data = write(dir.path(), "t.tsv", "q\ta\n");
        let error = TrainingData::read(&data, None, Some(&collection), None).err().unwrap().to_string();
        assert!(error.contains("c.tsv, line 3: id \"a\" is used twice, by passages 0 and 2"), "{error}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let collection = write(dir.path(), "c.tsv", "a\tA\nb\tB\n");
        for (name, text, ways, reason) in [
            ("a.tsv", "q\ta\nq\tc\n", None, "line 2: no passage \"c\""),
            ("b.tsv", "q\ta\tb\tb\n", None, "4 columns"),
            ("c.jsonl", "[1, [\"a\", 1], [\"b\"]]\n", None, "expected [query"),
            ("d.jsonl", "[1, [\"a\", 1], \"b\"]\n", None, "1 of 2 passages have a score"),
            ("e.jsonl", "[1, \"a\"\n", None, "expected [query"),
            ("f.tsv", "q\ta\tb\nq\ta\n", Some(2), "line 2: has 1 passages, but --ways 2"),
            ("k.tsv", "q\ta\tb\n\n\nq\ta\n", Some(2), "line 4: has 1 passages"),
            ("g.tsv", "\n", None, "holds no example"),
            ("h.tsv", "q\ta\nq b\n", None, "line 2: no passage"),
            ("i.tsv", "q\ta\nb\n", None, "line 2: has no query"),
            ("j.tsv", "q\ta\n\tb\n", None, "line 2: has no query"),
        ] {
            let error =
                TrainingData::read(&write(dir.path(), name, text), None, Some(&collection), ways).err().unwrap();
            assert!(error.to_string().contains(reason), "{name}: {error}");
        }
    }
}
