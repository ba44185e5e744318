//! Hard negatives for training: denoised supervision as in ColBERTv2, section 3.2.
//!
//! ```text
//! index the collection with the model --> the best `depth` passages of each query
//!     --> a teacher scores these and the answer --> negatives: below the answer by a margin, best first
//! ```
//!
//! **In:** files of queries and of a collection, and perhaps of answers. **Out:** JSONL, one line per query:
//! `[query, [passage, score], ...]`, the answer first.

mod teacher;
mod tuple;

pub use teacher::Teacher;

use crate::collection::{ReadOptions, ReadReport};
use crate::progress::{Progress, Stage};
use crate::query_file::QueryFile;
use crate::staged::Staged;
use crate::{BuildOptions, Engine, Error, OpenOptions, Result, SearchOptions, Snapshot, build, qrels, query_file};
use selvedge_encoder::Encoder;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use teacher::Judge;
use tuple::{Mined, in_stanford_form, tuple};

/// Queries that are encoded and searched at a time.
const BLOCK_QUERIES: usize = 256;

/// Options of [`mine()`].
#[derive(Clone, Debug)]
pub struct MineOptions {
    /// Teacher that scores the passages found.
    pub teacher: Teacher,
    /// File of answers, `query<TAB>passage`, or of judgments as [`qrels::read`] reads them, where a passage answers if
    /// its grade is above 0. `None`: the teacher's best passage is the answer.
    pub answers: Option<PathBuf>,
    /// Number of passages that the model finds for each query, at least `negatives`.
    pub depth: usize,
    /// Number of negatives of each query, at least 1. A query with fewer is left out.
    pub negatives: usize,
    /// Margin below the answer's score, as a share of the distance from it to the lowest score for the query; at
    /// least 0 and below 1. A passage within the margin, or above the answer, is not a negative.
    pub margin: f64,
    /// Options of the temporary index, among them the model that finds the passages.
    pub build: BuildOptions,
}

impl MineOptions {
    /// Returns the defaults for a teacher: no file of answers, depth 100, 15 negatives, a margin of 0.1, and the
    /// default build, but files of a folder are not split, so that ids are the paths of files.
    pub fn new(teacher: Teacher) -> Self {
        let whole = ReadOptions { split_words: Some(0), ..ReadOptions::default() };
        let build = BuildOptions { read: whole, language: None, ..BuildOptions::default() };
        Self { teacher, answers: None, depth: 100, negatives: 15, margin: 0.1, build }
    }

    /// Checks that every value is in range.
    pub(crate) fn check(&self) -> Result<()> {
        if self.negatives == 0 {
            return Err(Error::option("negatives", self.negatives, "expected at least 1"));
        }
        if self.depth < self.negatives {
            return Err(Error::option("depth", self.depth, "expected at least the number of negatives"));
        }
        if !(0.0..1.0).contains(&self.margin) {
            return Err(Error::option("margin", self.margin, "expected at least 0 and below 1"));
        }
        self.build.check()
    }
}

/// Counts of [`mine()`]; field names are the JSON's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MineReport {
    /// Number of queries read.
    pub queries: usize,
    /// Number of tuples written, one per query at most.
    pub tuples: usize,
    /// Number of passages within the margin or above the answer that are not known answers: they are not used as
    /// negatives.
    pub dropped: usize,
    /// Number of queries without an answer in the collection.
    pub unanswered: usize,
    /// Number of queries whose answer has no score.
    pub unscored: usize,
    /// Number of queries with too few negatives.
    pub few_negatives: usize,
    /// Share of the queries for which the model finds an answer; 0 without a file of answers.
    pub answers_found: f64,
    /// Number of passages that have more tokens than the model reads.
    pub truncated: usize,
    /// Files and lines of the collection that were left out.
    pub read: ReadReport,
    /// Whether the file of queries began with a header.
    pub queries_had_header: bool,
}

