//! `selvedge mine`: denoised supervision for the next round of training (ColBERTv2, section 3.2).
//!
//! ```text
//! index the collection with the model --> the best `depth` passages of each query
//!     --> the teacher's scores of these and of the answer --> negatives: below the answer by a margin, best first
//! ```

use crate::args::MineArgs;
use crate::device::on_device;
use crate::index::index_text;
use crate::lines::{Lines, read_tsv};
use crate::queries::{load_encoder, teacher_options};
use crate::truth::offsets;
use crate::{Error, Result, output, progress};
use selvedge_backend::{Backend, Cpu};
use selvedge_encoder::{Encoder, TextKind};
use selvedge_index::{Check, Index};
use selvedge_search::Searcher;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Passages that the teacher encodes at a time.
const BLOCK_PASSAGES: usize = 1024;

/// What came of it; field names are the JSON's.
#[derive(Debug, Default, Serialize)]
struct Report {
    queries: usize,
    tuples: usize,
    /// Passages that were taken for answers that nobody marked.
    dropped: usize,
    /// Queries without an answer that the collection has.
    unanswered: usize,
    /// Queries whose answer, or all of whose passages, have no score.
    unscored: usize,
    /// Queries with too few negatives.
    few_negatives: usize,
    /// Share of the queries whose answer was found.
    answers_found: f64,
}

/// A query on its way: what was found, best first, and the teacher's score of each.
struct Mined {
    answer: Option<u32>,
    pids: Vec<u32>,
    scores: Vec<Option<f32>>,
}

/// Mines, and writes the tuples whole or not at all.
pub(crate) fn mine(args: &MineArgs) -> Result<()> {
    let queries = read_tsv(&args.queries)?;
    let answers = args.answers.as_deref().map(read_answers).transpose()?;
    let scores = args.scores.as_deref().map(read_scores).transpose()?;
    let teacher =
        args.teacher.as_deref().map(|model| Encoder::load(model, &teacher_options(&args.encode))).transpose()?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let room = tempfile::tempdir_in(folder).map_err(Error::io(folder))?;
    let encoder = load_encoder(&args.model, &args.encode)?;
    let path = room.path().join("mined.index");
    index_text(&args.collection, &path, &encoder, 0, (&args.build, args.encode.device), None)?;
    let index = Index::open(&path, Check::Lengths)?;
    let texts: Vec<&str> = queries.iter().map(|(_, text)| text.as_str()).collect();
    let mut report = Report { queries: queries.len(), ..Report::default() };
    let mut mined = find(args, &encoder, &index, &texts)?;
    if let Some(answers) = &answers {
        let pids: HashMap<String, u32> =
            (0..index.num_passages()).map(|pid| Ok((index.id(pid)?, pid))).collect::<Result<_>>()?;
        for ((id, _), query) in queries.iter().zip(&mut mined) {
            query.answer = answers.get(id).and_then(|answer| pids.get(answer)).copied();
            report.answers_found +=
                f64::from(u8::from(query.answer.is_some_and(|answer| query.pids.contains(&answer))));
            // It is scored, too, found or not.
            query.pids.extend(query.answer.filter(|answer| !query.pids.contains(answer)));
        }
        report.answers_found /= queries.len().max(1) as f64;
    }
    match (&teacher, &scores) {
        (Some(teacher), _) => ask(teacher, args.dense, &index, &texts, &mut mined)?,
        (None, Some(scores)) => look_up(scores, &index, &queries, &mut mined)?,
        (None, None) => unreachable!("the arguments demand one of them"),
    }
    // Beside the index until it is whole.
    let new = room.path().join("tuples.jsonl");
    let mut out = BufWriter::new(File::create(&new).map_err(Error::io(&new))?);
    for ((id, _), query) in queries.iter().zip(&mined) {
        let Some(passages) = tuple(args, query, answers.is_some(), &mut report) else { continue };
        writeln!(out, "{}", in_stanford_form(id, &passages, &index)?).map_err(Error::io(&new))?;
        report.tuples += 1;
    }
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(Error::io(&new))?;
    std::fs::rename(&new, &args.out).map_err(Error::io(&args.out))?;
    say(args, &report)
}

