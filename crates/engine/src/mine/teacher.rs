//! Teachers: scores of the passages found, by a checkpoint or from a file.

use super::BLOCK_QUERIES;
use super::tuple::Mined;
use crate::eval::truth::offsets;
use crate::lines::Lines;
use crate::progress::{Progress, Stage};
use crate::stored_texts::for_each_block;
use crate::{Error, Result};
use selvedge_backend::{Backend, Cpu};
use selvedge_encoder::{Embeddings, Encoder, LoadOptions, TextKind};
use selvedge_index::Index;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Source of the scores by which passages become negatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Teacher {
    /// A checkpoint, which encodes queries and passages at its own maximum lengths.
    Model {
        /// Local folder or hub id.
        model: String,
        /// Whether it scores single vectors (mean pooling, cosine), instead of MaxSim.
        dense: bool,
    },
    /// File of scores made elsewhere, `query<TAB>passage<TAB>score` per line.
    Scores(PathBuf),
}

impl Teacher {
    /// Returns the options of loading a teacher beside a student: the student's precision, executor and batches, and
    /// the teacher's own maximum lengths and revision.
    pub fn load_options(student: &LoadOptions) -> LoadOptions {
        let LoadOptions { precision, executor, batch_tokens, .. } = *student;
        LoadOptions { precision, executor, batch_tokens, ..LoadOptions::default() }
    }
}

/// Loaded [`Teacher`].
pub(super) enum Judge {
    Model { encoder: Box<Encoder>, dense: bool },
    Scores(Scores),
}

impl Judge {
    /// Loads a teacher; `student` are the options of the model that ranks.
    pub(super) fn load(teacher: &Teacher, student: &LoadOptions) -> Result<Self> {
        Ok(match teacher {
            Teacher::Scores(path) => Self::Scores(read_scores(path)?),
            Teacher::Model { model, dense } => {
                let encoder = Encoder::load(model, &Teacher::load_options(student))?;
                Self::Model { encoder: Box::new(encoder), dense: *dense }
            }
        })
    }

    /// Sets the scores of the passages found for each query.
    pub(super) fn score(
        &self,
        index: &Index,
        queries: &[(String, String)],
        mined: &mut [Mined],
        progress: &dyn Progress,
    ) -> Result<()> {
        match self {
            Self::Scores(scores) => look_up(scores, index, queries, mined, progress),
            Self::Model { encoder, dense } => encode(encoder, *dense, index, queries, mined, progress),
        }
    }
}

/// Scores the passages found with a checkpoint: each is encoded once, block by block.
fn encode(
    teacher: &Encoder,
    dense: bool,
    index: &Index,
    queries: &[(String, String)],
    mined: &mut [Mined],
    progress: &dyn Progress,
) -> Result<()> {
    let queries = encode_queries(teacher, dense, queries, progress)?;
    let backend = Cpu::new()?;
    // For each passage, the queries that found it and its place among the passages of each.
    let mut found_by: Vec<Vec<(usize, usize)>> = vec![Vec::new(); index.num_pids() as usize];
    for (number, query) in mined.iter_mut().enumerate() {
        query.scores = vec![None; query.pids.len()];
        query.pids.iter().enumerate().for_each(|(at, &pid)| found_by[pid as usize].push((number, at)));
    }
    let pids: Vec<u32> = (0..).zip(&found_by).filter(|(_, by)| !by.is_empty()).map(|(pid, _)| pid).collect();
    let mut stage = Stage::new(progress, "teacher", "passages", Some(pids.len() as u64));
    for_each_block(index, &pids, |pids, texts| {
        let passages = embed(teacher, dense, texts, TextKind::Passage)?;
        let dim = passages.dim;
        for (&pid, passage) in pids.iter().zip(passages.iter()) {
            // One call per passage, with all queries that found it.
            let found_by = &found_by[pid as usize];
            let rows: Vec<f32> = found_by.iter().flat_map(|&(query, _)| &queries[query]).copied().collect();
            let lens = found_by.iter().map(|&(query, _)| queries[query].len() / dim);
            let scores = backend.maxsim_f32(dim, &rows, &offsets(lens), passage, &[0, passage.len() / dim])?;
            for (&(query, at), score) in found_by.iter().zip(scores) {
                mined[query].scores[at] = Some(score).filter(|score| score.is_finite());
            }
        }
        stage.add(pids.len() as u64)
    })
}

/// Encodes the texts of queries; `(Q, D) f32` each.
fn encode_queries(
    teacher: &Encoder,
    dense: bool,
    queries: &[(String, String)],
    progress: &dyn Progress,
) -> Result<Vec<Vec<f32>>> {
    let mut stage = Stage::new(progress, "teacher's queries", "queries", Some(queries.len() as u64));
    let mut encoded = Vec::with_capacity(queries.len());
    for block in queries.chunks(BLOCK_QUERIES) {
        let texts: Vec<&str> = block.iter().map(|(_, text)| text.as_str()).collect();
        encoded.extend(embed(teacher, dense, &texts, TextKind::Query)?.iter().map(<[f32]>::to_vec));
        stage.add(block.len() as u64)?;
    }
    Ok(encoded)
}

fn embed<S: AsRef<str> + Sync>(teacher: &Encoder, dense: bool, texts: &[S], kind: TextKind) -> Result<Embeddings> {
    Ok(match (dense, kind) {
        (true, kind) => teacher.encode_dense(texts, kind)?,
        (false, TextKind::Query) => teacher.encode_queries(texts)?,
        (false, TextKind::Passage) => teacher.encode_passages(texts)?,
    })
}

/// Scores made elsewhere, by query and passage.
type Scores = HashMap<String, HashMap<String, f32>>;

/// Looks up scores made elsewhere.
fn look_up(
    scores: &Scores,
    index: &Index,
    queries: &[(String, String)],
    mined: &mut [Mined],
    progress: &dyn Progress,
) -> Result<()> {
    let mut stage = Stage::new(progress, "scores", "queries", Some(queries.len() as u64));
    for ((id, _), query) in queries.iter().zip(mined) {
        let of_query = scores.get(id);
        let ids = query.pids.iter().map(|&pid| Ok(index.id(pid)?)).collect::<Result<Vec<_>>>()?;
        query.scores = ids.iter().map(|id| of_query.and_then(|of_query| of_query.get(id)).copied()).collect();
        stage.add(1)?;
    }
    Ok(())
}

/// Reads a file of `query<TAB>passage<TAB>score`.
fn read_scores(path: &Path) -> Result<Scores> {
    let mut lines = Lines::open(path)?;
    let mut scores = Scores::new();
    while let Some(line) = lines.next()? {
        let parsed = parse_score(line);
        let (query, passage, score) = parsed.map_err(|reason| lines.error(reason))?;
        scores.entry(query).or_default().insert(passage, score);
    }
    if scores.is_empty() { Err(Error::Empty { path: path.into(), of: "score" }) } else { Ok(scores) }
}

fn parse_score(line: &str) -> Result<(String, String, f32), String> {
    let [query, passage, score] = *line.split('\t').collect::<Vec<_>>() else {
        return Err("expected query<TAB>passage<TAB>score".into());
    };
    let number = score.trim().parse().ok().filter(|score: &f32| score.is_finite());
    Ok((query.into(), passage.into(), number.ok_or_else(|| format!("{score:?} is no score"))?))
}
