//! `selvedge mine`: denoised supervision for the next round of training (ColBERTv2, section 3.2).
//!
//! ```text
//! index the collection with the model --> the best `depth` passages of each query
//!     --> the teacher's scores of these and of the answer --> negatives: below the answer by a margin, best first
//! ```

use crate::build;
use crate::collection::ReadOptions;
use crate::eval::truth::offsets;
use crate::lines::Lines;
use crate::progress::{Progress, Stage};
use crate::{BuildOptions, Engine, Error, OpenOptions, Result, SearchOptions, qrels, query_file};
use selvedge_backend::{Backend, Cpu};
use selvedge_encoder::{Encoder, LoadOptions, TextKind};
use selvedge_index::Index;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Passages that the teacher encodes at a time.
const BLOCK_PASSAGES: usize = 1024;

/// Judge of the passages that the model found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Teacher {
    /// A checkpoint: a local folder or a hub id.
    Model {
        /// The checkpoint.
        model: String,
        /// Whether it scores single vectors (mean pooling, cosine).
        dense: bool,
    },
    /// A file of scores made elsewhere, `query<TAB>passage<TAB>score`.
    Scores(PathBuf),
}

/// Options of [`mine()`].
#[derive(Clone, Debug)]
pub struct MineOptions {
    /// Judge of the passages that were found.
    pub teacher: Teacher,
    /// Passages that answer queries, `query<TAB>passage`, or judgments as [`qrels::read`] reads them; the teacher's best
    /// where not given.
    pub answers: Option<PathBuf>,
    /// Passages that the model finds for each query.
    pub depth: usize,
    /// Negatives of each query; one with fewer is left out.
    pub negatives: usize,
    /// Share of the way from the answer's score down to the lowest within which a passage counts as an answer.
    pub margin: f64,
    /// The model that ranks, and the build of its index, which is removed in the end.
    pub build: BuildOptions,
}

impl MineOptions {
    /// Defaults, with `teacher` as the judge.
    pub fn new(teacher: Teacher) -> Self {
        let whole = ReadOptions { split_words: Some(0), ..ReadOptions::default() };
        let build = BuildOptions { read: whole, ..BuildOptions::default() };
        Self { teacher, answers: None, depth: 100, negatives: 15, margin: 0.1, build }
    }
}

/// Counts of what was mined; field names are the JSON's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MineReport {
    /// Queries read.
    pub queries: usize,
    /// Tuples written.
    pub tuples: usize,
    /// Passages that were taken for answers that nobody marked.
    pub dropped: usize,
    /// Queries without an answer that the collection has.
    pub unanswered: usize,
    /// Queries whose answer, or all of whose passages, have no score.
    pub unscored: usize,
    /// Queries with too few negatives.
    pub few_negatives: usize,
    /// Share of the queries whose answer was found.
    pub answers_found: f64,
}

/// A query on its way: what was found, best first, and the teacher's score of each.
struct Mined {
    answer: Option<u32>,
    pids: Vec<u32>,
    scores: Vec<Option<f32>>,
}

/// Mines tuples for the `queries` (a file that [`query_file::read`] reads) over a collection, and writes them to `out`, whole or not at all.
///
/// # Errors
/// If a file or a line of it cannot be read, a model does not load, or the disk is full.
pub fn mine(
    queries: &Path,
    collection: &Path,
    out: &Path,
    options: &MineOptions,
    progress: &dyn Progress,
) -> Result<MineReport> {
    let queries = query_file::read(queries)?;
    let answers = options.answers.as_deref().map(read_answers).transpose()?;
    let judge = Judge::load(&options.teacher, &options.build.encoder)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let room = tempfile::tempdir_in(folder).map_err(Error::io(folder))?;
    let encoder = Encoder::load(&options.build.model, &options.build.encoder)?;
    let path = room.path().join("mined.index");
    build::from_text(collection, &path, &encoder, &options.build, progress)?;
    let engine = Engine::open(&path, OpenOptions { device: options.build.device, ..OpenOptions::default() })?;
    let index = engine.index();
    let texts: Vec<&str> = queries.iter().map(|(_, text)| text.as_str()).collect();
    let mut report = MineReport { queries: queries.len(), ..MineReport::default() };
    let mut mined = find(options.depth, &encoder, &engine, &texts)?;
    if let Some(answers) = &answers {
        for ((id, _), query) in queries.iter().zip(&mut mined) {
            query.answer = answers.get(id).map(|answer| index.pid(answer)).transpose()?.flatten();
            report.answers_found +=
                f64::from(u8::from(query.answer.is_some_and(|answer| query.pids.contains(&answer))));
            // It is scored, too, found or not.
            query.pids.extend(query.answer.filter(|answer| !query.pids.contains(answer)));
        }
        report.answers_found /= queries.len().max(1) as f64;
    }
    match &judge {
        Judge::Model { encoder, dense } => ask(encoder, *dense, index, &texts, &mut mined, progress)?,
        Judge::Scores(scores) => look_up(scores, index, &queries, &mut mined)?,
    }
    // Beside the index until it is whole.
    let new = room.path().join("tuples.jsonl");
    let mut file = BufWriter::new(File::create(&new).map_err(Error::io(&new))?);
    for ((id, _), query) in queries.iter().zip(&mined) {
        let Some(passages) = tuple(options, query, &mut report) else { continue };
        writeln!(file, "{}", in_stanford_form(id, &passages, index)?).map_err(Error::io(&new))?;
        report.tuples += 1;
    }
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(Error::io(&new))?;
    std::fs::rename(&new, out).map_err(Error::io(out))?;
    Ok(report)
}