/// The best passages of each query.
fn find(args: &MineArgs, encoder: &Encoder, index: &Index, texts: &[&str]) -> Result<Vec<Mined>> {
    let encoded = encoder.encode_queries(texts)?;
    let embeddings: Vec<&[f32]> = encoded.iter().collect();
    let outcomes = on_device!(args.encode.device, backend => {
        let searcher = Searcher::new(backend, index)?;
        Ok::<_, Error>(searcher.search_batch(&embeddings, &searcher.params(args.depth), None)?)
    })?;
    let mined = outcomes.into_iter().map(|outcome| {
        let pids: Vec<u32> = outcome.found.iter().map(|found| found.pid).collect();
        Mined { answer: None, pids, scores: Vec::new() }
    });
    Ok(mined.collect())
}

/// The teacher's scores: each passage that was found is encoded once, block by block.
fn ask(teacher: &Encoder, dense: bool, index: &Index, texts: &[&str], mined: &mut [Mined]) -> Result<()> {
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
    let bar = progress::bar("teacher", pids.len() as u64, "passages");
    for block in pids.chunks(BLOCK_PASSAGES) {
        let texts = block.iter().map(|&pid| Ok(index.document(pid)?.text)).collect::<Result<Vec<String>>>()?;
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
        bar.inc(block.len() as u64);
    }
    bar.finish();
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
fn tuple(args: &MineArgs, query: &Mined, marked: bool, report: &mut Report) -> Option<Vec<(u32, f32)>> {
    let scored = query.pids.iter().zip(&query.scores).filter_map(|(&pid, &score)| Some((pid, score?)));
    let scored: Vec<(u32, f32)> = scored.collect();
    let best = || scored.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    if marked && query.answer.is_none() {
        report.unanswered += 1;
        return None;
    }
    let answer = query.answer.map_or_else(best, |answer| scored.iter().copied().find(|&(pid, _)| pid == answer));
    let Some((answer, most)) = answer else {
        report.unscored += 1;
        return None;
    };
    let least = scored.iter().map(|&(_, score)| score).fold(f32::INFINITY, f32::min);
    let limit = most - args.margin as f32 * (most - least);
    let others = scored.iter().copied().filter(|&(pid, _)| pid != answer);
    let (negatives, dropped): (Vec<_>, Vec<_>) = others.partition(|&(_, score)| score < limit);
    report.dropped += dropped.len();
    if negatives.len() < args.negatives {
        report.few_negatives += 1;
        return None;
    }
    Some([(answer, most)].into_iter().chain(negatives.into_iter().take(args.negatives)).collect())
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
    for (query, passage, grade) in read_columns(path, answer)? {
        if grade > 0 {
            answers.entry(query).or_insert(passage);
        }
    }
    Ok(answers)
}

/// `query<TAB>passage`, and perhaps a grade.
fn answer(line: &str) -> Result<(String, String, i64), String> {
    match *line.split('\t').collect::<Vec<_>>() {
        [query, passage] => Ok((query.into(), passage.into(), 1)),
        [query, passage, grade] => {
            let grade = grade.trim().parse().map_err(|_| format!("{grade:?} is no grade"))?;
            Ok((query.into(), passage.into(), grade))
        }
        _ => Err("expected query<TAB>passage, and perhaps <TAB>grade".into()),
    }
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
    if read.is_empty() { Err(Error::EmptyCollection { path: path.into() }) } else { Ok(read) }
}

fn say(args: &MineArgs, report: &Report) -> Result<()> {
    if args.json {
        let line = serde_json::to_string(report).expect("a report is plain numbers");
        return output::print(writeln!(std::io::stdout().lock(), "{line}"));
    }
    let Report { queries, tuples, dropped, unanswered, unscored, few_negatives, answers_found } = report;
    eprintln!("{}: {tuples} tuples of {queries} queries; {dropped} passages dropped as too good", args.out.display());
    if args.answers.is_some() {
        eprintln!("the answer is among the {} found for {:.1} % of them", args.depth, 100.0 * answers_found);
    }
    if tuples < queries {
        eprintln!(
            "left out: {unanswered} without an answer in the collection, {unscored} without a score, {few_negatives} with \
             fewer than {} negatives (a larger --depth finds more)",
            args.negatives
        );
    }
    Ok(())
}
