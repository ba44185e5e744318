//! Queries made of the passages of an index, for tuning where there are no others.
//!
//! **In:** an open index, and how many queries. **Out:** [`Queries`], each a run of words of another passage, encoded
//! as a query; from an index without texts or without a model, runs of its embeddings as they are stored. Passages
//! are taken evenly from the index, and runs from anywhere in them, so that the same index gives the same queries.

use crate::queries::Queries;
use crate::{Engine, Result, Snapshot};
use std::ops::Range;
use std::path::PathBuf;

/// Lengths of the runs in words, in turns: from a few keywords to a long question.
const WORDS: [usize; 4] = [4, 8, 12, 20];
/// Lengths in embeddings; a word has one and a half tokens of the usual vocabularies.
const EMBEDDINGS: [usize; 4] = [6, 12, 18, 30];
/// Part by which the place of a run moves on from one passage to the next; the golden ratio spreads places evenly.
const MOVED: f64 = 0.618_033_988_749_894_9;

/// Makes `count` queries, or one of each passage if there are fewer. Passages without words or embeddings give none.
///
/// # Errors
/// [`Error::Index`](crate::Error::Index), [`Error::Search`](crate::Error::Search) if a passage cannot be read; the
/// errors of [`Engine::encoder`] if there are texts to encode.
pub(crate) fn make(engine: &Engine, count: usize) -> Result<Queries> {
    let snapshot = engine.snapshot();
    let alive: Vec<u32> = snapshot.index().pids().collect();
    let count = count.min(alive.len());
    let taken: Vec<u32> = (0..count).map(|number| alive[number * alive.len() / count]).collect();
    let texts = if snapshot.index().encoder().is_some() { texts(&snapshot, &taken)? } else { Vec::new() };
    let (embeddings, texts) = match texts.is_empty() {
        true => (stored_embeddings(&snapshot, &taken)?, None),
        false => {
            let encoded = engine.encoder()?.encode_queries(&texts)?;
            (encoded.iter().map(<[f32]>::to_vec).collect(), Some(texts))
        }
    };
    let ids = (1..=embeddings.len()).map(|number| number.to_string()).collect();
    Ok(Queries { ids, embeddings, texts, path: PathBuf::new(), had_header: false })
}

/// Runs of words of the passages that have any.
fn texts(snapshot: &Snapshot, pids: &[u32]) -> Result<Vec<String>> {
    let mut documents = snapshot.index().documents().reader();
    let mut made = Vec::new();
    for (number, &pid) in pids.iter().enumerate() {
        let text = documents.text(pid)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        if !words.is_empty() {
            made.push(words[run(words.len(), WORDS, number)].join(" "));
        }
    }
    Ok(made)
}

/// Runs of stored embeddings of the passages that have any.
fn stored_embeddings(snapshot: &Snapshot, pids: &[u32]) -> Result<Vec<Vec<f32>>> {
    let mut made = Vec::new();
    for (number, &pid) in pids.iter().enumerate() {
        let (rows, dim) = (snapshot.searcher().reconstruct(pid)?, snapshot.index().dim());
        if !rows.is_empty() {
            let run = run(rows.len() / dim, EMBEDDINGS, number);
            made.push(rows[run.start * dim..run.end * dim].to_vec());
        }
    }
    Ok(made)
}

/// The run that the passage of a number gives of its `len` words or embeddings.
fn run(len: usize, lengths: [usize; 4], number: usize) -> Range<usize> {
    let taken = lengths[number % lengths.len()].min(len);
    let start = ((number as f64 * MOVED).fract() * (len - taken + 1) as f64) as usize;
    start..start + taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_inside_of_passages_and_reach_both_ends() {
        for len in [1, 3, 4, 5, 21, 100] {
            let runs: Vec<_> = (0..1000).map(|number| run(len, WORDS, number)).collect();
            assert!(runs.iter().all(|run| !run.is_empty() && run.end <= len), "{len}");
            assert!(runs.iter().any(|run| run.start == 0) && runs.iter().any(|run| run.end == len), "{len}");
        }
    }
}