/// A [`Teacher`], loaded.
enum Judge {
    Model { encoder: Box<Encoder>, dense: bool },
    Scores(Scores),
}

impl Judge {
    /// A checkpoint is loaded at its own lengths.
    fn load(teacher: &Teacher, options: &LoadOptions) -> Result<Self> {
        Ok(match teacher {
            Teacher::Scores(path) => Self::Scores(read_scores(path)?),
            Teacher::Model { model, dense } => {
                let options = LoadOptions { precision: options.precision, ..LoadOptions::default() };
                Self::Model { encoder: Box::new(Encoder::load(model, &options)?), dense: *dense }
            }
        })
    }
}

/// The best passages of each query.
fn find(depth: usize, encoder: &Encoder, engine: &Engine, texts: &[&str]) -> Result<Vec<Mined>> {
    let encoded = encoder.encode_queries(texts)?;
    let params = SearchOptions { k: depth, ..SearchOptions::default() }.params(engine.searcher());
    let outcomes = engine.searcher().search_batch(&encoded.iter().collect::<Vec<_>>(), &params, None)?;
    let mined = outcomes.into_iter().map(|outcome| {
        let pids: Vec<u32> = outcome.found.iter().map(|found| found.pid).collect();
        Mined { answer: None, pids, scores: Vec::new() }
    });
    Ok(mined.collect())
}

/// The teacher's scores: each passage that was found is encoded once, block by block.
fn ask(
    teacher: &Encoder,
    dense: bool,
    index: &Index,
    texts: &[&str],
    mined: &mut [Mined],
    progress: &dyn Progress,
) -> Result<()> {
    let encode = |texts: &[&str], kind: TextKind| match (dense, kind) {
        (true, kind) => teacher.encode_dense(texts, kind),
        (false, TextKind::Query) => teacher.encode_queries(texts),
        (false, TextKind::Passage) => teacher.encode_passages(texts),
    };
    let backend = Cpu::new()?;
    let queries = encode(texts, TextKind::Query)?;
    let queries: Vec<&[f32]> = queries.iter().collect();
    // Who found which passage, and where among its own.
    let mut found_by: Vec<Vec<(usize, usize)>> = vec![Vec::new(); index.num_passages() as usize];
    for (number, query) in mined.iter_mut().enumerate() {
        query.scores = vec![None; query.pids.len()];
        query.pids.iter().enumerate().for_each(|(at, &pid)| found_by[pid as usize].push((number, at)));
    }
    let pids: Vec<u32> = (0..).zip(&found_by).filter(|(_, by)| !by.is_empty()).map(|(pid, _)| pid).collect();
    let mut documents = index.documents().reader();
    let mut stage = Stage::new(progress, "teacher", "passages", Some(pids.len() as u64));
    for block in pids.chunks(BLOCK_PASSAGES) {
        let texts = block.iter().map(|&pid| Ok(documents.text(pid)?)).collect::<Result<Vec<String>>>()?;
        let passages = encode(&texts.iter().map(String::as_str).collect::<Vec<_>>(), TextKind::Passage)?;
        for (&pid, passage) in block.iter().zip(passages.iter()) {
            // One call a passage: all queries that found it.
            let asking: Vec<f32> =
                found_by[pid as usize].iter().flat_map(|&(query, _)| queries[query]).copied().collect();
            let lens = found_by[pid as usize].iter().map(|&(query, _)| queries[query].len() / passages.dim);
            let whole = [0, passage.len() / passages.dim];
            let scores = backend.maxsim_f32(passages.dim, &asking, &offsets(lens), passage, &whole)?;
            for (&(query, at), score) in found_by[pid as usize].iter().zip(scores) {
                mined[query].scores[at] = Some(score).filter(|score| score.is_finite());
            }
        }
        stage.add(block.len() as u64)?;
    }
    Ok(())
}