/// Mines tuples for the queries of a file (as [`query_file::read`] reads it) over a collection, and writes them to
/// `out`: one line of JSON per query, `[query, [passage, score], ...]` with ids, the answer first.
///
/// `out` appears when it is complete; a target that is no regular file, such as a pipe, is written directly, and `-` is
/// standard output. The index of the collection is made in the folder of `out`, or in the system's folder of temporary
/// files if there is none, and is removed at the end.
///
/// # Errors
/// - [`Error::BadOption`] if an option is out of range.
/// - [`Error::Io`] if a file cannot be read, or `out` cannot be written, which is found before the model is loaded.
/// - [`Error::Line`], [`Error::Utf8`], [`Error::Empty`] for a file of queries, answers or scores that is malformed.
/// - [`Error::Encoder`] if a model does not load.
/// - [`Error::Cancelled`] if `progress` asks to stop.
/// - The errors of [`Engine::build`] for the collection.
pub fn mine(
    queries: &Path,
    collection: &Path,
    out: &Path,
    options: &MineOptions,
    progress: &dyn Progress,
) -> Result<MineReport> {
    options.check()?;
    let QueryFile { queries, had_header } = query_file::read(queries)?;
    let answers = options.answers.as_deref().map(read_answers).transpose()?;
    let mut file = Staged::create_or_stdout(out)?;
    let judge = Judge::load(&options.teacher, &options.build.encoder)?;
    let encoder = Encoder::load(&options.build.model, &options.build.encoder)?;
    let folder = file.folder().map_or_else(std::env::temp_dir, Path::to_owned);
    let folder = tempfile::tempdir_in(&folder).map_err(Error::io(&folder))?;
    let path = folder.path().join("mined.index");
    let built = build::from_text(collection, &path, &encoder, &options.build, progress)?;
    let engine = Engine::open(&path, OpenOptions { device: options.build.device, ..OpenOptions::default() })?;
    let snapshot = engine.snapshot();
    let index = snapshot.index();
    let texts: Vec<&str> = queries.iter().map(|(_, text)| text.as_str()).collect();
    let mut report = MineReport {
        queries: queries.len(),
        truncated: built.truncated,
        read: built.read,
        queries_had_header: had_header,
        ..MineReport::default()
    };
    let mut mined = find(options.depth, &encoder, &snapshot, &texts, progress)?;
    if let Some(answers) = &answers {
        let mut found = 0;
        for ((id, _), query) in queries.iter().zip(&mut mined) {
            for answer in answers.get(id).into_iter().flatten() {
                query.answers.extend(index.pid(answer)?);
            }
            found += usize::from(query.answers.iter().any(|answer| query.pids.contains(answer)));
            // The first answer is scored, whether it was found or not.
            query.pids.extend(query.answers.first().copied().filter(|answer| !query.pids.contains(answer)));
        }
        report.answers_found = found as f64 / queries.len() as f64;
    }
    judge.score(index, &queries, &mut mined, progress)?;
    let mut stage = Stage::new(progress, "write", "queries", Some(queries.len() as u64));
    for ((id, _), query) in queries.iter().zip(&mined) {
        if let Some(passages) = tuple(options, query, &mut report) {
            file.write_line(&in_stanford_form(id, &passages, index)?.to_string())?;
            report.tuples += 1;
        }
        stage.add(1)?;
    }
    file.finish()?;
    Ok(report)
}

/// Finds the best passages of each query.
fn find(
    depth: usize,
    encoder: &Encoder,
    snapshot: &Snapshot,
    texts: &[&str],
    progress: &dyn Progress,
) -> Result<Vec<Mined>> {
    let params = SearchOptions { k: depth, ..SearchOptions::default() }.params(snapshot.searcher(), None);
    let mut stage = Stage::new(progress, "search", "queries", Some(texts.len() as u64));
    let mut mined = Vec::with_capacity(texts.len());
    for block in texts.chunks(BLOCK_QUERIES) {
        let encoded = encoder.encode_queries(block)?;
        let rankings = snapshot.searcher().search_batch(&encoded.iter().collect::<Vec<_>>(), &params, None)?;
        for ranking in rankings {
            let pids = ranking.hits.iter().map(|hit| hit.pid).collect();
            mined.push(Mined { pids, ..Mined::default() });
        }
        stage.add(block.len() as u64)?;
    }
    Ok(mined)
}

/// Ids of the passages that answer each query, in the order of the file.
type Answers = HashMap<String, Vec<String>>;

/// Reads the passages of each query with a grade above 0.
fn read_answers(path: &Path) -> Result<Answers> {
    let mut answers = Answers::new();
    for judgment in qrels::read(path, Some(1))?.into_iter().filter(|judgment| judgment.grade > 0) {
        answers.entry(judgment.query).or_default().push(judgment.passage);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused() {
        let options = || MineOptions::new(Teacher::Scores("s.tsv".into()));
        assert!(options().check().is_ok());
        let refused = |options: MineOptions| match options.check() {
            Err(Error::BadOption { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        for margin in [f64::NAN, -0.1, 1.0, f64::INFINITY] {
            assert_eq!(refused(MineOptions { margin, ..options() }), "margin");
        }
        assert_eq!(refused(MineOptions { negatives: 0, ..options() }), "negatives");
        assert_eq!(refused(MineOptions { depth: 14, ..options() }), "depth");
    }
}