/// Scores made elsewhere, by query and passage.
type Scores = HashMap<String, HashMap<String, f32>>;

fn look_up(scores: &Scores, index: &Index, queries: &[(String, String)], mined: &mut [Mined]) -> Result<()> {
    for ((id, _), query) in queries.iter().zip(mined) {
        let of_query = scores.get(id);
        let ids = query.pids.iter().map(|&pid| Ok(index.id(pid)?)).collect::<Result<Vec<_>>>()?;
        query.scores = ids.iter().map(|id| of_query.and_then(|of_query| of_query.get(id)).copied()).collect();
    }
    Ok(())
}

/// The answer and its negatives with their scores, unless the query has none to give.
fn tuple(options: &MineOptions, query: &Mined, report: &mut MineReport) -> Option<Vec<(u32, f32)>> {
    let scored = query.pids.iter().zip(&query.scores).filter_map(|(&pid, &score)| Some((pid, score?)));
    let scored: Vec<(u32, f32)> = scored.collect();
    let best = || scored.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    if options.answers.is_some() && query.answer.is_none() {
        report.unanswered += 1;
        return None;
    }
    let answer = query.answer.map_or_else(best, |answer| scored.iter().copied().find(|&(pid, _)| pid == answer));
    let Some((answer, most)) = answer else {
        report.unscored += 1;
        return None;
    };
    let least = scored.iter().map(|&(_, score)| score).fold(f32::INFINITY, f32::min);
    let limit = most - options.margin as f32 * (most - least);
    let others = scored.iter().copied().filter(|&(pid, _)| pid != answer);
    let (negatives, dropped): (Vec<_>, Vec<_>) = others.partition(|&(_, score)| score < limit);
    report.dropped += dropped.len();
    if negatives.len() < options.negatives {
        report.few_negatives += 1;
        return None;
    }
    Some([(answer, most)].into_iter().chain(negatives.into_iter().take(options.negatives)).collect())
}

/// `[query, [passage, score], ...]`.
fn in_stanford_form(query: &str, passages: &[(u32, f32)], index: &Index) -> Result<serde_json::Value> {
    let passages = passages.iter().map(|&(pid, score)| Ok(serde_json::json!([index.id(pid)?, score])));
    let mut line = vec![serde_json::Value::from(query)];
    line.extend(passages.collect::<Result<Vec<_>>>()?);
    Ok(line.into())
}

/// The first passage of each query with a grade above 0.
fn read_answers(path: &Path) -> Result<HashMap<String, String>> {
    let mut answers = HashMap::new();
    for judgment in qrels::read(path, Some(1))?.into_iter().filter(|judgment| judgment.grade > 0) {
        answers.entry(judgment.query).or_insert(judgment.passage);
    }
    Ok(answers)
}

fn read_scores(path: &Path) -> Result<Scores> {
    let mut scores = Scores::new();
    for (query, passage, score) in read_columns(path, score)? {
        scores.entry(query).or_default().insert(passage, score);
    }
    Ok(scores)
}

/// `query<TAB>passage<TAB>score`.
fn score(line: &str) -> Result<(String, String, f32), String> {
    let [query, passage, score] = *line.split('\t').collect::<Vec<_>>() else {
        return Err("expected query<TAB>passage<TAB>score".into());
    };
    let number = score.trim().parse().ok().filter(|score: &f32| score.is_finite());
    Ok((query.into(), passage.into(), number.ok_or_else(|| format!("{score:?} is no score"))?))
}

/// A file's lines, each in its parts.
fn read_columns<T>(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>> {
    let mut lines = Lines::open(path)?;
    let mut read = Vec::new();
    while let Some(line) = lines.next()? {
        let parsed = parse(line);
        read.push(parsed.map_err(|reason| lines.error(reason))?);
    }
    if read.is_empty() { Err(Error::Empty { path: path.into(), of: "score" }) } else { Ok(read) }
}
